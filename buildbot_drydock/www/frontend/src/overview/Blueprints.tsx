// What each blueprint may have, has, and costs.
import React from "react";
import { Link } from "react-router-dom";
import { Money } from "../components/Money";
import { StatusTag } from "../components/StatusTag";
import type { Blueprint } from "../data/rows";
import { usageOf } from "./usage";
import { UsageBar } from "./UsageBar";

export function Blueprints({ rows }: { rows: readonly Blueprint[] }) {
  return (
    <section className="drydock-section" aria-labelledby="drydock-blueprints">
      <h2 id="drydock-blueprints">Blueprints</h2>
      <div className="table-responsive">
        <table className="table table-sm drydock-table">
          <thead>
            <tr>
              <th scope="col">Blueprint</th>
              <th scope="col">State</th>
              <th scope="col">Resources of limit</th>
              <th scope="col" className="drydock-number">Slots leased</th>
              <th scope="col" className="drydock-number">Warm</th>
              <th scope="col" className="drydock-number">Parked</th>
              <th scope="col" className="drydock-number">Booting</th>
              <th scope="col" className="drydock-number">Broken</th>
              <th scope="col" className="drydock-number">Waiting</th>
              <th scope="col" className="drydock-number">Cost</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <BlueprintLine key={row.name} row={row} />
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function BlueprintLine({ row }: { row: Blueprint }) {
  const parts = Object.fromEntries(usageOf(row).parts);
  return (
    <tr data-blueprint={row.name}>
      <th scope="row">
        <Link to={`/drydock/blueprints/${encodeURIComponent(row.name)}`}>{row.name}</Link>
      </th>
      <td><StatusTag status={row.state} /></td>
      <td><UsageBar row={row} /></td>
      <Count of={row.leased} beside={row.slots === null ? "" : ` / ${row.slots}`} />
      <Count of={parts["warm"]} />
      <Count of={parts["parked"]} />
      <Count of={parts["booting"]} />
      <Count of={parts["broken"]} />
      <Count of={row.waiting} />
      <td className="drydock-number"><Money amount={row.hourly_cost} per="h" /></td>
    </tr>
  );
}

function Count({ of: count = 0, beside = "" }: { of: number | undefined; beside?: string }) {
  const tone = count === 0 && beside === "" ? "drydock-muted" : "";
  return (
    <td className={`drydock-number ${tone}`}>
      {count}
      {beside}
    </td>
  );
}
