// What came: each device's latest values and last points. The module has dropped repeats and what is
// older than what was shown.

export const POINTS = 120;
// As many as the module keeps in mind.
const DEVICES_MAX = 20_000;
// More measures of one device are not drawn.
const SERIES_MAX = 24;

class Series {
  constructor(kind) {
    this.kind = kind;
    this.values = new Float64Array(POINTS);
    this.times = new Float64Array(POINTS);
    this.length = 0;
    this.next = 0;
    this.latest = undefined;
  }

  push(value, time) {
    this.latest = value;
    if (typeof value === "string") return;
    this.values[this.next] = Number(value);
    this.times[this.next] = time;
    this.next = (this.next + 1) % POINTS;
    this.length = Math.min(this.length + 1, POINTS);
  }

  #place(index) {
    return (this.next - this.length + index + POINTS) % POINTS;
  }

  at(index) {
    return this.values[this.#place(index)];
  }

  // Event time in milliseconds.
  timeAt(index) {
    return this.times[this.#place(index)];
  }
}

class Device {
  constructor(id) {
    this.id = id;
    this.series = new Map();
    this.last = null;
    this.at = 0;
  }

  take(reading, now) {
    const time = Number(reading.time_ns) / 1e6;
    for (const [name, value] of Object.entries(reading.measures)) {
      let series = this.series.get(name);
      if (!series) {
        if (this.series.size >= SERIES_MAX) continue;
        series = new Series(typeof value);
        this.series.set(name, series);
      }
      series.push(value, time);
    }
    this.last = reading;
    this.at = now;
  }

  // What a line can show, and what is on or off.
  lines() {
    return [...this.series].filter(([, { kind }]) => kind === "number");
  }

  switches() {
    return [...this.series].filter(([, { kind }]) => kind === "boolean");
  }
}

export class Store {
  devices = new Map();
  count = 0;

  // The device that took the reading; nothing where there are too many.
  apply(reading, now) {
    let device = this.devices.get(reading.device_id);
    if (!device) {
      if (this.devices.size >= DEVICES_MAX) return null;
      device = new Device(reading.device_id);
      this.devices.set(device.id, device);
    }
    device.take(reading, now);
    this.count += 1;
    return device;
  }
}
