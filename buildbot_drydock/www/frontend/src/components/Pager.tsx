// The way to the neighbouring pages of a list.
import React from "react";
import type { Place } from "../data/paging";
import { total } from "../words/counts";

export interface PagerProps {
  count: number | null;
  place: Place;
  previous: Place | null;
  next: Place | null;
  onGo: (place: Place) => void;
}

export function Pager({ count, place, previous, next, onGo }: PagerProps) {
  const go = (to: Place | null, caption: string) => (
    <button
      type="button"
      className="btn btn-sm btn-outline-secondary"
      disabled={to === null}
      onClick={() => to && onGo(to)}
    >
      {caption}
    </button>
  );
  return (
    <nav className="drydock-pager" aria-label="Pages">
      {go(place.kind === "first" ? null : { kind: "first" }, "First")}
      {go(previous, "Previous")}
      {go(next, "Next")}
      {/* Beyond the first page, the API counts what is left. */}
      {place.kind === "first" && count !== null && (
        <span className="drydock-muted">{total(count)} in all</span>
      )}
    </nav>
  );
}
