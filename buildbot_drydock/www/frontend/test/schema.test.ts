import { describe, expect, test } from "vitest";
import { fieldsOf, textOf, typedOf, valuesOf, type Schema } from "../src/forms/schema";

const SCHEMA: Schema = {
  required: ["name"],
  properties: {
    name: { type: "string" },
    limit: { type: "integer", minimum: 1, maximum: 10, default: 2, unit: "resources" },
    timeout: { anyOf: [{ type: "number", exclusiveMinimum: 0 }, { type: "null" }], default: null },
    placement: { type: "string", enum: ["pack", "spread"], default: "pack" },
    keep: { type: "boolean", default: true },
    until: { type: "number", unit: "seconds since the epoch" },
    labels: { type: "object", additionalProperties: { type: "string" } },
    names: { type: "array", items: { type: "string" } },
    schedule: { type: "array", items: { $ref: "#/$defs/Entry" } },
  },
};
const FIELDS = fieldsOf(SCHEMA);

const read = (name: string, text: string) => {
  const fields = FIELDS.filter((field) => field.name === name);
  const { values, problems } = valuesOf(fields, { [name]: text });
  return problems[name] ?? values[name];
};

describe("the fields of a schema", () => {
  test("each is asked for in its own way", () => {
    expect(Object.fromEntries(FIELDS.map(({ name, kind }) => [name, kind]))).toEqual({
      name: "text",
      limit: "integer",
      timeout: "number",
      placement: "choice",
      keep: "boolean",
      until: "time",
      labels: "pairs",
      names: "lines",
      schedule: "json",
    });
  });

  test("only those named are there, in that order", () => {
    expect(fieldsOf(SCHEMA, ["keep", "missing", "name"]).map(({ name }) => name))
      .toEqual(["keep", "name"]);
  });

  test("a time since the epoch has no unit to be told", () => {
    const units = Object.fromEntries(FIELDS.map(({ name, unit }) => [name, unit]));
    expect([units["limit"], units["until"]]).toEqual(["resources", ""]);
  });
});

describe("what was typed", () => {
  test("is read by kind", () => {
    expect(read("limit", " 7 ")).toBe(7);
    expect([read("limit", "1"), read("limit", "10")]).toEqual([1, 10]);
    expect(read("timeout", "1.5")).toBe(1.5);
    expect(read("keep", "true")).toBe(true);
    expect(read("keep", "")).toBe(false);
    expect(read("labels", "os=debian\n\n url = a=b")).toEqual({ os: "debian", url: "a=b" });
    expect(read("names", "one\n two \n")).toEqual(["one", "two"]);
    expect(read("schedule", "[{\"cron\": \"0 8 * * *\"}]")).toEqual([{ cron: "0 8 * * *" }]);
  });

  test("what can't be is a problem of its field", () => {
    expect(read("name", " ")).toBe("Something has to be given.");
    expect(read("limit", "x")).toBe("This is no number.");
    expect(read("limit", "1.5")).toBe("This has to be a whole number.");
    expect(read("limit", "0")).toBe("This has to be at least 1.");
    expect(read("limit", "11")).toBe("This may be 10 at most.");
    expect(read("timeout", "0")).toBe("This has to be more than 0.");
    expect(read("labels", "debian")).toBe("Write name=value; \"debian\" is not.");
    expect(read("schedule", "[")).toBe("This is not JSON.");
    expect(read("until", "tomorrow")).toBe("This is no date and time.");
  });

  test("nothing is null where that is a value, and left out elsewhere", () => {
    const { values, problems } = valuesOf(FIELDS, { name: "a" });
    expect(problems).toEqual({});
    expect(values).toEqual({ name: "a", timeout: null, keep: false, labels: {}, names: [] });
  });

  test("values are shown so that reading them gives the same", () => {
    const values = {
      name: "linux",
      limit: 3,
      timeout: 2.5,
      placement: "spread",
      keep: false,
      until: 1_800_000_000,
      labels: { os: "debian" },
      names: ["a", "b"],
      schedule: [{ cron: "*" }],
    };
    expect(valuesOf(FIELDS, typedOf(FIELDS, values))).toEqual({ values, problems: {} });
  });

  test("defaults are there at first", () => {
    const typed = typedOf(FIELDS, {});
    expect([typed["limit"], typed["placement"], typed["keep"], typed["timeout"]])
      .toEqual(["2", "pack", "true", ""]);
    expect(FIELDS.map((field) => textOf(field, null))).toEqual(FIELDS.map(() => ""));
  });
});
