// One listed machine: whether it is in service, who has it, and what was made of it.
import React from "react";
import { useParams } from "react-router-dom";
import { ActionBar } from "../actions/ActionBar";
import { offersOnHost } from "../actions/offers";
import { When } from "../components/Age";
import { DataTable } from "../components/DataTable";
import { ErrorNotice } from "../components/ErrorNotice";
import { EventStory } from "../components/EventStory";
import { Facts, type Fact } from "../components/Facts";
import { LabelList } from "../components/LabelList";
import { BlueprintLink, ResourceLink } from "../components/Links";
import { ObjectPage } from "../components/ObjectPage";
import { StatusTag } from "../components/StatusTag";
import { useRow, useRows } from "../data/live";
import { HOSTS, RESOURCES, type Host } from "../data/rows";
import { hostKey } from "../words/links";
import { serviceOf } from "../words/statuses";
import { RESOURCE_COLUMNS } from "./ResourcesPage";

const CRUMBS = [{ caption: "Hosts", route: "/drydock/hosts" }];
const COLUMNS = RESOURCE_COLUMNS.filter(({ caption }) => caption !== "Host");

export function HostPage() {
  const { name = "" } = useParams();
  const live = useRow(HOSTS, name, hostKey(name));
  return (
    <ObjectPage
      title={`host ${name}`}
      crumbs={CRUMBS}
      live={live}
      aside={(host) => <StatusTag status={serviceOf(host)} />}
    >
      {(host) => (
        <>
          <ActionBar
            path={`drydock_hosts/${name}`}
            subject={name}
            offers={offersOnHost(host)}
            onDone={(row) => live.put(row as Host)}
          />
          <Facts facts={factsOf(host)} />
          <ItsResources host={name} />
          {host.resourceid !== null && (
            <EventStory below={`drydock_resources/${host.resourceid}`} />
          )}
        </>
      )}
    </ObjectPage>
  );
}

function ItsResources({ host }: { host: string }) {
  // Messages go by blueprint and by number, not by host: all are listened to, and few fit.
  const query = { host, order: "-resourceid", limit: 20 };
  const { rows, error, isCurrent } = useRows(RESOURCES, query);
  return (
    <section aria-label="Resources">
      <h2>Resources</h2>
      <ErrorNotice error={error} />
      <DataTable
        caption="What was made of it"
        columns={COLUMNS}
        rows={rows}
        keyOf={RESOURCES.key}
        isCurrent={isCurrent}
        empty="It has never been used."
      />
    </section>
  );
}

const factsOf = (host: Host): Fact[] => [
  ["Why it is out of service", host.why && <span className="drydock-text">{host.why}</span>],
  ["Mode", host.mode === "enabled" ? null : `${host.mode} by ${host.mode_author}`],
  ["Mode ends", host.mode_until === null ? null : <When time={host.mode_until} />],
  ["Blueprints", host.blueprints.map((name) => (
    <React.Fragment key={name}><BlueprintLink name={name} /> </React.Fragment>
  ))],
  ["Resource", <ResourceLink id={host.resourceid} />],
  ["Slots leased", `${host.leased} of ${host.slots ?? "–"}`],
  ["Labels", <LabelList labels={host.labels} />],
  ["Listed", host.listed ? null : "no blueprint lists it any more"],
];
