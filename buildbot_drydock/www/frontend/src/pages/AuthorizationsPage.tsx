// Who asked for, was given, or was declined, the use of a blueprint that needs approval.
import React from "react";
import { Link } from "react-router-dom";
import { When } from "../components/Age";
import type { Column } from "../components/DataTable";
import { BlueprintLink, LeaseLink } from "../components/Links";
import { ListPage } from "../components/ListPage";
import { StatusTag } from "../components/StatusTag";
import type { ListingOf } from "../data/listing";
import { AUTHORIZATIONS, type Authorization } from "../data/rows";
import { authorizationPath } from "../words/links";

const LISTING: ListingOf<Authorization> = {
  type: AUTHORIZATIONS,
  key: "authorizationid",
  sortable: ["authorizationid"],
  filters: [
    {
      name: "status",
      label: "Status",
      kind: "choices",
      choices: ["requested", "approved", "declined"],
    },
    { name: "blueprint", label: "Blueprint", kind: "text" },
    { name: "subject__contains", label: "Whose", kind: "text" },
  ],
};

const COLUMNS: readonly Column<Authorization>[] = [
  {
    caption: "Authorization",
    sort: "authorizationid",
    cell: ({ authorizationid: id }) => <Link to={authorizationPath(id)}>authorization {id}</Link>,
  },
  { caption: "Status", cell: ({ status }) => <StatusTag status={status} /> },
  { caption: "Blueprint", cell: ({ blueprint }) => <BlueprintLink name={blueprint} /> },
  { caption: "Whose", wraps: true, cell: ({ subject }) => subject },
  { caption: "Needed first by", cell: ({ leaseid }) => <LeaseLink id={leaseid} /> },
  { caption: "Decided", wraps: true, cell: (row) => <Decided of={row} /> },
  {
    caption: "Why",
    wraps: true,
    cell: ({ reason }) => <span className="drydock-text">{reason}</span>,
  },
];

function Decided({ of: { decided_at, author } }: { of: Authorization }) {
  return <><When time={decided_at} />{author && ` by ${author}`}</>;
}

export function AuthorizationsPage() {
  return (
    <ListPage
      title="Authorizations"
      listing={LISTING}
      columns={COLUMNS}
      empty="Nobody has asked for a blueprint that needs approval."
    />
  );
}
