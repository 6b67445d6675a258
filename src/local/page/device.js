// One device, large: a chart for each measure, with axes and a mark to read values by.

import { bounds, colours, follow, line, surface } from "./chart.js";
import { age, by, element, show, span, write } from "./dom.js";

const LEFT_PX = 8;
const RIGHT_PX = 56;
const FOOT_PX = 18;
const STALE_MS = 10_000;

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

class Chart {
  constructor(name, schedule) {
    this.name = name;
    this.value = element("b", { className: "value" });
    this.about = element("span", { className: "about" });
    this.canvas = element("canvas", { role: "img", tabindex: "0" });
    this.root = element("figure", {}, element("figcaption", {}, element("span", { text: name.replaceAll("_", " ") }), this.value, this.about), this.canvas);
    // Which point is read off, by pointer or keys; none: the newest.
    this.mark = null;
    follow(this.canvas, schedule);
    this.canvas.addEventListener("pointermove", (event) => {
      this.pointed = event.offsetX;
      schedule();
    });
    this.canvas.addEventListener("pointerleave", () => {
      this.pointed = undefined;
      this.mark = null;
      schedule();
    });
    this.canvas.addEventListener("keydown", (event) => this.#key(event, schedule));
    this.canvas.addEventListener("blur", () => (this.mark = null));
    // For screen readers, when they come by: a label that changed all the time would never be heard out.
    this.canvas.addEventListener("focus", () => this.#label());
  }

  #label() {
    const { series } = this;
    if (!series?.length) return;
    const [low, high] = bounds(series);
    const time = span(series.timeAt(series.length - 1) - series.timeAt(0));
    const read = this.mark === null ? `now ${show(series.latest)}` : `${show(series.at(this.mark))} at ${clock.format(series.timeAt(this.mark))}`;
    this.canvas.setAttribute("aria-label", `${this.name.replaceAll("_", " ")}: ${read}. Between ${show(low)} and ${show(high)} in the last ${time}. Arrow keys read values off.`);
  }

  #key(event, schedule) {
    const last = (this.series?.length ?? 0) - 1;
    const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -last, End: last };
    const step = steps[event.key];
    if (step === undefined || last < 0) return;
    event.preventDefault();
    this.mark = Math.min(last, Math.max(0, (this.mark ?? last) + step));
    this.#label();
    schedule();
  }

  draw(series, hue) {
    this.series = series;
    write(this.value, show(series.latest));
    const area = surface(this.canvas);
    const isText = series.kind === "string";
    this.canvas.hidden = isText;
    if (!area || isText || series.length === 0) return;
    if (!this.canvas.hasAttribute("aria-label")) this.#label();
    const { pen, width, height } = area;
    const isSwitch = series.kind === "boolean";
    const [low, high] = isSwitch ? [0, 1] : bounds(series);
    const box = { x: LEFT_PX, y: 8, width: width - LEFT_PX - RIGHT_PX, height: height - FOOT_PX - 8 };
    const [from, to] = [series.timeAt(0), series.timeAt(series.length - 1)];
    const x = (i) => box.x + (to > from ? (series.timeAt(i) - from) / (to - from) : 1) * box.width;
    this.#axes(pen, box, [low, high], [from, to], isSwitch);
    const { y } = line(pen, series, box, colours.lines[hue % colours.lines.length], { x, low, high, step: isSwitch });
    this.#read(pen, box, series, x, y);
  }

  #axes(pen, box, [low, high], [from, to], isSwitch) {
    pen.font = "11px system-ui, sans-serif";
    pen.fillStyle = colours.muted;
    pen.strokeStyle = colours.rule;
    pen.lineWidth = 1;
    pen.textBaseline = "middle";
    const steps = isSwitch ? 1 : 2;
    for (let n = 0; n <= steps; n += 1) {
      const at = box.y + 3 + ((box.height - 6) * n) / steps;
      pen.beginPath();
      pen.moveTo(box.x, Math.round(at) + 0.5);
      pen.lineTo(box.x + box.width, Math.round(at) + 0.5);
      pen.stroke();
      const value = high - ((high - low) * n) / steps;
      pen.fillText(isSwitch ? show(value > 0.5) : show(value), box.x + box.width + 8, at);
    }
    pen.textBaseline = "alphabetic";
    const foot = box.y + box.height + 14;
    pen.textAlign = "left";
    pen.fillText(clock.format(from), box.x, foot);
    pen.textAlign = "right";
    pen.fillText(clock.format(to), box.x + box.width, foot);
    pen.textAlign = "left";
  }

  #read(pen, box, series, x, y) {
    let mark = this.mark;
    if (this.pointed !== undefined) {
      let nearest = 0;
      for (let i = 1; i < series.length; i += 1) {
        if (Math.abs(x(i) - this.pointed) < Math.abs(x(nearest) - this.pointed)) nearest = i;
      }
      mark = nearest;
    }
    if (mark === null || mark >= series.length) return write(this.about, "");
    const at = Math.round(x(mark)) + 0.5;
    pen.strokeStyle = colours.muted;
    pen.beginPath();
    pen.moveTo(at, box.y);
    pen.lineTo(at, box.y + box.height);
    pen.stroke();
    pen.fillStyle = colours.text;
    pen.beginPath();
    pen.arc(x(mark), y(mark), 3.5, 0, 7);
    pen.fill();
    const value = series.kind === "boolean" ? series.at(mark) > 0.5 : series.at(mark);
    write(this.about, `${show(value)} at ${clock.format(series.timeAt(mark))}`);
  }
}

export class DeviceView {
  #charts = new Map();
  #dirty = false;

  constructor({ schedule, isPicked, onPick }) {
    Object.assign(this, { schedule, isPicked, device: null });
    this.dialog = by("device");
    by("device-close").addEventListener("click", () => this.dialog.close());
    by("device-pick").addEventListener("change", ({ target }) => onPick(this.device.id, target.checked));
    this.dialog.addEventListener("close", () => (this.device = null));
    // A click beside it closes it.
    this.dialog.addEventListener("click", ({ target }) => target === this.dialog && this.dialog.close());
  }

  open(device) {
    this.device = device;
    this.#charts.clear();
    by("device-charts").replaceChildren();
    write(by("device-name"), device.id);
    by("device-pick").checked = this.isPicked(device.id);
    this.dialog.showModal();
    this.touch(device);
  }

  touch(device) {
    if (device !== this.device) return;
    this.#dirty = true;
    this.schedule();
  }

  redraw() {
    if (this.device) this.touch(this.device);
  }

  draw(now) {
    if (!this.device || !this.#dirty) return;
    this.#dirty = false;
    this.grow(now);
    let hue = 0;
    for (const [name, series] of this.device.series) {
      let chart = this.#charts.get(name);
      if (!chart) {
        chart = new Chart(name, () => this.redraw());
        this.#charts.set(name, chart);
        by("device-charts").append(chart.root);
      }
      chart.draw(series, hue);
      hue += 1;
    }
    const { shard, seq, dimensions } = this.device.last;
    const parts = Object.entries(dimensions ?? {}).map(([key, value]) => `${key} ${value}`);
    parts.push(`shard ${shard.replace(/^shardId-0*(?=\d)/, "")}`, `record …${seq.slice(-8)}`);
    write(by("device-about"), parts.join(", "));
  }

  grow(now) {
    if (!this.device) return;
    const silent = now - this.device.at;
    write(by("device-age"), age(silent));
    this.dialog.classList.toggle("stale", silent > STALE_MS);
  }
}
