/** Every method against a running service: SERVICE_URL and SERVICE_KEY, with PICTURE and INKML to read. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { Client, isProblem, kindOf, ProblemError } from "../src/index.js";
import type { paths } from "../src/schema.js";

const { SERVICE_URL, SERVICE_KEY, PICTURE = "", INKML = "" } = process.env;

/** A path that the description adds has no entry here, and the test does not compile. */
const METHODS: Record<keyof paths, (keyof Client)[]> = {
  "/predict": ["predict"],
  "/predict/strokes": ["predictStrokes", "predictInkml"],
  "/predict/batch": ["predictBatch"],
  "/feedback": ["feedback"],
  "/status": ["status"],
  "/health": ["health"],
  "/history": ["history"],
  "/model/info": ["modelInfo"],
  "/rate-limit/status": ["rateLimitStatus"],
  "/usage": ["usage"],
  "/keys": ["listKeys", "addKey"],
  "/keys/{key_id}": ["limitKey", "revokeKey"],
};

test("every method works", { skip: SERVICE_URL === undefined && "needs a service: SERVICE_URL" }, async () => {
  const called = new Set<keyof Client>();
  const real = new Client({ baseUrl: SERVICE_URL!, apiKey: SERVICE_KEY! });
  const client = new Proxy(real, {
    get(target, name: keyof Client) {
      called.add(name);
      return target[name].bind(target);
    },
  });
  const picture = new Uint8Array(await readFile(PICTURE));

  const read = await client.predict(picture, { n_best: 2, format: "mathml", explain: true });
  assert.ok(read.confidence >= 0 && read.confidence <= 1);
  assert.equal(read.alternatives?.length, 1);
  assert.equal(read.token_boxes?.map(({ token }) => token).join(""), read.formula.replaceAll(" ", ""));
  assert.match(read.headers.requestId, /^[0-9a-f]{16}$/);
  assert.deepEqual(read.headers.rateLimits.map(({ name }) => name), ["minute", "hour", "day"]);
  const again = await client.predict(new Blob([picture]));
  assert.deepEqual([again.formula, again.headers.cached], [read.formula, true]);

  const cross = [[[0, 0], [8, 10]], [[8, 0], [0, 10]]];
  assert.equal(typeof (await client.predictStrokes(cross)).formula, "string");
  assert.equal(typeof (await client.predictInkml(await readFile(INKML, "utf8"))).formula, "string");

  const first = (await client.predictStrokes(cross, { explain: true, names: "letters" })).token_boxes?.[0];
  assert.ok(first && first.alternatives.length > 0);
  const other = await client.predictStrokes(cross, {
    explain: true,
    names: "letters",
    constraints: { exclude: [first.token] },
  });
  assert.ok(other.token_boxes?.every(({ token }) => token !== first.token));
  await assert.rejects(client.predict(picture, { constraints: { prefix: ["\\nosuchsymbol"] } }), {
    status: 422,
    kind: "invalid-constraints",
  });

  const { results } = await client.predictBatch([picture, new Uint8Array([1, 2, 3])]);
  const [good, bad] = results;
  assert.ok(good && !isProblem(good) && good.formula === read.formula);
  assert.ok(bad && isProblem(bad) && kindOf(bad) === "unknown-format");

  const corrected = await client.feedback(read.headers.requestId, "\\frac 12");
  assert.deepEqual([corrected.request_id, corrected.formula], [read.headers.requestId, "\\frac{1}{2}"]);
  await assert.rejects(client.feedback("unknown", "x"), (error) => {
    assert.ok(error instanceof ProblemError);
    return error.status === 404 && error.kind === "unknown-request";
  });

  assert.ok((await client.status()).pictures >= 4);
  assert.equal((await client.health()).healthy, true);
  assert.ok((await client.history()).minutes.length >= 1);
  assert.ok((await client.modelInfo()).parameters > 0);
  const { tiers } = await client.rateLimitStatus();
  assert.ok(tiers.every(({ limit, remaining }) => remaining < limit));
  const { secret, key } = await client.addKey({ name: "Grace", limits: { minute: 5 } });
  assert.ok(secret.startsWith(`hm_${key.id}_`) && key.limits.minute === 5);
  assert.equal((await client.limitKey(key.id, { day: 9 })).limits.day, 9);
  assert.equal((await client.revokeKey(key.id)).state, "revoked");
  assert.ok((await client.listKeys()).keys.some(({ id, state }) => id === key.id && state === "revoked"));
  const { days } = await client.usage({ days: 1 });
  assert.ok(days.some(({ name, formulas }) => name === "Ada" && formulas >= 4));
  assert.deepEqual([...called].sort(), Object.values(METHODS).flat().sort());

  const stranger = new Client({ baseUrl: SERVICE_URL!, apiKey: "hm_00000000_no" });
  await assert.rejects(stranger.predict(picture), { status: 401 });
});
