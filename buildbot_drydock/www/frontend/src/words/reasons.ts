// Why a lease waits, in one line: the sentence of the first reason that time may mend.

import type { Reason } from "../data/rows";

// What nobody waits for: its blueprint serves the lease only if somebody changes his mind.
const NEVER: ReadonlyMap<string, string> = new Map([
  ["does-not-fit", "never fits"],
  ["declined", "declined"],
]);

/** What a reason that is not waited for is called; null for those that time may mend. */
export function neverWord({ kind }: Reason): string | null {
  return NEVER.get(kind) ?? null;
}

const isNever = (reason: Reason) => neverWord(reason) !== null;

/** The reasons of blueprints that may still give it something, before those of the others. */
export function sorted(reasons: readonly Reason[]): Reason[] {
  return [...reasons].sort((a, b) => Number(isNever(a)) - Number(isNever(b)));
}

/** Why a lease waits, without those blueprints that are not for it, if others are. */
export function tellingReasons(reasons: readonly Reason[]): readonly Reason[] {
  const telling = reasons.filter((each) => !isNever(each));
  return telling.length > 0 ? telling : reasons;
}

/** Why nobody will ever serve a lease, a decision of somebody first; null if somebody may. */
export function whyNever(reasons: readonly Reason[]): Reason | null {
  if (!reasons.every(isNever)) return null;
  return reasons.find(({ kind }) => kind === "declined") ?? reasons[0] ?? null;
}

/** What the sentence says of the blueprint, whose name it begins with. */
export function saidOf({ blueprint, sentence }: Reason): string {
  return sentence.startsWith(`${blueprint} `) ? sentence.slice(blueprint.length) : `: ${sentence}`;
}

export function summary(reasons: readonly Reason[]): string {
  const [first, ...others] = tellingReasons(reasons);
  if (first === undefined) return "";
  return others.length === 0 ? first.sentence : `${first.sentence} (and ${others.length} more)`;
}

const IN_THE_SENTENCE = ["since", "retry_at", "until", "requested_at"]; // as how long that is
const NUMBERS_OF_THINGS = ["authorization"]; // of which there is a page

/** The numbers of a reason. */
export function numbersOf(reason: Reason): [string, string][] {
  const leftOut = [...IN_THE_SENTENCE, ...NUMBERS_OF_THINGS];
  return Object.entries(reason)
    .filter(([name, value]) => typeof value === "number" && !leftOut.includes(name))
    .map(([name, value]) => [name.replace(/_/g, " "), String(value)]);
}

/** The authorization that a reason is about: what is asked for, or was declined. */
export function authorizationOf({ authorization }: Reason): number | null {
  return typeof authorization === "number" ? authorization : null;
}
