// A status as a tag. Its word says all; its colour only helps to find it.
import React, { type ReactNode } from "react";
import { toneOf, type Tone } from "../words/statuses";

export function StatusTag({ status }: { status: string }) {
  return <Tag tone={toneOf(status)} status={status}>{status}</Tag>;
}

interface TagProps {
  tone: Tone;
  status?: string;
  children: ReactNode;
}

export function Tag({ tone, status, children }: TagProps) {
  return (
    <span className={`drydock-tag drydock-tag-${tone}`} data-status={status}>
      {children}
    </span>
  );
}
