// Why a lease waits, blueprint by blueprint, with the numbers.
import React from "react";
import { Link } from "react-router-dom";
import type { Reason } from "../data/rows";
import { authorizationPath } from "../words/links";
import { authorizationOf, neverWord, numbersOf, saidOf, sorted } from "../words/reasons";
import { BlueprintLink } from "./Links";
import { Tag } from "./StatusTag";

export function WaitingReasons({ reasons }: { reasons: readonly Reason[] }) {
  return (
    <section aria-label="Why it waits">
      <h2>Why it waits</h2>
      {reasons.length === 0 && (
        <p className="drydock-muted">Its turn to be looked at has not come yet.</p>
      )}
      <ul className="drydock-reasons">
        {sorted(reasons).map((reason) => (
          <WaitingReason key={`${reason.kind} ${reason.blueprint}`} reason={reason} />
        ))}
      </ul>
    </section>
  );
}

function WaitingReason({ reason }: { reason: Reason }) {
  const never = neverWord(reason);
  const authorization = authorizationOf(reason);
  return (
    <li data-reason={reason.kind} data-never={never !== null}>
      {reason.blueprint === "" ? reason.sentence
        : <><BlueprintLink name={reason.blueprint} />{saidOf(reason)}</>}{" "}
      {never !== null && <Tag tone="over">{never}</Tag>}
      {authorization !== null && (
        <> (<Link to={authorizationPath(authorization)}>authorization {authorization}</Link>)</>
      )}
      <div className="drydock-muted">
        {numbersOf(reason).map(([name, value]) => (
          <span key={name} className="drydock-label">{name} {value}</span>
        ))}
      </div>
    </li>
  );
}
