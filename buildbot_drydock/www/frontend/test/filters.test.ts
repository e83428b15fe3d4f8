import { describe, expect, test } from "vitest";
import {
  filteringOf,
  toggled,
  withFilter,
  withoutFilters,
  type Filter,
} from "../src/data/filters";

const FILTERS: readonly Filter[] = [
  { name: "status", label: "Status", kind: "choices", choices: ["active", "pending"] },
  { name: "owner__contains", label: "Owner", kind: "text" },
  { name: "leaseid__gt", label: "After", kind: "number" },
];

const search = (text: string) => new URLSearchParams(text);

describe("filters in the URL", () => {
  test("are read by name, with all their values", () => {
    expect(filteringOf(search("status=active&status=pending&owner__contains=ana"), FILTERS))
      .toEqual({ status: ["active", "pending"], owner__contains: ["ana"] });
  });

  test("what is no filter, no number or empty is not asked of the server", () => {
    expect(filteringOf(search("color=red&leaseid__gt=x&owner__contains=&order=leaseid"), FILTERS))
      .toEqual({});
  });

  test("a filter set anew replaces its values, keeps the rest, and goes to the first page", () => {
    const changed = withFilter(search("status=active&from=7&order=since"), "status", ["pending"]);
    expect(changed.toString()).toBe("order=since&status=pending");
  });

  test("a filter without a value is gone from the URL", () => {
    expect(withFilter(search("status=active"), "status", []).toString()).toBe("");
    expect(withFilter(search("owner__contains=a"), "owner__contains", [""]).toString()).toBe("");
  });

  test("clearing leaves the order", () => {
    const changed = withoutFilters(search("status=active&order=since&offset=50"), FILTERS);
    expect(changed.toString()).toBe("order=since");
  });

  test("what is written is read again the same", () => {
    const written = withFilter(search(""), "owner__contains", ["a&b=c d"]);
    expect(filteringOf(search(written.toString()), FILTERS))
      .toEqual({ owner__contains: ["a&b=c d"] });
  });

  test("a choice is put in and taken out", () => {
    expect(toggled(["active"], "pending")).toEqual(["active", "pending"]);
    expect(toggled(["active", "pending"], "active")).toEqual(["pending"]);
  });
});
