// Tells Buildbot of Drydock's pages. `pages/index.tsx` lists them.
import React from "react";
import { buildbotSetupPlugin } from "buildbot-plugin-support";
import { ErrorBoundary } from "./components/ErrorBoundary";
import { pages } from "./pages";
import "./styles.css";

const GROUP = "drydock";

buildbotSetupPlugin((registration) => {
  registration.registerMenuGroup({
    name: GROUP,
    parentName: null,
    caption: "Drydock",
    icon: <span aria-hidden="true">⚓</span>,
    order: 8,
    route: null,
  });
  pages.forEach(({ path, caption, inMenu, component: Component }, order) => {
    if (inMenu) {
      registration.registerMenuGroup({
        name: `${GROUP}-${caption.toLowerCase()}`,
        parentName: GROUP,
        caption,
        order,
        route: `/${path}`,
      });
    }
    registration.registerRoute({
      route: path,
      group: GROUP,
      element: () => (
        <ErrorBoundary key={path}>
          <Component />
        </ErrorBoundary>
      ),
    });
  });
});
