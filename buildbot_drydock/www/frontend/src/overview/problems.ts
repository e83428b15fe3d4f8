// What is wrong, worst first: the first thing that somebody looks for whose build does not start.

import type { Blueprint, Host, Lease, Resource } from "../data/rows";

export type Severity = "bad" | "waiting"; // broken, or as somebody wanted it

export interface Problem {
  key: string;
  severity: Severity;
  what: string; // `blueprint linux`
  route: string;
  text: string;
  since: number | null;
}

export interface Known {
  blueprints: readonly Blueprint[];
  hosts: readonly Host[];
  resources: readonly Resource[]; // those that are broken
  waiting: readonly Lease[];
}

const NEVER = "does-not-fit";
const BY_INTENTION = /^is disabled\b/;

/** All problems; those that stop more come first, and what somebody did on purpose comes last. */
export function problemsOf(known: Known): Problem[] {
  const found: [number, Problem][] = [
    ...known.blueprints.flatMap(ofBlueprint),
    ...known.waiting.filter(neverFits).map(ofLease),
    ...known.resources.filter((each) => each.status === "broken").map(ofResource),
    ...known.hosts.filter((each) => each.listed && !each.in_service).map(ofHost),
  ];
  return found
    .map(([rank, problem], place) => ({ rank, problem, place }))
    .sort((one, other) => one.rank - other.rank || one.place - other.place)
    .map(({ problem }) => problem);
}

/** Tell whether no blueprint can ever serve a lease. */
export function neverFits(lease: Lease): boolean {
  return lease.reasons.length > 0 && lease.reasons.every(({ kind }) => kind === NEVER);
}

/** Why a lease waits, without those blueprints that are not for it, if others are. */
export function tellingReasons(lease: Lease): Lease["reasons"] {
  const telling = lease.reasons.filter(({ kind }) => kind !== NEVER);
  return telling.length > 0 ? telling : lease.reasons;
}

function ofBlueprint(row: Blueprint): [number, Problem][] {
  const problem = (rank: number, severity: Severity, text: string): [number, Problem][] => [
    [
      rank,
      {
        key: `blueprint ${row.name}`,
        severity,
        what: `blueprint ${row.name}`,
        route: `/drydock/blueprints/${encodeURIComponent(row.name)}`,
        text: row.waiting > 0 ? `${text} (${row.waiting} waiting)` : text,
        since: null,
      },
    ],
  ];
  switch (row.state) {
    case "misconfigured":
      return problem(0, "bad", `is misconfigured: ${row.last_error}`);
    case "backing-off":
    case "probing":
      return problem(2, "bad", `${failures(row)} in a row: ${row.last_error}`);
    case "paused":
    case "draining":
    case "disabled":
      return problem(row.waiting > 0 ? 6 : 7, "waiting", intention(row));
    case "retired":
      return row.living > 0
        ? problem(7, "waiting", "is no longer configured, and lets go of what it has")
        : [];
    default:
      // Something fails, but not so often yet that it holds back.
      return row.failures > 0 && row.last_error
        ? problem(3, "bad", `${failures(row)} lately: ${row.last_error}`)
        : [];
  }
}

function failures(row: Blueprint): string {
  return row.failures === 1 ? "a launch failed" : `${row.failures} launches failed`;
}

function intention(row: Blueprint): string {
  const by = row.mode_author ? ` by ${row.mode_author}` : "";
  return `is ${row.mode}${by}${row.mode_reason ? `: ${row.mode_reason}` : ""}`;
}

function ofLease(row: Lease): [number, Problem] {
  return [
    1,
    {
      key: `lease ${row.leaseid}`,
      severity: "bad",
      what: `lease ${row.leaseid}`,
      route: `/drydock/leases/${row.leaseid}`,
      text: `nobody can ever serve it: ${row.reasons[0]?.sentence ?? ""}`,
      since: row.requested_at,
    },
  ];
}

function ofResource(row: Resource): [number, Problem] {
  return [
    4,
    {
      key: `resource ${row.resourceid}`,
      severity: "bad",
      what: `resource ${row.resourceid}`,
      route: `/drydock/resources/${row.resourceid}`,
      text: `of ${row.blueprint} is broken: ${row.reason}`,
      since: row.since,
    },
  ];
}

function ofHost(row: Host): [number, Problem] {
  const wanted = row.mode === "disabled" || BY_INTENTION.test(row.why);
  return [
    wanted ? 8 : 5,
    {
      key: `host ${row.name}`,
      severity: wanted ? "waiting" : "bad",
      what: `host ${row.name}`,
      route: `/drydock/hosts/${encodeURIComponent(row.name)}`,
      text: row.why,
      since: null,
    },
  ];
}
