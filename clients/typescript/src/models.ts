/** What the service answers: the types of its OpenAPI description, and what the headers say. */
import type { components } from "./schema.js";

type Schemas = components["schemas"];

export type RateLimit = Schemas["Tier"];
export type Reading = Schemas["PredictResponse"];
export type TokenBox = Schemas["TokenBox"];
export type Problem = Schemas["ProblemDocument"];

export interface ResponseHeaders {
  /** The ID by which `feedback` corrects a prediction, and which to quote in support requests. */
  requestId: string;
  /** Of predictions and feedback, unless limits are off. */
  rateLimits: RateLimit[];
  /** Whether the prediction came from the service's cache. */
  cached?: boolean;
}

/** A response's body, and its headers. */
export type WithHeaders<Body> = Body & { headers: ResponseHeaders };

export type Prediction = WithHeaders<Reading>;
export type Batch = WithHeaders<Schemas["BatchResponse"]>;
export type Correction = WithHeaders<Schemas["FeedbackResponse"]>;
export type Status = WithHeaders<Schemas["Status"]>;
export type Health = WithHeaders<Schemas["Health"]>;
export type History = WithHeaders<Schemas["History"]>;
export type ModelInfo = WithHeaders<Schemas["ModelInfo"]>;
export type RateLimitStatus = WithHeaders<Schemas["Usage"]>;
export type Key = Schemas["KeyInfo"];
export type KeyResult = WithHeaders<Key>;
export type KeyList = WithHeaders<Schemas["KeyList"]>;
export type CreatedKey = WithHeaders<Schemas["CreatedKey"]>;
export type UsageDay = Schemas["UsageDay"];
export type UsageReport = WithHeaders<Schemas["UsageReport"]>;
