// What the words for states mean for an eye that searches for trouble.

import type { Host, Resource } from "../data/rows";

export type Tone = "good" | "busy" | "waiting" | "bad" | "over";

const TONES: Readonly<Record<string, Tone>> = {
  // of leases and resources
  pending: "waiting",
  acquired: "busy",
  active: "good",
  released: "over",
  broken: "bad",
  destroyed: "over",
  // of active resources that do not run
  parking: "over",
  parked: "over",
  waking: "waiting",
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

/** The word for a resource that matters most: for an active one that does not run, its power. */
export function stateOf({ status, power }: Pick<Resource, "status" | "power">): string {
  return isAtRest({ status, power }) || (status === "active" && power === "waking")
    ? power
    : status;
}

/** Tell whether a resource is stopped, or being stopped. */
export function isAtRest({ status, power }: Pick<Resource, "status" | "power">): boolean {
  return status === "active" && (power === "parked" || power === "parking");
}

/** Whether a machine takes leases; one that does not by somebody's wish is no trouble. */
export function serviceOf({ in_service, disabled }: Pick<Host, "in_service" | "disabled">): string {
  if (in_service) return "in service";
  return disabled ? "disabled" : "out of service";
}

/** A word of a later version is no trouble. */
export function toneOf(status: string): Tone {
  return TONES[status] ?? "over";
}
