import { expect, test } from "vitest";
import { changed, offersToEdit } from "../src/actions/editing";
import { fieldsOf, typedOf, valuesOf } from "../src/forms/schema";

const schema = {
  properties: {
    limit: { type: "integer", minimum: 1, default: 1, editable: true },
    idle_timeout: { anyOf: [{ type: "number" }, { type: "null" }], default: 600, editable: true },
    directory: { type: "string", default: "drydock" },
  },
};
const override = { value: 4, author: "ana", reason: "", at: 1 };

test("only what may be edited is offered, beginning with what is in force", () => {
  const effective = { limit: 4, idle_timeout: null };
  const [edit, ...others] = offersToEdit({ schema, effective, overrides: {} });
  expect(others).toEqual([]);
  const fields = fieldsOf(edit?.schema ?? {});
  expect(fields.map(({ name }) => name)).toEqual(["limit", "idle_timeout", "reason"]);
  const typed = typedOf(fields, edit?.values ?? {});
  expect(typed).toMatchObject({ limit: "4", idle_timeout: "" });
  const { values } = valuesOf(fields, { ...typed, limit: "6", reason: "busy" });
  expect(edit?.paramsOf?.(values)).toEqual({ values: { limit: 6 }, reason: "busy" });
});

test("what was edited can be reset", () => {
  const offers = offersToEdit({ schema, effective: { limit: 4 }, overrides: { limit: override } });
  expect(offers.map(({ caption }) => caption)).toEqual(["Edit", "Reset edits"]);
  expect(offers[1]?.values).toEqual({ reset: ["limit"] });
});

test("nothing is offered where nothing may be edited, or the schema is not known yet", () => {
  expect(offersToEdit({ schema: null, effective: {}, overrides: {} })).toEqual([]);
  expect(offersToEdit({ schema: { properties: {} }, effective: {}, overrides: {} })).toEqual([]);
});

test("what stays the same is not edited", () => {
  expect(changed({ a: 1, b: [1], c: null }, { a: 1, b: [2], c: null })).toEqual({ b: [1] });
});
