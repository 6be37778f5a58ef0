/** From an HTTP response to the result of a call, or to the error that it means. */
import type { Call } from "./calls.js";
import { ProblemError, UnexpectedResponseError } from "./errors.js";
import type { Problem, RateLimit, Reading, ResponseHeaders, WithHeaders } from "./models.js";

const PROBLEM = "application/problem+json";
const SHOWN = 200; // characters of a body that an error quotes

/** Whether an entry of a batch is a problem, and not a reading. */
export function isProblem(entry: Reading | Problem): entry is Problem {
  return "detail" in entry;
}

/** The kind of a problem in a word, such as `nothing-written`. */
export function kindOf(problem: Problem): string {
  return problem.type.replace(/^urn:problem:/, "");
}

/** Whether this is what the call asks for, and not a problem. */
export function isResult(call: Call, response: Response): boolean {
  const known = response.status === 200 || response.status === 201 || response.status === call.alsoStatus;
  return known && !(response.headers.get("Content-Type") ?? "").startsWith(PROBLEM);
}

export function result<Body extends object>(call: Call, response: Response, text: string): WithHeaders<Body> {
  const body = parsed(text);
  if (body === undefined) {
    throw new UnexpectedResponseError(`${call.method} ${call.path}: expected a JSON object, not ${shown(text)}`);
  }
  return { ...(body as Body), headers: headersOf(response) };
}

export function problemError(response: Response, text: string): ProblemError {
  const body = parsed(text) as Partial<Problem> | undefined;
  const problem: Problem =
    body !== undefined && typeof body.type === "string" && typeof body.detail === "string"
      ? (body as Problem)
      : {
          type: "about:blank", // what RFC 9457 has for "see the status"
          title: response.statusText,
          status: response.status,
          detail: `the response is no problem document: ${shown(text)}`,
          request_id: response.headers.get("X-Request-ID") ?? "",
        };
  return new ProblemError(problem, kindOf(problem), headersOf(response), retryAfterMs(response));
}

export function headersOf(response: Response): ResponseHeaders {
  const cache = response.headers.get("X-Cache");
  return {
    requestId: response.headers.get("X-Request-ID") ?? "",
    rateLimits: rateLimits(response),
    ...(cache === null ? {} : { cached: cache === "hit" }),
  };
}

/** `Retry-After`, which may be seconds or a date. */
export function retryAfterMs(response: Response): number | undefined {
  const value = (response.headers.get("Retry-After") ?? "").trim();
  if (/^\d{1,9}$/.test(value)) return 1000 * Number(value);
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}

/** `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10), joined by name. */
function rateLimits(response: Response): RateLimit[] {
  const policies = new Map(items(response.headers.get("RateLimit-Policy")));
  return items(response.headers.get("RateLimit")).flatMap(([name, { r: remaining, t: resets_in }]) => {
    const { q: limit, w: window } = policies.get(name) ?? {};
    if (limit === undefined || window === undefined || remaining === undefined || resets_in === undefined) return [];
    return [{ name, limit, window, remaining, resets_in }];
  });
}

/** The items of a structured field's list (RFC 9651) with their integer parameters. */
function items(value: string | null): [string, Record<string, number>][] {
  return [...(value ?? "").matchAll(/"([^"]*)"((?:\s*;\s*[a-z]+=[^;,]*)*)/g)].map(([, name = "", rest = ""]) => {
    const parameters = [...rest.matchAll(/;\s*([a-z]+)=(\d{1,15})(?=[;,\s]|$)/g)];
    return [name, Object.fromEntries(parameters.map(([, key = "", number]) => [key, Number(number)]))];
  });
}

function parsed(text: string): object | undefined {
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === "object" && body !== null && !Array.isArray(body) ? body : undefined;
  } catch {
    return undefined; // the caller says what was expected
  }
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, SHOWN));
}
