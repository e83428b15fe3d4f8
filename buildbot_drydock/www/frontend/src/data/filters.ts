// Filters of a list, kept in the URL's query in the data API's own words, so that a link says all.

export interface Filter {
  name: string; // a parameter of the data API: `status`, `owner__contains`, `leaseid__gt`
  label: string;
  kind: "choices" | "text" | "number";
  choices?: readonly string[];
}

export type Filtering = Readonly<Record<string, readonly string[]>>;

/** What the URL says of these filters; what else it says is left alone. */
export function filteringOf(search: URLSearchParams, filters: readonly Filter[]): Filtering {
  const found: Record<string, readonly string[]> = {};
  for (const filter of filters) {
    const values = search.getAll(filter.name).filter((value) => isMeant(filter, value));
    if (values.length > 0) found[filter.name] = values;
  }
  return found;
}

function isMeant({ kind }: Filter, value: string): boolean {
  return kind === "number" ? /^\d+$/.test(value) : value !== "";
}

/** The URL's query with a filter set anew. It starts at the first page again. */
export function withFilter(
  search: URLSearchParams,
  name: string,
  values: readonly string[],
): URLSearchParams {
  const changed = firstPage(search);
  changed.delete(name);
  for (const value of values) if (value !== "") changed.append(name, value);
  return changed;
}

/** The URL's query without any of these filters. */
export function withoutFilters(
  search: URLSearchParams,
  filters: readonly Filter[],
): URLSearchParams {
  const changed = firstPage(search);
  for (const { name } of filters) changed.delete(name);
  return changed;
}

/** The values with one put in or taken out. */
export function toggled(values: readonly string[], value: string): string[] {
  return values.includes(value) ? values.filter((each) => each !== value) : [...values, value];
}

const PLACE = ["from", "to", "offset"];

export function firstPage(search: URLSearchParams): URLSearchParams {
  const changed = new URLSearchParams(search);
  for (const name of PLACE) changed.delete(name);
  return changed;
}
