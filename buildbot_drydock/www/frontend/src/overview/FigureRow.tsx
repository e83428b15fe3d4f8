// What there is, in four figures.
import React from "react";
import { Age } from "../components/Age";
import { Money } from "../components/Money";
import type { Blueprint, Lease } from "../data/rows";
import { totalsOf } from "./usage";

interface FiguresProps {
  blueprints: readonly Blueprint[];
  waiting: readonly Lease[];
  total: number | null;
}

export function FigureRow({ blueprints, waiting, total }: FiguresProps) {
  const totals = totalsOf(blueprints);
  const first = waiting[0];
  return (
    <dl className="drydock-figures">
      <div className="drydock-figure">
        <dt>Resources</dt>
        <dd>
          {totals.living} {totals.parked > 0 && <small>{totals.parked} parked</small>}
        </dd>
      </div>
      <div className="drydock-figure">
        <dt>Slots leased</dt>
        <dd>
          {totals.leased} <small>of {totals.slots}</small>
        </dd>
      </div>
      <div className="drydock-figure">
        <dt>Waiting</dt>
        <dd>
          {Math.max(total ?? 0, waiting.length)}{" "}
          {first !== undefined && (
            <small>
              longest for <Age since={first.requested_at} />
            </small>
          )}
        </dd>
      </div>
      <div className="drydock-figure">
        <dt>Cost</dt>
        <dd><Money amount={totals.hourlyCost} per="h" /></dd>
      </div>
    </dl>
  );
}
