// What happened to something, the latest first.
import React, { useState } from "react";
import { useRows } from "../data/live";
import { EVENTS, type Event } from "../data/rows";
import { When } from "./Age";
import { ErrorNotice } from "./ErrorNotice";
import { BlueprintLink, LeaseLink, ResourceLink } from "./Links";

const AT_FIRST = 50;
const MOST = 1000; // as many as one call answers

/** The events below a path such as `drydock_leases/7`. */
export function EventStory({ below }: { below: string }) {
  const [limit, setLimit] = useState(AT_FIRST);
  const { rows, error } = useRows(EVENTS, { order: "-eventid", limit: limit + 1 }, below);
  return (
    <section aria-label="Events">
      <h2>Story</h2>
      <ErrorNotice error={error} />
      {rows?.length === 0 && <p className="drydock-muted">Nothing has happened yet.</p>}
      <ol className="drydock-story" data-loaded={rows !== null}>
        {(rows ?? []).slice(0, limit).map((event) => (
          <li key={event.eventid} data-kind={event.kind}>
            <span className="drydock-muted"><When time={event.at} /></span>
            <div>
              <EventText event={event} />
              <small className="drydock-muted">
                {event.kind}, by {event.actor}
                {!below.startsWith("drydock_leases") && event.leaseid !== null && (
                  <>, <LeaseLink id={event.leaseid} /></>
                )}
                {!below.startsWith("drydock_resources") && event.resourceid !== null && (
                  <>, <ResourceLink id={event.resourceid} /></>
                )}
                {!below.startsWith("drydock_blueprints") && event.blueprint !== null && (
                  <>, <BlueprintLink name={event.blueprint} /></>
                )}
              </small>
            </div>
          </li>
        ))}
      </ol>
      {rows !== null && rows.length > limit && limit < MOST - 1 && (
        <button
          type="button"
          className="btn btn-sm btn-outline-secondary"
          onClick={() => setLimit(Math.min(limit * 4, MOST - 1))}
        >
          Show earlier events
        </button>
      )}
    </section>
  );
}

/** An event in words, its lines as they are; one that a later version wrote, as its data. */
export function EventText({ event }: { event: Event }) {
  return (
    <span className="drydock-text">
      {event.sentence || `${event.kind}: ${JSON.stringify(event.data)}`}
    </span>
  );
}
