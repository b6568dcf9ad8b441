import { defineConfig } from 'vitest/config';

// Tests run the sources of every package (export condition `weft:source`), except the generated code of xds-api.
const conditions = ['weft:source'];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } },
  test: {
    include: ['packages/*/src/**/*.test.ts', 'test/**/*.test.ts', 'examples/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 30_000,
    server: { deps: { external: [/packages\/xds-api\/dist\//] } },
  },
});
