// One blueprint: how it is doing, what it has, how it is configured; and its story.
import React, { useEffect, useRef } from "react";
import { useParams } from "react-router-dom";
import { ActionBar } from "../actions/ActionBar";
import { offersToEdit } from "../actions/editing";
import { offersOnBlueprint } from "../actions/offers";
import { When } from "../components/Age";
import { DataTable } from "../components/DataTable";
import { ErrorNotice } from "../components/ErrorNotice";
import { EventStory } from "../components/EventStory";
import { Facts, type Fact } from "../components/Facts";
import { LabelList } from "../components/LabelList";
import { Money } from "../components/Money";
import { ObjectPage } from "../components/ObjectPage";
import { StatusTag } from "../components/StatusTag";
import { useRow, useRows } from "../data/live";
import { BLUEPRINTS, RESOURCES, type Blueprint } from "../data/rows";
import { byStatus } from "../words/counts";
import { RESOURCE_COLUMNS } from "./ResourcesPage";

const CRUMBS = [{ caption: "Blueprints", route: "/drydock/blueprints" }];
const COLUMNS = RESOURCE_COLUMNS.filter(({ caption }) => caption !== "Blueprint");
const LIVING = { order: "-resourceid", limit: 50, status__ne: "destroyed" };

export function BlueprintPage() {
  const { name = "" } = useParams();
  const live = useRow(BLUEPRINTS, name);
  const path = `drydock_blueprints/${name}`;
  // Messages leave it out, as it is long and stays the same.
  const schema = useRef<unknown>(null);
  const found = live.rows?.[0]?.schema ?? null;
  useEffect(() => {
    if (found !== null) schema.current = found;
  }, [found]);
  return (
    <ObjectPage
      title={`blueprint ${name}`}
      crumbs={CRUMBS}
      live={live}
      aside={({ state }) => <StatusTag status={state} />}
    >
      {(blueprint) => (
        <>
          <ActionBar
            path={path}
            subject={name}
            offers={[
              ...offersOnBlueprint(blueprint),
              ...offersToEdit({ ...blueprint, schema: blueprint.schema ?? schema.current }),
            ]}
            onDone={(row) => live.put(row as Blueprint)}
          />
          <Facts facts={factsOf(blueprint)} />
          <ItsResources below={path} />
          <Edits overrides={blueprint.overrides} />
          <Configuration fields={blueprint.configuration} />
          <EventStory below={path} />
        </>
      )}
    </ObjectPage>
  );
}

function ItsResources({ below }: { below: string }) {
  const { rows, error, isCurrent } = useRows(RESOURCES, LIVING, below);
  return (
    <section aria-label="Resources">
      <h2>Resources</h2>
      <ErrorNotice error={error} />
      <DataTable
        caption="Resources that are not destroyed"
        columns={COLUMNS}
        rows={rows}
        keyOf={RESOURCES.key}
        isCurrent={isCurrent}
        empty="It has no resources now."
      />
    </section>
  );
}

function Edits({ overrides }: { overrides: Blueprint["overrides"] }) {
  const facts = Object.entries(overrides).map(([name, { value, author, reason, at, ignored }]) => [
    name,
    <>
      <code>{shown(value)}</code> by {author}, <When time={at} />
      {reason && `: ${reason}`}
      {ignored && <div className="drydock-problem">Not in force: {ignored}</div>}
    </>,
  ] as const);
  if (facts.length === 0) return null;
  return (
    <section aria-label="Edited">
      <h2>Edited, in place of what master.cfg says</h2>
      <Facts facts={facts} />
    </section>
  );
}

function Configuration({ fields }: { fields: Blueprint["configuration"] }) {
  const facts = Object.entries(fields)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => [name, <code>{shown(value)}</code>] as const);
  return (
    <details className="drydock-details">
      <summary>Configuration</summary>
      <Facts facts={facts} />
    </details>
  );
}

const shown = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));

const text = (words: string) => words && <span className="drydock-text">{words}</span>;

const factsOf = (row: Blueprint): Fact[] => [
  ["Kind", row.kind],
  ["Mode", row.mode === "enabled" ? null : `${row.mode} by ${row.mode_author}`],
  ["Mode ends", row.mode_until === null ? null : <When time={row.mode_until} />],
  ["Why", text(row.mode_reason)],
  ["Resources", resourcesOf(row)],
  ["Slots leased", `${row.leased} of ${row.slots ?? "–"}`],
  ["Idle", row.idle],
  ["Parked", row.parked === 0 ? null : row.parked],
  ["Kept warm", row.min_ready],
  ["Leases that wait for it", row.waiting],
  ["Cost", <Money amount={row.hourly_cost} per="h" />],
  ["Cost at most", row.max_hourly_cost === null ? null
    : <Money amount={row.max_hourly_cost} per="h" />],
  ["Labels", <LabelList labels={row.labels} />],
  ["Choices", Object.keys(row.choices).length === 0 ? null
    : <LabelList labels={joined(row.choices)} />],
  ["Failed launches in a row", row.failures === 0 ? null : row.failures],
  ["Tries again", row.retry_at === null ? null : <When time={row.retry_at} />],
  ["Last error", text(row.last_error)],
  ["Its hosts cannot be listed", text(row.listing_error)],
];

const resourcesOf = ({ living, capacity, resources, parked }: Blueprint) =>
  `${living} of ${capacity ?? "–"} (${byStatus(resources, parked) || "none"})`;

const joined = (choices: Blueprint["choices"]) =>
  Object.fromEntries(Object.entries(choices).map(([name, some]) => [name, some.join("|")]));
