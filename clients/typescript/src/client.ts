/** The client: one method an endpoint, over `fetch`. */
import * as calls from "./calls.js";
import type { Call, FeedbackOptions, KeyLimits, NewKey, Picture, PredictOptions, Stroke, UsageOptions } from "./calls.js";
import { ClientError } from "./errors.js";
import { Exchange } from "./exchange.js";
import type {
  Batch,
  Correction,
  CreatedKey,
  Health,
  History,
  KeyList,
  KeyResult,
  ModelInfo,
  Prediction,
  RateLimitStatus,
  Status,
  UsageReport,
} from "./models.js";

export interface ClientSettings {
  /** The service's address, such as `http://localhost:3000`. */
  baseUrl: string;
  apiKey?: string;
  /** How long a call may take with all its attempts; 40 s by default. */
  timeoutMs?: number;
  /** How many further attempts a call makes; 3 by default. */
  retries?: number;
  /** Another `fetch`, for tests and proxies. */
  fetch?: typeof fetch;
}

/** Aborts the call. */
export interface Abortable {
  signal?: AbortSignal;
}

export class Client {
  readonly #base: string;
  readonly #headers: Record<string, string>;
  readonly #timeoutMs: number;
  readonly #retries: number;
  readonly #fetch: typeof fetch;

  constructor({ baseUrl, apiKey, timeoutMs = 40_000, retries = 3, fetch: own }: ClientSettings) {
    if (!URL.canParse(baseUrl) || !/^https?:/.test(baseUrl)) {
      throw new ClientError(`baseUrl: ${JSON.stringify(baseUrl)} is no address such as http://localhost:3000`);
    }
    if (apiKey !== undefined && !/^[\x21-\x7e]+$/.test(apiKey)) {
      throw new ClientError("apiKey: has characters that no key has; is it empty, or has it a line break?");
    }
    if (!(timeoutMs > 0)) throw new ClientError(`timeoutMs: ${timeoutMs} is not above 0`);
    if (!(retries >= 0)) throw new ClientError(`retries: ${retries} is below 0`);
    this.#base = baseUrl.replace(/\/+$/, "");
    this.#headers = { Accept: "application/json", ...(apiKey === undefined ? {} : { "X-API-Key": apiKey }) };
    this.#timeoutMs = timeoutMs;
    this.#retries = retries;
    this.#fetch = own ?? ((input, init) => fetch(input, init));
  }

  /** Read a picture. */
  predict(picture: Picture, { signal, ...query }: PredictOptions & Abortable = {}): Promise<Prediction> {
    return this.#send(calls.predict(picture, query), signal);
  }

  /** Read pen strokes. */
  predictStrokes(strokes: Stroke[], { signal, ...query }: PredictOptions & Abortable = {}): Promise<Prediction> {
    return this.#send(calls.predictStrokes(strokes, query), signal);
  }

  /** Read an InkML document. */
  predictInkml(document: string, { signal, ...query }: PredictOptions & Abortable = {}): Promise<Prediction> {
    return this.#send(calls.predictInkml(document, query), signal);
  }

  /** Read up to ten pictures; each counts against the limits. A bad one does not fail the others. */
  async predictBatch(pictures: Picture[], { signal, ...query }: PredictOptions & Abortable = {}): Promise<Batch> {
    return this.#send(await calls.predictBatch(pictures, query), signal);
  }

  /** Say what should have been read in the prediction with this request ID. Needs a key. */
  feedback(
    requestId: string,
    formula: string,
    { signal, ...query }: FeedbackOptions & Abortable = {},
  ): Promise<Correction> {
    return this.#send(calls.feedback(requestId, formula, query), signal);
  }

  /** State of the service. */
  status({ signal }: Abortable = {}): Promise<Status> {
    return this.#send({ method: "GET", path: "/status" }, signal);
  }

  /** A thorough check. An unhealthy service is a result, too. */
  health({ signal }: Abortable = {}): Promise<Health> {
    return this.#send({ method: "GET", path: "/health", alsoStatus: 503 }, signal);
  }

  /** Metrics by minute. */
  history({ signal }: Abortable = {}): Promise<History> {
    return this.#send({ method: "GET", path: "/history" }, signal);
  }

  /** The model being served. */
  modelInfo({ signal }: Abortable = {}): Promise<ModelInfo> {
    return this.#send({ method: "GET", path: "/model/info" }, signal);
  }

  /** What is left of the caller's limits; does not count. */
  rateLimitStatus({ signal }: Abortable = {}): Promise<RateLimitStatus> {
    return this.#send({ method: "GET", path: "/rate-limit/status" }, signal);
  }

  /** Usage by key and day: the caller's own, and with an admin key everybody's or that of one key. */
  usage({ signal, ...query }: UsageOptions & Abortable = {}): Promise<UsageReport> {
    return this.#send({ method: "GET", path: "/usage", query }, signal);
  }

  /** All API keys. Needs an admin key. */
  listKeys({ signal }: Abortable = {}): Promise<KeyList> {
    return this.#send({ method: "GET", path: "/keys" }, signal);
  }

  /** Create an API key. Needs an admin key. */
  addKey(key: NewKey, { signal }: Abortable = {}): Promise<CreatedKey> {
    return this.#send(calls.addKey(key), signal);
  }

  /** Replace a key's own limits. Needs an admin key. */
  limitKey(id: string, limits: KeyLimits, { signal }: Abortable = {}): Promise<KeyResult> {
    return this.#send(calls.limitKey(id, limits), signal);
  }

  /** Revoke an API key. Needs an admin key. */
  revokeKey(id: string, { signal }: Abortable = {}): Promise<KeyResult> {
    return this.#send({ method: "DELETE", path: "/keys/{key_id}", keyId: id }, signal);
  }

  async #send<Result>(call: Call, signal?: AbortSignal): Promise<Result> {
    const exchange = new Exchange(call, this.#retries, this.#timeoutMs, signal);
    return exchange.run((attempt) => this.#fetch(this.#url(call), this.#request(call, attempt))) as Promise<Result>;
  }

  #url({ path, keyId = "", query = {} }: Call): string {
    const parameters = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) {
      if (value === undefined || value === null) continue;
      parameters.set(name, typeof value === "object" ? JSON.stringify(value) : String(value));
    }
    return this.#base + path.replace("{key_id}", encodeURIComponent(keyId)) + (parameters.size ? `?${parameters}` : "");
  }

  #request({ method, body, contentType }: Call, signal: AbortSignal): RequestInit {
    const headers = contentType === undefined ? this.#headers : { ...this.#headers, "Content-Type": contentType };
    // Redirects are not followed: the key would go along.
    return { method, headers, signal, redirect: "manual", ...(body === undefined ? {} : { body }) };
  }
}

