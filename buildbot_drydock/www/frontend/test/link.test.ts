import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { fits, Link } from "../src/data/link";
import { FakeServer } from "./sockets";

let server: FakeServer;
let link: Link;
const heard = vi.fn();
const ready = vi.fn();

beforeEach(() => {
  vi.useFakeTimers();
  server = new FakeServer();
  link = new Link(server.open);
});

afterEach(() => {
  vi.useRealTimers();
  vi.clearAllMocks();
});

const connect = () => {
  server.last.onopen?.();
  server.last.answer();
};
const lose = () => server.last.onclose?.();

test("a topic fits the keys that have a part for each of its stars", () => {
  expect(fits("drydock_leases/*/*", "drydock_leases/7/new")).toBe(true);
  expect(fits("drydock_leases/7/*", "drydock_leases/7/update")).toBe(true);
  expect(fits("drydock_leases/7/*", "drydock_leases/8/update")).toBe(false);
  expect(fits("drydock_leases/*/*", "drydock_resources/1/drydock_leases/7/new")).toBe(false);
});

describe("a connection", () => {
  test("is there while somebody listens, and no longer", () => {
    expect(server.sockets).toEqual([]);
    const end = link.subscribe("a/*", heard, ready);
    expect(link.status).toBe("connecting");
    expect(server.last.url).toMatch(/^ws:\/\/.*\/ws$/);
    connect();
    expect(link.status).toBe("open");
    end();
    expect(link.status).toBe("open");
    vi.advanceTimersByTime(5_000);
    expect(link.status).toBe("idle");
    expect(server.last.isClosed).toBe(true);
  });

  test("is kept from one page to the next", () => {
    link.subscribe("a/*", heard, ready)();
    link.subscribe("b/*", heard, ready);
    connect();
    vi.advanceTimersByTime(10_000);
    expect(server.sockets).toHaveLength(1);
    expect(link.status).toBe("open");
    expect(server.last.consuming()).toEqual(["startConsuming b/*"]);
  });

  test("that is lost when nobody listens is no loss", () => {
    link.subscribe("a/*", heard, ready)();
    connect();
    lose();
    expect(link.status).toBe("idle");
    vi.advanceTimersByTime(60_000);
    expect(server.sockets).toHaveLength(1);
    link.subscribe("b/*", heard, ready);
    expect(server.sockets).toHaveLength(2);
  });

  test("tells of what was asked for, once the server listens", () => {
    link.subscribe("a/*/*", heard, ready);
    server.last.onopen?.();
    expect(ready).not.toHaveBeenCalled();
    server.last.answer();
    expect(ready).toHaveBeenCalledTimes(1);
    server.last.say({ k: "a/1/new", m: { id: 1 } });
    server.last.say({ k: "b/1/new", m: { id: 2 } });
    expect(heard.mock.calls).toEqual([[{ id: 1 }, "a/1/new"]]);
  });

  test("asks once for a topic of several, and ends with the last", () => {
    const ends = [link.subscribe("a/*", heard, ready), link.subscribe("a/*", heard, ready)];
    link.subscribe("b/*", heard, ready);
    connect();
    expect(server.last.consuming()).toEqual(["startConsuming a/*", "startConsuming b/*"]);
    ends[0]?.();
    expect(server.last.consuming()).toHaveLength(2);
    ends[1]?.();
    ends[1]?.();
    expect(server.last.consuming()[2]).toBe("stopConsuming a/*");
    expect(server.last.consuming()).toHaveLength(3);
  });

  test("that is lost is said to be, tried again, and tells who listens when it is back", () => {
    const watcher = vi.fn();
    link.watch(watcher);
    link.subscribe("a/*", heard, ready);
    connect();
    ready.mockClear();
    lose();
    expect(link.status).toBe("lost");
    vi.advanceTimersByTime(1_000);
    expect(server.sockets).toHaveLength(2);
    expect(link.status).toBe("lost");
    connect();
    expect(link.status).toBe("open");
    expect(ready).toHaveBeenCalledTimes(1);
    expect(server.last.consuming()).toEqual(["startConsuming a/*"]);
    expect(watcher).toHaveBeenCalledTimes(4);
  });

  test("is tried less and less often, and not at all when nobody listens", () => {
    const end = link.subscribe("a/*", heard, ready);
    const times: number[] = [];
    for (let tries = 1; tries <= 6; tries += 1) {
      lose();
      const before = Date.now();
      vi.advanceTimersToNextTimer();
      times.push(Date.now() - before);
    }
    expect(times).toEqual([1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
    lose();
    end();
    vi.advanceTimersByTime(60_000);
    expect(server.sockets).toHaveLength(7);
  });

  test("that has died in silence is found out", () => {
    link.subscribe("a/*", heard, ready);
    connect();
    vi.advanceTimersByTime(20_000);
    server.last.answer();
    vi.advanceTimersByTime(15_000);
    expect(link.status).toBe("open");
    vi.advanceTimersByTime(15_000);
    expect(link.status).toBe("lost");
    expect(server.sockets[0]?.isClosed).toBe(true);
  });
});
