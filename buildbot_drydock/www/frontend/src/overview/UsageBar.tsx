// How much of what a blueprint may have there is, and what it does.
import React from "react";
import type { Blueprint } from "../data/rows";
import { usageInWords, usageOf } from "./usage";

export function UsageBar({ row }: { row: Blueprint }) {
  const usage = usageOf(row);
  const words = usageInWords(usage);
  return (
    <div className="drydock-usage">
      <div className="drydock-usage-bar" role="img" aria-label={words} title={words}>
        {usage.parts.map(([part, count]) => (
          <span
            key={part}
            className={`drydock-usage-part drydock-usage-${part}`}
            style={{ width: `${(100 * count) / usage.limit}%` }}
          />
        ))}
      </div>
      <span className="drydock-number drydock-usage-count">
        {usage.used} / {usage.limit}
      </span>
    </div>
  );
}
