// A browser's place with a clock that only tests move.

import { connect } from "../tidewire.js";

// Promises that are settled by now have been heard of after so many turns; a token passes some four.
export async function settle() {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}

// Numbers that look random and are the same at each run.
export function dice(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

class Place extends EventTarget {
  hidden = false;
}

export class World {
  constructor({ random = () => 0.5, hasFetch = true, paints = false } = {}) {
    this.time = 1_700_000_000_000;
    this.timers = new Map();
    this.ids = 0;
    this.sockets = [];
    this.isThere = true;
    this.pongs = true;
    this.probes = 0;
    this.reported = [];
    this.frames = [];
    this.document = new Place();
    this.window = new Place();
    this.navigator = { onLine: true };
    const world = this;
    class Socket {
      constructor(url, protocols) {
        Object.assign(this, { url, protocols, sent: [], closed: false });
        world.sockets.push(this);
      }
      send(text) {
        if (this.closed) throw new Error("sent on a closed socket");
        this.sent.push(JSON.parse(text));
        if (world.pongs && this.sent.at(-1).action === "ping") queueMicrotask(() => this.say({ type: "pong" }));
      }
      close() {
        this.closed = true;
      }
      open() {
        if (this.isOpen) return;
        this.isOpen = true;
        this.onopen?.({});
      }
      say(frame) {
        this.onmessage?.({ data: typeof frame === "string" ? frame : JSON.stringify(frame) });
      }
      drop(code = 1006) {
        this.closed = true;
        if (!this.onerror) throw new Error("nobody listens to the error before the close");
        this.onerror({});
        this.onclose?.({ code });
      }
    }
    this.given = {
      WebSocket: Socket,
      fetch: hasFetch ? (...asked) => this.fetch(...asked) : undefined,
      setTimeout: (then, ms) => this.setTimeout(then, ms),
      clearTimeout: (id) => this.timers.delete(id),
      requestAnimationFrame: paints ? (then) => this.frames.push(then) : undefined,
      report: (error) => this.reported.push(error),
      now: () => this.time,
      random,
      document: this.document,
      window: this.window,
      navigator: this.navigator,
    };
  }

  async fetch(url, options) {
    this.probes += 1;
    this.probed = { url, options };
    if (!this.isThere) throw new TypeError("Failed to fetch");
    return {};
  }

  setTimeout(then, ms) {
    if (!Number.isFinite(ms)) throw new Error(`a timer of ${ms}`);
    this.ids += 1;
    this.timers.set(this.ids, { at: this.time + ms, then });
    return this.ids;
  }

  get socket() {
    return this.sockets.at(-1);
  }

  // Lets so many milliseconds pass.
  async pass(ms) {
    const until = this.time + ms;
    for (;;) {
      await settle();
      const [due] = [...this.timers].filter(([, { at }]) => at <= until).sort((a, b) => a[1].at - b[1].at || a[0] - b[0]);
      if (!due) break;
      const [id, { at, then }] = due;
      this.timers.delete(id);
      this.time = Math.max(this.time, at);
      then();
    }
    this.time = until;
  }

  async paint() {
    for (const then of this.frames.splice(0)) then();
    await this.pass(0);
  }

  async see(hidden) {
    this.document.hidden = hidden;
    this.document.dispatchEvent(new Event("visibilitychange"));
    await settle();
  }

  connect(options = {}) {
    return connect("wss://example.test/prod", { token: "t0ken", devices: ["a"], world: this.given, ...options });
  }

  // Connected, subscribed and heard.
  async live(options = {}) {
    const client = this.connect(options);
    await settle();
    this.socket.open();
    this.socket.say({ type: "subscribed", device_ids: client.devices });
    return client;
  }
}

let made = 0;
export function reading(fields = {}) {
  made += 1;
  return {
    device_id: "a",
    time_ns: "1700000000000000000",
    measures: { temperature: 20 },
    shard: "shardId-000000000000",
    seq: String(10n ** 55n + BigInt(made)),
    sub: 0,
    i: 0,
    arrival_ms: 1_700_000_000_000,
    ...fields,
  };
}

export const frame = (...readings) => ({ type: "readings", readings });
