// A time, as how long ago it was; when exactly is in its title.
import React from "react";
import { dateTime, duration, relative } from "../words/times";
import { useNow } from "./useNow";

/** `3 min ago`, `in 2 h`. */
export function When({ time }: { time: number | null }) {
  const now = useNow();
  if (time === null) return <>–</>;
  return <Time time={time} text={relative(time, now)} />;
}

/** `3 min`: how long something has lasted. */
export function Age({ since }: { since: number | null }) {
  const now = useNow();
  if (since === null) return <>–</>;
  return <Time time={since} text={duration(now - since)} />;
}

function Time({ time, text }: { time: number; text: string }) {
  return (
    <time dateTime={new Date(time * 1000).toISOString()} title={dateTime(time)}>
      {text}
    </time>
  );
}
