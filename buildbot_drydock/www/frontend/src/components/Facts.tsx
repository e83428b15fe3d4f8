// What is to be said of one thing: names and values.
import React, { type ReactNode } from "react";

export type Fact = readonly [caption: string, value: ReactNode];

/** Facts without a value, `null` or `""`, are left out. */
export function Facts({ facts }: { facts: readonly Fact[] }) {
  return (
    <dl className="drydock-facts">
      {facts
        .filter(([, value]) => value !== null && value !== "")
        .map(([caption, value]) => (
          <div key={caption}>
            <dt>{caption}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}
