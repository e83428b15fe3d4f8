// All leases, ended ones too: who has what, and what waits.
import React from "react";
import { useNavigate } from "react-router-dom";
import { ActionBar } from "../actions/ActionBar";
import { REQUEST } from "../actions/offers";
import { Age, When } from "../components/Age";
import type { Column } from "../components/DataTable";
import { BuildLink, LeaseLink, OwnerLink, ResourceLink, BlueprintLink } from "../components/Links";
import { ListPage } from "../components/ListPage";
import { StatusTag } from "../components/StatusTag";
import type { ListingOf } from "../data/listing";
import { LEASES, type Lease } from "../data/rows";
import { leasePath } from "../words/links";
import { summary } from "../words/reasons";

const LISTING: ListingOf<Lease> = {
  type: LEASES,
  key: "leaseid",
  sortable: ["leaseid", "since"],
  filters: [
    {
      name: "status",
      label: "Status",
      kind: "choices",
      choices: ["pending", "acquired", "active", "released", "broken", "destroyed"],
    },
    { name: "owner__contains", label: "Owner", kind: "text" },
    { name: "builder", label: "Builder", kind: "text" },
    { name: "resourceid", label: "Resource", kind: "number" },
    { name: "leaseid__gt", label: "After lease", kind: "number" },
  ],
};

export const LEASE_COLUMNS: readonly Column<Lease>[] = [
  { caption: "Lease", sort: "leaseid", cell: ({ leaseid }) => <LeaseLink id={leaseid} /> },
  { caption: "Status", cell: ({ status }) => <StatusTag status={status} /> },
  { caption: "For", sort: "since", cell: ({ since }) => <Age since={since} /> },
  { caption: "Owner", cell: (lease) => <OwnerLink lease={lease} /> },
  { caption: "Build", cell: (lease) => <BuildLink lease={lease} /> },
  { caption: "Resource", cell: ({ resourceid }) => <ResourceLink id={resourceid} /> },
  { caption: "Blueprint", cell: ({ blueprint }) => <BlueprintLink name={blueprint} /> },
  { caption: "Requested", cell: ({ requested_at }) => <When time={requested_at} /> },
  {
    caption: "Why",
    wraps: true,
    cell: ({ reason, reasons }) => (
      <span className="drydock-text">{reasons.length > 0 ? summary(reasons) : reason}</span>
    ),
  },
];

const OFFERS = [REQUEST];

export function LeasesPage() {
  const navigate = useNavigate();
  return (
    <ListPage
      title="Leases"
      listing={LISTING}
      columns={LEASE_COLUMNS}
      aside={(
        <ActionBar
          path="drydock_leases"
          subject=""
          offers={OFFERS}
          onDone={(lease) => navigate(leasePath((lease as Lease).leaseid))}
        />
      )}
      empty="There are no leases yet. One appears when a build needs a worker."
    />
  );
}
