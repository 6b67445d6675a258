// Which of two readings is the newer, and what of a reading is news.

// Bounds of memory. A series is a device with equal dimensions; the one silent for longest is
// forgotten first. Timestream holds 1,024 measures a table.
export const SERIES_MAX = 20_000;
const MEASURES_MAX = 1_024;

// Integers as decimal text, since they exceed 2^53: the longer is the greater.
export function compareIntegers(a, b) {
  const [aMinus, bMinus] = [a[0] === "-", b[0] === "-"];
  if (aMinus !== bMinus) return aMinus ? -1 : 1;
  const order = a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
  return aMinus ? 0 - order : order;
}

// Positive where `a` is the newer: by event time, then by the place in the stream (a child shard's
// numbers are higher than its parent's). The shard only makes it total.
export function compareAge(a, b) {
  return (
    compareIntegers(a.time_ns, b.time_ns) ||
    compareIntegers(a.seq, b.seq) ||
    a.sub - b.sub ||
    a.i - b.i ||
    (a.shard < b.shard ? -1 : a.shard > b.shard ? 1 : 0)
  );
}

export function seriesOf({ device_id, dimensions }) {
  return dimensions ? `${device_id}\0${JSON.stringify(dimensions)}` : device_id;
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const isInteger = (text) => typeof text === "string" && /^-?\d+$/.test(text);

export function isReading(value) {
  return (
    isObject(value) &&
    typeof value.device_id === "string" &&
    typeof value.shard === "string" &&
    isInteger(value.time_ns) &&
    isInteger(value.seq) &&
    Number.isInteger(value.sub) &&
    Number.isInteger(value.i) &&
    isObject(value.measures) &&
    (value.dimensions === undefined || isObject(value.dimensions))
  );
}

// The age of the newest of every measure. What is as old or older is left out of a reading, so that
// repeats and late ones change nothing. By measure, since a device may send each in a message of
// its own, and a frame may hold what newer readings left of an older one.
export class Latest {
  constructor(seriesMax = SERIES_MAX) {
    this.seriesMax = seriesMax;
    this.series = new Map();
    this.repeats = 0;
    this.stale = 0;
  }

  // The reading as far as it is news, or nothing.
  take(reading) {
    const { time_ns, seq, sub, i, shard, measures } = reading;
    const age = { time_ns, seq, sub, i, shard };
    const key = seriesOf(reading);
    const known = this.series.get(key) ?? new Map();
    const all = Object.keys(measures);
    let repeated = false;
    const news = all.filter((name) => {
      const order = known.has(name) ? compareAge(age, known.get(name)) : 1;
      repeated ||= order === 0;
      return order > 0;
    });
    if (news.length === 0) {
      this[repeated ? "repeats" : "stale"] += 1;
      return null;
    }
    for (const name of news) {
      if (!known.has(name) && known.size >= MEASURES_MAX) known.delete(known.keys().next().value);
      known.set(name, age);
    }
    this.series.delete(key);
    this.series.set(key, known);
    if (this.series.size > this.seriesMax) this.series.delete(this.series.keys().next().value);
    if (news.length === all.length) return reading;
    return { ...reading, measures: Object.fromEntries(news.map((name) => [name, measures[name]])) };
  }
}
