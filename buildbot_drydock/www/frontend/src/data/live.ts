// Live rows for components.

import { useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { Feed, type Snapshot } from "./feed";
import { freshness } from "./freshness";
import { link, type LinkStatus } from "./link";
import type { Query } from "./rest";
import type { RowType } from "./rows";

export interface Live<Row> extends Snapshot<Row> {
  refresh: () => void;
  put: (row: Row) => void;
}

/** The rows of a collection: all of a type, or those below a path such as `drydock_leases/7`. */
export function useRows<Row>(type: RowType<Row>, query: Query, below?: string): Live<Row> {
  const path = below === undefined ? type.collection : `${below}/${type.collection}`;
  return useFeed(type, path, `${path}/*/*`, query);
}

/** One row, by the id or name in its path. `rows` is empty if there is none. */
export function useRow<Row>(
  type: RowType<Row>,
  key: number | string,
  messageKey: number | string = key,
): Live<Row> {
  const path = `${type.collection}/${encodeURIComponent(key)}`;
  return useFeed(type, path, `${type.collection}/${messageKey}/*`, {});
}

function useFeed<Row>(type: RowType<Row>, path: string, topic: string, query: Query): Live<Row> {
  const [feed] = useState(() => new Feed<Row>(link));
  const asked = JSON.stringify(query);
  useEffect(() => {
    feed.ask({ type, path, topic, query: JSON.parse(asked) as Query });
    return () => feed.stop();
  }, [feed, type, path, topic, asked]);
  useEffect(() => freshness.follow(feed), [feed]);
  const snapshot = useSyncExternalStore(feed.watch, feed.get);
  return useMemo(
    () => ({ ...snapshot, refresh: feed.refresh, put: feed.put }),
    [snapshot, feed],
  );
}

export function useLinkStatus(): LinkStatus {
  return useSyncExternalStore(
    (watcher) => link.watch(watcher),
    () => link.status,
  );
}
