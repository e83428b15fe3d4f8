// What the visitor may do, asked of the server: its rules decide, and have the last word.

import { useEffect, useState } from "react";
import { useLinkStatus } from "./live";
import { readJson } from "./rest";

/** The actions allowed on a path such as `drydock_leases/7`; null until the server has answered. */
export function useAllowed(path: string): ReadonlySet<string> | null {
  const [answer, setAnswer] = useState<{ path: string; actions: ReadonlySet<string> } | null>(null);
  const isOpen = useLinkStatus() === "open"; // asked again after a restart: rules may be others
  useEffect(() => {
    const asking = new AbortController();
    readJson("drydock/permissions", { on: path }, asking.signal).then(
      (found) => setAnswer({ path, actions: new Set((found as Permissions)[path] ?? []) }),
      () => undefined, // no answer: nothing is offered, and the page says elsewhere what is wrong
    );
    return () => asking.abort();
  }, [path, isOpen]);
  return answer?.path === path ? answer.actions : null;
}

type Permissions = Readonly<Record<string, readonly string[] | undefined>>;
