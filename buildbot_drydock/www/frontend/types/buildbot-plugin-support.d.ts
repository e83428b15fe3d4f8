// What of Buildbot's own `buildbot-plugin-support` is used here; it is in no registry.
import type { ReactElement } from "react";

export interface Registration {
  registerMenuGroup(group: {
    name: string;
    parentName: string | null;
    caption: string;
    icon?: ReactElement;
    order: number | null;
    route: string | null;
  }): void;
  registerRoute(route: { route: string; group: string | null; element: () => ReactElement }): void;
}

export function buildbotSetupPlugin(
  callback: (registration: Registration, config: unknown) => void,
): void;
