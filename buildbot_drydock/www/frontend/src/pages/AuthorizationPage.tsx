// One authorization, to be approved or declined.
import React from "react";
import { useParams } from "react-router-dom";
import { ActionBar } from "../actions/ActionBar";
import { offersOnAuthorization } from "../actions/offers";
import { When } from "../components/Age";
import { Facts, type Fact } from "../components/Facts";
import { BlueprintLink, LeaseLink } from "../components/Links";
import { ObjectPage } from "../components/ObjectPage";
import { StatusTag } from "../components/StatusTag";
import { useRow } from "../data/live";
import { AUTHORIZATIONS, type Authorization } from "../data/rows";

const CRUMBS = [{ caption: "Authorizations", route: "/drydock/authorizations" }];

export function AuthorizationPage() {
  const { id = "" } = useParams();
  const live = useRow(AUTHORIZATIONS, id);
  return (
    <ObjectPage
      title={`authorization ${id}`}
      crumbs={CRUMBS}
      live={live}
      aside={({ status }) => <StatusTag status={status} />}
    >
      {(authorization) => (
        <>
          <ActionBar
            path={`drydock_authorizations/${id}`}
            subject={`${authorization.subject} for ${authorization.blueprint}`}
            offers={offersOnAuthorization(authorization)}
            onDone={(row) => live.put(row as Authorization)}
          />
          <Facts facts={factsOf(authorization)} />
        </>
      )}
    </ObjectPage>
  );
}

const factsOf = (row: Authorization): Fact[] => [
  ["Blueprint", <BlueprintLink name={row.blueprint} />],
  ["Whose", row.subject],
  ["Needed first by", row.leaseid === null ? null : <LeaseLink id={row.leaseid} />],
  ["Decided by", row.author],
  ["Decided", row.decided_at === null ? null : <When time={row.decided_at} />],
  ["Reason", row.reason && <span className="drydock-text">{row.reason}</span>],
  ["Who is to be asked", row.approvers],
  ["In force", row.in_force ? "yes" : "no"],
];
