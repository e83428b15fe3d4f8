// What the pages of single things have in common: waiting for it, and saying that there is none.
import React, { type ReactNode } from "react";
import type { Live } from "../data/live";
import { ErrorNotice } from "./ErrorNotice";
import { PageFrame, type Crumb } from "./PageFrame";

export interface ObjectPageProps<Row> {
  title: string;
  crumbs: readonly Crumb[];
  live: Live<Row>;
  aside?: ((row: Row) => ReactNode) | undefined;
  children: (row: Row) => ReactNode;
}

export function ObjectPage<Row>({ title, crumbs, live, aside, children }: ObjectPageProps<Row>) {
  const row = live.rows?.[0];
  const isMissing = live.error?.isMissing ?? (live.rows !== null && row === undefined);
  return (
    <PageFrame title={title} crumbs={crumbs} aside={row !== undefined && aside?.(row)}>
      {isMissing ? (
        <p className="drydock-notice drydock-notice-warning" role="alert">There is no {title}.</p>
      ) : (
        <ErrorNotice error={live.error} />
      )}
      {row === undefined && !isMissing && live.error === null && <p>Loading…</p>}
      {row !== undefined && children(row)}
    </PageFrame>
  );
}
