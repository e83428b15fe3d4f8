// All resources, destroyed ones too.
import React from "react";
import { Age, When } from "../components/Age";
import type { Column } from "../components/DataTable";
import { BlueprintLink, HostLink, ResourceLink } from "../components/Links";
import { ListPage } from "../components/ListPage";
import { Money } from "../components/Money";
import { StatusTag } from "../components/StatusTag";
import type { ListingOf } from "../data/listing";
import { RESOURCES, type Resource } from "../data/rows";
import { stateOf } from "../words/statuses";

const LISTING: ListingOf<Resource> = {
  type: RESOURCES,
  key: "resourceid",
  sortable: ["resourceid", "since"],
  filters: [
    {
      name: "status",
      label: "Status",
      kind: "choices",
      choices: ["pending", "active", "released", "broken", "destroyed"],
    },
    {
      name: "power",
      label: "Power",
      kind: "choices",
      choices: ["parking", "parked", "waking"],
    },
    { name: "blueprint", label: "Blueprint", kind: "text" },
    { name: "host", label: "Host", kind: "text" },
    { name: "address__contains", label: "Address", kind: "text" },
    { name: "resourceid__gt", label: "After resource", kind: "number" },
  ],
};

export const RESOURCE_COLUMNS: readonly Column<Resource>[] = [
  {
    caption: "Resource",
    sort: "resourceid",
    cell: ({ resourceid }) => <ResourceLink id={resourceid} />,
  },
  { caption: "Status", cell: (resource) => <StatusTag status={stateOf(resource)} /> },
  { caption: "For", sort: "since", cell: ({ since }) => <Age since={since} /> },
  { caption: "Blueprint", cell: ({ blueprint }) => <BlueprintLink name={blueprint} /> },
  { caption: "Host", wraps: true, cell: (resource) => <Where of={resource} /> },
  { caption: "Requested", cell: ({ created_at }) => <When time={created_at} /> },
  { caption: "Uses", isNumber: true, cell: ({ uses }) => uses },
  { caption: "Cost so far", isNumber: true, cell: ({ cost }) => <Money amount={cost} /> },
  {
    caption: "Why",
    wraps: true,
    cell: ({ reason, fault, end_reason }) => (
      <span className="drydock-text">{reason || fault || end_reason}</span>
    ),
  },
];

/** A listed host by its name, any other by its address. */
function Where({ of: { host, address } }: { of: Resource }) {
  return host ? <HostLink name={host} /> : <>{address || "–"}</>;
}

export function ResourcesPage() {
  return (
    <ListPage
      title="Resources"
      listing={LISTING}
      columns={RESOURCE_COLUMNS}
      empty="There are no resources yet. A blueprint makes one when a lease needs it."
    />
  );
}
