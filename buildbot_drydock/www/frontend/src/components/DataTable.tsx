// Rows in a table, which is still there, with a word about it, when there are none.
import React, { type ReactNode } from "react";
import type { Order } from "../data/paging";

export interface Column<Row> {
  caption: string;
  cell: (row: Row) => ReactNode;
  sort?: string; // the field that it is ordered by
  isNumber?: boolean;
  wraps?: boolean; // anywhere, where a text has no blanks or the table would be too wide
}

export interface DataTableProps<Row> {
  caption: string; // for those who don't see the page
  columns: readonly Column<Row>[];
  rows: readonly Row[] | null; // null while they are awaited
  keyOf: (row: Row) => number | string;
  empty: ReactNode;
  isCurrent: boolean;
  order?: Order;
  onSort?: (order: Order) => void;
}

export function DataTable<Row>(props: DataTableProps<Row>) {
  const { caption, columns, rows, keyOf, empty, isCurrent, order, onSort } = props;
  return (
    <div className="table-responsive">
      <table
        className="table table-sm drydock-table"
        aria-busy={!isCurrent}
        data-loaded={rows !== null}
      >
        <caption className="drydock-unseen">{caption}</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <Heading key={column.caption} {...{ column, order, onSort }} />
            ))}
          </tr>
        </thead>
        <tbody>
          {(rows ?? []).map((row) => (
            <tr key={keyOf(row)} data-key={keyOf(row)}>
              {columns.map((column) => (
                <td key={column.caption} className={classOf(column)}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
          {(rows === null || rows.length === 0) && (
            <tr>
              <td colSpan={columns.length} className="drydock-empty">
                {rows === null ? "Loading…" : empty}
              </td>
            </tr>
          )}
        </tbody>
      </table>
    </div>
  );
}

function classOf<Row>({ isNumber, wraps }: Column<Row>): string | undefined {
  if (isNumber) return "drydock-number";
  return wraps ? "drydock-wraps" : undefined;
}

interface HeadingProps<Row> {
  column: Column<Row>;
  order: Order | undefined;
  onSort: ((order: Order) => void) | undefined;
}

function Heading<Row>({ column, order, onSort }: HeadingProps<Row>) {
  const { caption, sort } = column;
  const className = column.isNumber ? "drydock-number" : undefined;
  if (sort === undefined || onSort === undefined) {
    return <th scope="col" className={className}>{caption}</th>;
  }
  const isOrdered = order?.field === sort;
  const direction = order?.descends ? "descending" : "ascending";
  return (
    <th scope="col" className={className} aria-sort={isOrdered ? direction : "none"}>
      <button
        type="button"
        className="drydock-sort"
        onClick={() => onSort({ field: sort, descends: isOrdered ? !order.descends : true })}
      >
        {caption}
        <span aria-hidden="true">{isOrdered ? (order.descends ? " ▼" : " ▲") : ""}</span>
      </button>
    </th>
  );
}
