// The filters of a list. What is chosen is in the URL at once; what is typed, on Enter or on
// leaving.
import React, { useId, useState } from "react";
import { toggled, type Filter, type Filtering } from "../data/filters";

export interface FiltersProps {
  filters: readonly Filter[];
  filtering: Filtering;
  onFilter: (name: string, values: readonly string[]) => void;
  onClear: () => void;
}

export function Filters({ filters, filtering, onFilter, onClear }: FiltersProps) {
  return (
    <div className="drydock-filters" role="search" aria-label="Filters">
      {filters.map((filter) => {
        const values = filtering[filter.name] ?? [];
        const onChange = (wanted: readonly string[]) => onFilter(filter.name, wanted);
        return filter.kind === "choices" ? (
          <Choices key={filter.name} {...{ filter, values, onChange }} />
        ) : (
          <Typed key={`${filter.name} ${values.join(" ")}`} {...{ filter, values, onChange }} />
        );
      })}
      {Object.keys(filtering).length > 0 && (
        <button type="button" className="btn btn-sm btn-link" onClick={onClear}>
          Clear filters
        </button>
      )}
    </div>
  );
}

interface FilterProps {
  filter: Filter;
  values: readonly string[];
  onChange: (values: readonly string[]) => void;
}

function Choices({ filter, values, onChange }: FilterProps) {
  return (
    <div role="group" aria-label={filter.label} className="drydock-choices">
      <span className="drydock-muted">{filter.label}</span>
      {(filter.choices ?? []).map((choice) => (
        <button
          key={choice}
          type="button"
          className="drydock-choice"
          aria-pressed={values.includes(choice)}
          onClick={() => onChange(toggled(values, choice))}
        >
          {choice}
        </button>
      ))}
    </div>
  );
}

function Typed({ filter, values, onChange }: FilterProps) {
  const [text, setText] = useState(values.join(" "));
  const id = useId();
  const give = () => {
    const wanted = text.trim();
    if (wanted !== values.join(" ")) onChange(wanted === "" ? [] : [wanted]);
  };
  return (
    <div className="drydock-typed">
      <label htmlFor={id} className="drydock-muted">{filter.label}</label>
      <input
        id={id}
        className="form-control form-control-sm"
        type={filter.kind === "number" ? "number" : "search"}
        value={text}
        onChange={(event) => setText(event.target.value)}
        onBlur={give}
        onKeyDown={(event) => {
          if (event.key === "Enter") give();
        }}
      />
    </div>
  );
}
