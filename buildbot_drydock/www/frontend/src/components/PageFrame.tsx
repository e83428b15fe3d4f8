// What all pages have: the way back in Buildbot's bar, a heading, and the banner of the connection.
import { useTopbarItems } from "buildbot-ui";
import React, { useMemo, type ReactNode } from "react";
import { ConnectionBanner } from "./ConnectionBanner";

export interface Crumb {
  caption: string;
  route: string;
}

export interface PageFrameProps {
  title: string;
  crumbs?: readonly Crumb[]; // the pages above this one; module constants, or memoized
  aside?: ReactNode; // at the end of the heading's line
  children: ReactNode;
}

const NONE: readonly Crumb[] = [];

export function PageFrame({ title, crumbs = NONE, aside, children }: PageFrameProps) {
  useTopbarItems(
    useMemo(
      () => [
        { caption: "Drydock", route: "/drydock" },
        ...crumbs,
        { caption: title, route: null },
      ],
      [crumbs, title],
    ),
  );
  return (
    <main className="container-fluid drydock">
      <ConnectionBanner />
      <header className="drydock-header">
        <h1>{title}</h1>
        {aside}
      </header>
      {children}
    </main>
  );
}
