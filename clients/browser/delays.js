// How long readings took, as a histogram.

// Eight buckets for each doubling: what is read off is at most 9.1 % too high.
const STEPS = 8;
// The last bound before the open end: 2^20 ms, some 17 minutes.
const LAST = 20 * STEPS;

export class Delays {
  constructor() {
    this.counts = new Uint32Array(LAST + 2);
    this.count = 0;
    // By how much, at least, this machine's clock is behind the stream's: a delay below nothing.
    this.ahead_ms = 0;
  }

  // The most that bucket `at` holds, in milliseconds.
  static upTo(at) {
    return at > LAST ? Infinity : 2 ** (at / STEPS);
  }

  record(ms) {
    if (!Number.isFinite(ms)) return;
    this.ahead_ms = Math.max(this.ahead_ms, -ms);
    this.counts[ms <= 1 ? 0 : Math.min(LAST + 1, Math.ceil(STEPS * Math.log2(ms)))] += 1;
    this.count += 1;
  }

  // That part (0 to 1) of all took at most so many milliseconds; NaN where there are none.
  quantile(part) {
    let left = Math.max(1, Math.ceil(this.count * part));
    return this.count ? Delays.upTo(this.counts.findIndex((count) => (left -= count) <= 0)) : NaN;
  }

  copy() {
    return Object.assign(new Delays(), this, { counts: this.counts.slice() });
  }

  // What was recorded since `earlier`, a copy of this.
  since(earlier) {
    const delays = this.copy();
    delays.count -= earlier.count;
    earlier.counts.forEach((count, at) => (delays.counts[at] -= count));
    return delays;
  }
}
