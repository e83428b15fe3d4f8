// All blueprints: what each may have, has, and costs.
import React from "react";
import { When } from "../components/Age";
import { DataTable, type Column } from "../components/DataTable";
import { ErrorNotice } from "../components/ErrorNotice";
import { BlueprintLink } from "../components/Links";
import { Money } from "../components/Money";
import { PageFrame } from "../components/PageFrame";
import { StatusTag } from "../components/StatusTag";
import { useRows } from "../data/live";
import { BLUEPRINTS, type Blueprint } from "../data/rows";
import { byStatus } from "../words/counts";

const ALL = { limit: 1000 }; // a configuration has few

const COLUMNS: readonly Column<Blueprint>[] = [
  { caption: "Blueprint", cell: ({ name }) => <BlueprintLink name={name} /> },
  { caption: "State", cell: ({ state }) => <StatusTag status={state} /> },
  { caption: "Kind", cell: ({ kind }) => kind ?? "–" },
  {
    caption: "Resources",
    isNumber: true,
    cell: ({ living, capacity }) => (capacity === null ? living : `${living} / ${capacity}`),
  },
  { caption: "By status", cell: ({ resources, parked }) => byStatus(resources, parked) || "–" },
  {
    caption: "Slots leased",
    isNumber: true,
    cell: ({ leased, slots }) => (slots === null ? leased : `${leased} / ${slots}`),
  },
  { caption: "Idle", isNumber: true, cell: ({ idle }) => idle },
  { caption: "Waiting", isNumber: true, cell: ({ waiting }) => waiting },
  {
    caption: "Cost",
    isNumber: true,
    cell: ({ hourly_cost }) => <Money amount={hourly_cost} per="h" />,
  },
  { caption: "Why", wraps: true, cell: (row) => <Why row={row} /> },
];

export function BlueprintsPage() {
  const { rows, error, isCurrent } = useRows(BLUEPRINTS, ALL);
  return (
    <PageFrame title="Blueprints">
      <ErrorNotice error={error} />
      <DataTable
        caption="Blueprints"
        columns={COLUMNS}
        rows={rows}
        keyOf={BLUEPRINTS.key}
        isCurrent={isCurrent}
        empty="The configuration has no blueprints."
      />
    </PageFrame>
  );
}

function Why({ row }: { row: Blueprint }) {
  return (
    <>
      {row.mode !== "enabled" && (
        <div>
          by {row.mode_author}
          {row.mode_until !== null && <> (ends <When time={row.mode_until} />)</>}
          {row.mode_reason && `: ${row.mode_reason}`}
        </div>
      )}
      {row.last_error && <div className="drydock-text">{row.last_error}</div>}
    </>
  );
}
