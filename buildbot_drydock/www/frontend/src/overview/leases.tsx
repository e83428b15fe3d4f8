// What the tables of leases have in common.
import React from "react";
import { Link } from "react-router-dom";
import type { Lease } from "../data/rows";

export const SHOWN = 25; // leases of each table; the page of leases has all

export function LeaseLink({ row }: { row: Lease }) {
  return <Link to={`/drydock/leases/${row.leaseid}`}>{row.leaseid}</Link>;
}

export function Holder({ row }: { row: Lease }) {
  return (
    <>
      {row.person ?? row.worker ?? row.owner}
      {row.builder && <small className="drydock-muted"> for {row.builder}</small>}
    </>
  );
}

interface MoreProps {
  shown: number;
  total: number | null;
  route: string;
}

export function More({ shown, total, route }: MoreProps) {
  if (total === null || total <= shown || shown < SHOWN) return null;
  return (
    <p>
      <Link to={route}>and {total - shown} more</Link>
    </p>
  );
}
