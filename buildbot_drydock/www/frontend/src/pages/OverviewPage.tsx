// The first page: what is wrong, what waits and why, what there is, who has it, what it costs.
import React, { useEffect } from "react";
import { Link } from "react-router-dom";
import { Age } from "../components/Age";
import { ErrorNotice } from "../components/ErrorNotice";
import { Money } from "../components/Money";
import { PageFrame } from "../components/PageFrame";
import { StatusTag } from "../components/StatusTag";
import { useRows } from "../data/live";
import { BLUEPRINTS, HOSTS, LEASES, RESOURCES, type Blueprint, type Lease } from "../data/rows";
import { totalsOf, usageOf } from "../overview/figures";
import { problemsOf, tellingReasons, type Problem } from "../overview/problems";
import { UsageBar } from "../overview/UsageBar";
import "../overview/overview.css";

const SHOWN = 25; // leases of each table; the page of leases has all
const AGAIN = 10_000; // milliseconds, after which reasons that count seconds are read again
const QUEUE = { status: "pending", order: "leaseid", limit: SHOWN };
const IN_USE = { status: ["acquired", "active"], order: "leaseid", limit: SHOWN };
const BROKEN = { status: "broken", order: "-resourceid", limit: SHOWN };
const OUT = { in_service: false, limit: 100 };

export function OverviewPage() {
  const blueprints = useRows(BLUEPRINTS, { limit: 1000 });
  const queue = useRows(LEASES, QUEUE);
  const inUse = useRows(LEASES, IN_USE);
  const broken = useRows(RESOURCES, BROKEN);
  const hosts = useRows(HOSTS, OUT);
  useAgain(queue.refresh, (queue.rows ?? []).length > 0);
  const all = [blueprints, queue, inUse, broken, hosts];
  const waiting = (queue.rows ?? []).filter((row) => row.status === "pending");
  return (
    <PageFrame title="Overview">
      <ErrorNotice error={all.find((each) => each.error !== null)?.error ?? null} />
      {blueprints.rows !== null && queue.rows !== null && (
        <>
          <Figures blueprints={blueprints.rows} waiting={waiting} total={queue.total} />
          <Problems
            problems={problemsOf({
              blueprints: blueprints.rows,
              hosts: hosts.rows ?? [],
              resources: broken.rows ?? [],
              waiting,
            })}
          />
          <Queue rows={waiting} total={queue.total} />
          <Blueprints rows={blueprints.rows} />
          <InUse rows={inUse.rows ?? []} total={inUse.total} />
        </>
      )}
    </PageFrame>
  );
}

function useAgain(refresh: () => void, isNeeded: boolean): void {
  useEffect(() => {
    if (!isNeeded) return undefined;
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") refresh();
    }, AGAIN);
    return () => clearInterval(timer);
  }, [refresh, isNeeded]);
}

interface FiguresProps {
  blueprints: readonly Blueprint[];
  waiting: readonly Lease[];
  total: number | null;
}

function Figures({ blueprints, waiting, total }: FiguresProps) {
  const totals = totalsOf(blueprints);
  const first = waiting[0];
  return (
    <dl className="drydock-figures">
      <div className="drydock-figure">
        <dt>Resources</dt>
        <dd>{totals.living}</dd>
      </div>
      <div className="drydock-figure">
        <dt>Slots leased</dt>
        <dd>
          {totals.leased} <small>of {totals.slots}</small>
        </dd>
      </div>
      <div className="drydock-figure">
        <dt>Waiting</dt>
        <dd>
          {Math.max(total ?? 0, waiting.length)}{" "}
          {first !== undefined && (
            <small>
              longest for <Age since={first.requested_at} />
            </small>
          )}
        </dd>
      </div>
      <div className="drydock-figure">
        <dt>Cost</dt>
        <dd><Money amount={totals.hourlyCost} per="h" /></dd>
      </div>
    </dl>
  );
}

function Problems({ problems }: { problems: readonly Problem[] }) {
  return (
    <section className="drydock-section" aria-labelledby="drydock-problems">
      <h2 id="drydock-problems">Problems</h2>
      {problems.length === 0 && <p>None.</p>}
      <ul className="drydock-problems">
        {problems.map((each) => (
          <li key={each.key} className={`drydock-problem drydock-problem-${each.severity}`}>
            <Link to={each.route}>{each.what}</Link> {each.text}
            {each.since !== null && (
              <small className="text-muted">
                {" "}
                (for <Age since={each.since} />)
              </small>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Queue({ rows, total }: { rows: readonly Lease[]; total: number | null }) {
  return (
    <section className="drydock-section" aria-labelledby="drydock-queue">
      <h2 id="drydock-queue">Waiting</h2>
      {rows.length === 0 ? (
        <p>Nothing waits.</p>
      ) : (
        <div className="table-responsive">
          <table className="table table-sm drydock-table">
            <thead>
              <tr>
                <th scope="col">Lease</th>
                <th scope="col">For</th>
                <th scope="col">Since</th>
                <th scope="col">Why</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={row.leaseid}>
                  <td><LeaseLink row={row} /></td>
                  <td><Holder row={row} /></td>
                  <td className="text-nowrap"><Age since={row.requested_at} /></td>
                  <td><Reasons row={row} /></td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <More shown={rows.length} total={total} route="/drydock/leases?status=pending" />
    </section>
  );
}

function Reasons({ row }: { row: Lease }) {
  const reasons = tellingReasons(row);
  if (reasons.length === 0) return <>It has just been requested.</>;
  return (
    <ul className="drydock-reasons">
      {reasons.map((each) => (
        <li key={each.blueprint}>{each.sentence}</li>
      ))}
    </ul>
  );
}

function Blueprints({ rows }: { rows: readonly Blueprint[] }) {
  return (
    <section className="drydock-section" aria-labelledby="drydock-blueprints">
      <h2 id="drydock-blueprints">Blueprints</h2>
      <div className="table-responsive">
        <table className="table table-sm drydock-table">
          <thead>
            <tr>
              <th scope="col">Blueprint</th>
              <th scope="col">State</th>
              <th scope="col">Resources of limit</th>
              <th scope="col" className="text-right text-end">Slots leased</th>
              <th scope="col" className="text-right text-end">Warm</th>
              <th scope="col" className="text-right text-end">Booting</th>
              <th scope="col" className="text-right text-end">Broken</th>
              <th scope="col" className="text-right text-end">Waiting</th>
              <th scope="col" className="text-right text-end">Cost</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => <BlueprintLine key={row.name} row={row} />)}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function BlueprintLine({ row }: { row: Blueprint }) {
  const parts = Object.fromEntries(usageOf(row).parts);
  return (
    <tr data-blueprint={row.name}>
      <th scope="row">
        <Link to={`/drydock/blueprints/${encodeURIComponent(row.name)}`}>{row.name}</Link>
      </th>
      <td><StatusTag status={row.state} /></td>
      <td><UsageBar row={row} /></td>
      <Count of={row.leased} beside={row.slots === null ? "" : ` / ${row.slots}`} />
      <Count of={parts["warm"]} />
      <Count of={parts["booting"]} />
      <Count of={parts["broken"]} />
      <Count of={row.waiting} />
      <td className="text-right text-end"><Money amount={row.hourly_cost} per="h" /></td>
    </tr>
  );
}

function Count({ of: count = 0, beside = "" }: { of: number | undefined; beside?: string }) {
  const isNothing = count === 0 && beside === "";
  return (
    <td className={`drydock-number text-right text-end text-nowrap ${isNothing ? "text-muted" : ""}`}>
      {count}
      {beside}
    </td>
  );
}

function InUse({ rows, total }: { rows: readonly Lease[]; total: number | null }) {
  const living = rows.filter((row) => row.status === "active" || row.status === "acquired");
  return (
    <section className="drydock-section" aria-labelledby="drydock-in-use">
      <h2 id="drydock-in-use">In use</h2>
      {living.length === 0 ? (
        <p>Nothing is leased.</p>
      ) : (
        <div className="table-responsive">
          <table className="table table-sm drydock-table">
            <thead>
              <tr>
                <th scope="col">Lease</th>
                <th scope="col">Of</th>
                <th scope="col">Status</th>
                <th scope="col">Blueprint</th>
                <th scope="col">Resource</th>
                <th scope="col">For</th>
              </tr>
            </thead>
            <tbody>
              {living.map((row) => (
                <tr key={row.leaseid}>
                  <td><LeaseLink row={row} /></td>
                  <td><Holder row={row} /></td>
                  <td><StatusTag status={row.status} /></td>
                  <td>{row.blueprint}</td>
                  <td>
                    {row.resourceid !== null && (
                      <Link to={`/drydock/resources/${row.resourceid}`}>{row.resourceid}</Link>
                    )}
                  </td>
                  <td className="text-nowrap"><Age since={row.held_since ?? row.since} /></td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <More shown={living.length} total={total} route="/drydock/leases?status=active" />
    </section>
  );
}

function LeaseLink({ row }: { row: Lease }) {
  return <Link to={`/drydock/leases/${row.leaseid}`}>{row.leaseid}</Link>;
}

function Holder({ row }: { row: Lease }) {
  return (
    <>
      {row.person ?? row.worker ?? row.owner}
      {row.builder && <small className="text-muted"> for {row.builder}</small>}
    </>
  );
}

interface MoreProps {
  shown: number;
  total: number | null;
  route: string;
}

function More({ shown, total, route }: MoreProps) {
  if (total === null || total <= shown || shown < SHOWN) return null;
  return (
    <p>
      <Link to={route}>and {total - shown} more</Link>
    </p>
  );
}
