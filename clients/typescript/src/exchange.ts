/** One call from its first attempt to its last: what is tried again, when, and when to give up. */
import type { Call } from "./calls.js";
import { DeadlineExceededError, type ProblemError, TransportError } from "./errors.js";
import type { WithHeaders } from "./models.js";
import { isResult, problemError, result } from "./responses.js";

const FIRST_BACKOFF_MS = 500;
const LONGEST_BACKOFF_MS = 8000;
const TEMPORARY = new Set([429, 500, 502, 503, 504]);
// Node's codes of connections that were never made. Browsers do not say.
const UNSENT = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "UND_ERR_CONNECT_TIMEOUT"]);

export class Exchange {
  readonly #deadline: number;
  #attempts = 0;

  constructor(
    readonly call: Call,
    readonly retries: number,
    readonly timeoutMs: number,
    readonly signal: AbortSignal | undefined,
  ) {
    this.#deadline = performance.now() + timeoutMs;
  }

  async run(attempt: (signal: AbortSignal) => Promise<Response>): Promise<WithHeaders<object>> {
    for (;;) {
      this.#attempts += 1;
      const response = await this.#attempt(attempt);
      if (typeof response === "number") await this.#sleep(response);
      else return response;
    }
  }

  /** The result, or the milliseconds to wait before the next attempt. */
  async #attempt(attempt: (signal: AbortSignal) => Promise<Response>): Promise<WithHeaders<object> | number> {
    const deadline = AbortSignal.timeout(Math.max(0, Math.floor(this.#leftMs)));
    let response: Response;
    let text: string;
    try {
      response = await attempt(this.signal ? AbortSignal.any([this.signal, deadline]) : deadline);
      text = await response.text();
    } catch (error) {
      this.signal?.throwIfAborted();
      if (deadline.aborted) throw this.#exceeded(error);
      return this.#afterFailure(error);
    }
    return isResult(this.call, response)
      ? result(this.call, response, text)
      : this.#afterProblem(problemError(response, text));
  }

  #afterProblem(error: ProblemError): number {
    const refused = (error.status === 429 || error.status === 503) && error.retryAfterMs !== undefined;
    const again = refused || (!this.call.once && TEMPORARY.has(error.status));
    return this.#waitOr(error, again, error.retryAfterMs ?? this.#backoffMs());
  }

  #afterFailure(cause: unknown): number {
    const error = new TransportError(`${this.#what}: ${reason(cause)}`, { cause });
    return this.#waitOr(error, !this.call.once || UNSENT.has(codeOf(cause)), this.#backoffMs());
  }

  #waitOr(error: Error, again: boolean, waitMs: number): number {
    if (!again || this.#attempts > this.retries || waitMs >= this.#leftMs) throw error;
    return waitMs;
  }

  /** Exponential, capped, and random, so that callers who failed together do not return together. */
  #backoffMs(): number {
    const longest = Math.min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (this.#attempts - 1));
    return longest * (0.5 + Math.random() / 2);
  }

  async #sleep(ms: number): Promise<void> {
    const { promise, resolve, reject } = withResolvers();
    const abort = () => reject(this.signal?.reason);
    const timer = setTimeout(resolve, ms);
    this.signal?.addEventListener("abort", abort);
    try {
      this.signal?.throwIfAborted();
      await promise;
    } finally {
      clearTimeout(timer);
      this.signal?.removeEventListener("abort", abort);
    }
  }

  get #leftMs(): number {
    return this.#deadline - performance.now();
  }

  get #what(): string {
    return `${this.call.method} ${this.call.path}`;
  }

  #exceeded(cause: unknown): DeadlineExceededError {
    const message = `${this.#what}: no result within ${this.timeoutMs} ms (${this.#attempts} attempts)`;
    return new DeadlineExceededError(message, { cause });
  }
}

/** `Promise.withResolvers`, which Node 20 lacks. */
function withResolvers(): { promise: Promise<void>; resolve: () => void; reject: (reason: unknown) => void } {
  let resolve!: () => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

/** What Node says of a failed connection, in `cause`. */
function codeOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && "code" in cause ? String(cause.code) : "";
}

function reason(error: unknown): string {
  return codeOf(error) || (error instanceof Error ? error.message : String(error));
}
