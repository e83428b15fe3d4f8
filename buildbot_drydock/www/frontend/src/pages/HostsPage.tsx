// All machines that a blueprint lists.
import React from "react";
import { When } from "../components/Age";
import { DataTable, type Column } from "../components/DataTable";
import { ErrorNotice } from "../components/ErrorNotice";
import { BlueprintLink, HostLink, ResourceLink } from "../components/Links";
import { LabelList } from "../components/LabelList";
import { PageFrame } from "../components/PageFrame";
import { StatusTag } from "../components/StatusTag";
import { useRows } from "../data/live";
import { HOSTS, type Host } from "../data/rows";
import { serviceOf } from "../words/statuses";

const ALL = { limit: 1000 };

const COLUMNS: readonly Column<Host>[] = [
  { caption: "Host", cell: ({ name }) => <HostLink name={name} /> },
  { caption: "State", cell: (host) => <StatusTag status={serviceOf(host)} /> },
  {
    caption: "Blueprints",
    cell: ({ blueprints }) => blueprints.map((name) => (
      <React.Fragment key={name}><BlueprintLink name={name} /> </React.Fragment>
    )),
  },
  { caption: "Resource", cell: ({ resourceid }) => <ResourceLink id={resourceid} /> },
  {
    caption: "Slots leased",
    isNumber: true,
    cell: ({ leased, slots }) => (slots === null ? leased : `${leased} / ${slots}`),
  },
  { caption: "Labels", cell: ({ labels }) => <LabelList labels={labels} /> },
  {
    caption: "Why",
    wraps: true,
    cell: ({ why, mode_until }) => (
      <span className="drydock-text">
        {why}
        {mode_until !== null && <> (ends <When time={mode_until} />)</>}
      </span>
    ),
  },
];

export function HostsPage() {
  const { rows, error, isCurrent } = useRows(HOSTS, ALL);
  return (
    <PageFrame title="Hosts">
      <ErrorNotice error={error} />
      <DataTable
        caption="Hosts"
        columns={COLUMNS}
        rows={rows}
        keyOf={HOSTS.key}
        isCurrent={isCurrent}
        empty="No blueprint lists machines."
      />
    </PageFrame>
  );
}
