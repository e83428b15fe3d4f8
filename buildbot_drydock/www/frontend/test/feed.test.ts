import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Feed, type Question } from "../src/data/feed";
import { Link } from "../src/data/link";
import { ServerError, type Page } from "../src/data/rest";
import type { RowType } from "../src/data/rows";
import { FakeServer } from "./sockets";

interface Row {
  id: number;
  version: number;
  status: string;
}

const TYPE: RowType<Row> = { collection: "rows", key: ({ id }) => id, messageKey: ({ id }) => id };
const ALL: Question<Row> = { type: TYPE, path: "rows", topic: "rows/*/*", query: {} };

let server: FakeServer;
let answer: () => Promise<Page<Row>>;
let feed: Feed<Row>;
let reads = 0;

const row = (id: number, version = 0, status = "active"): Row => ({ id, version, status });
const has = (...rows: Row[]) => {
  answer = () => Promise.resolve({ rows, total: rows.length });
};
const pass = (milliseconds: number) => vi.advanceTimersByTimeAsync(milliseconds);
const message = (changed: Row) => server.last.say({ k: `rows/${changed.id}/update`, m: changed });

async function open(question = ALL): Promise<void> {
  feed.ask(question);
  server.last.onopen?.();
  server.last.answer();
  await pass(0);
}

beforeEach(() => {
  vi.useFakeTimers();
  server = new FakeServer();
  reads = 0;
  feed = new Feed<Row>(new Link(server.open), (() => {
    reads += 1;
    return answer();
  }) as never);
});

afterEach(() => {
  feed.stop();
  vi.useRealTimers();
});

describe("rows on the screen", () => {
  test("are read once when the server listens", async () => {
    has(row(1));
    feed.ask(ALL);
    expect(feed.get()).toMatchObject({ rows: null, isCurrent: false });
    server.last.onopen?.();
    expect(reads).toBe(0);
    server.last.answer();
    await pass(1_000);
    expect(reads).toBe(1);
    expect(feed.get()).toMatchObject({ rows: [row(1)], total: 1, isCurrent: true, error: null });
  });

  test("are read without a connection, too, if it takes long", async () => {
    has(row(1));
    feed.ask(ALL);
    await pass(500);
    expect(feed.get().rows).toEqual([row(1)]);
  });

  test("change at once by a message, unless it is an older one", async () => {
    has(row(1, 3), row(2, 5));
    await open();
    message(row(1, 4, "released"));
    expect(feed.get().rows).toEqual([row(1, 4, "released"), row(2, 5)]);
    message(row(2, 4, "pending"));
    expect(feed.get().rows?.[1]).toEqual(row(2, 5));
  });

  test("are read again soon after a message, and not for each of many", async () => {
    has(row(1));
    await open();
    await pass(5_000);
    has(row(2), row(1));
    for (let number = 0; number < 20; number += 1) message(row(2, number));
    expect(feed.get().rows).toEqual([row(1)]);
    await pass(250);
    expect(feed.get().rows).toEqual([row(2), row(1)]);
    expect(reads).toBe(2);
    message(row(2, 30));
    await pass(1_500);
    expect(reads).toBe(2);
    await pass(500);
    expect(reads).toBe(3);
  });

  test("stay while another page is awaited, but not on the page of another thing", async () => {
    has(row(1));
    await open();
    feed.ask({ ...ALL, query: { status: "active" } });
    expect(feed.get()).toMatchObject({ rows: [row(1)], isCurrent: false });
    feed.ask({ ...ALL, path: "others" });
    expect(feed.get().rows).toBeNull();
  });

  test("an answer to an earlier question is not shown", async () => {
    let late: (page: Page<Row>) => void = () => undefined;
    answer = () => new Promise((resolve) => {
      late = resolve;
    });
    await open();
    has(row(2));
    feed.ask({ ...ALL, query: { status: "active" } });
    await pass(500);
    late({ rows: [row(1)], total: 1 });
    await pass(0);
    expect(feed.get().rows).toEqual([row(2)]);
  });
});

describe("without a connection", () => {
  test("rows are read every few seconds, and at once when it is back", async () => {
    has(row(1));
    await open();
    server.last.onclose?.();
    await pass(5_000);
    expect(reads).toBe(2);
    await pass(5_000);
    expect(reads).toBe(3);
    has(row(7));
    server.last.onopen?.();
    server.last.answer();
    await pass(0);
    expect(feed.get().rows).toEqual([row(7)]);
  });

  test("what was read last stays, with what went wrong beside it", async () => {
    has(row(1));
    await open();
    const readAt = feed.get().readAt;
    server.last.onclose?.();
    answer = () => Promise.reject(new ServerError(0, "The server cannot be reached."));
    await pass(5_000);
    expect(feed.get()).toMatchObject({ rows: [row(1)], error: { isPassing: true }, readAt });
    has(row(1));
    await pass(5_000);
    expect(feed.get().error).toBeNull();
  });
});

test("nothing is asked after the end", async () => {
  has(row(1));
  await open();
  feed.stop();
  await pass(120_000);
  expect(reads).toBe(1);
});
