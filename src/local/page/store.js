// What arrived: each device's latest values and last points, and how fast and how late it came.

export const POINTS = 120;
const DEVICES_MAX = 20_000;
const SAMPLES = 8192;
const SAMPLE_MS = 5_000;

// Decimal texts of integers beyond 2^53: the longer is the greater.
const compare = (a, b) => a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);

class Series {
  constructor(kind) {
    this.kind = kind;
    this.values = new Float64Array(POINTS);
    this.length = 0;
    this.next = 0;
    this.latest = undefined;
  }

  push(value) {
    this.latest = value;
    if (typeof value === "string") return;
    this.values[this.next] = Number(value);
    this.next = (this.next + 1) % POINTS;
    this.length = Math.min(this.length + 1, POINTS);
  }

  at(index) {
    return this.values[(this.next - this.length + index + POINTS) % POINTS];
  }
}

class Device {
  constructor(id) {
    this.id = id;
    this.series = new Map();
    this.last = { time: "", shard: null, seq: "", sub: 0, i: 0 };
    this.at = 0;
  }

  // Whether this reading is newer than what is shown: by event time, then by its place in the
  // stream. Repeats and late ones change nothing.
  take(reading, now) {
    const { shard, sub = 0, i = 0 } = reading;
    const [time, seq] = [String(reading.time_ns ?? ""), String(reading.seq ?? "")];
    const last = this.last;
    const order = compare(time, last.time);
    if (order < 0) return false;
    if (order === 0 && shard === last.shard) {
      if ((compare(seq, last.seq) || sub - last.sub || i - last.i) <= 0) return false;
    }
    this.last = { time, shard, seq, sub, i };
    this.at = now;
    for (const [name, value] of Object.entries(reading.measures ?? {})) {
      let series = this.series.get(name);
      if (!series) this.series.set(name, (series = new Series(typeof value)));
      series.push(value);
    }
    return true;
  }
}

export class Store {
  constructor() {
    this.devices = new Map();
    this.count = 0;
    this.samples = new Float64Array(SAMPLES);
    this.times = new Float64Array(SAMPLES);
    this.next = 0;
  }

  // The device that took the reading, or nothing.
  apply(reading, now) {
    const id = reading?.device_id;
    if (typeof id !== "string" || id === "") return null;
    let device = this.devices.get(id);
    if (!device) {
      if (this.devices.size >= DEVICES_MAX) return null;
      this.devices.set(id, (device = new Device(id)));
    }
    if (!device.take(reading, now)) return null;
    this.count += 1;
    return device;
  }

  // One reading that arrived on the stream at `arrival` was painted at `now`.
  painted(arrival, now) {
    this.samples[this.next] = Math.max(0, now - arrival);
    this.times[this.next] = now;
    this.next = (this.next + 1) % SAMPLES;
  }

  // The median and the 99th percentile of the last seconds, in milliseconds.
  delays(now) {
    const recent = this.samples.filter((_, i) => this.times[i] > now - SAMPLE_MS).sort();
    if (recent.length === 0) return null;
    const at = (part) => recent[Math.min(recent.length - 1, Math.floor(recent.length * part))];
    return { p50: at(0.5), p99: at(0.99) };
  }
}
