// All pages there are. To add one: write its component, and give it a line here.
import type { ComponentType } from "react";
import { BlueprintsPage } from "./BlueprintsPage";

export interface PageEntry {
  path: string; // as in Buildbot's other routes: without the first slash; `:name` is a parameter
  caption: string;
  inMenu: boolean;
  component: ComponentType;
}

export const pages: readonly PageEntry[] = [
  { path: "drydock/blueprints", caption: "Blueprints", inMenu: true, component: BlueprintsPage },
];
