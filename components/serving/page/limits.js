/** How much the caller may still ask, as the service says it with every answer. */

import { $, made } from "./elements.js";

/**
 * @typedef {{name: string, limit: number, remaining: number, resets: number}} Tier `resets`: in so many seconds
 * @typedef {Tier[]} Limits
 */

/** @param {Headers} headers `RateLimit` and `RateLimit-Policy` @returns {Limits | null} null where there are none */
export function limitsOf(headers) {
  const policy = new Map(
    Array.from((headers.get("RateLimit-Policy") ?? "").matchAll(/"(\w+)";q=(\d+)/g), ([, name, q]) => [name, Number(q)]),
  );
  const tiers = Array.from((headers.get("RateLimit") ?? "").matchAll(/"(\w+)";r=(\d+);t=(\d+)/g), ([, name, r, t]) => ({
    name, limit: policy.get(name) ?? Number(r), remaining: Number(r), resets: Number(t),
  }));
  return tiers.length ? tiers : null;
}

/**
 * How long the pen must rest before what is written is read, in milliseconds. Hardly at all as long as there is
 * plenty; the less is left of this minute, or of a longer time, the longer.
 * @param {Limits | null} limits
 */
export function pause(limits) {
  if (!limits) return 10;
  const left = Math.min(...limits.map((tier) => tier.remaining / tier.limit));
  return left > 0.5 ? 10 : left > 0.2 ? 500 : 1200;
}

/** @param {Limits | null} limits */
export function showLimits(limits) {
  const lines = (limits ?? []).map(({ name, limit, remaining, resets }) => {
    const when = remaining < limit ? `, all again in ${duration(resets)}` : "";
    return made("li", {}, `${remaining} of ${limit} left this ${name}${when}`);
  });
  $("tiers").replaceChildren(...lines);
}

/** @param {number} seconds */
export function duration(seconds) {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}
