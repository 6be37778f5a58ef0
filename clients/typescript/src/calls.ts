/** What each endpoint is sent. Paths, options and bodies have the types of the OpenAPI description. */
import type { components, paths } from "./schema.js";

type Json<Path extends keyof paths> = paths[Path]["post"] extends {
  requestBody: { content: { "application/json": infer Body } };
}
  ? Body
  : never;

type Query<Path extends keyof paths> = paths[Path]["post"] extends { parameters: { query?: infer Options } }
  ? NonNullable<Options>
  : never;

/** A picture file's content: PNG, JPEG, WebP, … */
export type Picture = Blob | ArrayBuffer | Uint8Array<ArrayBuffer>;

/** Points `[x, y]`, y downwards, in any unit. */
export type Stroke = Json<"/predict/strokes">["strokes"][number];

/** What is known about a formula. Symbols are tokens as in `token_boxes` with `names: "letters"`. */
export type Constraints = Partial<components["schemas"]["Constraints"]>;

/** Options of a prediction. What is not given is the service's default. */
export type PredictOptions = Omit<
  Query<"/predict"> & Query<"/predict/strokes"> & Query<"/predict/batch">,
  "constraints" // a JSON text in the query
> & { constraints?: Constraints };

export type FeedbackOptions = Query<"/feedback">;

export type UsageOptions = Omit<NonNullable<paths["/usage"]["get"]["parameters"]["query"]>, "format">;

/** A key's own limits; what is not given is the service's default. */
export type KeyLimits = Partial<components["schemas"]["KeyLimits"]>;

/** A key to create. */
export interface NewKey {
  name: string;
  expires_days?: number;
  limits?: KeyLimits;
  admin?: boolean;
}

export interface Call {
  method: "GET" | "POST" | "PATCH" | "DELETE";
  path: keyof paths;
  /** The ID in the path, where it has one. */
  keyId?: string;
  query?: Record<string, unknown>;
  body?: BodyInit;
  contentType?: string;
  /** Whether an attempt that may have been processed must not be repeated. */
  once?: boolean;
  /** Statuses of results besides 200 and 201. */
  alsoStatus?: number;
}

export function predict(picture: Picture, query: PredictOptions): Call {
  const body = new FormData();
  body.set("file", picture instanceof Blob ? picture : new Blob([picture]), "picture");
  return { method: "POST", path: "/predict", query, body };
}

export function predictStrokes(strokes: Stroke[], query: PredictOptions): Call {
  return { method: "POST", path: "/predict/strokes", query, ...json<"/predict/strokes">({ strokes }) };
}

export function predictInkml(body: string, query: PredictOptions): Call {
  return { method: "POST", path: "/predict/strokes", query, body, contentType: "application/inkml+xml" };
}

export async function predictBatch(pictures: Picture[], query: PredictOptions): Promise<Call> {
  const images = await Promise.all(pictures.map(base64));
  return { method: "POST", path: "/predict/batch", query, ...json<"/predict/batch">({ images }) };
}

export function feedback(requestId: string, formula: string, query: FeedbackOptions): Call {
  const body = json<"/feedback">({ request_id: requestId, formula });
  // A late repetition would replace a correction that was sent in between.
  return { method: "POST", path: "/feedback", query, ...body, once: true };
}

export function addKey(key: NewKey): Call {
  // A repetition would create a second key.
  return { method: "POST", path: "/keys", body: JSON.stringify(key), contentType: "application/json", once: true };
}

export function limitKey(keyId: string, limits: KeyLimits): Call {
  const body = JSON.stringify(limits);
  return { method: "PATCH", path: "/keys/{key_id}", keyId, body, contentType: "application/json" };
}

function json<Path extends keyof paths>(body: Json<Path>): Pick<Call, "body" | "contentType"> {
  return { body: JSON.stringify(body), contentType: "application/json" };
}

async function base64(picture: Picture): Promise<string> {
  const bytes = new Uint8Array(picture instanceof Blob ? await picture.arrayBuffer() : picture);
  let binary = "";
  for (let start = 0; start < bytes.length; start += 0x8000) {
    binary += String.fromCharCode(...bytes.subarray(start, start + 0x8000)); // arguments are limited
  }
  return btoa(binary);
}
