// Says when what is shown may be old, because the connection is lost.
import React, { useEffect, useState } from "react";
import { freshness } from "../data/freshness";
import { useLinkStatus } from "../data/live";
import { clockTime } from "../words/times";
import { useNow } from "./useNow";

const GRACE = 1_500; // milliseconds; shorter interruptions are nobody's concern

export function ConnectionBanner() {
  const isLost = useLasting(useLinkStatus() === "lost", GRACE);
  return (
    <div aria-live="polite" role="status">
      {isLost && <Lost />}
    </div>
  );
}

function Lost() {
  useNow(); // what is shown is read again now and then
  const oldest = freshness.oldest();
  return (
    <div className="drydock-notice drydock-notice-warning">
      <strong>Connection lost.</strong>{" "}
      {oldest !== null && <>Showing the state of {clockTime(oldest / 1000)}. </>}
      Connecting again; until then, this page is refreshed every few seconds.
    </div>
  );
}

/** True once *value* has been true for that long. */
function useLasting(value: boolean, milliseconds: number): boolean {
  const [lasting, setLasting] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLasting(value), value ? milliseconds : 0);
    return () => clearTimeout(timer);
  }, [value, milliseconds]);
  return value && lasting;
}
