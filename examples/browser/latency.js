// Latencies in buckets, each a tenth wider than the one before: percentiles without keeping every value.

const STEP = Math.log(1.1);
const BUCKETS = 160; // from 0.01 ms to half a minute and more
const LEAST_MS = 0.01;

export class Latencies {
  #counts = new Uint32Array(BUCKETS);
  total = 0;

  add(ms, count) {
    const bucket = Math.floor(Math.log(Math.max(ms, LEAST_MS) / LEAST_MS) / STEP);
    this.#counts[Math.min(bucket, BUCKETS - 1)] += count;
    this.total += count;
  }

  /** Adds those of another. @param {Latencies} other */
  merge(other) {
    for (let bucket = 0; bucket < BUCKETS; bucket += 1) this.#counts[bucket] += other.#counts[bucket];
    this.total += other.total;
  }

  /** The milliseconds that this share of all does not exceed; `null` without any. */
  quantile(share) {
    if (this.total === 0) return null;
    let left = this.total * share;
    for (let bucket = 0; bucket < BUCKETS; bucket += 1) {
      left -= this.#counts[bucket];
      if (left <= 0) return LEAST_MS * Math.exp((bucket + 1) * STEP);
    }
    return LEAST_MS * Math.exp(BUCKETS * STEP);
  }
}
