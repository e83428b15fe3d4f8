import { expect, test } from "vitest";
import {
  areChanging,
  countsOf,
  failedListings,
  worstFirst,
  type LedgerRow,
} from "../src/ledger/rows";

function row(ledgerid: string, verdict: string, given: Partial<LedgerRow> = {}): LedgerRow {
  const known = { ledgerid, verdict, blueprint: "linux", listing_error: null, leaving: false };
  return { ...known, ...given } as LedgerRow;
}

const rows = [
  row("a", "matched"),
  row("b", "orphan"),
  row("c", "starting"),
  row("d", "of a later version"),
  row("e", "twin"),
  row("f", "matched"),
  row("g", "missing"),
];

test("what contradicts comes first, and what matches last", () => {
  expect(worstFirst(rows).map(({ ledgerid }) => ledgerid).join("")).toBe("begdcaf");
});

test("what is told to go, and what comes and goes, is looked at again soon", () => {
  expect(areChanging([row("a", "matched"), row("b", "orphan"), row("c", "twin")])).toBe(false);
  expect(areChanging([row("a", "matched"), row("b", "twin", { leaving: true })])).toBe(true);
  for (const verdict of ["ending", "starting"]) expect(areChanging([row("a", verdict)])).toBe(true);
});

test("verdicts are counted, the worst first", () => {
  expect(countsOf(rows)).toEqual([
    ["orphan", 1],
    ["twin", 1],
    ["missing", 1],
    ["of a later version", 1],
    ["starting", 1],
    ["matched", 2],
  ]);
});

test("a listing that failed is told once for each blueprint", () => {
  const failed = { listing_error: "no route to the provider" };
  expect(
    failedListings([row("a", "unknown", failed), row("b", "unknown", failed), row("c", "matched")]),
  ).toEqual([["linux", "no route to the provider"]]);
});
