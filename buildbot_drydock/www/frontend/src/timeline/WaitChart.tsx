// How many leases waited, over time.
import React from "react";
import { position, type Span, type Step } from "./layout";

const HEIGHT = 40;
const WIDTH = 1000;

export function WaitChart({ steps, window }: { steps: readonly Step[]; window: Span }) {
  const most = steps.reduce((highest, step) => Math.max(highest, step.count), 0);
  const last = steps[steps.length - 1]?.count ?? 0;
  const words = `Waiting: ${last} now, ${most} at most`;
  return (
    <div className="drydock-timeline-row drydock-timeline-waits">
      <div className="drydock-timeline-name">Waiting</div>
      <div className="drydock-timeline-track">
        <svg
          viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
          preserveAspectRatio="none"
          role="img"
          aria-label={words}
        >
          <title>{words}</title>
          {most > 0 && <path d={outline(steps, window, most)} />}
        </svg>
      </div>
      <div className="drydock-timeline-busy drydock-number">{last}</div>
    </div>
  );
}

function outline(steps: readonly Step[], window: Span, most: number): string {
  const x = (at: number) => (position(at, window) * WIDTH).toFixed(1);
  const y = (count: number) => (HEIGHT - (count / most) * (HEIGHT - 2)).toFixed(1);
  const line = steps.map(({ at, count }) => `H${x(at)}V${y(count)}`).join("");
  return `M0 ${HEIGHT}${line}H${WIDTH}V${HEIGHT}Z`;
}
