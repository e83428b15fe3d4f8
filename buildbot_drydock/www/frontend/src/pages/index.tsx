// All pages there are. To add one: write its component, and give it a line here.
import type { ComponentType } from "react";
import { AuthorizationPage } from "./AuthorizationPage";
import { AuthorizationsPage } from "./AuthorizationsPage";
import { BlueprintPage } from "./BlueprintPage";
import { BlueprintsPage } from "./BlueprintsPage";
import { EventsPage } from "./EventsPage";
import { HostPage } from "./HostPage";
import { HostsPage } from "./HostsPage";
import { LeasePage } from "./LeasePage";
import { LeasesPage } from "./LeasesPage";
import { LedgerPage } from "./LedgerPage";
import { OverviewPage } from "./OverviewPage";
import { ResourcePage } from "./ResourcePage";
import { ResourcesPage } from "./ResourcesPage";
import { TimelinePage } from "./TimelinePage";

export interface PageEntry {
  path: string; // as in Buildbot's other routes: without the first slash; `:name` is a parameter
  caption: string;
  inMenu: boolean; // in this order
  component: ComponentType;
}

export const pages: readonly PageEntry[] = [
  { path: "drydock", caption: "Overview", inMenu: true, component: OverviewPage },
  { path: "drydock/timeline", caption: "Timeline", inMenu: true, component: TimelinePage },
  { path: "drydock/blueprints", caption: "Blueprints", inMenu: true, component: BlueprintsPage },
  { path: "drydock/resources", caption: "Resources", inMenu: true, component: ResourcesPage },
  { path: "drydock/leases", caption: "Leases", inMenu: true, component: LeasesPage },
  { path: "drydock/hosts", caption: "Hosts", inMenu: true, component: HostsPage },
  {
    path: "drydock/authorizations",
    caption: "Authorizations",
    inMenu: true,
    component: AuthorizationsPage,
  },
  { path: "drydock/events", caption: "Events", inMenu: true, component: EventsPage },
  { path: "drydock/ledger", caption: "Ledger", inMenu: true, component: LedgerPage },
  {
    path: "drydock/blueprints/:name",
    caption: "Blueprint",
    inMenu: false,
    component: BlueprintPage,
  },
  { path: "drydock/resources/:id", caption: "Resource", inMenu: false, component: ResourcePage },
  { path: "drydock/leases/:id", caption: "Lease", inMenu: false, component: LeasePage },
  {
    path: "drydock/authorizations/:id",
    caption: "Authorization",
    inMenu: false,
    component: AuthorizationPage,
  },
  { path: "drydock/hosts/:name", caption: "Host", inMenu: false, component: HostPage },
];
