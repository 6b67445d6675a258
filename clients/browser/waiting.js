// What an iterator has not been asked for yet.

import { seriesOf } from "./order.js";

// Every reading while there is room; else the newest of each series, its measures joined, until all
// is handed out.
class Waiting {
  constructor(bound) {
    this.bound = bound;
    this.list = [];
    this.joined = null;
    this.skipped = 0;
  }

  get size() {
    return this.joined?.size ?? this.list.length;
  }

  push(reading) {
    if (!this.joined && this.list.length < this.bound) return void this.list.push(reading);
    this.joined ??= new Map();
    for (const one of [...this.list.splice(0), reading]) this.#join(one);
  }

  #join(reading) {
    const key = seriesOf(reading);
    const older = this.joined.get(key);
    if (older) {
      this.skipped += 1;
      this.joined.delete(key);
      reading = { ...reading, measures: { ...older.measures, ...reading.measures } };
    } else if (this.joined.size >= this.bound) {
      this.skipped += 1;
      this.joined.delete(this.joined.keys().next().value);
    }
    this.joined.set(key, reading);
  }

  shift() {
    if (!this.joined) return this.list.shift();
    const [key, reading] = this.joined.entries().next().value;
    this.joined.delete(key);
    if (this.joined.size === 0) this.joined = null;
    return reading;
  }
}

// An async iterator that others push readings into.
export class Readings {
  #waiting;
  #asked = [];
  #ended = false;
  #onReturn;

  constructor(bound, onReturn) {
    this.#waiting = new Waiting(Math.max(1, bound));
    this.#onReturn = onReturn;
  }

  get skipped() {
    return this.#waiting.skipped;
  }

  push(reading) {
    this.#waiting.push(reading);
    this.#hand();
  }

  // No more will come; what waits is still handed out.
  end() {
    this.#ended = true;
    this.#hand();
  }

  #hand() {
    while (this.#asked.length && (this.#waiting.size || this.#ended)) {
      const done = this.#waiting.size === 0;
      this.#asked.shift()({ value: done ? undefined : this.#waiting.shift(), done });
    }
  }

  next() {
    return new Promise((resolve) => {
      this.#asked.push(resolve);
      this.#hand();
    });
  }

  async return() {
    this.#onReturn(this);
    this.#waiting.list = [];
    this.#waiting.joined = null;
    this.end();
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator]() {
    return this;
  }
}
