export { Client, type ClientSettings } from "./client.js";
export type { Constraints, KeyLimits, NewKey, Picture, PredictOptions, Stroke } from "./calls.js";
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
  CreatedKey,
  Health,
  History,
  Key,
  KeyList,
  KeyResult,
  ModelInfo,
  Prediction,
  Problem,
  RateLimit,
  RateLimitStatus,
  Reading,
  ResponseHeaders,
  Status,
  TokenBox,
  UsageDay,
  UsageReport,
} from "./models.js";
