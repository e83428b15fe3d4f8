// Why a lease waits, in one line: the sentence of the first reason that time may mend.

import type { Reason } from "../data/rows";

const NEVER = "does-not-fit";

/** The reasons of blueprints that may still give it something, before those of the others. */
export function sorted(reasons: readonly Reason[]): Reason[] {
  return [...reasons].sort((a, b) => Number(a.kind === NEVER) - Number(b.kind === NEVER));
}

export function summary(reasons: readonly Reason[]): string {
  const [first, ...others] = sorted(reasons);
  if (first === undefined) return "";
  return others.length === 0 ? first.sentence : `${first.sentence} (and ${others.length} more)`;
}

/** The numbers of a reason: what is not in every reason, and not nothing. */
export function numbersOf(reason: Reason): [string, string][] {
  return Object.entries(reason)
    .filter(([name, value]) => !["kind", "blueprint", "sentence"].includes(name)
      && typeof value === "number")
    .map(([name, value]) => [name.replace(/_/g, " "), String(value)]);
}
