// What of Buildbot's own `buildbot-ui` is used here; it is in no registry.
import type { Context } from "react";

export interface User {
  anonymous: boolean;
  username?: string;
  email?: string;
  full_name?: string;
}

export interface Config {
  title: string;
  buildbotURL: string;
  user: User;
}

export interface TopbarItem {
  caption: string;
  route: string | null;
}

export const ConfigContext: Context<Config>;
export function useTopbarItems(items: TopbarItem[]): void;
