// One resource: what it is, who has it, what it costs; and its story.
import React from "react";
import { useParams } from "react-router-dom";
import { ActionBar } from "../actions/ActionBar";
import { offersOnResource } from "../actions/offers";
import { Age, When } from "../components/Age";
import { DataTable } from "../components/DataTable";
import { ErrorNotice } from "../components/ErrorNotice";
import { EventStory } from "../components/EventStory";
import { Facts, type Fact } from "../components/Facts";
import { LabelList } from "../components/LabelList";
import { BlueprintLink, HostLink, LeaseLink } from "../components/Links";
import { Money } from "../components/Money";
import { ObjectPage } from "../components/ObjectPage";
import { StatusTag } from "../components/StatusTag";
import { useRow, useRows } from "../data/live";
import { LEASES, RESOURCES, type Resource } from "../data/rows";
import { stateOf } from "../words/statuses";
import { duration } from "../words/times";
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
      aside={(resource) => <StatusTag status={stateOf(resource)} />}
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

/** An active resource is parked to be woken for a later lease. */
function Power({ row: { status, power, power_since } }: { row: Resource }) {
  return (
    <>
      {power} for <Age since={power_since} />; its status is {status}
    </>
  );
}

const factsOf = (row: Resource): Fact[] => [
  ["Blueprint", <BlueprintLink name={row.blueprint} />],
  ["Host", row.host ? <HostLink name={row.host} /> : null],
  ["Address", row.address],
  ["Identity", row.identity],
  ["Token", <code>{row.token}</code>],
  ["Labels", <LabelList labels={row.labels} />],
  ["In this status for", <Age since={row.since} />],
  ["Power", stateOf(row) === row.status ? null : <Power row={row} />],
  ["Parked before", row.parked_seconds >= 1 ? duration(row.parked_seconds) : null],
  ["Requested", <When time={row.created_at} />],
  ["Built for", row.built_for === null ? null : <LeaseLink id={row.built_for} />],
  ["Uses", row.uses],
  ["Last used", row.last_used_at === null ? null : <When time={row.last_used_at} />],
  ["Price", row.hourly_price === null ? null : <Money amount={row.hourly_price} per="h" />],
  ["Cost so far", row.cost === null ? null : <Money amount={row.cost} />],
  ["Is taken away", row.ends_at === null ? null : <When time={row.ends_at} />],
  ["Why it is taken away", text(row.end_reason)],
  ["Faults in a row", row.faults === 0 ? null : row.faults],
  ["Last fault", text(row.fault)],
  ["Reason", text(row.reason)],
];
