// The bundle that Buildbot's page loads: one script and one style sheet. What the page has already
// is taken from its globals, for there must be one React only.
import { defineConfig } from "vitest/config";

const fromThePage: Record<string, string> = {
  react: "React",
  "react-dom": "ReactDOM",
  "react-router-dom": "ReactRouterDOM",
  "buildbot-ui": "BuildbotUi",
  "buildbot-plugin-support": "BuildbotPluginSupport",
};

export default defineConfig({
  define: { "process.env.NODE_ENV": JSON.stringify("production") },
  // The page has no "react/jsx-runtime".
  oxc: { jsx: { runtime: "classic" } },
  build: {
    target: "es2020",
    outDir: "../static",
    emptyOutDir: true,
    lib: {
      entry: "src/index.tsx",
      name: "BuildbotDrydock",
      formats: ["umd"],
      fileName: () => "scripts.js",
      cssFileName: "styles",
    },
    rollupOptions: {
      external: Object.keys(fromThePage),
      output: { globals: fromThePage },
    },
  },
  test: {
    environment: "jsdom",
    include: ["test/**/*.test.{ts,tsx}"],
    css: { include: /bootstrap/ }, // others are empty
  },
});
