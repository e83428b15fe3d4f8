// What waits, for how long, and why.
import React from "react";
import { Age } from "../components/Age";
import type { Lease } from "../data/rows";
import { neverWord, tellingReasons } from "../words/reasons";
import { Holder, LeaseLink, More } from "./leases";

export function Queue({ rows, total }: { rows: readonly Lease[]; total: number | null }) {
  return (
    <section className="drydock-section" aria-labelledby="drydock-queue">
      <h2 id="drydock-queue">Waiting</h2>
      {rows.length === 0 ? (
        <p>Nothing waits.</p>
      ) : (
        <div className="table-responsive">
          <table className="table table-sm drydock-table drydock-queue">
            <thead>
              <tr>
                <th scope="col">Lease</th>
                <th scope="col">For</th>
                <th scope="col">Since</th>
                <th scope="col">Why</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={row.leaseid}>
                  <td><LeaseLink row={row} /></td>
                  <td><Holder row={row} /></td>
                  <td className="text-nowrap"><Age since={row.requested_at} /></td>
                  <td><Reasons row={row} /></td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <More shown={rows.length} total={total} route="/drydock/leases?status=pending" />
    </section>
  );
}

function Reasons({ row }: { row: Lease }) {
  const reasons = tellingReasons(row.reasons);
  if (reasons.length === 0) return <>It has just been requested.</>;
  return (
    <ul className="drydock-reasons">
      {reasons.map((each) => (
        <li key={each.blueprint} data-never={neverWord(each) !== null}>
          {each.sentence}
        </li>
      ))}
    </ul>
  );
}
