import { describe, expect, test } from "vitest";
import type { Lease, Resource } from "../src/data/rows";
import { layOut, marksOf, waitsOf, type Timeline } from "../src/timeline/layout";

const window = { from: 1000, to: 2000 };

function resource(resourceid: number, given: Partial<Resource> = {}): Resource {
  return {
    resourceid,
    blueprint: "linux",
    status: "active",
    created_at: 0,
    since: 0,
    version: 1,
    power: "running",
    power_since: null,
    ...given,
  } as Resource;
}

function lease(leaseid: number, given: Partial<Lease> = {}): Lease {
  return {
    leaseid,
    status: "destroyed",
    resourceid: 1,
    requested_at: 0,
    held_since: null,
    since: 0,
    version: 1,
    ...given,
  } as Lease;
}

function laidOut(
  resources: Resource[],
  leases: Lease[] = [],
  slots: Record<string, number> = {},
  mostRows = 10,
): Timeline {
  const known = { resources, leases, slots: new Map(Object.entries(slots)) };
  return layOut(known, window, mostRows);
}

function onlyRow(timeline: Timeline) {
  const row = timeline.groups[0]?.rows[0];
  expect(timeline.groups.flatMap((group) => group.rows)).toHaveLength(1);
  if (row === undefined) throw new Error("there is no row");
  return row;
}

describe("bars", () => {
  test("end where the window does, and a living lease goes on until now", () => {
    const row = onlyRow(
      laidOut([resource(1)], [
        lease(1, { held_since: 500, since: 1200 }),
        lease(2, { held_since: 1500, since: 1500, status: "active" }),
      ]),
    );
    expect(row.bars.map(({ from, to, isOpen }) => [from, to, isOpen])).toEqual([
      [1000, 1200, false],
      [1500, 2000, true],
    ]);
  });

  test("are not drawn for what had ended before the window, or never had a slot", () => {
    const row = onlyRow(
      laidOut([resource(1)], [
        lease(1, { held_since: 500, since: 999 }),
        lease(2, { held_since: null, since: 1500 }),
      ]),
    );
    expect(row.bars).toEqual([]);
  });

  test("of leases at the same time are in different lanes, and lanes are used again", () => {
    const row = onlyRow(
      laidOut([resource(1)], [
        lease(1, { held_since: 1000, since: 1400 }),
        lease(2, { held_since: 1200, since: 1800 }),
        lease(3, { held_since: 1400, since: 1600 }),
      ]),
    );
    expect(row.bars.map(({ lane }) => lane)).toEqual([0, 1, 0]);
    expect(row.lanes).toBe(2);
  });
});

test("a resource rests since it was parked, and not once it runs or is gone", () => {
  const rest = (given: Partial<Resource>) => onlyRow(laidOut([resource(1, given)])).rest;
  expect(rest({ power: "parked", power_since: 1700 })).toEqual({ from: 1700, to: 2000 });
  expect(rest({ power: "parking", power_since: 400 })).toEqual({ from: 1000, to: 2000 });
  expect(rest({ power: "waking", power_since: 1700 })).toBe(null);
  expect(rest({ power: "running", power_since: 1700 })).toBe(null);
  expect(rest({ status: "broken", power: "parked", power_since: 1700 })).toBe(null);
});

describe("how busy a resource was", () => {
  test("is the leased part of its slots' time in the window", () => {
    const half = lease(1, { held_since: 1000, since: 1500 });
    expect(onlyRow(laidOut([resource(1)], [half])).busy).toBeCloseTo(0.5);
    expect(onlyRow(laidOut([resource(1)], [half], { linux: 2 })).busy).toBeCloseTo(0.25);
  });

  test("counts no time in which it was not there", () => {
    const young = resource(1, { created_at: 1500 });
    expect(onlyRow(laidOut([young], [lease(1, { held_since: 1500, since: 1750 })])).busy)
      .toBeCloseTo(0.5);
  });
});

describe("rows", () => {
  test("are those that were there in the window, by blueprint and number", () => {
    const { groups, hidden } = laidOut([
      resource(3),
      resource(1),
      resource(2, { blueprint: "gpu" }),
      resource(4, { status: "destroyed", since: 900 }),
      resource(5, { status: "destroyed", since: 1100 }),
    ]);
    expect(groups.map(({ blueprint, rows }) => [blueprint, rows.map((r) => r.resource.resourceid)]))
      .toEqual([["gpu", [2]], ["linux", [1, 3, 5]]]);
    expect(hidden).toBe(0);
  });

  test("of listed hosts are in the order of their names", () => {
    const { groups } = laidOut([
      resource(1, { host: "build10" }),
      resource(2, { host: "build9" }),
      resource(3, { host: "build10" }),
    ]);
    expect(groups[0]?.rows.map((row) => row.resource.resourceid)).toEqual([2, 1, 3]);
  });

  test("are no more than asked for: the living ones first, and the newest", () => {
    const { groups, hidden } = laidOut(
      [resource(1), resource(2, { status: "destroyed", since: 1100 }), resource(3)],
      [],
      {},
      2,
    );
    expect(groups[0]?.rows.map((r) => r.resource.resourceid)).toEqual([1, 3]);
    expect(hidden).toBe(1);
  });
});

describe("waits", () => {
  test("are counted from a lease's request until it got a slot, gave up, or now", () => {
    const steps = waitsOf(
      [
        lease(1, { requested_at: 500, held_since: 1100 }),
        lease(2, { requested_at: 1100, since: 1300 }),
        lease(3, { requested_at: 1200, status: "pending" }),
      ],
      window,
    );
    expect(steps).toEqual([
      { at: 1000, count: 1 },
      { at: 1100, count: 1 },
      { at: 1200, count: 2 },
      { at: 1300, count: 1 },
    ]);
  });

  test("of nobody are a count of 0", () => {
    expect(waitsOf([], window)).toEqual([{ at: 1000, count: 0 }]);
  });
});

test("marks are at round times in the window", () => {
  const marks = marksOf({ from: 1_700_000_100, to: 1_700_003_700 });
  expect(marks.every((at) => at % 300 === 0)).toBe(true);
  expect(marks.length).toBeGreaterThan(4);
  expect(marks.length).toBeLessThan(13);
});
