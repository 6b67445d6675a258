// The wall of devices: a tile for each, of which only those on screen exist.

import { colours, follow, line, surface } from "./chart.js";
import { age, element, show, write } from "./dom.js";

// As in the style sheet.
const TILE_PX = 146;
const GAP_PX = 10;
const TILE_MIN_PX = 216;
const BANDS = 2;
// A young chart fills the width only as it grows: two points would look like a trend.
const SLOTS_MIN = 16;
// Tiles beyond the screen's edges, so that scrolling finds them drawn.
const OVERSCAN_ROWS = 1;
const STALE_MS = 10_000;
// What may be drawn within one animation frame; the rest waits for the next.
const BUDGET_MS = 6;

class Tile {
  constructor(onOpen) {
    this.open = element("button", { type: "button", className: "open" });
    this.open.addEventListener("click", () => onOpen(this.device));
    this.chips = element("span", { className: "chips" });
    this.age = element("span", { className: "age" });
    this.bands = Array.from({ length: BANDS }, () => {
      const name = element("span", { className: "name" });
      const value = element("span", { className: "value" });
      return { name, value, root: element("div", { className: "band" }, name, value) };
    });
    this.canvas = element("canvas", { "aria-hidden": "true" });
    const head = element("div", { className: "head" }, element("h3", {}, this.open), this.chips, this.age);
    const plot = element("div", { className: "plot" }, this.canvas, ...this.bands.map(({ root }) => root));
    this.root = element("li", { className: "tile" }, head, plot);
    this.device = null;
    this.dirty = true;
  }

  give(device) {
    this.device = device;
    this.dirty = true;
    write(this.open, device.id);
    this.open.title = device.id;
    this.open.dataset.device = device.id;
  }

  draw(now) {
    this.dirty = false;
    this.grow(now);
    const lines = this.device.lines();
    const switches = this.device.switches().slice(0, 1);
    write(this.chips, switches.map(([name, { latest }]) => `${name.replaceAll("_", " ")} ${show(latest)}`).join(""));
    this.bands.forEach(({ name, value, root }, at) => {
      const [label, series] = lines[at] ?? [];
      root.hidden = !series;
      if (!series) return;
      const more = at === BANDS - 1 && lines.length > BANDS ? ` +${lines.length - BANDS}` : "";
      write(name, label.replaceAll("_", " ") + more);
      write(value, show(series.latest));
    });
    const area = surface(this.canvas);
    if (!area) return;
    const { pen, width, height } = area;
    const shown = lines.slice(0, BANDS);
    shown.forEach(([, series], at) => {
      const tall = height / shown.length;
      const box = { x: 0, y: at * tall + 17, width, height: tall - 20 };
      line(pen, series, box, colours.lines[at], { slots: Math.max(SLOTS_MIN, series.length) });
    });
  }

  grow(now) {
    const silent = now - this.device.at;
    write(this.age, age(silent));
    this.root.classList.toggle("stale", silent > STALE_MS);
  }
}

export class Wall {
  #tiles = new Map();
  #spare = [];
  #ids = [];
  #columns = 1;
  #current = null;
  #moved = true;

  // root: a list; schedule() asks for an animation frame.
  constructor(root, devices, { onOpen, schedule }) {
    Object.assign(this, { root, devices, onOpen, schedule });
    new ResizeObserver(([{ contentRect }]) => {
      this.width = contentRect.width;
      this.#columns = Math.max(1, Math.floor((this.width + GAP_PX) / (TILE_MIN_PX + GAP_PX)));
      this.#again();
    }).observe(root);
    window.addEventListener("scroll", () => this.#again(), { passive: true });
    window.addEventListener("resize", () => this.#again());
    root.addEventListener("keydown", (event) => this.#key(event));
    root.addEventListener("focusin", ({ target }) => (this.#current = target.dataset.device ?? this.#current));
  }

  get size() {
    return this.#ids.length;
  }

  // Shows these devices, in this order.
  show(ids) {
    this.#ids = ids;
    this.#again();
  }

  #again() {
    this.#moved = true;
    this.schedule();
  }

  touch(device) {
    const tile = this.#tiles.get(device.id);
    if (tile) tile.dirty = true;
  }

  redraw() {
    for (const tile of this.#tiles.values()) tile.dirty = true;
    this.#again();
  }

  // Now and then: how long ago each device on screen spoke.
  grow(now) {
    for (const tile of this.#tiles.values()) tile.grow(now);
  }

  // Within an animation frame; false where something is left for the next.
  draw(now) {
    if (this.#moved && this.width) this.#place();
    const begun = performance.now();
    for (const tile of this.#tiles.values()) {
      if (!tile.dirty) continue;
      if (performance.now() - begun > BUDGET_MS) return false;
      tile.draw(now);
    }
    return true;
  }

  #range() {
    const top = this.root.getBoundingClientRect().top;
    const row = TILE_PX + GAP_PX;
    const first = Math.floor(-top / row) - OVERSCAN_ROWS;
    const last = Math.ceil((innerHeight - top) / row) + OVERSCAN_ROWS;
    return [Math.max(0, first) * this.#columns, Math.max(0, last) * this.#columns];
  }

  #place() {
    this.#moved = false;
    const [from, to] = this.#range();
    const rows = Math.ceil(this.#ids.length / this.#columns);
    this.root.style.height = `${Math.max(0, rows * (TILE_PX + GAP_PX) - GAP_PX)}px`;
    const shown = new Map(this.#ids.slice(from, to).map((id, at) => [id, from + at]));
    // What has the focus stays, wherever it is: it must not fall to the page.
    const focused = document.activeElement?.dataset?.device;
    const kept = focused === undefined ? -1 : this.#ids.indexOf(focused);
    if (kept >= 0) shown.set(focused, kept);
    for (const [id, tile] of this.#tiles) {
      if (shown.has(id)) continue;
      tile.root.remove();
      this.#tiles.delete(id);
      this.#spare.push(tile);
    }
    const reached = shown.has(this.#current) ? this.#current : this.#ids[from];
    // In the order of the devices, as it is read aloud. What stays is not moved: it may have the focus.
    let next = this.root.firstChild;
    for (const [id, at] of [...shown].sort((a, b) => a[1] - b[1])) {
      const { root } = this.#set(id, at, id === reached);
      if (root === next) next = next.nextSibling;
      else this.root.insertBefore(root, next);
    }
  }

  #set(id, at, isReached) {
    let tile = this.#tiles.get(id);
    if (!tile) {
      tile = this.#spare.pop() ?? this.#make();
      tile.give(this.devices.get(id));
      this.#tiles.set(id, tile);
    }
    const width = (this.width - (this.#columns - 1) * GAP_PX) / this.#columns;
    const [x, y] = [(at % this.#columns) * (width + GAP_PX), Math.floor(at / this.#columns) * (TILE_PX + GAP_PX)];
    tile.root.style.width = `${width}px`;
    tile.root.style.transform = `translate(${x}px, ${y}px)`;
    tile.root.setAttribute("aria-posinset", at + 1);
    tile.root.setAttribute("aria-setsize", this.#ids.length);
    // One stop for the tabulator; arrows lead from tile to tile.
    tile.open.tabIndex = isReached ? 0 : -1;
    return tile;
  }

  #make() {
    const tile = new Tile((device) => this.onOpen(device));
    follow(tile.canvas, () => {
      tile.dirty = true;
      this.schedule();
    });
    return tile;
  }

  #key(event) {
    const at = this.#ids.indexOf(event.target.dataset?.device);
    if (at < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(innerHeight / (TILE_PX + GAP_PX))) * this.#columns;
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.#columns, ArrowUp: -this.#columns, PageDown: page, PageUp: -page, Home: -at, End: this.#ids.length };
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    this.reach(Math.min(this.#ids.length - 1, Math.max(0, at + step)));
  }

  // Brings a tile into view and gives it the focus.
  reach(at) {
    const id = this.#ids[at];
    if (id === undefined) return;
    const row = TILE_PX + GAP_PX;
    const top = this.root.getBoundingClientRect().top + Math.floor(at / this.#columns) * row;
    if (top < GAP_PX) scrollBy({ top: top - GAP_PX, behavior: "instant" });
    else if (top + TILE_PX > innerHeight - GAP_PX) scrollBy({ top: top + TILE_PX + GAP_PX - innerHeight, behavior: "instant" });
    this.#current = id;
    this.#place();
    this.#tiles.get(id)?.open.focus({ preventScroll: true });
    this.#again();
  }
}
