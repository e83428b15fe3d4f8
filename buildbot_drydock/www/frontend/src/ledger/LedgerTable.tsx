// One line for each host that a provider lists, and for each resource without one.
import React from "react";
import { Link } from "react-router-dom";
import { ActionBar } from "../actions/ActionBar";
import type { Offer } from "../actions/offers";
import { Age } from "../components/Age";
import { Money } from "../components/Money";
import { StatusTag, Tag } from "../components/StatusTag";
import { toneOfVerdict, worstFirst, type LedgerRow } from "./rows";

const DESTROY: Offer = {
  method: "destroy",
  caption: "Destroy",
  warning: "The host is destroyed, with all that is on it. No resource accounts for it.",
  isDestructive: true,
  schema: { properties: { reason: { type: "string", description: "Why, for others to read." } } },
};

interface LedgerTableProps {
  rows: readonly LedgerRow[];
  onDone: () => void;
}

export function LedgerTable({ rows, onDone }: LedgerTableProps) {
  return (
    <div className="table-responsive">
      <table className="table table-sm drydock-table drydock-ledger">
        <thead>
          <tr>
            <th scope="col">Verdict</th>
            <th scope="col">Blueprint</th>
            <th scope="col">The provider says</th>
            <th scope="col">The database says</th>
            <th scope="col">Age</th>
            <th scope="col" className="drydock-number">Cost so far</th>
            <th scope="col">Why</th>
          </tr>
        </thead>
        <tbody>
          {worstFirst(rows).map((row) => (
            <Line key={row.ledgerid} row={row} onDone={onDone} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Line({ row, onDone }: { row: LedgerRow; onDone: () => void }) {
  const name = row.identity || row.host || row.token;
  return (
    <tr data-ledger={row.ledgerid} data-verdict={row.verdict} data-leaving={row.leaving}>
      <td>
        <Tag tone={toneOfVerdict(row.verdict)}>{row.verdict}</Tag>
        {row.leaving && <> <Tag tone="busy">being destroyed</Tag></>}
      </td>
      <td>
        <Link to={`/drydock/blueprints/${encodeURIComponent(row.blueprint)}`}>{row.blueprint}</Link>
      </td>
      <td className="drydock-ledger-name"><Host row={row} /></td>
      <td><Known row={row} /></td>
      <td className="text-nowrap"><Age since={row.created_at} /></td>
      <td className="drydock-number"><Money amount={row.cost} /></td>
      <td className="drydock-ledger-why">
        {row.why}
        {row.actions.includes(DESTROY.method) && (
          <ActionBar
            path={`drydock_ledger/${encodeURIComponent(row.ledgerid)}`}
            subject={`host ${name}`}
            offers={[DESTROY]}
            onDone={onDone}
          />
        )}
      </td>
    </tr>
  );
}

function Host({ row }: { row: LedgerRow }) {
  if (!row.listed) return <span className="drydock-muted">nothing</span>;
  const name = row.identity || row.token;
  const saysMore = row.address && !row.address.endsWith(name);
  return (
    <>
      <div title={row.token}>{row.host || name}</div>
      {saysMore && <small className="drydock-muted">{row.address}</small>}
      {row.health && row.health !== "ready" && (
        <div>
          {row.health}
          {row.health_reason && `: ${row.health_reason}`}
        </div>
      )}
    </>
  );
}

function Known({ row }: { row: LedgerRow }) {
  if (row.resourceid === null) return <span className="drydock-muted">nothing</span>;
  return (
    <>
      <Link to={`/drydock/resources/${row.resourceid}`}>{`resource ${row.resourceid}`}</Link>{" "}
      {row.status !== null && <StatusTag status={row.status} />}
    </>
  );
}
