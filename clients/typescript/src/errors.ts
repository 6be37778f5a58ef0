/** What a call throws. All are `ClientError`, unless the caller's own signal aborts it. */
import type { Problem, ResponseHeaders } from "./models.js";

export class ClientError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The service could not be reached, or the connection broke. */
export class TransportError extends ClientError {}

/** The call's `timeoutMs` is over. */
export class DeadlineExceededError extends ClientError {}

/** The response is not what the service's description promises: another service, or another version. */
export class UnexpectedResponseError extends ClientError {}

/** The service answered with a problem document. `kind` and `status` are for programs. */
export class ProblemError extends ClientError {
  constructor(
    readonly problem: Problem,
    /** The kind of problem in a word, such as `nothing-written`. */
    readonly kind: string,
    readonly headers: ResponseHeaders,
    /** How long to wait before another attempt, where the service says so. */
    readonly retryAfterMs?: number,
  ) {
    super(`${problem.status} ${problem.title}: ${problem.detail}`);
  }

  get status(): number {
    return this.problem.status;
  }
}
