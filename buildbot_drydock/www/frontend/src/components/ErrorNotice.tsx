// What the server said, where the visitor looks.
import React from "react";
import type { ServerError } from "../data/rest";

export function ErrorNotice({ error }: { error: ServerError | null }) {
  if (error === null) return null;
  return (
    <div className="drydock-notice drydock-notice-bad" role="alert">
      {error.isForbidden && <strong>Not allowed: </strong>}
      {error.message}
    </div>
  );
}
