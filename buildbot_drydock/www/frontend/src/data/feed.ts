// Rows on the screen, kept as they are on the server: read once, changed in place by messages, and
// read again when messages tell that others may belong there. While the connection is lost, they
// are read every few seconds. What is shown stays until there is something newer: nothing flickers.

import type { Link } from "./link";
import { readPage, ServerError, type Page, type Query } from "./rest";
import type { RowType } from "./rows";

export interface Snapshot<Row> {
  rows: readonly Row[] | null; // null before the first answer
  total: number | null;
  error: ServerError | null; // of the last try
  isCurrent: boolean; // false while rows of an earlier question are shown
  readAt: number | null; // when the server last answered, in milliseconds
}

export interface Question<Row> {
  type: RowType<Row>;
  path: string;
  query: Query;
  topic: string;
}

type Read = <Row>(path: string, query: Query, signal: AbortSignal) => Promise<Page<Row>>;

const SOON = 250; // milliseconds from a message to reading again
const REST = 2_000; // between two readings because of messages
const POLL_LOST = 5_000; // while there is no connection
const POLL_OPEN = 60_000; // renewals and costs have no messages
const PATIENCE = 500; // for the server to listen, before reading

export class Feed<Row> {
  private snapshot: Snapshot<Row> = {
    rows: null,
    total: null,
    error: null,
    isCurrent: false,
    readAt: null,
  };

  private question: Question<Row> | null = null;
  private readonly watchers = new Set<() => void>();
  private reading: AbortController | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private dueAt = Infinity;
  private readBeganAt = -Infinity;
  private endSubscription: (() => void) | null = null;
  private endWatch: (() => void) | null = null;

  constructor(
    private readonly link: Link,
    private readonly read: Read = readPage,
  ) {}

  readonly get = (): Snapshot<Row> => this.snapshot;

  readonly watch = (watcher: () => void): (() => void) => {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  };

  /** Ask something, or something else; what is shown stays until it is answered. */
  ask(question: Question<Row>): void {
    this.stop();
    const isOfAnotherKind = this.question !== null && this.question.path !== question.path;
    this.question = question;
    this.become(
      isOfAnotherKind
        ? { rows: null, total: null, error: null, isCurrent: false }
        : { isCurrent: false },
    );
    this.endWatch = this.link.watch(() => this.linkChanged());
    this.endSubscription = this.link.subscribe(
      question.topic,
      (message) => this.heard(message as Row),
      () => this.refresh(),
    );
    document.addEventListener("visibilitychange", this.seenAgain);
    // Once the server listens, nothing is missed between reading and the first message.
    if (this.reading === null) this.readIn(PATIENCE);
  }

  stop(): void {
    this.endSubscription?.();
    this.endWatch?.();
    this.endSubscription = this.endWatch = null;
    this.reading?.abort();
    this.reading = null;
    clearTimeout(this.timer);
    this.dueAt = Infinity;
    document.removeEventListener("visibilitychange", this.seenAgain);
  }

  /** Read now, whatever was read lately. */
  readonly refresh = (): void => {
    void this.readNow();
  };

  /** Show a row that an action has answered with, without waiting for its message. */
  readonly put = (row: Row): void => {
    this.replace(row);
    this.readIn(SOON);
  };

  private heard(message: Row): void {
    this.replace(message);
    const earliest = this.readBeganAt + REST - Date.now();
    this.readIn(Math.max(SOON, earliest));
  }

  /** Change a row that is shown already, unless what is shown is newer. */
  private replace(row: Row): void {
    const { rows } = this.snapshot;
    const type = this.question?.type;
    if (rows === null || type === undefined) return;
    const key = type.key(row);
    const place = rows.findIndex((each) => type.key(each) === key);
    const shown = rows[place];
    if (shown === undefined || versionOf(shown) > versionOf(row)) return;
    const changed = [...rows];
    changed[place] = { ...shown, ...row };
    this.become({ rows: changed });
  }

  private linkChanged(): void {
    if (this.link.status === "lost") this.readIn(POLL_LOST);
  }

  private readonly seenAgain = (): void => {
    if (document.visibilityState === "visible" && this.dueAt <= Date.now()) this.refresh();
  };

  private readIn(milliseconds: number): void {
    const time = Date.now() + milliseconds;
    if (time >= this.dueAt) return;
    clearTimeout(this.timer);
    this.dueAt = time;
    this.timer = setTimeout(() => {
      // What nobody looks at is read when somebody does.
      if (document.visibilityState !== "hidden") this.refresh();
    }, milliseconds);
  }

  private async readNow(): Promise<void> {
    const question = this.question;
    if (question === null || this.endWatch === null) return;
    clearTimeout(this.timer);
    this.dueAt = Infinity;
    this.reading?.abort();
    const reading = new AbortController();
    this.reading = reading;
    this.readBeganAt = Date.now();
    try {
      const page = await this.read<Row>(question.path, question.query, reading.signal);
      if (this.reading !== reading) return;
      this.become({ ...page, error: null, isCurrent: true, readAt: Date.now() });
    } catch (error) {
      if (this.reading !== reading) return;
      this.become({ error: asServerError(error), isCurrent: true });
    }
    this.reading = null;
    this.readIn(this.link.status === "open" ? POLL_OPEN : POLL_LOST);
  }

  private become(change: Partial<Snapshot<Row>>): void {
    this.snapshot = { ...this.snapshot, ...change };
    for (const watcher of this.watchers) watcher();
  }
}

function versionOf(row: unknown): number {
  return (row as { version?: number }).version ?? 0;
}

function asServerError(error: unknown): ServerError {
  return error instanceof ServerError ? error : new ServerError(0, String(error));
}
