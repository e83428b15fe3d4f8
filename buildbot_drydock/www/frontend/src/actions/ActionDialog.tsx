// Asks before anything is done, with all that may be said to it, and shows what the server says.
import React, { useState, type FormEvent } from "react";
import { Dialog } from "../components/Dialog";
import { ErrorNotice } from "../components/ErrorNotice";
import { act, ServerError } from "../data/rest";
import { fieldsOf, typedOf, valuesOf, type Problems } from "../forms/schema";
import { SchemaForm } from "../forms/SchemaForm";
import type { Offer } from "./offers";

export interface ActionDialogProps {
  offer: Offer;
  path: string;
  subject: string; // "lease 7"; empty if the caption says it
  onDone: (answer: unknown) => void;
  onClose: () => void;
}

export function ActionDialog(props: ActionDialogProps) {
  const { offer, path, subject, onDone, onClose } = props;
  const fields = fieldsOf(offer.schema);
  const [typed, setTyped] = useState(() => typedOf(fields, offer.values ?? {}));
  const [problems, setProblems] = useState<Problems>({});
  const [error, setError] = useState<ServerError | null>(null);
  const [isBusy, setBusy] = useState(false);

  async function perform(event: FormEvent): Promise<void> {
    event.preventDefault();
    const read = valuesOf(fields, typed);
    setProblems(read.problems);
    if (Object.keys(read.problems).length > 0) return;
    setBusy(true);
    setError(null);
    try {
      onDone(await act(path, offer.method, offer.paramsOf?.(read.values) ?? read.values));
    } catch (failure) {
      setError(failure instanceof ServerError ? failure : new ServerError(0, String(failure)));
      setBusy(false);
    }
  }

  return (
    <Dialog title={subject ? `${offer.caption} ${subject}?` : offer.caption} onClose={onClose}>
      <form onSubmit={(event) => void perform(event)} noValidate>
        <p>{offer.warning}</p>
        <SchemaForm
          fields={fields}
          typed={typed}
          problems={problems}
          onType={(name, text) => setTyped((before) => ({ ...before, [name]: text }))}
        />
        <ErrorNotice error={error} />
        <div className="drydock-buttons">
          <button type="button" className="btn btn-secondary" onClick={onClose}>
            Cancel
          </button>
          <button
            type="submit"
            className={`btn ${offer.isDestructive ? "btn-danger" : "btn-primary"}`}
            disabled={isBusy}
          >
            {offer.caption}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
