import { expect, it } from 'vitest';
import { corsConfig } from './cors.js';

const none = { allowOrigins: [], allowMethods: [], allowHeaders: [], exposeHeaders: [] };

it('preflights of other origins are forwarded unless the policy says to ignore them', () => {
  expect(corsConfig(none)).not.toHaveProperty('forwardNotMatchingPreflights');
  expect(corsConfig({ ...none, ignoreUnmatchedPreflights: true })).toMatchObject({ forwardNotMatchingPreflights: false });
});
