// A status as a tag. Its word says all; its colour only helps to find it.
import React from "react";
import { toneOf } from "../words/statuses";

export function StatusTag({ status }: { status: string }) {
  return (
    <span className={`badge drydock-tag drydock-tag-${toneOf(status)}`} data-status={status}>
      {status}
    </span>
  );
}
