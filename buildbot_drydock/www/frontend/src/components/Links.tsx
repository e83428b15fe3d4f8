// Links to what rows name.
import React, { type ReactNode } from "react";
import { Link } from "react-router-dom";
import { useBuilderNumber, useWorkerNumber } from "../data/names";
import type { Lease } from "../data/rows";
import * as paths from "../words/links";

const NOTHING = <>–</>;

export function LeaseLink({ id }: { id: number | null }) {
  return id === null ? NOTHING : <Numbered to={paths.leasePath(id)}>lease {id}</Numbered>;
}

export function ResourceLink({ id }: { id: number | null }) {
  return id === null ? NOTHING : <Numbered to={paths.resourcePath(id)}>resource {id}</Numbered>;
}

export function BlueprintLink({ name }: { name: string | null }) {
  return name === null ? NOTHING : <Link to={paths.blueprintPath(name)}>{name}</Link>;
}

/** Resources that are made of no listed host have an empty name there. */
export function HostLink({ name }: { name: string | null }) {
  return name ? <Link to={paths.hostPath(name)}>{name}</Link> : NOTHING;
}

export function WorkerLink({ name }: { name: string }) {
  const number = useWorkerNumber(name);
  return <Perhaps to={number === null ? null : paths.workerPath(number)}>{name}</Perhaps>;
}

export function BuilderLink({ name }: { name: string }) {
  const number = useBuilderNumber(name);
  return <Perhaps to={number === null ? null : paths.builderPath(number)}>{name}</Perhaps>;
}

/** The build that a lease was requested for: `tests #7`. */
export function BuildLink({ lease: { builder, build } }: { lease: Lease }) {
  const number = useBuilderNumber(builder);
  if (builder === null || build === null) return NOTHING;
  return (
    <Perhaps to={number === null ? null : paths.buildPath(number, build)}>
      {builder} #{build}
    </Perhaps>
  );
}

/** Who has a lease: a worker or a person. */
export function OwnerLink({ lease: { worker, person, owner } }: { lease: Lease }) {
  return worker === null ? <>{person ?? owner}</> : <WorkerLink name={worker} />;
}

/** A noun and its number, which stay together. */
function Numbered({ to, children }: { to: string; children: ReactNode }) {
  return <Link to={to} className="drydock-numbered">{children}</Link>;
}

function Perhaps({ to, children }: { to: string | null; children: ReactNode }) {
  return to === null ? <>{children}</> : <Link to={to}>{children}</Link>;
}
