// The figures of the overview: of each blueprint, and of all together.

import type { Blueprint } from "../data/rows";

export type Part = "leased" | "warm" | "parked" | "booting" | "broken" | "ending";

export interface Usage {
  parts: readonly (readonly [Part, number])[]; // how many resources of each; none of 0
  used: number;
  limit: number; // at least `used`: a limit may have been lowered
}

const WORDS: Readonly<Record<Part, string>> = {
  leased: "leased",
  warm: "warm",
  parked: "parked",
  booting: "booting",
  broken: "broken",
  ending: "being torn down",
};

/** What a blueprint has of what it may have. */
export function usageOf(row: Blueprint): Usage {
  const of = (status: string) => row.resources[status] ?? 0;
  const all: [Part, number][] = [
    ["leased", Math.max(0, of("active") - row.idle - row.parked)],
    ["warm", Math.min(row.idle, of("active"))],
    ["parked", Math.min(row.parked, of("active"))],
    ["booting", of("pending")],
    ["broken", of("broken")],
    ["ending", of("released")],
  ];
  const used = all.reduce((sum, [, count]) => sum + count, 0);
  return {
    parts: all.filter(([, count]) => count > 0),
    used,
    limit: Math.max(used, row.capacity ?? 0),
  };
}

/** The same in words, for who does not see the bar. */
export function usageInWords(usage: Usage): string {
  const parts = usage.parts.map(([part, count]) => `${count} ${WORDS[part]}`);
  return `${parts.join(", ") || "nothing"}, of at most ${usage.limit}`;
}

export interface Totals {
  living: number;
  parked: number; // of those
  leased: number;
  slots: number;
  hourlyCost: number;
}

export function totalsOf(rows: readonly Blueprint[]): Totals {
  const sum = (of: (row: Blueprint) => number) => rows.reduce((total, row) => total + of(row), 0);
  return {
    living: sum((row) => row.living),
    parked: sum((row) => row.parked),
    leased: sum((row) => row.leased),
    slots: sum((row) => row.slots ?? 0),
    hourlyCost: sum((row) => row.hourly_cost),
  };
}
