// What can be done to each kind of thing, in which state, and with what; docs/api.md has the list.
// Whether the visitor may is another question: see `data/permissions.ts`.

import type { Authorization, Blueprint, Host, Lease, Resource } from "../data/rows";
import type { Property, Schema } from "../forms/schema";

export interface Offer {
  method: string;
  caption: string;
  warning: string; // what comes of it, before it is done
  isDestructive: boolean;
  schema: Schema;
  values?: Readonly<Record<string, unknown>>; // what the form begins with, instead of defaults
  /** From what was given in the form to what the action takes; the same, if not said. */
  paramsOf?: (values: Record<string, unknown>) => Record<string, unknown>;
}

const reason: Property = { type: "string", description: "Why, for others to read." };
const until: Property = {
  type: "number",
  unit: "seconds since the epoch",
  description: "When it ends by itself. Without, it lasts until somebody ends it.",
};
const seconds: Property = {
  type: "number",
  unit: "seconds",
  exclusiveMinimum: 0,
  description: "How long it lives on, from now. Without, as long as a worker's lease.",
};

export const REQUEST: Offer = {
  method: "request",
  caption: "Request a lease",
  warning: "It waits until a resource is there, and is then yours until it ends.",
  isDestructive: false,
  schema: {
    properties: {
      requires: {
        type: "object",
        additionalProperties: { type: "string" },
        description: "The labels that the resource must have.",
      },
      blueprints: {
        type: "array",
        items: { type: "string" },
        description: "The only blueprints it may come from; all, if there are none.",
      },
      seconds: {
        ...seconds,
        default: 3600,
        description: "How long it lasts, unless it is renewed. 7 days at most.",
      },
      until: { ...until, description: "When it ends, renewed or not." },
      priority: { type: "integer", default: 0, description: "Higher goes first." },
      type: { type: "string", default: "host", description: "The type of resource." },
    },
  },
};

const RENEW: Offer = {
  method: "renew",
  caption: "Renew",
  warning: "It lives on for longer. A renewal never shortens.",
  isDestructive: false,
  schema: { properties: { seconds: { ...seconds, default: 3600 } } },
};

const RELEASE: Offer = {
  method: "release",
  caption: "Release",
  warning: "The lease ends. Whoever holds it is told, and can't use the resource any more.",
  isDestructive: true,
  schema: { properties: { reason } },
};

const RECLAIM: Offer = {
  method: "reclaim",
  caption: "Reclaim",
  warning: "The resource is destroyed, with all that is on it.",
  isDestructive: true,
  schema: {
    properties: {
      reason,
      break_leases: {
        type: "boolean",
        default: false,
        description:
          "Destroy it even if it is leased: its leases break, and builds that run there fail or "
          + "start again elsewhere. Without this, it is destroyed only if nobody has it.",
      },
    },
  },
};

const mode = (method: string, caption: string, warning: string): Offer => ({
  method,
  caption,
  warning,
  isDestructive: method !== "pause",
  schema: { properties: { reason, until } },
});

const MODES: readonly Offer[] = [
  mode("pause", "Pause", "No new resources and no new leases. What is leased goes on."),
  mode("drain", "Drain", "No new resources and leases, and idle resources are destroyed. "
  + "What is leased goes on."),
  mode("disable", "Disable", "As draining: idle resources are destroyed. It is meant to last."),
];

const RESUME: Offer = {
  method: "resume",
  caption: "Resume",
  warning: "It takes new leases again, and makes resources for them.",
  isDestructive: false,
  schema: { properties: { reason } },
};

const MODE_OF: Readonly<Record<string, string>> = {
  paused: "pause",
  draining: "drain",
  disabled: "disable",
};

const DISABLE_HOST: Offer = {
  method: "disable",
  caption: "Disable",
  warning: "The host takes no further leases.",
  isDestructive: true,
  schema: {
    properties: {
      reason,
      until,
      at_once: {
        type: "boolean",
        default: false,
        description: "Break the leases that are on the host now, instead of waiting for them.",
      },
    },
  },
};

const ENABLE_HOST: Offer = {
  method: "enable",
  caption: "Enable",
  warning: "The host takes leases again.",
  isDestructive: false,
  schema: { properties: { reason } },
};

const LIVING = ["pending", "acquired", "active"];

export function offersOnLease({ status }: Lease): readonly Offer[] {
  return LIVING.includes(status) ? [RENEW, RELEASE] : [];
}

export function offersOnResource({ status }: Resource): readonly Offer[] {
  return status === "pending" || status === "active" ? [RECLAIM] : [];
}

export function offersOnBlueprint(blueprint: Blueprint): readonly Offer[] {
  const present = MODE_OF[blueprint.mode];
  const others = MODES.filter(({ method }) => method !== present);
  return present === undefined ? others : [RESUME, ...others];
}

export function offersOnHost(host: Host): readonly Offer[] {
  if (host.mode === "disabled") return host.at_once ? [ENABLE_HOST] : [ENABLE_HOST, DISABLE_HOST];
  return host.listed ? [DISABLE_HOST] : [];
}

const APPROVE: Offer = {
  method: "approve",
  caption: "Approve",
  warning: "What waits for it may have the blueprint, now and from now on.",
  isDestructive: false,
  schema: { properties: { reason } },
};

const DECLINE: Offer = {
  method: "decline",
  caption: "Decline",
  warning: "What waits for it gets nothing of the blueprint, now and from now on.",
  isDestructive: true,
  schema: { properties: { reason } },
};

export function offersOnAuthorization({ status }: Authorization): readonly Offer[] {
  if (status === "approved") return [DECLINE];
  return status === "declined" ? [APPROVE] : [APPROVE, DECLINE];
}
