// Pages of a list. By id, a page goes on from the last row of the one before, however far that is;
// by another field it is counted from the start, which the data API does for 10,000 rows.

import type { Filtering } from "./filters";
import type { Query } from "./rest";

export const PAGE_SIZE = 50;

/** Where a page is. `from` and `to` are ids that are not on it. */
export type Place =
  | { kind: "first" }
  | { kind: "from"; id: number }
  | { kind: "to"; id: number }
  | { kind: "offset"; rows: number };

export interface Order {
  field: string;
  descends: boolean;
}

export interface PageOf<Row> {
  rows: readonly Row[];
  next: Place | null;
  previous: Place | null;
}

export function placeOf(search: URLSearchParams): Place {
  for (const kind of ["from", "to"] as const) {
    const id = numberOf(search.get(kind));
    if (id !== null) return { kind, id };
  }
  const rows = numberOf(search.get("offset"));
  return rows === null || rows === 0 ? { kind: "first" } : { kind: "offset", rows };
}

export function orderOf(search: URLSearchParams, usual: Order, fields: readonly string[]): Order {
  const text = search.get("order");
  if (text === null) return usual;
  const order = { field: text.replace(/^-/, ""), descends: text.startsWith("-") };
  return fields.includes(order.field) ? order : usual;
}

export function orderText({ field, descends }: Order): string {
  return descends ? `-${field}` : field;
}

export function withPlace(search: URLSearchParams, place: Place): URLSearchParams {
  const changed = new URLSearchParams(search);
  for (const name of ["from", "to", "offset"]) changed.delete(name);
  if (place.kind === "from" || place.kind === "to") changed.set(place.kind, String(place.id));
  if (place.kind === "offset") changed.set("offset", String(place.rows));
  return changed;
}

/** What to ask for a page, and for one row more, which tells whether another page follows. */
export function pageQuery(
  filtering: Filtering,
  order: Order,
  place: Place,
  key: string,
  size: number = PAGE_SIZE,
): Query {
  const query: Record<string, string | number | readonly string[]> = { ...filtering };
  const backwards = place.kind === "to";
  query["order"] = orderText({ ...order, descends: order.descends !== backwards });
  query["limit"] = size + 1;
  if (place.kind === "offset") query["offset"] = place.rows;
  if (place.kind === "from" || place.kind === "to") {
    const below = order.descends !== backwards;
    const name = `${key}__${below ? "lt" : "gt"}`;
    // The API takes one bound: where a filter names another, the narrower one.
    const bounds = [place.id, ...(filtering[name] ?? []).map(Number)];
    query[name] = below ? Math.min(...bounds) : Math.max(...bounds);
  }
  return query;
}

/** The page in the rows that were answered, and where its neighbours are. */
export function pageOf<Row>(
  answered: readonly Row[],
  place: Place,
  idOf: (row: Row) => number,
  order: Order,
  key: string,
  size: number = PAGE_SIZE,
): PageOf<Row> {
  const hasMore = answered.length > size;
  const cut = answered.slice(0, size);
  const rows = place.kind === "to" ? [...cut].reverse() : cut;
  const first = rows[0];
  const last = rows[rows.length - 1];
  if (order.field !== key) return countedPage(rows, place, hasMore, size);
  const hasNext = place.kind === "to" || hasMore;
  const hasPrevious = place.kind === "to" ? hasMore : place.kind === "from";
  return {
    rows,
    next: hasNext && last !== undefined ? { kind: "from", id: idOf(last) } : null,
    previous: hasPrevious && first !== undefined ? { kind: "to", id: idOf(first) } : null,
  };
}

function countedPage<Row>(
  rows: readonly Row[],
  place: Place,
  hasMore: boolean,
  size: number,
): PageOf<Row> {
  const start = place.kind === "offset" ? place.rows : 0;
  return {
    rows,
    next: hasMore ? { kind: "offset", rows: start + size } : null,
    previous: start > 0 ? { kind: "offset", rows: Math.max(0, start - size) } : null,
  };
}

function numberOf(text: string | null): number | null {
  return text !== null && /^\d+$/.test(text) ? Number(text) : null;
}
