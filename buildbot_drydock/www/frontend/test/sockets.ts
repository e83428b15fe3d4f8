// The server's side of a WebSocket, for tests.
import type { OpenSocket } from "../src/data/link";

interface Sent {
  cmd: string;
  path?: string;
  _id: number;
}

export class FakeSocket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;
  readonly sent: Sent[] = [];
  isClosed = false;

  constructor(readonly url: string) {}

  send(text: string): void {
    this.sent.push(JSON.parse(text) as Sent);
  }

  close(): void {
    this.isClosed = true;
  }

  say(message: unknown): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  /** Answer all that was asked so far. */
  answer(): void {
    for (const { _id } of this.sent) this.say({ _id, code: 200, msg: "OK" });
  }

  consuming(): string[] {
    return this.sent.map(({ cmd, path }) => `${cmd} ${path ?? ""}`.trim());
  }
}

export class FakeServer {
  readonly sockets: FakeSocket[] = [];

  readonly open: OpenSocket = (url) => {
    const socket = new FakeSocket(url);
    this.sockets.push(socket);
    return socket as unknown as WebSocket;
  };

  get last(): FakeSocket {
    const socket = this.sockets[this.sockets.length - 1];
    if (socket === undefined) throw new Error("nobody has connected");
    return socket;
  }
}
