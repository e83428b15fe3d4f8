import { expect, test } from "vitest";
import {
  offersOnAuthorization,
  offersOnBlueprint,
  offersOnHost,
  offersOnLease,
  offersOnResource,
  type Offer,
} from "../src/actions/offers";
import type { Authorization, Blueprint, Host, Lease, Resource } from "../src/data/rows";

const methods = (offers: readonly Offer[]) => offers.map(({ method }) => method);

test("a lease is renewed and released while it lives", () => {
  const offered = (status: string) => methods(offersOnLease({ status } as Lease));
  for (const status of ["pending", "acquired", "active"]) {
    expect(offered(status)).toEqual(["renew", "release"]);
  }
  for (const status of ["released", "broken", "destroyed"]) expect(offered(status)).toEqual([]);
});

test("a resource is reclaimed before it is torn down", () => {
  const offered = (status: string) => methods(offersOnResource({ status } as Resource));
  expect([offered("pending"), offered("active")]).toEqual([["reclaim"], ["reclaim"]]);
  expect([offered("released"), offered("broken"), offered("destroyed")]).toEqual([[], [], []]);
});

test("a blueprint resumes what it is in, and changes to what it is not", () => {
  const offered = (mode: string) => methods(offersOnBlueprint({ mode } as Blueprint));
  expect(offered("enabled")).toEqual(["pause", "drain", "disable"]);
  expect(offered("paused")).toEqual(["resume", "drain", "disable"]);
  expect(offered("disabled")).toEqual(["resume", "pause", "drain"]);
});

test("a host that still has leases can be disabled at once", () => {
  const offered = (host: Partial<Host>) => methods(offersOnHost(host as Host));
  expect(offered({ mode: "enabled", listed: true })).toEqual(["disable"]);
  expect(offered({ mode: "enabled", listed: false })).toEqual([]);
  expect(offered({ mode: "disabled", at_once: false })).toEqual(["enable", "disable"]);
  expect(offered({ mode: "disabled", at_once: true })).toEqual(["enable"]);
});

test("what breaks leases says so", () => {
  const [reclaim] = offersOnResource({ status: "active" } as Resource);
  const breaks = reclaim?.schema.properties?.["break_leases"];
  expect(breaks?.default).toBe(false);
  expect(breaks?.description).toContain("its leases break");
  expect(reclaim?.isDestructive).toBe(true);
});

test("an authorization is decided, and may be decided otherwise later", () => {
  const offered = (status: string) => methods(offersOnAuthorization({ status } as Authorization));
  expect(offered("requested")).toEqual(["approve", "decline"]);
  expect(offered("approved")).toEqual(["decline"]);
  expect(offered("declined")).toEqual(["approve"]);
});
