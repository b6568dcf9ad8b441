// Clients of node:http in a real mesh: axios and got by mesh.agent, and what names no agent by mesh.install.
import http from 'node:http';
import axios from 'axios';
import express from 'express';
import got from 'got';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { serviceYaml, strictYaml, TestMesh, type TestWorkload } from '../support/test-mesh.js';

let mesh: TestMesh;
let frontend: TestWorkload;

const policy = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: payments }
spec:
  hosts: [payments]
  http:
    - match: [{ uri: { prefix: /old } }]
      rewrite: { uri: /new }
      route: [{ destination: { host: payments } }]
    - route: [{ destination: { host: payments } }]
`;

beforeAll(async () => {
  mesh = await TestMesh.start({ 'payments.yaml': serviceYaml('payments'), 'frontend.yaml': serviceYaml('frontend'), 'strict.yaml': strictYaml, 'routes.yaml': policy });
  const payments = await mesh.workload('payments');
  const app = express();
  app.post('/upload', (request, response) => void request.pipe(response));
  app.get('/{*path}', (request, response) => void response.json({ path: request.path, caller: request.headers['x-forwarded-client-cert'] }));
  await payments.server.listen(app, { port: 0, host: '127.0.0.1' });
  await payments.server.ready();
  frontend = await mesh.workload('frontend');
});

afterAll(() => mesh.close());

const answer = { path: '/new', caller: expect.stringContaining('/ns/default/sa/frontend') };

test('axios and got take mesh.agent: routes and mutual TLS apply', async () => {
  const { agent } = frontend.client;
  expect((await axios.get('http://payments/old', { httpAgent: agent })).data).toEqual(answer);
  expect(await got('http://payments/old', { agent: { http: agent } }).json()).toEqual(answer);
  expect((await axios.post('http://payments/upload', 'body', { httpAgent: agent })).data).toBe('body');
  expect(await got.post('http://payments/upload', { body: 'body', agent: { http: agent } }).text()).toBe('body');
});

test('install({ http: true }) reaches clients that name no agent', async () => {
  const undo = frontend.client.install({ http: true });
  try {
    expect((await axios.get('http://payments/old')).data).toEqual(answer);
    expect(await got('http://payments/old').json()).toEqual(answer);
    const named = await import('node:http');
    expect(named.globalAgent).toBe(http.globalAgent);
  } finally {
    undo();
  }
  await expect(axios.get('http://payments/old')).rejects.toThrow();
});
