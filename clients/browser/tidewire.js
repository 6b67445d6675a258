// Live values from a tidewire gateway, in a browser. No dependencies; types are in tidewire.d.ts.

import { Delays } from "./delays.js";
import { Link } from "./link.js";
import { Latest, compareAge, compareIntegers, isReading } from "./order.js";
import { Tries } from "./tries.js";
import { Readings } from "./waiting.js";
import { answers, askToken, worldOf } from "./world.js";

export { Delays, compareAge, compareIntegers };

const PROTOCOL = "tidewire.v1";
const BEARER = "bearer.";
// What a subprotocol may consist of (RFC 6455, 4.1). A browser refuses the rest with an error that
// quotes the token, so it never gets to see it.
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/;

// API Gateway ends every connection after two hours.
const RENEW_MS = [100 * 60_000, 115 * 60_000];
// A token that ends is replaced within the last quarter of its life.
const RENEW_PART = [0.75, 0.9];
const RENEW_MIN_MS = 30_000;
// API Gateway takes frames of 32 KB, and a page cannot say how a message is cut into frames.
const MESSAGE_BYTES_MAX = 32 * 1024;

// A subscription that the gateway could not serve just then.
const AGAIN_MS = [1_000, 5_000];
const AGAIN_MAX = 5;
// Arrival times kept until the next paint; a hidden page paints nothing.
const UNPAINTED_MAX = 4_096;

const utf8 = new TextEncoder();
const listed = (devices) => [...new Set(typeof devices === "string" ? [devices] : devices)];

export function connect(url, options) {
  return new Tidewire(url, options);
}

export class Tidewire {
  #url;
  #token;
  #world;
  #devices;
  #wants;
  #hiddenMs;
  #listeners = new Map();
  #iterators = new Set();
  #latest;
  // What serves, and what is to.
  #link = null;
  #next = null;
  #turn = 0;
  #timer = null;
  #hidden = null;
  #tries;
  #unpainted = [];
  #unwatch = [];

  constructor(url, { token, devices = [], pauseHiddenMs = 600_000, seriesMax, world } = {}) {
    if (!/^wss?:\/\//.test(url)) throw new TypeError("the address begins with wss:// (or ws://)");
    if (typeof token !== "string" && typeof token !== "function") {
      throw new TypeError("`token` is a text, or a function that gives one for each connection");
    }
    this.#url = url;
    this.#token = token;
    this.#world = worldOf(world);
    this.#tries = new Tries(this.#world.between);
    this.#hiddenMs = pauseHiddenMs;
    this.#latest = new Latest(seriesMax);
    this.delays = new Delays();
    this.counts = { connections: 0, frames: 0, readings: 0, repeats: 0, stale: 0, unwanted: 0, bad: 0, skipped: 0 };
    this.state = Object.freeze({ name: "connecting", why: "", retryAt: null, subscribed: null, complete: null });
    this.#want(devices);
    this.#watch();
    this.#connect();
  }

  get devices() {
    return [...this.#devices];
  }

  // From now on these devices, in place of those before.
  subscribe(devices) {
    this.#want(devices);
    this.#say({ subscribed: null, complete: null });
    this.#ask(this.#link);
  }

  unsubscribe(devices) {
    const gone = new Set(listed(devices));
    this.subscribe(this.#devices.filter((id) => !gone.has(id)));
  }

  // Now, rather than when the wait is over: for a page whose user has just signed in again.
  retry() {
    if (this.state.name === "closed") return;
    if (this.#link) return this.#link.check();
    this.#connect();
  }

  // Calls `listener` at each event of that name; the answer ends that.
  on(name, listener) {
    if (!this.#listeners.has(name)) this.#listeners.set(name, new Set());
    this.#listeners.get(name).add(listener);
    return () => this.#listeners.get(name).delete(listener);
  }

  readings({ bound = 1_000 } = {}) {
    const readings = new Readings(bound, (one) => this.#iterators.delete(one));
    if (this.state.name === "closed") readings.end();
    else this.#iterators.add(readings);
    return readings;
  }

  [Symbol.asyncIterator]() {
    return this.readings();
  }

  close() {
    this.#leave("closed", "");
    for (const unwatch of this.#unwatch.splice(0)) unwatch();
    for (const one of this.#iterators) one.end();
    this.#iterators.clear();
  }

  // ---- connections

  async #connect() {
    const turn = this.#stop();
    if (!this.#link) this.#say({ name: "connecting", why: "", retryAt: null });
    const { token, expiresMs } = await askToken(this.#world, this.#token, { refused: this.#tries.refusals > 0 });
    if (turn !== this.#turn) return;
    if (!token) return this.#failed("no token was given");
    if (!TOKEN.test(token)) {
      this.#emit("error", { code: "bad_token", message: "the token has characters that a subprotocol may not have: base64url is fine, padding is not" });
      return this.#refused("the token cannot be sent");
    }
    let socket;
    try {
      socket = new this.#world.WebSocket(this.#url, [PROTOCOL, BEARER + token]);
    } catch {
      // The error's own words may quote the token.
      return this.#failed("the browser cannot connect to this address");
    }
    const on = {
      open: (link) => this.#opened(link, expiresMs),
      frame: (link, text) => this.#frame(link, text),
      end: (link, why) => this.#ended(link, why),
    };
    this.#next = new Link(this.#world, socket, on);
  }

  // Ends every try that is under way or planned; the number of the next.
  #stop() {
    this.#world.clearTimeout(this.#timer);
    this.#timer = null;
    this.#next?.retire();
    this.#next = null;
    return (this.#turn += 1);
  }

  #opened(link, expiresMs) {
    this.#next = null;
    this.#tries.opened();
    this.counts.connections += 1;
    link.before = this.#link;
    this.#link = link;
    const life = expiresMs - this.#world.now();
    const byToken = life > 0 ? Math.max(RENEW_MIN_MS, life * this.#world.between(...RENEW_PART)) : Infinity;
    link.after(Math.min(this.#world.between(...RENEW_MS), byToken), () => this.#connect());
    if (this.#devices.length) this.#ask(link);
    else this.#serves(link, []);
  }

  #serves(link, subscribed) {
    if (link !== this.#link) return;
    link.before?.retire();
    link.before = null;
    this.#say({ name: "live", why: "", retryAt: null, subscribed });
  }

  #ended(link, why) {
    if (link === this.#next) return this.#unopened(why);
    if (link !== this.#link) {
      if (this.#link) this.#link.before = null;
      return;
    }
    this.#link = null;
    this.#tries.ended(this.#world.now() - link.openedAt);
    this.#say({ subscribed: null, complete: null });
    this.#failed(why);
  }

  async #unopened(why) {
    this.#next = null;
    const turn = this.#turn;
    const isThere = await answers(this.#world, this.#url);
    if (turn !== this.#turn) return;
    if (isThere) this.#refused("the gateway answers but lets us not in: the token, the page's origin or a limit");
    else this.#failed(why.startsWith("closed") ? "the gateway cannot be reached" : why);
  }

  #failed(why) {
    const isOffline = this.#world.navigator?.onLine === false;
    this.#later(isOffline ? "offline" : "waiting", why, this.#tries.failed());
  }

  #refused(why) {
    this.#later("refused", why, this.#tries.refused(typeof this.#token === "function"));
  }

  #later(name, why, ms) {
    this.#stop();
    this.#timer = this.#world.setTimeout(() => this.#connect(), ms);
    if (!this.#link) this.#say({ name, why, retryAt: this.#world.now() + ms });
  }

  #leave(name, why) {
    this.#stop();
    this.#world.clearTimeout(this.#hidden);
    this.#link?.retire();
    this.#link = null;
    this.#say({ name, why, retryAt: null, subscribed: null, complete: null });
  }

  // A page that was hidden or without a network may have slept through the end of its connection.
  #watch() {
    const { document, window } = this.#world;
    const listen = (target, name, listener) => {
      target?.addEventListener(name, listener);
      this.#unwatch.push(() => target?.removeEventListener(name, listener));
    };
    const back = () => {
      if (this.#link) this.#link.check();
      else if (!this.#next && this.state.name !== "refused") this.#connect();
    };
    listen(window, "online", () => this.state.name !== "paused" && back());
    const seen = () => {
      this.#world.clearTimeout(this.#hidden);
      if (!document.hidden) return back();
      this.#unpainted = [];
      // Each frame to a page that nobody looks at is billed all the same.
      const pause = () => this.#leave("paused", "the page is hidden");
      if (this.#hiddenMs > 0) this.#hidden = this.#world.setTimeout(pause, this.#hiddenMs);
    };
    listen(document, "visibilitychange", seen);
    if (document?.hidden) seen();
  }

  // ---- subscriptions

  #want(devices) {
    this.#devices = listed(devices);
    const exact = new Set(this.#devices);
    const prefixes = this.#devices.filter((id) => id.endsWith("*")).map((id) => id.slice(0, -1));
    this.#wants = (id) => exact.has(id) || prefixes.some((prefix) => id.startsWith(prefix));
  }

  #ask(link) {
    if (!link?.isOpen) return;
    link.asksAgain = link.isAsking;
    if (link.isAsking) return;
    const text = JSON.stringify({ action: "subscribe", device_ids: this.#devices });
    if (utf8.encode(text).length <= MESSAGE_BYTES_MAX) return link.ask(text);
    const message = `${this.#devices.length} device ids are more than one message of 32 KB holds`;
    this.#emit("error", { code: "too_large", message });
    this.#serves(link, null);
  }

  #subscribed(link, frame) {
    if (!link.answered()) return;
    if (link.asksAgain) return this.#ask(link);
    link.tries = 0;
    this.#serves(link, frame.device_ids ?? frame.count ?? null);
  }

  #complained(link, { code = "unknown", message = "", device_ids, requestId }) {
    this.#emit("error", { code, message, device_ids, requestId });
    if (code === "not_connected" || code === "expired") return link.end(message);
    if (!link.answered()) return;
    if (link.asksAgain) return this.#ask(link);
    if (code !== "unavailable" && code !== "gateway") return this.#serves(link, null);
    link.tries = (link.tries ?? 0) + 1;
    if (link.tries > AGAIN_MAX) return link.end("subscriptions are not served");
    link.after(this.#world.between(...AGAIN_MS), () => this.#ask(link));
  }

  // ---- frames

  #frame(link, text) {
    this.counts.frames += 1;
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      this.counts.bad += 1;
      return this.#emit("error", { code: "bad_frame", message: "a frame was no JSON" });
    }
    switch (frame?.type) {
      case "readings":
        return this.#take(frame, true);
      case "snapshot":
        this.#take(frame, false);
        if (link === this.#link) this.#say({ complete: frame.more ? this.state.complete : frame.complete === true });
        return this.#emit("snapshot", { complete: frame.complete === true, more: frame.more === true });
      case "subscribed":
        return this.#subscribed(link, frame);
      case "error":
        return this.#complained(link, frame);
      case undefined:
        // API Gateway's own words where the Lambda failed.
        if (typeof frame?.message === "string") this.#complained(link, { ...frame, code: "gateway" });
    }
  }

  // A snapshot's readings may be old: they tell nothing of how long the way is.
  #take({ readings }, isNew) {
    const latest = this.#latest;
    const news = [];
    for (const reading of Array.isArray(readings) ? readings : []) {
      if (!isReading(reading)) this.counts.bad += 1;
      else if (!this.#wants(reading.device_id)) this.counts.unwanted += 1;
      else {
        const left = latest.take(reading);
        if (left) news.push(left);
      }
    }
    this.counts.readings += news.length;
    this.counts.repeats = latest.repeats;
    this.counts.stale = latest.stale;
    for (const reading of news) this.#emit("reading", reading);
    if (news.length) this.#emit("readings", news);
    for (const one of this.#iterators) {
      const before = one.skipped;
      for (const reading of news) one.push(reading);
      this.counts.skipped += one.skipped - before;
    }
    if (isNew) this.#time(news);
  }

  // From arrival on the stream to the screen: the paint after this, or where nothing is painted (no
  // browser), now.
  #time(news) {
    const { requestAnimationFrame, document, now } = this.#world;
    if (!requestAnimationFrame) return news.forEach((reading) => this.delays.record(now() - reading.arrival_ms));
    if (document?.hidden) return;
    if (this.#unpainted.length === 0) {
      requestAnimationFrame(() => this.#world.setTimeout(() => this.#painted(), 0));
    }
    const room = UNPAINTED_MAX - this.#unpainted.length;
    for (const { arrival_ms } of news.slice(0, room)) this.#unpainted.push(arrival_ms);
  }

  #painted() {
    const now = this.#world.now();
    for (const arrival of this.#unpainted.splice(0)) this.delays.record(now - arrival);
  }

  // ---- listeners

  #say(changes) {
    const state = Object.freeze({ ...this.state, ...changes });
    if (Object.keys(state).every((key) => state[key] === this.state[key])) return;
    this.state = state;
    this.#emit("state", state);
  }

  // A listener that fails costs the others nothing.
  #emit(name, value) {
    for (const listener of this.#listeners.get(name) ?? []) {
      try {
        listener(value);
      } catch (error) {
        this.#world.report(error);
      }
    }
  }
}
