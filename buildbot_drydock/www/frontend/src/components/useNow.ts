// The time, for ages on the screen: one timer for all of them.
import { useSyncExternalStore } from "react";

const watchers = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;
let now = Math.floor(Date.now() / 1000);

function watch(watcher: () => void): () => void {
  watchers.add(watcher);
  timer ??= setInterval(tick, 1000);
  return () => {
    watchers.delete(watcher);
    if (watchers.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

function tick(): void {
  now = Math.floor(Date.now() / 1000);
  for (const watcher of watchers) watcher();
}

/** Seconds since the epoch, once a second. */
export function useNow(): number {
  return useSyncExternalStore(watch, () => now);
}
