// Why a lease waits, blueprint by blueprint, with the numbers.
import React from "react";
import type { Reason } from "../data/rows";
import { numbersOf, saidOf, sorted } from "../words/reasons";
import { BlueprintLink } from "./Links";

export function WaitingReasons({ reasons }: { reasons: readonly Reason[] }) {
  return (
    <section aria-label="Why it waits">
      <h2>Why it waits</h2>
      {reasons.length === 0 && (
        <p className="drydock-muted">Its turn to be looked at has not come yet.</p>
      )}
      <ul className="drydock-reasons">
        {sorted(reasons).map((reason) => (
          <li key={`${reason.kind} ${reason.blueprint}`} data-reason={reason.kind}>
            {reason.blueprint === "" ? reason.sentence
              : <><BlueprintLink name={reason.blueprint} />{saidOf(reason)}</>}
            <div className="drydock-muted">
              {numbersOf(reason).map(([name, value]) => (
                <span key={name} className="drydock-label">{name} {value}</span>
              ))}
            </div>
          </li>
        ))}
      </ul>
    </section>
  );
}
