import { defineConfig } from "vite";

/**
 * Builds the page into `public/`. Its hashed files are `/app/static/…`, because `/assets/…` is part
 * of the API. Their names carry a hash, so that browsers can cache them for ever; `index.html` is
 * not cached.
 */
export default defineConfig({
  root: import.meta.dirname,
  base: "/",
  publicDir: "static",
  build: {
    outDir: "../../public",
    emptyOutDir: true,
    assetsDir: "app/static",
    // The content security policy allows no `data:` addresses, so nothing is inlined as one.
    assetsInlineLimit: 0,
    target: "es2023",
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  worker: { format: "es" },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  logLevel: "warn",
});
