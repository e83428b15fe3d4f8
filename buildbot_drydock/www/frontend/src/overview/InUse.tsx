// Who has what.
import React from "react";
import { Link } from "react-router-dom";
import { Age } from "../components/Age";
import { StatusTag } from "../components/StatusTag";
import type { Lease } from "../data/rows";
import { Holder, LeaseLink, More } from "./leases";

export function InUse({ rows, total }: { rows: readonly Lease[]; total: number | null }) {
  const living = rows.filter((row) => row.status === "active" || row.status === "acquired");
  return (
    <section className="drydock-section" aria-labelledby="drydock-in-use">
      <h2 id="drydock-in-use">In use</h2>
      {living.length === 0 ? (
        <p>Nothing is leased.</p>
      ) : (
        <div className="table-responsive">
          <table className="table table-sm drydock-table">
            <thead>
              <tr>
                <th scope="col">Lease</th>
                <th scope="col">Of</th>
                <th scope="col">Status</th>
                <th scope="col">Blueprint</th>
                <th scope="col">Resource</th>
                <th scope="col">For</th>
              </tr>
            </thead>
            <tbody>
              {living.map((row) => (
                <tr key={row.leaseid}>
                  <td><LeaseLink row={row} /></td>
                  <td><Holder row={row} /></td>
                  <td><StatusTag status={row.status} /></td>
                  <td>{row.blueprint}</td>
                  <td>
                    {row.resourceid !== null && (
                      <Link to={`/drydock/resources/${row.resourceid}`}>{row.resourceid}</Link>
                    )}
                  </td>
                  <td className="text-nowrap"><Age since={row.held_since ?? row.since} /></td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <More shown={living.length} total={total} route="/drydock/leases?status=active" />
    </section>
  );
}
