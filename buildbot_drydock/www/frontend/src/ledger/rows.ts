// The rows of the ledger, as docs/api.md describes them; worst first, and told from what is well.

import type { RowType } from "../data/rows";
import type { Tone } from "../words/statuses";

export interface LedgerRow {
  ledgerid: string;
  verdict: string;
  why: string;
  due_at: number | null;
  leaving: boolean; // an orphan or a twin that is told to go, or was
  actions: readonly string[];
  blueprint: string;
  token: string;
  identity: string | null;
  address: string | null;
  host: string | null;
  listed: boolean;
  health: string | null;
  health_reason: string | null;
  resourceid: number | null;
  status: string | null;
  created_at: number | null;
  hourly_price: number | null;
  cost: number | null;
  listed_at: number | null;
  listing_error: string | null;
}

export const LEDGER: RowType<LedgerRow> = {
  collection: "drydock_ledger",
  key: (row) => row.ledgerid,
  messageKey: (row) => row.ledgerid,
};

// What nobody accounts for costs money; what is missing stops somebody.
const TONES: readonly [string, Tone][] = [
  ["orphan", "bad"],
  ["twin", "bad"],
  ["missing", "bad"],
  ["starting-late", "bad"],
  ["unknown", "waiting"],
  ["ending", "over"],
  ["starting", "busy"],
  ["matched", "good"],
];

export function toneOfVerdict(verdict: string): Tone {
  return TONES.find(([word]) => word === verdict)?.[1] ?? "waiting";
}

/** The same rows; those in which provider and database contradict each other come first. */
export function worstFirst(rows: readonly LedgerRow[]): LedgerRow[] {
  return [...rows].sort((one, other) => rankOf(one.verdict) - rankOf(other.verdict));
}

/** A verdict of a later version is between what is wrong and what is well. */
function rankOf(verdict: string): number {
  const place = TONES.findIndex(([word]) => word === verdict);
  return place === -1 ? 4 : place;
}

/** Tell whether rows will change soon although nothing more happens to resources and leases. */
export function areChanging(rows: readonly LedgerRow[]): boolean {
  return rows.some(({ leaving, verdict }) => leaving || CHANGING.includes(verdict));
}

const CHANGING = ["ending", "starting", "starting-late", "missing"];

/** How many rows have each verdict, the worst first. */
export function countsOf(rows: readonly LedgerRow[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const { verdict } of worstFirst(rows)) counts.set(verdict, (counts.get(verdict) ?? 0) + 1);
  return [...counts];
}

/** Why a blueprint's hosts could not be listed, once for each that says so. */
export function failedListings(rows: readonly LedgerRow[]): [string, string][] {
  const found = new Map<string, string>();
  for (const { blueprint, listing_error: error } of rows) if (error) found.set(blueprint, error);
  return [...found];
}
