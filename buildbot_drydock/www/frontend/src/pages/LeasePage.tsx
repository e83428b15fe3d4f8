// One lease: who has what for how long, or why it waits; and its story.
import React from "react";
import { useParams } from "react-router-dom";
import { ActionBar } from "../actions/ActionBar";
import { offersOnLease } from "../actions/offers";
import { Age, When } from "../components/Age";
import { EventStory } from "../components/EventStory";
import { Facts, type Fact } from "../components/Facts";
import { LabelList } from "../components/LabelList";
import {
  BlueprintLink,
  BuilderLink,
  BuildLink,
  OwnerLink,
  ResourceLink,
} from "../components/Links";
import { ObjectPage } from "../components/ObjectPage";
import { StatusTag } from "../components/StatusTag";
import { WaitingReasons } from "../components/WaitingReasons";
import { useRow } from "../data/live";
import { LEASES, type Lease } from "../data/rows";

const CRUMBS = [{ caption: "Leases", route: "/drydock/leases" }];

export function LeasePage() {
  const { id = "" } = useParams();
  const live = useRow(LEASES, id);
  const path = `drydock_leases/${id}`;
  return (
    <ObjectPage
      title={`lease ${id}`}
      crumbs={CRUMBS}
      live={live}
      aside={({ status }) => <StatusTag status={status} />}
    >
      {(lease) => (
        <>
          <ActionBar
            path={path}
            subject={`lease ${id}`}
            offers={offersOnLease(lease)}
            onDone={(row) => live.put(row as Lease)}
          />
          <Facts facts={factsOf(lease)} />
          {lease.status === "pending" && <WaitingReasons reasons={lease.reasons} />}
          <EventStory below={path} />
        </>
      )}
    </ObjectPage>
  );
}

const factsOf = (lease: Lease): Fact[] => [
  [lease.worker === null ? "Person" : "Worker", <OwnerLink lease={lease} />],
  ["Build", lease.build === null ? null : <BuildLink lease={lease} />],
  ["Builder", lease.builder === null ? null : <BuilderLink name={lease.builder} />],
  ["Resource", <ResourceLink id={lease.resourceid} />],
  ["Slot", lease.slot],
  ["Blueprint", lease.blueprint === null ? null : <BlueprintLink name={lease.blueprint} />],
  ["Requires", <LabelList labels={lease.requires} />],
  ["Only from", lease.blueprints.join(", ")],
  ["Priority", lease.priority === 0 ? null : lease.priority],
  ["In this status for", <Age since={lease.since} />],
  ["Requested", <When time={lease.requested_at} />],
  ["Held for", lease.held_since === null ? null : <Age since={lease.held_since} />],
  ["Expires unless renewed", isOver(lease) ? null : <When time={lease.expires_at} />],
  ["Ends anyway", lease.until === null ? null : <When time={lease.until} />],
  ["Authorized by", lease.authorized_by],
  ["Attributes", Object.keys(lease.attributes).length === 0
    ? null : <LabelList labels={lease.attributes} />],
  ["Reason", lease.reason && <span className="drydock-text">{lease.reason}</span>],
];

const isOver = ({ status }: Lease) => ["released", "broken", "destroyed"].includes(status);
