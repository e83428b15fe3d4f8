// An amount of money; a dash if it is not known.
import React from "react";
import { money } from "../words/money";

export function Money({ amount, per }: { amount: number | null; per?: string }) {
  if (amount === null) return <span title="not known">–</span>;
  return (
    <span className="drydock-number">
      {money(amount)}
      {per !== undefined && `/${per}`}
    </span>
  );
}
