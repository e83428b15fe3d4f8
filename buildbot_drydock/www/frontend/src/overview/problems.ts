// What is wrong, worst first: the first thing that somebody looks for whose build does not start.

import type { Blueprint, Host, Lease, Reason, Resource } from "../data/rows";
import { whyNever } from "../words/reasons";

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

/** All problems; those that stop more come first, and what somebody did on purpose comes last. */
export function problemsOf(known: Known): Problem[] {
  const found: [number, Problem][] = [
    ...known.blueprints.flatMap(ofBlueprint),
    ...known.blueprints.flatMap(ofListing),
    ...known.waiting.flatMap(ofLease),
    ...known.resources.filter((each) => each.status === "broken").map(ofResource),
    ...known.hosts.filter((each) => each.listed && !each.in_service).map(ofHost),
  ];
  return found
    .map(([rank, problem], place) => ({ rank, problem, place }))
    .sort((one, other) => one.rank - other.rank || one.place - other.place)
    .map(({ problem }) => problem);
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

/** What a provider has cannot be listed: what is new there, or has gone, is not seen. */
function ofListing(row: Blueprint): [number, Problem][] {
  if (!row.listing_error || row.state === "misconfigured") return [];
  return [
    [
      2,
      {
        key: `listing of ${row.name}`,
        severity: "bad",
        what: `blueprint ${row.name}`,
        route: `/drydock/blueprints/${encodeURIComponent(row.name)}`,
        text: `its hosts cannot be listed: ${row.listing_error}`,
        since: null,
      },
    ],
  ];
}

function failures(row: Blueprint): string {
  return row.failures === 1 ? "a launch failed" : `${row.failures} launches failed`;
}

function intention(row: Blueprint): string {
  const by = row.mode_author ? ` by ${row.mode_author}` : "";
  return `is ${row.mode}${by}${row.mode_reason ? `: ${row.mode_reason}` : ""}`;
}

/** One that nobody will ever serve is a problem; one that waits as others do is none. */
function ofLease(row: Lease): [number, Problem][] {
  const never = whyNever(row.reasons);
  if (never === null) return [];
  return [
    [
      1,
      {
        key: `lease ${row.leaseid}`,
        severity: "bad",
        what: `lease ${row.leaseid}`,
        route: `/drydock/leases/${row.leaseid}`,
        text: `${fate(never)}: ${never.sentence}`,
        since: row.requested_at,
      },
    ],
  ];
}

function fate({ kind }: Reason): string {
  return kind === "declined" ? "was declined, and waits in vain" : "nobody can ever serve it";
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
  return [
    row.disabled ? 8 : 5,
    {
      key: `host ${row.name}`,
      severity: row.disabled ? "waiting" : "bad",
      what: `host ${row.name}`,
      route: `/drydock/hosts/${encodeURIComponent(row.name)}`,
      text: row.why,
      since: null,
    },
  ];
}
