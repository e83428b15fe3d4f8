// All that happened.
import React from "react";
import { When } from "../components/Age";
import type { Column } from "../components/DataTable";
import { EventText } from "../components/EventStory";
import { BlueprintLink, LeaseLink, ResourceLink } from "../components/Links";
import { ListPage } from "../components/ListPage";
import type { ListingOf } from "../data/listing";
import { EVENTS, type Event } from "../data/rows";

const LISTING: ListingOf<Event> = {
  type: EVENTS,
  key: "eventid",
  sortable: ["eventid"],
  filters: [
    { name: "kind", label: "Kind", kind: "text" },
    { name: "blueprint", label: "Blueprint", kind: "text" },
    { name: "resourceid", label: "Resource", kind: "number" },
    { name: "leaseid", label: "Lease", kind: "number" },
    { name: "actor__contains", label: "By", kind: "text" },
    { name: "eventid__gt", label: "After event", kind: "number" },
  ],
};

const COLUMNS: readonly Column<Event>[] = [
  { caption: "When", sort: "eventid", cell: ({ at }) => <When time={at} /> },
  { caption: "What", wraps: true, cell: (event) => <EventText event={event} /> },
  { caption: "Kind", cell: ({ kind }) => <code>{kind}</code> },
  { caption: "By", cell: ({ actor }) => actor },
  { caption: "Blueprint", cell: ({ blueprint }) => <BlueprintLink name={blueprint} /> },
  { caption: "Resource", cell: ({ resourceid }) => <ResourceLink id={resourceid} /> },
  { caption: "Lease", cell: ({ leaseid }) => <LeaseLink id={leaseid} /> },
];

export function EventsPage() {
  return (
    <ListPage
      title="Events"
      listing={LISTING}
      columns={COLUMNS}
      empty="Nothing has happened yet."
    />
  );
}
