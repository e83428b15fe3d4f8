import { describe, expect, test } from "vitest";
import type { Blueprint, Host, Lease, Reason, Resource } from "../src/data/rows";
import { problemsOf, type Known } from "../src/overview/problems";
import { totalsOf, usageInWords, usageOf } from "../src/overview/usage";

function blueprint(name: string, given: Partial<Blueprint> = {}): Blueprint {
  return {
    name,
    state: "ready",
    mode: "enabled",
    mode_author: "",
    mode_reason: "",
    failures: 0,
    last_error: "",
    listing_error: "",
    capacity: 4,
    resources: {},
    living: 0,
    idle: 0,
    parked: 0,
    leased: 0,
    slots: 4,
    waiting: 0,
    hourly_cost: 0,
    ...given,
  } as Blueprint;
}

function host(name: string, given: Partial<Host>): Host {
  const out = { listed: true, in_service: false, disabled: false };
  return { name, ...out, mode: "enabled", why: "", ...given } as Host;
}

function waiting(leaseid: number, ...kinds: string[]): Lease {
  const reasons: Reason[] = kinds.map((kind) => ({
    kind,
    blueprint: kind,
    sentence: `it is ${kind}`,
  }));
  return { leaseid, status: "pending", requested_at: 1, reasons } as Partial<Lease> as Lease;
}

function found(known: Partial<Known>): string[] {
  const none = { blueprints: [], hosts: [], resources: [], waiting: [] };
  return problemsOf({ ...none, ...known }).map(({ key }) => key);
}

describe("problems", () => {
  test("are none while all is well", () => {
    expect(found({ blueprints: [blueprint("linux")], waiting: [waiting(1, "full")] })).toEqual([]);
  });

  test("that stop most come first, and what was done on purpose last", () => {
    const resource = { resourceid: 7, status: "broken", blueprint: "linux", reason: "lost" };
    expect(
      found({
        blueprints: [
          blueprint("arm", { state: "paused", mode: "paused" }),
          blueprint("gpu", { state: "backing-off", failures: 3, last_error: "no capacity" }),
          blueprint("mac", { state: "misconfigured", last_error: "no such image" }),
        ],
        hosts: [
          host("build3", { disabled: true, why: "is disabled in its list (a new disk)" }),
          host("build4", { why: "failed while connecting: Connection refused" }),
          host("build5", { in_service: true }),
        ],
        resources: [resource as Resource],
        waiting: [waiting(9, "does-not-fit", "does-not-fit")],
      }),
    ).toEqual([
      "blueprint mac",
      "lease 9",
      "blueprint gpu",
      "resource 7",
      "host build4",
      "blueprint arm",
      "host build3",
    ]);
  });

  test("of a paused blueprint are worse if somebody waits for it", () => {
    const paused = { state: "paused", mode: "paused" };
    expect(
      found({ blueprints: [blueprint("a", paused), blueprint("b", { ...paused, waiting: 1 })] }),
    ).toEqual(["blueprint b", "blueprint a"]);
  });

  test("are leases that were declined, or never fit; not those that may be served", () => {
    const leases = [
      waiting(1, "declined"),
      waiting(2, "does-not-fit", "declined"),
      waiting(3, "declined", "full"),
      waiting(4, "awaiting-approval", "declined"),
      waiting(5, "not-authorized"),
      waiting(6),
    ];
    expect(found({ waiting: leases })).toEqual(["lease 1", "lease 2"]);
    const none = { blueprints: [], hosts: [], resources: [] };
    const texts = problemsOf({ ...none, waiting: leases.slice(0, 2) }).map(({ text }) => text);
    // A decision can be talked about, what does not fit can not.
    expect(texts).toEqual(Array(2).fill("was declined, and waits in vain: it is declined"));
  });

  test("are hosts that cannot be listed, unless the reason is told already", () => {
    const lost = { listing_error: "credentials expired" };
    const wrong = blueprint("b", { ...lost, state: "misconfigured", last_error: "no such region" });
    const rows = [blueprint("a", lost), wrong];
    const problems = problemsOf({ blueprints: rows, hosts: [], resources: [], waiting: [] });
    expect(problems.map(({ text }) => text)).toEqual([
      "is misconfigured: no such region",
      "its hosts cannot be listed: credentials expired",
    ]);
  });

  test("name who paused a blueprint, why, and how many wait", () => {
    const row = blueprint("arm", {
      state: "paused",
      mode: "paused",
      mode_author: "olga",
      mode_reason: "a new kernel",
      waiting: 2,
    });
    const [problem] = problemsOf({ blueprints: [row], hosts: [], resources: [], waiting: [] });
    expect(problem?.text).toBe("is paused by olga: a new kernel (2 waiting)");
    expect(problem?.severity).toBe("waiting");
  });
});

describe("the usage of a blueprint", () => {
  test("tells leased from warm, and what is coming and going", () => {
    const row = blueprint("linux", {
      capacity: 8,
      idle: 2,
      resources: { active: 3, pending: 1, broken: 1, released: 1 },
    });
    expect(usageInWords(usageOf(row))).toBe(
      "1 leased, 2 warm, 1 booting, 1 broken, 1 being torn down, of at most 8",
    );
  });

  test("counts what is parked apart: nobody has leased it, and it is not warm", () => {
    const row = blueprint("linux", { idle: 1, parked: 2, resources: { active: 4 } });
    expect(usageInWords(usageOf(row))).toBe("1 leased, 1 warm, 2 parked, of at most 4");
  });

  test("never exceeds the bar, even if the limit was lowered", () => {
    expect(usageOf(blueprint("linux", { capacity: 1, resources: { active: 3 } })).limit).toBe(3);
  });

  test("is of what there can be, whatever the limit is", () => {
    const lab = blueprint("lab", { limit: 10_000, capacity: 3, resources: { active: 2 } });
    expect(usageOf(lab).limit).toBe(3);
    expect(usageOf(blueprint("gone", { limit: null, capacity: null })).limit).toBe(0);
  });

  test("of nothing is said so", () => {
    expect(usageInWords(usageOf(blueprint("linux")))).toBe("nothing, of at most 4");
  });
});

test("totals are those of all blueprints; slots may be unknown", () => {
  const rows = [
    blueprint("a", { living: 2, parked: 1, leased: 1, slots: 4, hourly_cost: 0.5 }),
    blueprint("b", { living: 1, leased: 1, slots: null, hourly_cost: 1 }),
  ];
  expect(totalsOf(rows)).toEqual({
    living: 3,
    parked: 1,
    leased: 2,
    slots: 4,
    hourlyCost: 1.5,
  });
});
