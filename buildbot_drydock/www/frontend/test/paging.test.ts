import { describe, expect, test } from "vitest";
import {
  orderOf,
  pageOf,
  pageQuery,
  placeOf,
  withPlace,
  type Order,
  type Place,
} from "../src/data/paging";
import type { Query } from "../src/data/rest";

interface Row {
  id: number;
}

const NEWEST: Order = { field: "id", descends: true };
const OLDEST: Order = { field: "id", descends: false };
const ids = (rows: readonly Row[]) => rows.map(({ id }) => id);

/** As the data API answers. */
function answer(all: readonly Row[], query: Query): Row[] {
  const found = all
    .filter(({ id }) => query["id__lt"] === undefined || id < Number(query["id__lt"]))
    .filter(({ id }) => query["id__gt"] === undefined || id > Number(query["id__gt"]))
    .sort((a, b) => (query["order"] === "-id" ? b.id - a.id : a.id - b.id));
  return found.slice(0, Number(query["limit"]));
}

function read(all: readonly Row[], order: Order, place: Place, filtering = {}) {
  const answered = answer(all, pageQuery(filtering, order, place, "id", 3));
  return pageOf(answered, place, ({ id }) => id, order, "id", 3);
}

const rows = (...numbers: number[]) => numbers.map((id) => ({ id }));

describe("pages by id", () => {
  const all = rows(1, 2, 3, 4, 5, 6, 7, 8);

  for (const [name, order] of [["newest", NEWEST], ["oldest", OLDEST]] as const) {
    test(`all rows are met once on the way forth, and again on the way back, ${name} first`, () => {
      const pages: number[][] = [];
      let place: Place = { kind: "first" };
      for (;;) {
        const page = read(all, order, place);
        pages.push(ids(page.rows));
        if (page.next === null) break;
        place = page.next;
      }
      const sorted = order.descends ? [8, 7, 6, 5, 4, 3, 2, 1] : [1, 2, 3, 4, 5, 6, 7, 8];
      expect(pages.flat()).toEqual(sorted);
      expect(pages).toHaveLength(3);

      const back: number[][] = [];
      for (let page = read(all, order, place); page.previous !== null;) {
        page = read(all, order, page.previous);
        back.unshift(ids(page.rows));
      }
      expect(back.flat()).toEqual(sorted.slice(0, 6));
    });
  }

  test("the first page has none before it, and one that ends there has one after it", () => {
    expect(read(all, NEWEST, { kind: "first" }).previous).toBeNull();
    expect(read(all, NEWEST, { kind: "to", id: 5 })).toMatchObject({
      rows: rows(8, 7, 6),
      previous: null,
      next: { kind: "from", id: 6 },
    });
  });

  test("a page goes on from the same row when others have come meanwhile", () => {
    const { next } = read(all, NEWEST, { kind: "first" });
    expect(ids(read(rows(...ids(all), 9, 10), NEWEST, next ?? { kind: "first" }).rows))
      .toEqual([5, 4, 3]);
  });

  test("a filter by the same bound is kept, where it is the narrower one", () => {
    expect(pageQuery({ id__gt: ["4"] }, OLDEST, { kind: "from", id: 2 }, "id")["id__gt"]).toBe(4);
    expect(pageQuery({ id__gt: ["4"] }, OLDEST, { kind: "from", id: 6 }, "id")["id__gt"]).toBe(6);
    expect(pageQuery({ id__gt: ["4"] }, NEWEST, { kind: "from", id: 8 }, "id"))
      .toMatchObject({ id__gt: ["4"], id__lt: 8 });
  });

  test("an empty list has no neighbours", () => {
    expect(read([], NEWEST, { kind: "first" })).toEqual({ rows: [], next: null, previous: null });
  });
});

describe("pages by another field", () => {
  const since: Order = { field: "since", descends: true };

  test("are counted from the start", () => {
    const place: Place = { kind: "offset", rows: 3 };
    expect(pageQuery({}, since, place, "id", 3)).toMatchObject({ order: "-since", offset: 3 });
    expect(pageOf(rows(4, 9, 2, 7), place, ({ id }) => id, since, "id", 3)).toEqual({
      rows: rows(4, 9, 2),
      next: { kind: "offset", rows: 6 },
      previous: { kind: "offset", rows: 0 },
    });
  });
});

describe("the place in the URL", () => {
  test("is read as it was written", () => {
    const places: Place[] = [
      { kind: "first" },
      { kind: "from", id: 12 },
      { kind: "to", id: 3 },
      { kind: "offset", rows: 50 },
    ];
    for (const place of places) {
      const search = withPlace(new URLSearchParams("from=1&status=active"), place);
      expect(placeOf(search)).toEqual(place);
      expect(search.get("status")).toBe("active");
    }
  });

  test("nonsense is the first page", () => {
    expect(placeOf(new URLSearchParams("from=-1&offset=x"))).toEqual({ kind: "first" });
  });

  test("an order is heeded if the list knows it", () => {
    const order = (text: string) => orderOf(new URLSearchParams(text), NEWEST, ["id", "since"]);
    expect(order("order=-since")).toEqual({ field: "since", descends: true });
    expect(order("order=id")).toEqual(OLDEST);
    expect(order("order=secret")).toEqual(NEWEST);
    expect(order("")).toEqual(NEWEST);
  });
});
