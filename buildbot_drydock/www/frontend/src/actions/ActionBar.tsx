// The buttons of what can be done to something. Those for others are there, too, and say for whom.
import { ConfigContext } from "buildbot-ui";
import React, { useContext, useId, useState } from "react";
import { useAllowed } from "../data/permissions";
import { ActionDialog } from "./ActionDialog";
import type { Offer } from "./offers";

export interface ActionBarProps {
  path: string;
  subject: string;
  offers: readonly Offer[];
  onDone: (answer: unknown) => void;
}

export function ActionBar({ path, subject, offers, onDone }: ActionBarProps) {
  const allowed = useAllowed(path);
  const { user } = useContext(ConfigContext);
  const [chosen, setChosen] = useState<Offer | null>(null);
  const [said, setSaid] = useState("");
  const note = useId();
  const refused = allowed === null ? [] : offers.filter(({ method }) => !allowed.has(method));
  return (
    <div className="drydock-actions">
      {offers.map((offer) => (
        <button
          key={offer.caption}
          type="button"
          className={`btn btn-sm ${outlineOf(offer)}`}
          disabled={!allowed?.has(offer.method)}
          aria-describedby={refused.includes(offer) ? note : undefined}
          onClick={() => setChosen(offer)}
        >
          {offer.caption}
        </button>
      ))}
      {refused.length > 0 && (
        <span id={note} className="drydock-muted">
          {refusal(refused, user.anonymous)}
        </span>
      )}
      <span role="status" className="drydock-said">{said}</span>
      {chosen !== null && (
        <ActionDialog
          offer={chosen}
          path={path}
          subject={subject}
          onClose={() => setChosen(null)}
          onDone={(answer) => {
            setSaid(`${chosen.caption}: done.`);
            setChosen(null);
            onDone(answer);
          }}
        />
      )}
    </div>
  );
}

const outlineOf = ({ isDestructive }: Offer) =>
  isDestructive ? "btn-outline-danger" : "btn-outline-primary";

function refusal(offers: readonly Offer[], isAnonymous: boolean): string {
  const what = offers.map(({ caption }) => caption.toLowerCase()).join(", ");
  return isAnonymous
    ? `Not allowed to anonymous visitors: ${what}. Log in to do it.`
    : `Not allowed to you: ${what}.`;
}
