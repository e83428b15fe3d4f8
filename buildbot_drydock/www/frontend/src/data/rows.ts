// The rows of the data API, as docs/api.md describes them. Times are seconds since the epoch.

export type Labels = Readonly<Record<string, string>>;

/** Why a lease waits: `kind` and its numbers, and the same in words. */
export interface Reason {
  kind: string;
  blueprint: string;
  sentence: string;
  [number: string]: unknown;
}

export interface Lease {
  leaseid: number;
  owner: string;
  person: string | null;
  worker: string | null;
  masterid: number | null;
  type: string;
  requires: Labels;
  blueprints: readonly string[];
  priority: number;
  attributes: Labels;
  builder: string | null;
  build: string | null;
  buildid: string | null;
  authorized_by: string | null;
  status: string;
  version: number;
  requested_at: number;
  since: number;
  resourceid: number | null;
  blueprint: string | null;
  slot: number | null;
  held_since: number | null;
  locks: readonly string[];
  renewed_at: number | null;
  expires_at: number | null;
  until: number | null;
  reason: string;
  reasons: readonly Reason[];
}

export interface Resource {
  resourceid: number;
  blueprint: string;
  token: string;
  place: number;
  status: string;
  version: number;
  since: number;
  created_at: number;
  labels: Labels;
  host: string | null;
  built_for: number | null;
  parent_lease: number | null;
  identity: string | null;
  address: string | null;
  uses: number;
  last_used_at: number | null;
  locks: readonly string[];
  reason: string;
  faults: number;
  fault_at: number | null;
  fault: string;
  ends_at: number | null;
  end_reason: string;
  hourly_price: number | null;
  cost: number | null;
  power: string; // of an active one; others keep what they had last
  power_since: number | null;
  parked_seconds: number; // before the present power
}

export interface Event {
  eventid: number;
  at: number;
  kind: string;
  actor: string;
  data: Readonly<Record<string, unknown>>;
  sentence: string;
  blueprint: string | null;
  resourceid: number | null;
  leaseid: number | null;
}

/** A field that was edited, in place of what master.cfg says. */
export interface Override {
  value: unknown;
  author: string;
  reason: string;
  at: number;
  ignored?: string; // why it is not in force
}

export interface Blueprint {
  name: string;
  kind: string | null;
  provides: string | null;
  state: string;
  configured: boolean;
  mode: string;
  mode_reason: string;
  mode_author: string;
  mode_until: number | null;
  failures: number;
  retry_at: number | null;
  misconfigured: boolean;
  last_error: string;
  listing_error: string;
  version: number;
  limit: number | null;
  capacity: number | null; // how many resources there can be: no more than listed hosts
  min_ready: number | null;
  leases_per_resource: number | null;
  labels: Labels;
  choices: Readonly<Record<string, readonly string[]>>;
  resources: Readonly<Record<string, number>>;
  living: number;
  slots: number | null;
  leased: number;
  idle: number;
  parked: number;
  waiting: number;
  hourly_cost: number;
  max_hourly_cost: number | null;
  configuration: Readonly<Record<string, unknown>>;
  effective: Readonly<Record<string, unknown>>;
  overrides: Readonly<Record<string, Override>>;
  schema: unknown;
}

export interface Host {
  name: string;
  hostid: string;
  blueprints: readonly string[];
  listed: boolean;
  in_service: boolean;
  disabled: boolean; // somebody wants it out of service
  why: string;
  labels: Labels;
  slots: number | null;
  leased: number;
  mode: string;
  at_once: boolean;
  mode_reason: string;
  mode_author: string;
  mode_until: number | null;
  version: number;
  resourceid: number | null;
  resource_status: string | null;
}

export interface Authorization {
  authorizationid: number;
  blueprint: string;
  subject: string;
  status: string;
  author: string;
  decided_at: number | null;
  reason: string;
  leaseid: number | null;
  approvers: string; // whom to ask, as the configuration says
  in_force: boolean;
  version: number;
}

/** A type of row: the name of its collection, and what tells its rows apart. */
export interface RowType<Row> {
  collection: string;
  key: (row: Row) => number | string;
  /** The last part of the key of messages about a row. */
  messageKey: (row: Row) => number | string;
}

export const LEASES: RowType<Lease> = type("drydock_leases", "leaseid");
export const RESOURCES: RowType<Resource> = type("drydock_resources", "resourceid");
export const EVENTS: RowType<Event> = type("drydock_events", "eventid");
export const AUTHORIZATIONS: RowType<Authorization> = type(
  "drydock_authorizations",
  "authorizationid",
);
export const BLUEPRINTS: RowType<Blueprint> = type("drydock_blueprints", "name");
export const HOSTS: RowType<Host> = type("drydock_hosts", "name", "hostid");

function type<Row>(
  collection: string,
  key: keyof Row,
  messageKey: keyof Row = key,
): RowType<Row> {
  return {
    collection,
    key: (row) => row[key] as number | string,
    messageKey: (row) => row[messageKey] as number | string,
  };
}
