// One resource: what it is, who has it, what it costs; and its story.
import React from "react";
import { useParams } from "react-router-dom";
import { ActionBar } from "../actions/ActionBar";
import { offersOnResource } from "../actions/offers";
import { Age, When } from "../components/Age";
import { DataTable } from "../components/DataTable";
import { ErrorNotice } from "../components/ErrorNotice";
import { EventStory } from "../components/EventStory";
import { Facts } from "../components/Facts";
import { LabelList } from "../components/LabelList";
import { BlueprintLink, HostLink, LeaseLink } from "../components/Links";
import { Money } from "../components/Money";
import { ObjectPage } from "../components/ObjectPage";
import { StatusTag } from "../components/StatusTag";
import { useRow, useRows } from "../data/live";
import { LEASES, RESOURCES, type Resource } from "../data/rows";
import { LEASE_COLUMNS } from "./LeasesPage";

const CRUMBS = [{ caption: "Resources", route: "/drydock/resources" }];
const SAID_ABOVE = ["Resource", "Blueprint"];
const COLUMNS = LEASE_COLUMNS.filter(({ caption }) => !SAID_ABOVE.includes(caption));

export function ResourcePage() {
  const { id = "" } = useParams();
  const live = useRow(RESOURCES, id);
  const path = `drydock_resources/${id}`;
  return (
    <ObjectPage
      title={`resource ${id}`}
      crumbs={CRUMBS}
      live={live}
      aside={({ status }) => <StatusTag status={status} />}
    >
      {(resource) => (
        <>
          <ActionBar
            path={path}
            subject={`resource ${id}`}
            offers={offersOnResource(resource)}
            onDone={(row) => live.put(row as Resource)}
          />
          <Facts facts={factsOf(resource)} />
          <ItsLeases below={path} />
          <EventStory below={path} />
        </>
      )}
    </ObjectPage>
  );
}

function ItsLeases({ below }: { below: string }) {
  const { rows, error, isCurrent } = useRows(LEASES, { order: "-leaseid", limit: 20 }, below);
  return (
    <section aria-label="Leases">
      <h2>Leases</h2>
      <ErrorNotice error={error} />
      <DataTable
        caption="The latest leases"
        columns={COLUMNS}
        rows={rows}
        keyOf={LEASES.key}
        isCurrent={isCurrent}
        empty="Nobody has had it."
      />
    </section>
  );
}

const text = (words: string) => words && <span className="drydock-text">{words}</span>;

const factsOf = (row: Resource) => [
  ["Blueprint", <BlueprintLink name={row.blueprint} />] as const,
  ["Host", row.host === null ? null : <HostLink name={row.host} />] as const,
  ["Address", row.address] as const,
  ["Identity", row.identity] as const,
  ["Token", <code>{row.token}</code>] as const,
  ["Labels", <LabelList labels={row.labels} />] as const,
  ["In this status for", <Age since={row.since} />] as const,
  ["Requested", <When time={row.created_at} />] as const,
  ["Built for", row.built_for === null ? null : <LeaseLink id={row.built_for} />] as const,
  ["Uses", row.uses] as const,
  ["Last used", row.last_used_at === null ? null : <When time={row.last_used_at} />] as const,
  ["Price", row.hourly_price === null ? null : <Money amount={row.hourly_price} per="h" />] as const,
  ["Cost so far", row.cost === null ? null : <Money amount={row.cost} />] as const,
  ["Is taken away", row.ends_at === null ? null : <When time={row.ends_at} />] as const,
  ["Why it is taken away", text(row.end_reason)] as const,
  ["Faults in a row", row.faults === 0 ? null : row.faults] as const,
  ["Last fault", text(row.fault)] as const,
  ["Reason", text(row.reason)] as const,
];
