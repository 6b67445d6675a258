// The figures that this screen itself measures: how much came, and how late.

import { History, bars, colours, follow, line, surface } from "./chart.js";
import { by, count, span, write } from "./dom.js";
import { Delays } from "/client/tidewire.js";

const MEASURE_MS = 500;
const SLOTS = 60;
// Frames come in bursts: the rate is a mean over two seconds, delays are those of the last ten.
const RATE_SAMPLES = 4;
const DELAY_SAMPLES = 20;
// The part of the histogram that is drawn: from 4 ms to 16 s.
const [FIRST, LAST] = [4, 16_384];

export class Figures {
  #rates = new History(SLOTS);
  #counted = [];
  #delays = [];

  constructor(store) {
    this.store = store;
    for (const id of ["rate-line", "delay-bars"]) follow(by(id), () => this.draw());
    setInterval(() => this.#measure(), MEASURE_MS);
  }

  // Begins anew with this connection's delays.
  follow(live) {
    this.live = live;
    this.#delays = [];
  }

  #measure() {
    const now = { count: this.store.count, at: performance.now() };
    const then = this.#counted[0] ?? now;
    if (this.#counted.push(now) > RATE_SAMPLES) this.#counted.shift();
    const rate = now.at > then.at ? ((now.count - then.count) * 1_000) / (now.at - then.at) : 0;
    this.#rates.push(rate);
    write(by("rate"), count(rate));
    if (this.live) {
      const all = this.live.delays.copy();
      const recent = all.since(this.#delays[0] ?? all);
      if (this.#delays.push(all) > DELAY_SAMPLES) this.#delays.shift();
      this.recent = recent;
      write(by("p50"), span(recent.quantile(0.5)));
      write(by("p99"), span(recent.quantile(0.99)));
      by("clocks").hidden = recent.ahead_ms < 100;
      write(by("clocks"), `this clock is ${Math.round(recent.ahead_ms)} ms behind`);
    }
    this.draw();
  }

  draw() {
    const rate = surface(by("rate-line"));
    if (rate) {
      const high = Math.max(1, ...this.#rates.values) * 1.1;
      line(rate.pen, this.#rates, { x: 0, y: 0, ...rate }, colours.lines[0], { slots: SLOTS, low: 0, high });
    }
    const delay = surface(by("delay-bars"));
    if (!delay || !this.recent) return;
    const heights = [...this.recent.counts].filter((_, at) => Delays.upTo(at) >= FIRST && Delays.upTo(at) <= LAST);
    bars(delay.pen, heights, { x: 0, y: 0, width: delay.width, height: delay.height - 1 }, colours.lines[1]);
    delay.pen.fillStyle = colours.rule;
    delay.pen.fillRect(0, delay.height - 1, delay.width, 1);
  }
}
