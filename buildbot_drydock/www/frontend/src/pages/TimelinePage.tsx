// The last hours: which resources there were, what was leased on them, and how many waited.
import React, { type CSSProperties } from "react";
import { Link } from "react-router-dom";
import { ErrorNotice } from "../components/ErrorNotice";
import { Loading } from "../components/Loading";
import { PageFrame } from "../components/PageFrame";
import { marksOf, position, type Span, type Timeline } from "../timeline/layout";
import { TimelineRow } from "../timeline/TimelineRow";
import { useTimeline } from "../timeline/useTimeline";
import { WaitChart } from "../timeline/WaitChart";
import { useZoom, ZOOMS } from "../timeline/zoom";
import "../components/bars.css";
import "../timeline/timeline.css";

const LEGEND: readonly [string, string][] = [
  ["leased by a worker", "var(--drydock-bar-leased)"],
  ["leased by a person", "var(--drydock-bar-person)"],
  ["idle", "var(--drydock-track)"],
  ["parked", "var(--drydock-bar-parked)"],
  ["booting, waiting", "var(--drydock-bar-booting)"],
  ["broken", "var(--drydock-bar-broken)"],
];

export function TimelinePage() {
  const hours = useZoom();
  const { timeline, isCut, error } = useTimeline(hours);
  return (
    <PageFrame title="Timeline" aside={<Zoom hours={hours} />}>
      <ErrorNotice error={error} />
      <ul className="drydock-legend" aria-label="Colours">
        {LEGEND.map(([words, colour]) => (
          <li key={words} style={{ "--drydock-legend-colour": colour } as CSSProperties}>
            {words}
          </li>
        ))}
      </ul>
      {timeline === null && error === null && <Loading />}
      {timeline !== null && <Rows timeline={timeline} />}
      {isCut && <p>Only the leases that ended last are shown.</p>}
    </PageFrame>
  );
}

function Zoom({ hours }: { hours: number }) {
  return (
    <nav className="btn-group btn-group-sm" aria-label="How much of the past">
      {ZOOMS.map((each) => (
        <Link
          key={each}
          to={`/drydock/timeline?hours=${each}`}
          className={`btn btn-outline-secondary ${each === hours ? "active" : ""}`}
          aria-current={each === hours ? "true" : undefined}
        >
          {each} h
        </Link>
      ))}
    </nav>
  );
}

function Rows({ timeline }: { timeline: Timeline }) {
  const { window, groups, hidden, waits } = timeline;
  return (
    <div className="drydock-timeline">
      <Axis window={window} />
      <WaitChart steps={waits} window={window} />
      {groups.length === 0 && <p>There was no resource in this time.</p>}
      {groups.map(({ blueprint, rows }) => (
        <section key={blueprint} className="drydock-timeline-group" aria-label={blueprint}>
          <h2>
            <Link to={`/drydock/blueprints/${encodeURIComponent(blueprint)}`}>{blueprint}</Link>
          </h2>
          {rows.map((row) => (
            <TimelineRow key={row.resource.resourceid} row={row} window={window} />
          ))}
        </section>
      ))}
      {hidden > 0 && (
        <p>
          <Link to="/drydock/resources">and {hidden} more resources</Link>
        </p>
      )}
    </div>
  );
}

function Axis({ window }: { window: Span }) {
  return (
    <div className="drydock-timeline-axis" aria-hidden="true">
      <div />
      <div className="drydock-timeline-marks">
        {marksOf(window).map((at) => (
          <span
            key={at}
            className="drydock-timeline-mark"
            style={{ left: `${position(at, window) * 100}%` }}
          >
            {new Date(at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}
          </span>
        ))}
      </div>
      <div className="drydock-timeline-busy">leased</div>
    </div>
  );
}
