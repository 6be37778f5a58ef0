/** What is asked of the service, and what comes back: an answer, or a problem. */

import { limitsOf } from "./limits.js";

/**
 * @typedef {{formula: string, confidence: number, mathml?: string, token_boxes?: import("./light.js").TokenBox[]}} Reading
 * @typedef {import("./limits.js").Limits} Limits
 * @typedef {Reading & {processing_time: number, alternatives?: Reading[]}} Answer
 * @typedef {{answer: any, id: string, limits: Limits | null, cached: boolean, milliseconds: number}} Told
 */

/** No answer. `status` is 0 where the service could not be reached; `wait`: seconds until it is worth trying. */
export class Problem extends Error {
  /** @param {number} status @param {string} kind @param {string} detail
   *  @param {{wait?: number | null, id?: string, limits?: Limits | null}} more */
  constructor(status, kind, detail, { wait = null, id = "", limits = null } = {}) {
    super(detail);
    Object.assign(this, { status, kind, wait, id, limits });
  }
}

/**
 * Asks. Throws Problem; and AbortError where `signal` says that nobody waits any more.
 * @param {string} path
 * @param {{method?: string, body?: BodyInit, type?: string, key?: string, signal?: AbortSignal}} options a body makes it a POST, unless `method` says else
 * @returns {Promise<Told>}
 */
export async function ask(path, { method, body, type, key, signal } = {}) {
  const headers = new Headers();
  if (type) headers.set("Content-Type", type);
  if (key) headers.set("X-API-Key", key);
  const start = performance.now();
  let response, text;
  try {
    response = await fetch(path, { method: method ?? (body === undefined ? "GET" : "POST"), body, headers, signal });
    text = await response.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, "unreachable", "The service can't be reached.");
  }
  const limits = limitsOf(response.headers);
  const id = response.headers.get("X-Request-ID") ?? "";
  let content = null;
  try {
    content = JSON.parse(text);
  } catch { /* something before the service, such as a proxy, answers in its own words */ }
  if (!response.ok || content === null) {
    const kind = String(content?.type ?? "").replace("urn:problem:", "");
    const wait = Number.parseFloat(response.headers.get("Retry-After") ?? "");
    const detail = content?.detail ?? `The answer was ${response.status} ${response.statusText}, without a reason.`;
    throw new Problem(response.status, kind, detail, { wait: Number.isFinite(wait) ? wait : null, id, limits });
  }
  const milliseconds = performance.now() - start;
  return { answer: content, id, limits, cached: response.headers.get("X-Cache") === "hit", milliseconds };
}

/**
 * Fetches a file, and lets the browser keep it under a name. Throws Problem.
 * @param {string} path @param {string} name @param {string | undefined} key
 */
export async function download(path, name, key) {
  let response;
  try {
    response = await fetch(path, { headers: key ? { "X-API-Key": key } : {} });
  } catch {
    throw new Problem(0, "unreachable", "The service can't be reached.");
  }
  if (!response.ok) throw new Problem(response.status, "", `The answer was ${response.status} ${response.statusText}.`);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
