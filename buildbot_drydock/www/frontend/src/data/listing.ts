// A list as its page needs it: rows, filters, order and place, all of them in the URL's query.

import { useMemo } from "react";
import { useSearchParams } from "react-router-dom";
import { filteringOf, withFilter, withoutFilters, type Filter, type Filtering } from "./filters";
import { useRows, type Live } from "./live";
import {
  orderOf,
  orderText,
  pageOf,
  pageQuery,
  placeOf,
  withPlace,
  type Order,
  type PageOf,
  type Place,
} from "./paging";
import type { RowType } from "./rows";

export interface ListingOf<Row> {
  type: RowType<Row>;
  key: string; // the field that is the id
  filters: readonly Filter[];
  sortable: readonly string[];
}

export interface Listing<Row> extends PageOf<Row> {
  live: Live<Row>;
  filtering: Filtering;
  order: Order;
  place: Place;
  filter: (name: string, values: readonly string[]) => void;
  clear: () => void;
  sort: (order: Order) => void;
  go: (place: Place) => void;
}

export function useListing<Row>(
  { type, key, filters, sortable }: ListingOf<Row>,
  below?: string,
): Listing<Row> {
  const [search, setSearch] = useSearchParams();
  const filtering = filteringOf(search, filters);
  const order = orderOf(search, { field: key, descends: true }, sortable);
  const place = placeOf(search);
  const live = useRows(type, pageQuery(filtering, order, place, key), below);
  const text = `${orderText(order)} ${search}`;
  const page = useMemo(
    () => pageOf(live.rows ?? [], place, (row) => Number(type.key(row)), order, key),
    // eslint-disable-next-line react-hooks/exhaustive-deps -- text stands for place and order
    [live.rows, type, key, text],
  );
  return {
    ...page,
    live,
    filtering,
    order,
    place,
    filter: (name, values) => setSearch(withFilter(search, name, values), { replace: true }),
    clear: () => setSearch(withoutFilters(search, filters), { replace: true }),
    sort: (wanted) => setSearch(withFilter(search, "order", [orderText(wanted)])),
    go: (wanted) => setSearch(withPlace(search, wanted)),
  };
}
