// Asking Buildbot's data API, and doing things by it.

export type Value = string | number | boolean;
export type Query = Readonly<Record<string, Value | readonly Value[] | undefined>>;

export interface Page<Row> {
  rows: Row[];
  total: number | null; // null where the API doesn't say
}

/** What the server said instead of an answer; status 0 if it could not be reached. */
export class ServerError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
    this.name = "ServerError";
  }

  get isForbidden(): boolean {
    return this.status === 403;
  }

  get isMissing(): boolean {
    return this.status === 404;
  }

  /** Whether the same might succeed later: the server is away, or starting. */
  get isPassing(): boolean {
    return this.status === 0 || this.status >= 502;
  }
}

/** Where Buildbot's page is, with a slash at the end: it may be below a path of a proxy. */
export function baseUrl(location: Location = window.location): string {
  const folder = location.pathname.replace(/[^/]*$/, "");
  return `${location.origin}${folder}`;
}

export function queryText(query: Query): string {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined) continue;
    for (const each of Array.isArray(value) ? value : [value]) found.append(name, String(each));
  }
  const text = found.toString();
  return text && `?${text}`;
}

/** Read rows of a collection, such as `drydock_leases`. */
export async function readPage<Row>(
  path: string,
  query: Query = {},
  signal?: AbortSignal,
): Promise<Page<Row>> {
  const answer = await ask(`api/v2/${path}${queryText(query)}`, signal ? { signal } : {});
  const { meta, ...collections } = answer as Record<string, unknown>;
  const rows = Object.values(collections)[0];
  const total = (meta as { total?: number } | undefined)?.total;
  return { rows: Array.isArray(rows) ? (rows as Row[]) : [], total: total ?? null };
}

/** Read what is outside the data API, as JSON. */
export async function readJson(path: string, query: Query, signal?: AbortSignal): Promise<unknown> {
  return ask(`${path}${queryText(query)}`, signal ? { signal } : {});
}

let lastCall = 0;

/** Perform an action on what is at *path*; returns the row as it is then. */
export async function act(
  path: string,
  method: string,
  params: Readonly<Record<string, unknown>>,
): Promise<unknown> {
  lastCall += 1;
  const answer = await ask(`api/v2/${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: lastCall, method, params }),
  });
  return (answer as { result?: unknown }).result;
}

async function ask(path: string, options: RequestInit): Promise<unknown> {
  const response = await reach(path, options);
  const text = await response.text();
  if (response.ok) return JSON.parse(text);
  throw new ServerError(response.status, messageOf(text) || standardMessage(response.status));
}

async function reach(path: string, options: RequestInit): Promise<Response> {
  try {
    return await fetch(baseUrl() + path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ServerError(0, "The server cannot be reached.");
  }
}

/** Buildbot answers GET with `{"error": "..."}`, and POST with `{"error": {"message": "..."}}`. */
export function messageOf(text: string): string {
  try {
    const { error } = JSON.parse(text) as { error?: string | { message?: string } };
    return (typeof error === "string" ? error : error?.message) ?? "";
  } catch {
    return "";
  }
}

function standardMessage(status: number): string {
  if (status === 403) return "You may not do this.";
  if (status === 404) return "There is no such thing.";
  return `The server answered with error ${status}.`;
}
