// The first page: what is wrong, what waits and why, what there is, who has it, what it costs.
import React from "react";
import { ErrorNotice } from "../components/ErrorNotice";
import { Loading } from "../components/Loading";
import { PageFrame } from "../components/PageFrame";
import { useAgain } from "../data/again";
import { useRows } from "../data/live";
import { BLUEPRINTS, HOSTS, LEASES, RESOURCES } from "../data/rows";
import { Blueprints } from "../overview/Blueprints";
import { FigureRow } from "../overview/FigureRow";
import { InUse } from "../overview/InUse";
import { SHOWN } from "../overview/leases";
import { problemsOf } from "../overview/problems";
import { ProblemList } from "../overview/ProblemList";
import { Queue } from "../overview/Queue";
import "../components/bars.css";
import "../overview/overview.css";

const AGAIN = 10_000; // milliseconds, after which reasons that count seconds are read again
const QUEUE = { status: "pending", order: "leaseid", limit: SHOWN };
const IN_USE = { status: ["acquired", "active"], order: "leaseid", limit: SHOWN };
const BROKEN = { status: "broken", order: "-resourceid", limit: SHOWN };
const ALL = { limit: 1000 };

export function OverviewPage() {
  const blueprints = useRows(BLUEPRINTS, ALL);
  const queue = useRows(LEASES, QUEUE);
  const inUse = useRows(LEASES, IN_USE);
  const broken = useRows(RESOURCES, BROKEN);
  const hosts = useRows(HOSTS, ALL);
  useAgain(queue.refresh, AGAIN, (queue.rows ?? []).length > 0);
  const all = [blueprints, queue, inUse, broken, hosts];
  const isMissing = blueprints.rows === null || queue.rows === null;
  const isAwaited = isMissing && all.every((each) => each.error === null);
  const waiting = (queue.rows ?? []).filter((row) => row.status === "pending");
  return (
    <PageFrame title="Overview">
      <ErrorNotice error={all.find((each) => each.error !== null)?.error ?? null} />
      {isAwaited && <Loading />}
      {blueprints.rows !== null && queue.rows !== null && (
        <>
          <FigureRow blueprints={blueprints.rows} waiting={waiting} total={queue.total} />
          <ProblemList
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
