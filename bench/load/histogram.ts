/**
 * Latencies in buckets of constant relative width, so that recording one is an increment and percentiles of many threads can
 * be added up. Values are microseconds; between 1 us and 2 h a bucket is at most 1.6 % wide, below that 1 us.
 */

/** 64 buckets to each power of two. */
const BITS = 6;
const SUB = 1 << BITS;
const MAX_EXPONENT = 33;
const BUCKETS = SUB * (MAX_EXPONENT - BITS + 1);

export interface Percentiles {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export class Histogram {
  readonly counts = new Float64Array(BUCKETS);
  total = 0;
  max = 0;

  record(us: number): void {
    this.counts[bucketOf(us)]!++;
    this.total++;
    if (us > this.max) this.max = us;
  }

  add(other: { readonly counts: Float64Array; readonly total: number; readonly max: number }): void {
    for (let i = 0; i < BUCKETS; i++) this.counts[i]! += other.counts[i]!;
    this.total += other.total;
    this.max = Math.max(this.max, other.max);
  }

  reset(): void {
    this.counts.fill(0);
    this.total = 0;
    this.max = 0;
  }

  /** The value that `share` (0 to 1) of all are at or below, to the width of a bucket; 0 where there are none. */
  percentile(share: number): number {
    if (this.total === 0) return 0;
    const rank = Math.max(1, Math.ceil(share * this.total));
    let seen = 0;
    for (let i = 0; i < BUCKETS; i++) {
      seen += this.counts[i]!;
      if (seen >= rank) return Math.min(highestOf(i), this.max);
    }
    return this.max;
  }

  percentiles(): Percentiles {
    return {
      p50: this.percentile(0.5),
      p90: this.percentile(0.9),
      p99: this.percentile(0.99),
      p999: this.percentile(0.999),
      max: this.max,
    };
  }
}

function bucketOf(us: number): number {
  const value = us < 0 ? 0 : Math.floor(us);
  if (value < SUB) return value;
  const exponent = Math.min(MAX_EXPONENT - 1, Math.floor(Math.log2(value)));
  const within = Math.min(SUB - 1, Math.floor(value / 2 ** (exponent - BITS)) - SUB);
  return SUB * (exponent - BITS + 1) + within;
}

/** The largest whole value that is in a bucket. */
function highestOf(bucket: number): number {
  if (bucket < SUB) return bucket;
  const exponent = Math.floor(bucket / SUB) + BITS - 1;
  return (SUB + (bucket % SUB) + 1) * 2 ** (exponent - BITS) - 1;
}
