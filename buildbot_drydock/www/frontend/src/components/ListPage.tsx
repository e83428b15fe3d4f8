// What the pages of lists have in common.
import React, { type ReactNode } from "react";
import { useListing, type ListingOf } from "../data/listing";
import { DataTable, type Column } from "./DataTable";
import { ErrorNotice } from "./ErrorNotice";
import { Filters } from "./Filters";
import { PageFrame } from "./PageFrame";
import { Pager } from "./Pager";

export interface ListPageProps<Row> {
  title: string;
  listing: ListingOf<Row>;
  columns: readonly Column<Row>[];
  empty: ReactNode;
  aside?: ReactNode;
}

export function ListPage<Row>({ title, listing, columns, empty, aside }: ListPageProps<Row>) {
  const found = useListing(listing);
  const { live, filtering } = found;
  const isFiltered = Object.keys(filtering).length > 0;
  return (
    <PageFrame title={title} aside={aside}>
      <Filters
        filters={listing.filters}
        filtering={filtering}
        onFilter={found.filter}
        onClear={found.clear}
      />
      <ErrorNotice error={live.error} />
      <DataTable
        caption={title}
        columns={columns}
        rows={live.rows === null ? null : found.rows}
        keyOf={listing.type.key}
        isCurrent={live.isCurrent}
        order={found.order}
        onSort={found.sort}
        empty={isFiltered ? "Nothing fits these filters." : empty}
      />
      <Pager
        count={live.total}
        place={found.place}
        previous={found.previous}
        next={found.next}
        onGo={found.go}
      />
    </PageFrame>
  );
}
