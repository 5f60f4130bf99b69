import { defineConfig } from "vite";

/**
 * The page, built into `public/`. Its hashed files are `/app/static/…`, because `/assets/…` is part of the API. Names carry a hash,
 * so they can be cached for ever; `index.html` cannot.
 */
export default defineConfig({
  root: "src/dashboard",
  base: "/",
  publicDir: "static",
  build: {
    outDir: "../../public",
    emptyOutDir: true,
    assetsDir: "app/static",
    // A data: address would need a hole in the content security policy.
    assetsInlineLimit: 0,
    target: "es2023",
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  worker: { format: "es" },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  logLevel: "warn",
});
