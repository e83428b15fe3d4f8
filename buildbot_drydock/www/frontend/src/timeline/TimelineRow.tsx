// A resource's row: its life as a band, its leases as bars.
import React, { memo, type CSSProperties, type KeyboardEvent } from "react";
import { Link } from "react-router-dom";
import { clockTime, duration } from "../words/times";
import { position, waitOf, type Bar, type Row, type Span } from "./layout";

export const TimelineRow = memo(({ row, window }: { row: Row; window: Span }) => {
  const { resource } = row;
  return (
    <div className="drydock-timeline-row" data-resource={resource.resourceid}>
      <div className="drydock-timeline-name">
        <Link to={`/drydock/resources/${resource.resourceid}`}>
          {resource.host || resource.resourceid}
        </Link>
      </div>
      <div
        className="drydock-timeline-track"
        style={{ "--drydock-lanes": row.lanes } as CSSProperties}
        onKeyDown={moveFocus}
      >
        <Life row={row} window={window} />
        {row.bars.map((bar, place) => (
          <LeaseBar
            key={bar.lease.leaseid}
            bar={bar}
            window={window}
            isFirstStop={place === row.bars.length - 1}
          />
        ))}
      </div>
      <div className="drydock-timeline-busy drydock-number" title="part of its time it was leased">
        {Math.round(row.busy * 100)} %
      </div>
    </div>
  );
});
TimelineRow.displayName = "TimelineRow";

function Life({ row, window }: { row: Row; window: Span }) {
  const booted = row.bootedAt ?? row.life.to;
  const boots = row.isOpen && booted > row.life.from && booted > window.from;
  return (
    <>
      <div
        className={`drydock-timeline-life drydock-timeline-${row.resource.status}`}
        style={placed(row.life, window)}
      />
      {boots && row.resource.status !== "broken" && (
        <div
          className="drydock-timeline-boot"
          style={placed({ from: row.life.from, to: booted }, window)}
        />
      )}
      {row.rest !== null && <Rest row={row} rest={row.rest} window={window} />}
    </>
  );
}

function Rest({ row, rest, window }: { row: Row; rest: Span; window: Span }) {
  const { power, power_since } = row.resource;
  const words = `${power} since ${clockTime(power_since ?? rest.from)}`;
  return (
    <div
      className="drydock-timeline-rest"
      role="img"
      aria-label={words}
      title={words}
      style={placed(rest, window)}
    />
  );
}

interface LeaseBarProps {
  bar: Bar;
  window: Span;
  isFirstStop: boolean;
}

function LeaseBar({ bar, window, isFirstStop }: LeaseBarProps) {
  const { lease } = bar;
  const words = inWords(bar, window.to);
  const broken = lease.status === "broken" ? "drydock-timeline-bar-broken" : "";
  const kind = lease.person === null ? "worker" : "person";
  return (
    <Link
      to={`/drydock/leases/${lease.leaseid}`}
      className={`drydock-timeline-bar drydock-timeline-bar-${kind} ${broken}`}
      style={{ ...placed(bar, window), "--drydock-lane": bar.lane } as CSSProperties}
      tabIndex={isFirstStop ? 0 : -1}
      aria-label={words}
      title={words}
      data-lease={lease.leaseid}
      data-open={bar.isOpen}
    >
      <span aria-hidden="true">{lease.builder ?? lease.person ?? lease.worker ?? ""}</span>
    </Link>
  );
}

/** The whole story of a bar, for who can't see it, and for who points at it. */
export function inWords(bar: Bar, now: number): string {
  const { lease } = bar;
  const begin = lease.held_since ?? bar.from;
  const end = bar.isOpen ? now : lease.since;
  const wait = waitOf(lease, now);
  const waited = wait.to - wait.from >= 1 ? `, after waiting ${duration(wait.to - wait.from)}` : "";
  const purpose = lease.builder ? ` for ${lease.builder}` : "";
  return (
    `Lease ${lease.leaseid} of ${lease.person ?? lease.worker ?? lease.owner}${purpose}: `
    + `from ${clockTime(begin)} ${bar.isOpen ? "until now" : `to ${clockTime(end)}`}, `
    + `${duration(end - begin)}${waited}${lease.status === "active" ? "" : `, ${lease.status}`}`
  );
}

function placed(span: Span, window: Span): CSSProperties {
  const left = position(span.from, window);
  return { left: `${left * 100}%`, width: `${(position(span.to, window) - left) * 100}%` };
}

/** One bar of a row is reached by Tab, the others from there by the arrow keys. */
function moveFocus(event: KeyboardEvent<HTMLDivElement>): void {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step === undefined) return;
  const bars = [...event.currentTarget.querySelectorAll<HTMLElement>("a")];
  const place = bars.indexOf(document.activeElement as HTMLElement);
  const next = bars[place + step];
  if (place === -1 || next === undefined) return;
  event.preventDefault();
  next.focus();
}
