// What is not there yet is on its way.
import React from "react";

export function Loading() {
  return <p aria-busy="true" className="drydock-muted">Loading…</p>;
}
