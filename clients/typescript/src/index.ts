export { Client, type ClientSettings } from "./client.js";
export type { Constraints, Picture, PredictOptions, Stroke } from "./calls.js";
export {
  ClientError,
  DeadlineExceededError,
  ProblemError,
  TransportError,
  UnexpectedResponseError,
} from "./errors.js";
export { isProblem, kindOf } from "./responses.js";
export type {
  Batch,
  Correction,
  Health,
  History,
  ModelInfo,
  Prediction,
  Problem,
  RateLimit,
  RateLimitStatus,
  Reading,
  ResponseHeaders,
  Status,
  TokenBox,
} from "./models.js";
