// What the words for states mean for an eye that searches for trouble.

export type Tone = "good" | "busy" | "waiting" | "bad" | "over";

const TONES: Readonly<Record<string, Tone>> = {
  // of leases and resources
  pending: "waiting",
  acquired: "busy",
  active: "good",
  released: "over",
  broken: "bad",
  destroyed: "over",
  // of authorizations
  requested: "waiting",
  approved: "good",
  declined: "bad",
  // of blueprints and hosts
  ready: "good",
  enabled: "good",
  paused: "waiting",
  draining: "waiting",
  disabled: "waiting",
  misconfigured: "bad",
  "backing-off": "bad",
  probing: "bad",
  retired: "over",
  "in service": "good",
  "out of service": "bad",
};

/** A word of a later version is no trouble. */
export function toneOf(status: string): Tone {
  return TONES[status] ?? "over";
}
