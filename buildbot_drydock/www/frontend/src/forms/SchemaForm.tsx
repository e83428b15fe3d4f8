// The fields of a form drawn from a schema. The form itself, and its buttons, are the caller's.
import React, { useId } from "react";
import type { Field, Problems, Typed } from "./schema";

export interface SchemaFormProps {
  fields: readonly Field[];
  typed: Typed;
  problems: Problems;
  onType: (name: string, text: string) => void;
}

export function SchemaForm({ fields, typed, problems, onType }: SchemaFormProps) {
  return (
    <>
      {fields.map((field) => (
        <SchemaField
          key={field.name}
          field={field}
          text={typed[field.name] ?? ""}
          problem={problems[field.name]}
          onType={(text) => onType(field.name, text)}
        />
      ))}
    </>
  );
}

interface SchemaFieldProps {
  field: Field;
  text: string;
  problem: string | undefined;
  onType: (text: string) => void;
}

function SchemaField({ field, text, problem, onType }: SchemaFieldProps) {
  const id = useId();
  const about = {
    id,
    name: field.name,
    "aria-describedby": `${id}-help`,
    "aria-invalid": problem !== undefined,
  };
  return (
    <div className="drydock-field">
      <label htmlFor={id}>
        {field.kind === "boolean" && (
          <input
            type="checkbox"
            checked={text === "true"}
            onChange={(event) => onType(String(event.target.checked))}
            {...about}
          />
        )}
        {field.label}
        {field.unit && field.unit !== field.label && (
          <span className="drydock-muted"> in {field.unit}</span>
        )}
        {field.isRequired && <span className="drydock-muted"> (required)</span>}
      </label>
      {field.kind !== "boolean" && <Entry {...{ field, text, onType, about }} />}
      <div id={`${id}-help`} className="drydock-muted drydock-help">
        {problem !== undefined && <span className="drydock-problem">{problem} </span>}
        {field.help}
        {field.kind === "pairs" && " One name=value a line."}
        {field.kind === "lines" && " One a line."}
      </div>
    </div>
  );
}

interface EntryProps {
  field: Field;
  text: string;
  onType: (text: string) => void;
  about: Readonly<Record<string, unknown>>;
}

const SEVERAL_LINES = ["lines", "pairs", "json"];
const TYPES: Readonly<Record<string, string>> = {
  integer: "number",
  number: "number",
  time: "datetime-local",
};

function Entry({ field, text, onType, about }: EntryProps) {
  if (field.kind === "choice") {
    return (
      <select
        className="form-control"
        value={text}
        onChange={(event) => onType(event.target.value)}
        {...about}
      >
        {!field.isRequired && <option value="" />}
        {field.choices.map((choice) => <option key={choice}>{choice}</option>)}
      </select>
    );
  }
  if (SEVERAL_LINES.includes(field.kind)) {
    return (
      <textarea
        className="form-control"
        rows={Math.min(12, Math.max(2, text.split("\n").length))}
        value={text}
        onChange={(event) => onType(event.target.value)}
        {...about}
      />
    );
  }
  return (
    <input
      className="form-control"
      type={TYPES[field.kind] ?? "text"}
      step={field.kind === "integer" ? 1 : "any"}
      value={text}
      onChange={(event) => onType(event.target.value)}
      {...about}
    />
  );
}
