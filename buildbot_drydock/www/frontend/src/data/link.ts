// The connection by which the server tells of changes: Buildbot's own WebSocket, with what its
// client in Buildbot 4.3 lacks: it notices a lost connection, says so, and connects again.

import { baseUrl } from "./rest";

export type LinkStatus = "idle" | "connecting" | "open" | "lost";
export type Listener = (message: unknown, key: string) => void;

const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 15_000;
const LINGER = 5_000; // the next page may want it
const PING_INTERVAL = 20_000; // a proxy or a sleeping laptop may end a connection in silence

interface Subscription {
  topic: string;
  listener: Listener;
  ready: () => void; // called each time the server has begun to tell of this topic
}

export type OpenSocket = (url: string) => WebSocket;

export class Link {
  private socket: WebSocket | null = null;
  private lastId = 0;
  private readonly asked = new Map<number, () => void>();
  private readonly subscriptions = new Set<Subscription>();
  private readonly watchers = new Set<() => void>();
  private pause = FIRST_PAUSE;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private closing: ReturnType<typeof setTimeout> | undefined;
  private ping: ReturnType<typeof setInterval> | undefined;
  private current: LinkStatus = "idle";

  constructor(private readonly open: OpenSocket = (url) => new WebSocket(url)) {}

  get status(): LinkStatus {
    return this.current;
  }

  /** Hear of changes of `status`; returns what ends that. */
  watch(watcher: () => void): () => void {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  }

  /**
   * Hear of messages whose key fits *topic*, in which `*` stands for one part. *ready* is called
   * when the server listens, and again after each lost connection: what happened before is to be
   * read then.
   */
  subscribe(topic: string, listener: Listener, ready: () => void): () => void {
    const subscription = { topic, listener, ready };
    const isFirst = !this.has(topic);
    this.subscriptions.add(subscription);
    clearTimeout(this.closing);
    if (this.socket === null) this.connect();
    else if (isFirst) this.start(topic);
    else if (this.current === "open") ready();
    return () => {
      if (!this.subscriptions.delete(subscription)) return;
      if (!this.has(topic)) this.send("stopConsuming", topic);
      if (this.subscriptions.size === 0) this.closing = setTimeout(() => this.close(), LINGER);
    };
  }

  private has(topic: string): boolean {
    return [...this.subscriptions].some((each) => each.topic === topic);
  }

  private connect(): void {
    clearTimeout(this.retry);
    if (this.current === "idle") this.become("connecting");
    const socket = this.open(`${baseUrl().replace(/^http/, "ws")}ws`);
    this.socket = socket;
    socket.onopen = () => this.opened();
    socket.onmessage = (event) => this.heard(String(event.data));
    socket.onclose = () => {
      if (this.socket === socket) this.lost();
    };
  }

  private opened(): void {
    this.pause = FIRST_PAUSE;
    this.become("open");
    for (const topic of new Set([...this.subscriptions].map((each) => each.topic))) {
      this.start(topic);
    }
    this.ping = setInterval(() => this.check(), PING_INTERVAL);
  }

  private start(topic: string): void {
    this.send("startConsuming", topic, () => {
      for (const each of this.subscriptions) if (each.topic === topic) each.ready();
    });
  }

  private lost(): void {
    this.forget();
    if (this.subscriptions.size === 0) {
      this.become("idle");
      return;
    }
    this.become("lost");
    this.retry = setTimeout(() => this.connect(), this.pause);
    this.pause = Math.min(this.pause * 2, LONGEST_PAUSE);
  }

  /** End a connection over which nothing has come since the last look. */
  private check(): void {
    const socket = this.socket;
    const silent = setTimeout(() => {
      if (this.socket !== socket) return;
      socket?.close();
      this.lost();
    }, PING_INTERVAL / 2);
    this.send("ping", undefined, () => clearTimeout(silent));
  }

  private close(): void {
    const socket = this.socket;
    this.forget();
    clearTimeout(this.retry);
    socket?.close();
    this.become("idle");
  }

  private forget(): void {
    this.socket = null;
    this.asked.clear();
    clearInterval(this.ping);
  }

  private send(cmd: string, path?: string, answered?: () => void): void {
    if (this.socket === null || this.current !== "open") return; // said when it opens
    this.lastId += 1;
    if (answered) this.asked.set(this.lastId, answered);
    this.socket.send(JSON.stringify({ cmd, ...(path ? { path } : {}), _id: this.lastId }));
  }

  private heard(text: string): void {
    const said = JSON.parse(text) as { _id?: number; code?: number; k?: string; m?: unknown };
    if (said.k !== undefined) {
      for (const { topic, listener } of this.subscriptions) {
        if (fits(topic, said.k)) listener(said.m, said.k);
      }
    } else if (said._id !== undefined) {
      const answered = this.asked.get(said._id);
      this.asked.delete(said._id);
      if (said.code === 200) answered?.();
    }
  }

  private become(status: LinkStatus): void {
    if (this.current === status) return;
    this.current = status;
    for (const watcher of this.watchers) watcher();
  }
}

/** Tell whether the key of a message fits a topic. */
export function fits(topic: string, key: string): boolean {
  const parts = topic.split("/");
  const given = key.split("/");
  return (
    parts.length === given.length
    && parts.every((part, place) => part === "*" || part === given[place])
  );
}

export const link = new Link();
