// What the timeline is made of, read live: what lives, and what has ended in the window.
import { useMemo } from "react";
import { useNow } from "../components/useNow";
import { useRows } from "../data/live";
import type { ServerError } from "../data/rest";
import { BLUEPRINTS, LEASES, RESOURCES } from "../data/rows";
import { layOut, type Timeline } from "./layout";

const MOST_ROWS = 100;
const MOST_ENDED = 1000; // what ended before those is not shown
const HOUR = 3600;
const STEPS = 720; // of the window: how finely it moves on
const COARSE = 300; // seconds; the question to the server changes no more often

const LEASE_FIELDS = {
  field: [
    ...["leaseid", "owner", "person", "worker", "builder", "status", "version", "reason"],
    ...["requested_at", "held_since", "since", "resourceid"],
  ],
};
const RESOURCE_FIELDS = {
  field: [
    ...["resourceid", "blueprint", "status", "version", "since", "created_at", "host"],
    ...["power", "power_since"],
  ],
};
const ENDED = { status: "destroyed", order: "-since", limit: MOST_ENDED };

export interface Shown {
  timeline: Timeline | null; // null until the server has answered
  isCut: boolean; // more has ended in the window than is shown
  error: ServerError | null;
}

export function useTimeline(hours: number): Shown {
  const seconds = hours * HOUR;
  const now = stepped(useNow(), seconds / STEPS);
  const since__ge = Math.floor((now - seconds) / COARSE) * COARSE;
  const blueprints = useRows(BLUEPRINTS, { field: ["name", "leases_per_resource", "version"] });
  const living = { status__ne: "destroyed", limit: MOST_ENDED };
  const resources = useRows(RESOURCES, { ...living, order: "-resourceid", ...RESOURCE_FIELDS });
  const gone = useRows(RESOURCES, { ...ENDED, since__ge, limit: MOST_ROWS, ...RESOURCE_FIELDS });
  const leases = useRows(LEASES, { ...living, order: "-leaseid", ...LEASE_FIELDS });
  const ended = useRows(LEASES, { ...ENDED, since__ge, ...LEASE_FIELDS });
  const all = [resources, gone, leases, ended, blueprints];
  const slots = useMemo(
    () => new Map(blueprints.rows?.map((row) => [row.name, row.leases_per_resource ?? 1])),
    [blueprints.rows],
  );
  const timeline = useMemo(() => {
    const [theirs, past] = [resources.rows, gone.rows];
    const [open, over] = [leases.rows, ended.rows];
    if (theirs === null || past === null || open === null || over === null) return null;
    const known = {
      resources: latest([...theirs, ...past], (row) => row.resourceid),
      leases: latest([...open, ...over], (row) => row.leaseid),
      slots,
    };
    return layOut(known, { from: now - seconds, to: now }, MOST_ROWS);
  }, [resources.rows, gone.rows, leases.rows, ended.rows, slots, now, seconds]);
  return {
    timeline,
    isCut: (ended.total ?? 0) > MOST_ENDED,
    error: all.find((each) => each.error !== null)?.error ?? null,
  };
}

/** Of rows that are there twice, as one has ended between two readings, the newer ones. */
function latest<Row extends { version: number }>(
  rows: readonly Row[],
  keyOf: (row: Row) => number,
): Row[] {
  const found = new Map<number, Row>();
  for (const row of rows) {
    const other = found.get(keyOf(row));
    if (other === undefined || other.version <= row.version) found.set(keyOf(row), row);
  }
  return [...found.values()];
}

function stepped(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}
