// Labels, as `name=value`.
import React from "react";
import type { Labels } from "../data/rows";

export function LabelList({ labels }: { labels: Labels }) {
  const names = Object.keys(labels);
  if (names.length === 0) return <>–</>;
  return (
    <>
      {names.map((name) => (
        <code key={name} className="drydock-label">
          {name}={labels[name]}
        </code>
      ))}
    </>
  );
}
