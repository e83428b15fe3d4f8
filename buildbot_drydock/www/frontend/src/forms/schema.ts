// From a JSON schema, as blueprints have one, to the fields of a form, and from what was typed to
// values. The server checks again; here is checked what a visitor would otherwise wait for.

export interface Schema {
  properties?: Readonly<Record<string, Property>>;
  required?: readonly string[];
}

export interface Property {
  type?: string;
  title?: string;
  description?: string;
  default?: unknown;
  enum?: readonly unknown[];
  anyOf?: readonly Property[];
  items?: Property;
  additionalProperties?: boolean | Property;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  maxLength?: number;
  unit?: string;
  values?: string;
  $ref?: string;
  editable?: boolean; // while it is in use
}

export type Kind =
  | "text"
  | "integer"
  | "number"
  | "boolean"
  | "choice"
  | "time" // seconds since the epoch, typed as date and time of day
  | "lines" // a list of texts, one a line
  | "pairs" // an object of texts, `name=value` a line
  | "json";

export interface Field {
  name: string;
  label: string;
  help: string;
  unit: string;
  kind: Kind;
  choices: readonly string[];
  isRequired: boolean;
  isNullable: boolean; // nothing typed stands for null; otherwise the field is left out
  default: unknown;
  minimum: number | null;
  maximum: number | null;
  isMinimumExcluded: boolean;
}

export type Typed = Readonly<Record<string, string>>;
export type Problems = Readonly<Record<string, string>>;

const EPOCH = "seconds since the epoch";

export function fieldsOf(schema: Schema, only?: readonly string[]): Field[] {
  const names = only ?? Object.keys(schema.properties ?? {});
  return names.flatMap((name) => {
    const property = schema.properties?.[name];
    return property ? [fieldOf(name, property, schema.required?.includes(name) ?? false)] : [];
  });
}

function fieldOf(name: string, property: Property, isRequired: boolean): Field {
  const meant = property.anyOf?.filter((each) => each.type !== "null") ?? [property];
  const inner: Property = meant.length === 1 ? { ...meant[0] } : {};
  const minimum = inner.minimum ?? inner.exclusiveMinimum;
  return {
    name,
    label: name.replace(/_/g, " "),
    help: property.description ?? "",
    unit: property.unit === EPOCH ? "" : (property.unit ?? ""),
    kind: kindOf(inner, property.unit),
    choices: (inner.enum ?? []).map(String),
    isRequired,
    isNullable: property.anyOf?.some((each) => each.type === "null") ?? false,
    default: property.default,
    minimum: minimum ?? null,
    maximum: inner.maximum ?? inner.exclusiveMaximum ?? null,
    isMinimumExcluded: inner.minimum === undefined && inner.exclusiveMinimum !== undefined,
  };
}

function kindOf(property: Property, unit: string | undefined): Kind {
  if (property.enum !== undefined) return "choice";
  if (property.type === "boolean") return "boolean";
  if (property.type === "string") return "text";
  if (unit === EPOCH) return "time";
  if (property.type === "integer" || property.type === "number") return property.type;
  if (property.type === "array" && property.items?.type === "string") return "lines";
  const values = property.additionalProperties;
  if (property.type === "object" && typeof values === "object" && values.type === "string") {
    return "pairs";
  }
  return "json";
}

/** What the form shows at first: the values there are, or the defaults. */
export function typedOf(
  fields: readonly Field[],
  values: Readonly<Record<string, unknown>>,
): Record<string, string> {
  return Object.fromEntries(
    fields.map((field) => {
      const { name } = field;
      return [name, textOf(field, name in values ? values[name] : field.default)];
    }),
  );
}

export function textOf({ kind }: Field, value: unknown): string {
  if (value === undefined || value === null) return "";
  if (kind === "time" && typeof value === "number") return localTime(value);
  if (kind === "lines" && Array.isArray(value)) return value.join("\n");
  if (kind === "pairs" && typeof value === "object") {
    return Object.entries(value).map(([name, each]) => `${name}=${each}`).join("\n");
  }
  return kind === "json" ? JSON.stringify(value, null, 2) : String(value);
}

/** The values typed; problems by field, if there are any. */
export function valuesOf(
  fields: readonly Field[],
  typed: Typed,
): { values: Record<string, unknown>; problems: Problems } {
  const values: Record<string, unknown> = {};
  const problems: Record<string, string> = {};
  for (const field of fields) {
    const text = (typed[field.name] ?? "").trim();
    if (text === "" && field.kind !== "boolean") {
      if (field.isRequired) problems[field.name] = "Something has to be given.";
      else if (field.isNullable) values[field.name] = null;
      else if (field.kind === "pairs") values[field.name] = {};
      else if (field.kind === "lines") values[field.name] = [];
      continue;
    }
    const read = valueOf(field, text);
    if (read instanceof Problem) problems[field.name] = read.text;
    else values[field.name] = read;
  }
  return { values, problems };
}

class Problem {
  constructor(readonly text: string) {}
}

function valueOf(field: Field, text: string): unknown {
  switch (field.kind) {
    case "text":
    case "choice":
      return text;
    case "boolean":
      return text === "true";
    case "integer":
    case "number":
      return numberOf(field, text);
    case "time": {
      const time = new Date(text).getTime() / 1000;
      return Number.isNaN(time) ? new Problem("This is no date and time.") : time;
    }
    case "lines":
      return text.split("\n").map((line) => line.trim()).filter((line) => line !== "");
    case "pairs":
      return pairsOf(text);
    case "json":
      try {
        return JSON.parse(text) as unknown;
      } catch {
        return new Problem("This is not JSON.");
      }
  }
}

function numberOf(field: Field, text: string): number | Problem {
  const number = Number(text);
  if (!Number.isFinite(number)) return new Problem("This is no number.");
  if (field.kind === "integer" && !Number.isInteger(number)) {
    return new Problem("This has to be a whole number.");
  }
  const { minimum, maximum, isMinimumExcluded } = field;
  if (minimum !== null && (number < minimum || (isMinimumExcluded && number === minimum))) {
    const bound = isMinimumExcluded ? "more than" : "at least";
    return new Problem(`This has to be ${bound} ${minimum}.`);
  }
  if (maximum !== null && number > maximum) return new Problem(`This may be ${maximum} at most.`);
  return number;
}

function pairsOf(text: string): Record<string, string> | Problem {
  const found: Record<string, string> = {};
  for (const line of text.split("\n")) {
    if (line.trim() === "") continue;
    const [name = "", ...rest] = line.split("=");
    if (rest.length === 0 || name.trim() === "") {
      return new Problem(`Write name=value; "${line.trim()}" is not.`);
    }
    found[name.trim()] = rest.join("=").trim();
  }
  return found;
}

/** As an input of date and time has it: the visitor's own time, to the minute. */
export function localTime(time: number): string {
  const date = new Date(time * 1000);
  const shifted = new Date(date.getTime() - date.getTimezoneOffset() * 60_000);
  return shifted.toISOString().slice(0, 16);
}
