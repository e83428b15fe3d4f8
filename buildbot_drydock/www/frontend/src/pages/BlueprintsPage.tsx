// All blueprints: what each may have, has, and costs.
import React from "react";
import { ErrorNotice } from "../components/ErrorNotice";
import { Money } from "../components/Money";
import { PageFrame } from "../components/PageFrame";
import { StatusTag } from "../components/StatusTag";
import { useRows } from "../data/live";
import { BLUEPRINTS } from "../data/rows";

export function BlueprintsPage() {
  const { rows, error } = useRows(BLUEPRINTS, { limit: 1000 });
  return (
    <PageFrame title="Blueprints">
      <ErrorNotice error={error} />
      <table className="table table-sm">
        <tbody>
          {(rows ?? []).map((row) => (
            <tr key={row.name}>
              <td>{row.name}</td>
              <td><StatusTag status={row.state} /></td>
              <td><Money amount={row.hourly_cost} per="h" /></td>
            </tr>
          ))}
        </tbody>
      </table>
    </PageFrame>
  );
}
