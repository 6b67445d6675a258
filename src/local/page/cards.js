// A card for each device: its values and a small chart of each, drawn only while on screen.

import { POINTS } from "./store.js";
import { colours, follow, line, surface, unfollow } from "./spark.js";

// As in the style sheet.
const ROW_PX = 34;
const ROWS_MAX = 6;
const SWITCH = { step: true, floor: 0, ceiling: 1 };
const STALE_MS = 10_000;
// Charts at most this often: smooth to the eye, and half the work of every frame.
const DRAW_MS = 50;

export function element(tag, { className, text, ...rest } = {}, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  for (const [name, value] of Object.entries(rest)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// Writes text only where it differs: an equal write would still cost a layout.
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const formats = [0, 1, 2, 3].map(
  (digits) => new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }),
);

export function show(value) {
  if (typeof value === "boolean") return value ? "on" : "off";
  if (typeof value !== "number") return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.001 || size >= 1e9)) return value.toPrecision(4);
  if (Number.isInteger(value) && size >= 1000) return formats[0].format(value);
  return formats[size >= 1000 ? 1 : size >= 0.1 || size === 0 ? 2 : 3].format(value);
}

const age = (ms) => {
  if (ms < 1_000) return "now";
  if (ms < 60_000) return `${Math.floor(ms / 1_000)} s ago`;
  return ms < 3_600_000 ? `${Math.floor(ms / 60_000)} min ago` : "long ago";
};

class Card {
  constructor(device, onPick, onSeen) {
    this.device = device;
    this.rows = new Map();
    this.box = element("input", { type: "checkbox", "aria-label": `Pick ${device.id}` });
    this.box.addEventListener("change", () => onPick(device.id, this.box.checked));
    this.age = element("span", { className: "age" });
    this.canvas = element("canvas", { "aria-hidden": "true" });
    this.plot = element("div", { className: "plot" }, this.canvas);
    const title = element("h2", { text: device.id, title: device.id });
    const head = element("header", {}, element("label", {}, this.box, title), this.age);
    this.root = element("article", { className: "card", "aria-label": device.id }, head, this.plot);
    this.root.card = this;
    this.visible = false;
    this.dirty = true;
    follow(this.canvas, () => {
      this.dirty = true;
      onSeen();
    });
  }

  draw(now) {
    for (const [name, series] of this.device.series) {
      let value = this.rows.get(name);
      if (!value) {
        if (this.rows.size >= ROWS_MAX) continue;
        value = element("span", { className: "value" });
        const label = element("span", { className: "name", text: name.replaceAll("_", " "), title: name });
        this.plot.append(element("div", { className: "row" }, label, value));
        this.rows.set(name, value);
      }
      write(value, show(series.latest));
    }
    this.dirty = false;
    this.grow(now);
    const area = surface(this.canvas);
    if (!area) return;
    const { pen, width } = area;
    let row = 0;
    for (const name of this.rows.keys()) {
      const series = this.device.series.get(name);
      const box = { x: 0, y: row * ROW_PX + 1, width, height: ROW_PX - 6 };
      const color = colours.lines[row % colours.lines.length];
      line(pen, series, box, color, POINTS, series.kind === "boolean" ? SWITCH : {});
      row += 1;
    }
  }

  grow(now) {
    const silent = now - this.device.at;
    write(this.age, age(silent));
    this.root.classList.toggle("stale", silent > STALE_MS);
  }
}

export class Cards {
  constructor(grid, onPick, onSeen) {
    this.grid = grid;
    this.onPick = onPick;
    this.onSeen = onSeen;
    this.cards = new Map();
    this.order = [];
    this.shown = () => true;
    this.drawn = 0;
    this.watch = new IntersectionObserver(
      (changes) => {
        for (const { target, isIntersecting } of changes) target.card.visible = isIntersecting;
        onSeen();
      },
      { rootMargin: "150px" },
    );
  }

  // A device has news: its card is made at its place in the alphabet, or marked.
  touch(device) {
    const card = this.cards.get(device.id);
    if (card) card.dirty = true;
    else if (this.shown(device.id)) this.#add(device);
  }

  #add(device) {
    const card = new Card(device, this.onPick, this.onSeen);
    const at = this.#place(device.id);
    this.grid.insertBefore(card.root, this.order[at]?.root ?? null);
    this.order.splice(at, 0, card);
    this.cards.set(device.id, card);
    this.watch.observe(card.root);
  }

  // Where a device stands among the cards, which are sorted by id.
  #place(id) {
    let [low, high] = [0, this.order.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.order[middle].device.id < id) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  // Shows the cards of those devices only that `shown` names.
  filter(shown, devices, picks) {
    this.shown = shown;
    for (const [id, card] of this.cards) {
      if (shown(id)) continue;
      this.watch.unobserve(card.root);
      unfollow(card.canvas);
      card.root.remove();
      this.cards.delete(id);
    }
    this.order = this.order.filter((card) => shown(card.device.id));
    for (const device of devices.values()) {
      if (device.at > 0 && shown(device.id) && !this.cards.has(device.id)) this.#add(device);
    }
    for (const [id, card] of this.cards) {
      card.box.checked = picks.has(id);
      card.root.classList.toggle("picked", picks.has(id));
    }
  }

  // Within an animation frame: draws what is on screen and has news; false if it is too soon.
  draw(now) {
    if (Math.abs(now - this.drawn) < DRAW_MS) return false;
    this.drawn = now;
    for (const card of this.cards.values()) if (card.visible && card.dirty) card.draw(now);
    return true;
  }

  redraw() {
    for (const card of this.cards.values()) card.dirty = true;
  }

  // Now and then: how long ago each visible card heard something.
  grow(now) {
    for (const card of this.cards.values()) if (card.visible) card.grow(now);
  }
}
