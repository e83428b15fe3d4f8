import { describe, expect, test } from "vitest";
import type { Reason } from "../src/data/rows";
import { byStatus, counted, total } from "../src/words/counts";
import { blueprintPath, hostKey } from "../src/words/links";
import { money } from "../src/words/money";
import {
  authorizationOf,
  neverWord,
  numbersOf,
  saidOf,
  sorted,
  summary,
  tellingReasons,
  whyNever,
} from "../src/words/reasons";
import { isAtRest, serviceOf, stateOf, toneOf } from "../src/words/statuses";
import { duration, relative } from "../src/words/times";

test("a duration has its two greatest units", () => {
  expect([0, 0.4, 59, 60, 61, 3600, 3660, 7325, 90_000, 86_460].map(duration)).toEqual([
    "0 s",
    "0 s",
    "59 s",
    "1 min",
    "1 min 1 s",
    "1 h",
    "1 h 1 min",
    "2 h 2 min",
    "1 d 1 h",
    "1 d",
  ]);
  expect(duration(-5)).toBe("0 s");
});

test("a time is said from now, before and after", () => {
  expect(relative(940, 1000)).toBe("1 min ago");
  expect(relative(1060, 1000)).toBe("in 1 min");
  expect(relative(1000.4, 1000)).toBe("now");
});

test("money has as many digits as say something", () => {
  expect([0, 1.5, 0.085, -2, 1234.567].map(money))
    .toEqual(["$0.00", "$1.50", "$0.0850", "$-2.00", "$1234.57"]);
});

test("counts beyond what is counted say so", () => {
  expect([total(null), total(0), total(10_000), total(10_001)])
    .toEqual(["", "0", "10,000", "more than 10,000"]);
  expect([counted(1, "lease"), counted(2, "lease")]).toEqual(["1 lease", "2 leases"]);
  expect(byStatus({ active: 2, pending: 0, broken: 1 })).toBe("2 active, 1 broken");
  expect(byStatus({ active: 3, pending: 1 }, 2)).toBe("1 active, 1 pending, 2 parked");
  expect(byStatus({ active: 2 }, 2)).toBe("2 parked");
});

test("a status that is not known is no trouble", () => {
  expect([toneOf("broken"), toneOf("active"), toneOf("of a later version")])
    .toEqual(["bad", "good", "over"]);
});

test("an active resource that does not run says so; another has no power worth a word", () => {
  const powers = ["running", "parking", "parked", "waking", "of a later version"];
  const states = (status: string) => powers.map((power) => stateOf({ status, power }));
  expect(states("active")).toEqual(["active", "parking", "parked", "waking", "active"]);
  for (const status of ["pending", "released", "broken", "destroyed"]) {
    expect(new Set(states(status))).toEqual(new Set([status]));
  }
  expect(powers.map((power) => isAtRest({ status: "active", power })))
    .toEqual([false, true, true, false, false]);
  expect(powers.slice(1, 3).map(toneOf)).toEqual(["over", "over"]);
});

test("a host is out of service by itself, or disabled because somebody wants that", () => {
  const words = [
    serviceOf({ in_service: true, disabled: false }),
    serviceOf({ in_service: false, disabled: true }),
    serviceOf({ in_service: false, disabled: false }),
  ];
  expect(words).toEqual(["in service", "disabled", "out of service"]);
  expect(words.map(toneOf)).toEqual(["good", "waiting", "bad"]);
});

test("names are safe in addresses and in the keys of messages", () => {
  expect(blueprintPath("a/b c")).toBe("/drydock/blueprints/a%2Fb%20c");
  expect(hostKey("build1.example.org")).toBe("build1-example-org");
});

describe("reasons", () => {
  const full: Reason = {
    kind: "full",
    blueprint: "linux",
    sentence: "linux is full: 8 of 8 slots leased, limit 4",
    limit: 4,
    leased: 8,
    since: 17_000,
  };
  const never: Reason = {
    kind: "does-not-fit",
    blueprint: "gpu",
    sentence: "gpu never fits: os=debian is required",
  };

  const declined: Reason = {
    kind: "declined",
    blueprint: "signing",
    sentence: "signing may not be used by person/bob, which olga declined: too dear",
    subject: "person/bob",
    by: "olga",
    authorization: 7,
  };
  const asked: Reason = {
    kind: "awaiting-approval",
    blueprint: "signing",
    sentence: "signing needs approval for person/bob, by the lab: requested 9 s ago",
    authorization: 8,
    requested_at: 17_000,
  };

  test("what was declined is no wait, and neither is what never fits", () => {
    expect([never, declined, full, asked].map(neverWord))
      .toEqual(["never fits", "declined", null, null]);
    expect(sorted([declined, never, full])).toEqual([full, declined, never]);
    expect(tellingReasons([declined, never, asked])).toEqual([asked]);
    expect(tellingReasons([declined, never])).toEqual([declined, never]);
  });

  test("nobody serves what was declined, or fits nowhere; a decision is told first", () => {
    expect(whyNever([never, declined])).toBe(declined);
    expect(whyNever([never])).toBe(never);
    expect(whyNever([never, declined, asked])).toBe(null);
    expect(whyNever([])).toBe(null);
  });

  test("the authorization that a reason is about is linked, and no number", () => {
    expect([declined, asked, full].map(authorizationOf)).toEqual([7, 8, null]);
    expect([...numbersOf(declined), ...numbersOf(asked)]).toEqual([]);
  });

  test("what may yet come is said first", () => {
    expect(summary([declined, full])).toBe(full.sentence);
    expect(summary([never, asked, full])).toBe(`${asked.sentence} (and 1 more)`);
    expect(summary([never])).toBe(never.sentence);
    expect(summary([])).toBe("");
  });

  test("numbers are told, but for times, which are in the sentence", () => {
    expect(numbersOf(full)).toEqual([["limit", "4"], ["leased", "8"]]);
  });

  test("the name of the blueprint is said once", () => {
    expect(saidOf(full)).toBe(" is full: 8 of 8 slots leased, limit 4");
    expect(saidOf({ ...full, sentence: "nothing" })).toBe(": nothing");
  });
});
