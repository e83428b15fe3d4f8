// Changing the fields of a blueprint that may be changed while it runs, and taking that back.

import type { Blueprint } from "../data/rows";
import type { Property, Schema } from "../forms/schema";
import type { Offer } from "./offers";

type Values = Readonly<Record<string, unknown>>;

const reason: Property = { type: "string", description: "Why, for others to read." };

export function offersToEdit(
  blueprint: Pick<Blueprint, "schema" | "effective" | "overrides">,
): Offer[] {
  const editable = editableOf(blueprint.schema);
  if (Object.keys(editable).length === 0) return [];
  const edited = Object.keys(blueprint.overrides);
  return edited.length === 0
    ? [edit(editable, blueprint.effective)]
    : [edit(editable, blueprint.effective), reset(edited)];
}

function editableOf(schema: Blueprint["schema"]): Record<string, Property> {
  const properties = (schema as Schema | null)?.properties ?? {};
  return Object.fromEntries(
    Object.entries(properties).filter(([, property]) => property.editable === true),
  );
}

const edit = (editable: Record<string, Property>, effective: Values): Offer => ({
  method: "edit",
  caption: "Edit",
  warning: "It takes effect at once, and goes before what master.cfg says until it is reset.",
  isDestructive: false,
  schema: { properties: { ...editable, reason } },
  values: effective,
  paramsOf: ({ reason: why, ...values }) => ({
    values: changed(values, effective),
    ...(why === undefined ? {} : { reason: why }),
  }),
});

/** What differs from what is in force; the rest goes on following master.cfg. */
export function changed(values: Values, effective: Values): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(values).filter(
      ([name, value]) => JSON.stringify(value) !== JSON.stringify(effective[name]),
    ),
  );
}

const reset = (edited: readonly string[]): Offer => ({
  method: "edit",
  caption: "Reset edits",
  warning: "These fields are as master.cfg has them again.",
  isDestructive: false,
  schema: {
    properties: {
      reset: { type: "array", items: { type: "string" }, description: "The fields to reset." },
      reason,
    },
  },
  values: { reset: edited },
});
