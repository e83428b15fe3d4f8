// Why a lease waits, in one line: the sentence of the first reason that time may mend.

import type { Reason } from "../data/rows";

const NEVER = "does-not-fit";

/** The reasons of blueprints that may still give it something, before those of the others. */
export function sorted(reasons: readonly Reason[]): Reason[] {
  return [...reasons].sort((a, b) => Number(a.kind === NEVER) - Number(b.kind === NEVER));
}

/** What the sentence says of the blueprint, whose name it begins with. */
export function saidOf({ blueprint, sentence }: Reason): string {
  return sentence.startsWith(`${blueprint} `) ? sentence.slice(blueprint.length) : `: ${sentence}`;
}

export function summary(reasons: readonly Reason[]): string {
  const [first, ...others] = sorted(reasons);
  if (first === undefined) return "";
  return others.length === 0 ? first.sentence : `${first.sentence} (and ${others.length} more)`;
}

const TIMES = ["since", "retry_at", "until"]; // the sentence says how long that is

/** The numbers of a reason. */
export function numbersOf(reason: Reason): [string, string][] {
  return Object.entries(reason)
    .filter(([name, value]) => typeof value === "number" && !TIMES.includes(name))
    .map(([name, value]) => [name.replace(/_/g, " "), String(value)]);
}
