// What each provider says exists beside what the database says: whatever is in one only, or twice.
import React, { useEffect } from "react";
import { Link, useSearchParams } from "react-router-dom";
import { When } from "../components/Age";
import { ErrorNotice } from "../components/ErrorNotice";
import { Loading } from "../components/Loading";
import { PageFrame } from "../components/PageFrame";
import { useAgain } from "../data/again";
import { useRows } from "../data/live";
import { EVENTS } from "../data/rows";
import { LedgerTable } from "../ledger/LedgerTable";
import { areChanging, countsOf, failedListings, LEDGER, type LedgerRow } from "../ledger/rows";
import "../ledger/ledger.css";

const ALL = { limit: 1000 };
const LATEST = { order: "-eventid", limit: 1 };
const AGAIN = 3000; // milliseconds; a host that goes makes no event
const SOON = 1500; // milliseconds from an event to reading again: more of them may come

export function LedgerPage() {
  const [parameters] = useSearchParams();
  const verdict = parameters.get("verdict");
  const { rows, error, refresh } = useRows(LEDGER, ALL);
  useRefreshed(refresh);
  useAgain(refresh, AGAIN, areChanging(rows ?? []));
  const shown = (rows ?? []).filter((row) => verdict === null || row.verdict === verdict);
  return (
    <PageFrame title="Ledger">
      <ErrorNotice error={error} />
      {rows === null && error === null && <Loading />}
      {rows !== null && (
        <>
          <Failures rows={rows} />
          <Verdicts rows={rows} chosen={verdict} />
          {shown.length === 0 ? (
            <p>There is no host, and no resource that should have one.</p>
          ) : (
            <LedgerTable rows={shown} onDone={refresh} />
          )}
          <Heard rows={rows} />
        </>
      )}
    </PageFrame>
  );
}

/** There are no messages about the ledger: whatever happens may have changed it. */
function useRefreshed(refresh: () => void): void {
  const latest = useRows(EVENTS, LATEST).rows?.[0]?.eventid;
  useEffect(() => {
    if (latest === undefined) return undefined;
    const timer = setTimeout(refresh, SOON);
    return () => clearTimeout(timer);
  }, [latest, refresh]);
}

function Failures({ rows }: { rows: readonly LedgerRow[] }) {
  return (
    <>
      {failedListings(rows).map(([blueprint, error]) => (
        <div key={blueprint} className="drydock-notice drydock-notice-bad" role="alert">
          The hosts of {blueprint} can't be listed: {error}
        </div>
      ))}
    </>
  );
}

interface VerdictsProps {
  rows: readonly LedgerRow[];
  chosen: string | null;
}

function Verdicts({ rows, chosen }: VerdictsProps) {
  const choices: [string, string | null, number][] = [
    ["all", null, rows.length],
    ...countsOf(rows).map(([verdict, count]): [string, string, number] => [
      verdict,
      verdict,
      count,
    ]),
  ];
  return (
    <nav className="btn-group btn-group-sm flex-wrap mb-3" aria-label="Verdicts">
      {choices.map(([words, verdict, count]) => (
        <Link
          key={words}
          to={`/drydock/ledger${verdict === null ? "" : `?verdict=${verdict}`}`}
          className={`btn btn-outline-secondary ${verdict === chosen ? "active" : ""}`}
          aria-current={verdict === chosen ? "true" : undefined}
        >
          {words} {count}
        </Link>
      ))}
    </nav>
  );
}

function Heard({ rows }: { rows: readonly LedgerRow[] }) {
  const times = rows.map((row) => row.listed_at).filter((time) => time !== null);
  if (times.length === 0) return null;
  return (
    <p>
      <small className="drydock-muted">
        The oldest of these listings is from <When time={Math.min(...times)} />. Providers are asked
        after each change, and now and then.
      </small>
    </p>
  );
}
