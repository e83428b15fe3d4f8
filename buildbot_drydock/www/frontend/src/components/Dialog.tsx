// A dialog as browsers have them: it keeps the focus inside, Escape leaves it, and the focus goes
// back to where it was.
import React, { useId, useLayoutEffect, useRef, type ReactNode } from "react";

export interface DialogProps {
  title: string;
  onClose: () => void;
  children: ReactNode;
}

export function Dialog({ title, onClose, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  // Before React takes it from the page, or the browser would not give the focus back.
  useLayoutEffect(() => {
    const shown = dialog.current;
    shown?.showModal();
    return () => shown?.close();
  }, []);
  return (
    <dialog
      ref={dialog}
      className="drydock-dialog"
      aria-labelledby={heading}
      onCancel={(event) => {
        event.preventDefault(); // closing is the caller's: it stops drawing this
        onClose();
      }}
    >
      <h2 id={heading}>{title}</h2>
      {children}
    </dialog>
  );
}
