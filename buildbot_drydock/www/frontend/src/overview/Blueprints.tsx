// What each blueprint may have, has, and costs.
import React from "react";
import { Link } from "react-router-dom";
import { Money } from "../components/Money";
import { StatusTag } from "../components/StatusTag";
import type { Blueprint, Host } from "../data/rows";
import { listedHosts, usageOf } from "./usage";
import { UsageBar } from "./UsageBar";

interface BlueprintsProps {
  rows: readonly Blueprint[];
  hosts: readonly Host[];
}

export function Blueprints({ rows, hosts }: BlueprintsProps) {
  const listed = listedHosts(hosts);
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
              <th scope="col" className="text-right text-end">Slots leased</th>
              <th scope="col" className="text-right text-end">Warm</th>
              <th scope="col" className="text-right text-end">Booting</th>
              <th scope="col" className="text-right text-end">Broken</th>
              <th scope="col" className="text-right text-end">Waiting</th>
              <th scope="col" className="text-right text-end">Cost</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <BlueprintLine key={row.name} row={row} hosts={listed.get(row.name)} />
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

interface BlueprintLineProps {
  row: Blueprint;
  hosts: number | undefined;
}

function BlueprintLine({ row, hosts }: BlueprintLineProps) {
  const parts = Object.fromEntries(usageOf(row).parts);
  return (
    <tr data-blueprint={row.name}>
      <th scope="row">
        <Link to={`/drydock/blueprints/${encodeURIComponent(row.name)}`}>{row.name}</Link>
      </th>
      <td><StatusTag status={row.state} /></td>
      <td><UsageBar row={row} hosts={hosts} /></td>
      <Count of={row.leased} beside={row.slots === null ? "" : ` / ${row.slots}`} />
      <Count of={parts["warm"]} />
      <Count of={parts["booting"]} />
      <Count of={parts["broken"]} />
      <Count of={row.waiting} />
      <td className="text-right text-end"><Money amount={row.hourly_cost} per="h" /></td>
    </tr>
  );
}

function Count({ of: count = 0, beside = "" }: { of: number | undefined; beside?: string }) {
  const tone = count === 0 && beside === "" ? "drydock-muted" : "";
  return (
    <td className={`drydock-number text-right text-end text-nowrap ${tone}`}>
      {count}
      {beside}
    </td>
  );
}
