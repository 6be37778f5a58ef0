/** What the client tries again, how long it waits, and when it gives up. */
import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";

import { Client, type ClientSettings, DeadlineExceededError, ProblemError, TransportError, UnexpectedResponseError } from "../src/index.js";

const READING = { formula: "x", confidence: 0.75, processing_time: 0.01, timestamp: "2026-11-01T12:00:00Z" };
const PICTURE = new Uint8Array([1, 2, 3]);

type Outcome = Response | Error;

function problem(status: number, headers: Record<string, string> = {}): Response {
  const document = { type: "urn:problem:busy", title: "A title", status, detail: "Wrong", request_id: "0123" };
  return Response.json(document, { status, headers: { "Content-Type": "application/problem+json", ...headers } });
}

function reset(code = "ECONNRESET"): Error {
  return new TypeError("fetch failed", { cause: Object.assign(new Error("reset"), { code }) });
}

/** A client whose service gives one outcome an attempt; `sent` are the attempts. */
function clientOf(outcomes: Outcome[], settings: Partial<ClientSettings> = {}) {
  const sent: [string, RequestInit][] = [];
  const answer = async (input: unknown, init: RequestInit = {}) => {
    sent.push([String(input), init]);
    const outcome = outcomes[sent.length - 1];
    assert.ok(outcome, "an attempt too many");
    if (outcome instanceof Error) throw outcome;
    return outcome;
  };
  const client = new Client({ baseUrl: "http://service/", ...settings, fetch: answer });
  return { client, sent };
}

test("429 and 503 are tried again after Retry-After", async () => {
  for (const status of [429, 503]) {
    const { client, sent } = clientOf([problem(status, { "Retry-After": "1" }), Response.json(READING)]);
    const start = performance.now();
    assert.equal((await client.predict(PICTURE, { n_best: 2, explain: true })).formula, "x");
    assert.ok(performance.now() - start >= 990);
    assert.deepEqual(sent.map(([url]) => url), Array(2).fill("http://service/predict?n_best=2&explain=true"));
  }
});

test("a wait that outlasts the deadline is not begun", async () => {
  const { client, sent } = clientOf([problem(429, { "Retry-After": "60" })]);
  const start = performance.now();
  await assert.rejects(client.predict(PICTURE), (error) => {
    assert.ok(error instanceof ProblemError);
    assert.deepEqual([error.status, error.kind, error.retryAfterMs], [429, "busy", 60_000]);
    return true;
  });
  assert.ok(performance.now() - start < 1000 && sent.length === 1);
});

test("a broken connection is tried again, but not for feedback that may have arrived", async () => {
  const { client } = clientOf([reset(), Response.json(READING)]);
  assert.equal((await client.predict(PICTURE)).formula, "x");
  await assert.rejects(clientOf([reset()]).client.feedback("id", "x"), TransportError);
  const unsent = clientOf([reset("ECONNREFUSED"), Response.json({ request_id: "id", formula: "x" }, { status: 201 })]);
  assert.equal((await unsent.client.feedback("id", "x")).request_id, "id");
});

test("a wrong request is not tried again", async () => {
  await assert.rejects(clientOf([problem(422)]).client.predict(PICTURE), { name: "ProblemError", status: 422 });
  await assert.rejects(clientOf([new Response("<html>")]).client.status(), UnexpectedResponseError);
  const page = new Response("<h1>No</h1>", { status: 404, statusText: "Not Found" });
  await assert.rejects(clientOf([page]).client.status(), { status: 404, kind: "about:blank" });
});

test("an unhealthy service is a result", async () => {
  const body = { healthy: false, model: "away", redis: "not used", queue: 0, queue_limit: 128 };
  assert.equal((await clientOf([Response.json(body, { status: 503 })]).client.health()).healthy, false);
});

test("settings that cannot work are refused", () => {
  const wrong = [{ baseUrl: "localhost:3000" }, { apiKey: "" }, { apiKey: "a\n" }, { timeoutMs: 0 }, { retries: -1 }];
  for (const settings of wrong) {
    const [field] = Object.keys(settings);
    assert.throws(() => new Client({ baseUrl: "http://service", ...settings }), new RegExp(`${field}:`));
  }
});

test("the deadline holds for a service that does not answer, and the caller may abort before", async (t) => {
  const address = await listen(t, () => undefined);
  await assert.rejects(new Client({ baseUrl: address, timeoutMs: 100 }).status(), DeadlineExceededError);
  const signal = AbortSignal.timeout(50);
  await assert.rejects(new Client({ baseUrl: address }).status({ signal }), { name: "TimeoutError" });
  const waiting = clientOf([problem(503, { "Retry-After": "30" })]).client;
  await assert.rejects(waiting.status({ signal: AbortSignal.timeout(50) }), { name: "TimeoutError" });
});

test("the key does not go where a redirect points", async (t) => {
  const seen: string[] = [];
  const address = await listen(t, (request, response) => {
    seen.push(`${request.url} ${request.headers["x-api-key"]}`);
    response.writeHead(307, { Location: "/elsewhere" }).end();
  });
  await assert.rejects(new Client({ baseUrl: address, apiKey: "hm_1" }).status(), { status: 307 });
  assert.deepEqual(seen, ["/status hm_1"]);
});

async function listen(t: { after(done: () => void): void }, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  await new Promise((resolve) => server.once("listening", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
