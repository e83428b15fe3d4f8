import { afterEach, expect, test, vi } from "vitest";
import { act, baseUrl, messageOf, queryText, readPage, ServerError } from "../src/data/rest";

const respond = (status: number, body: unknown) => {
  const fetched = vi.fn(() => Promise.resolve(new Response(
    typeof body === "string" ? body : JSON.stringify(body),
    { status },
  )));
  vi.stubGlobal("fetch", fetched);
  return fetched;
};

afterEach(() => vi.unstubAllGlobals());

test("Buildbot may be below a path", () => {
  const at = (href: string) => baseUrl(new URL(href) as unknown as Location);
  expect(at("https://example.org/ci/#/drydock")).toBe("https://example.org/ci/");
  expect(at("http://localhost:8010/index.html#/")).toBe("http://localhost:8010/");
});

test("values of a query are repeated, and none is left out", () => {
  expect(queryText({ status: ["a", "b"], limit: 5, order: undefined }))
    .toBe("?status=a&status=b&limit=5");
  expect(queryText({})).toBe("");
});

test("a page has the rows, whatever they are called, and their count", async () => {
  respond(200, { drydock_leases: [{ leaseid: 1 }], meta: { total: 7 } });
  expect(await readPage("drydock_leases")).toEqual({ rows: [{ leaseid: 1 }], total: 7 });
});

test("an action is a call of JSON-RPC, answered with the row", async () => {
  const fetched = respond(200, { jsonrpc: "2.0", id: 1, result: { leaseid: 1 } });
  expect(await act("drydock_leases/1", "release", { reason: "done" })).toEqual({ leaseid: 1 });
  const [url, options] = fetched.mock.calls[0] as unknown as [string, RequestInit];
  expect(url).toMatch(/\/api\/v2\/drydock_leases\/1$/);
  expect(JSON.parse(options.body as string)).toMatchObject({
    method: "release",
    params: { reason: "done" },
  });
});

test("the server's own words are the error's", async () => {
  respond(403, { error: { message: "you need to have role 'admins'" } });
  const error = await act("drydock_leases/1", "release", {}).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(ServerError);
  expect(error).toMatchObject({
    status: 403,
    isForbidden: true,
    message: "you need to have role 'admins'",
  });
  expect(messageOf("{\"error\": \"limit: too much\"}")).toBe("limit: too much");
  expect(messageOf("<html>")).toBe("");
});

test("what a proxy says instead is no answer", async () => {
  respond(502, "<html>");
  await expect(readPage("drydock_leases")).rejects.toMatchObject({
    isPassing: true,
    message: "The server answered with error 502.",
  });
});

test("a server that is away is said to be", async () => {
  vi.stubGlobal("fetch", () => Promise.reject(new TypeError("Failed to fetch")));
  await expect(readPage("drydock_leases")).rejects.toMatchObject({ status: 0, isPassing: true });
});
