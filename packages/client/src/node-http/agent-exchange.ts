// One request of a node:http client: from the in-process server's request to the dispatcher, and its answer back.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Dispatcher } from 'undici';
import type { BodyInput } from '../http/request-body.js';
import type { HeaderObject } from '../http/response-head.js';
import { bridge } from './bridge.js';
import type { InProcessSocket } from './in-process-socket.js';

/** What is said to the next hop only (RFC 9110 §7.6.1): each side of the mesh has connections of its own. */
const hopByHop = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade', 'expect']);

export class AgentExchange implements Dispatcher.DispatchHandler {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #socket: InProcessSocket;
  #controller: Dispatcher.DispatchController | undefined;
  #over = false;

  constructor(request: IncomingMessage, response: ServerResponse, socket: InProcessSocket) {
    this.#request = request;
    this.#response = response;
    this.#socket = socket;
    response.sendDate = false;
    response.on('drain', () => this.#controller?.resume());
    // The rest of a body that nobody wanted would stand before the next request of this connection.
    response.once('finish', () => request.resume());
    response.once('close', () => {
      if (this.#over) return;
      this.#over = true;
      this.#controller?.abort(new Error('the caller closed its connection'));
    });
  }

  start(dispatcher: Pick<Dispatcher, 'dispatch'>, origin: string, upgrade: string | undefined): void {
    const { method = 'GET', url = '/', rawHeaders } = this.#request;
    try {
      dispatcher.dispatch({ origin, path: url, method: method as Dispatcher.HttpMethod, headers: endToEnd(rawHeaders), body: bodyOf(this.#request) as null, upgrade: upgrade ?? null }, this);
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#over) controller.abort(new Error('the caller closed its connection'));
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: HeaderObject, statusMessage?: string): void {
    if (this.#over) return;
    const response = this.#response;
    if (status === 102) response.writeProcessing();
    else if (status === 103 && headers['link'] !== undefined) earlyHints(response, headers);
    else if (status >= 200) response.writeHead(status, reasonOf(statusMessage), endToEnd(rawOf(controller.rawHeaders, headers)));
  }

  onRequestUpgrade(controller: Dispatcher.DispatchController, status: number, headers: HeaderObject, upstream: Duplex): void {
    if (this.#over || status !== 101) {
      upstream.destroy();
      return this.#fail(new Error(`the answer to an upgrade was ${status}`));
    }
    this.#over = true;
    this.#response.detachSocket(this.#socket as never);
    const raw = rawOf(controller.rawHeaders, headers);
    let head = 'HTTP/1.1 101 Switching Protocols\r\n';
    for (let i = 0; i < raw.length; i += 2) head += `${raw[i]}: ${raw[i + 1]}\r\n`;
    this.#socket.write(`${head}\r\n`, 'latin1');
    bridge(this.#socket, upstream);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#over && !this.#response.write(chunk)) controller.pause();
  }

  onResponseEnd(_controller: Dispatcher.DispatchController, trailers: HeaderObject): void {
    if (this.#over) return;
    this.#over = true;
    if (Object.keys(trailers).length > 0) this.#response.addTrailers(trailers as Record<string, string>);
    this.#response.end();
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    this.#fail(error);
  }

  /** On the caller's own end, so that its request fails with the reason and not with a connection that hung up. */
  #fail(error: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.#socket.peer.destroy(error);
  }
}

/** Node wants links in one form only. The answer must not fail with a hint that has another. */
function earlyHints(response: ServerResponse, headers: HeaderObject): void {
  try {
    response.writeEarlyHints(headers as Record<string, string | string[]>);
  } catch {
    // Only a hint.
  }
}

/** Clients ignore it (RFC 9112 §4); Node refuses to write what it reads there. */
function reasonOf(text: string | undefined): string | undefined {
  return text && !/[^\t\x20-\x7e\x80-\xff]/.test(text) ? text : undefined;
}

function endToEnd(raw: readonly string[]): string[] {
  let named: Set<string> | undefined;
  for (let i = 0; i < raw.length; i += 2) {
    if (raw[i]!.toLowerCase() !== 'connection') continue;
    named ??= new Set();
    for (const name of raw[i + 1]!.split(',')) named.add(name.trim().toLowerCase());
  }
  const kept: string[] = [];
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase();
    if (!hopByHop.has(name) && named?.has(name) !== true) kept.push(raw[i]!, raw[i + 1]!);
  }
  return kept;
}

/** The bytes as they came: values that are no ASCII must not be read as one encoding and written as another. */
function rawOf(raw: Dispatcher.DispatchController['rawHeaders'], headers: HeaderObject): string[] {
  if (Array.isArray(raw)) return raw.map((part) => (typeof part === 'string' ? part : (part as Buffer).toString('latin1')));
  return Object.entries(headers).flatMap(([name, value]) => (Array.isArray(value) ? value.flatMap((item) => [name, item]) : [name, value ?? '']));
}

/** Not the request itself: whoever gives up reading it would close the connection, and with it the way back for the answer. */
function bodyOf(request: IncomingMessage): BodyInput {
  const { headers } = request;
  if (headers['transfer-encoding'] === undefined && !(Number(headers['content-length']) > 0)) return null;
  return { [Symbol.asyncIterator]: () => request.iterator({ destroyOnReturn: false }) };
}
