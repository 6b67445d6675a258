// The list of known devices: search, and pick those to receive.

import { element, write } from "./cards.js";

const LISTED_MAX = 400;
// One subscription takes this many ids: the default of `gateway.subscriptions_max`.
const PICKS_MAX = 500;

const by = (id) => document.getElementById(id);

export class Picker {
  // onChange(picks): a set of ids; an empty one means all devices.
  constructor(onChange) {
    this.onChange = onChange;
    this.known = [];
    this.boxes = new Map();
    const kept = new URLSearchParams(location.hash.slice(1)).getAll("device");
    this.picks = new Set(kept.slice(0, PICKS_MAX));
    this.search = by("search");
    this.search.addEventListener("input", () => this.render());
    by("pick-found").addEventListener("click", () => {
      this.picks = new Set(this.found().slice(0, PICKS_MAX));
      this.#changed();
    });
    by("pick-none").addEventListener("click", () => {
      this.picks.clear();
      this.#changed();
    });
    this.render();
  }

  // What the search box leaves of the known ids.
  found() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    return this.known.filter((id) => words.every((word) => id.toLowerCase().includes(word)));
  }

  matches() {
    return this.search.value.trim() !== "" ? new Set(this.found()) : null;
  }

  know(ids) {
    if (ids.length === this.known.length) return;
    this.known = ids.sort();
    this.render();
  }

  toggle(id, isPicked) {
    if (isPicked && this.picks.size < PICKS_MAX) this.picks.add(id);
    else this.picks.delete(id);
    this.#changed();
  }

  #changed() {
    const hash = [...this.picks].map((id) => `device=${encodeURIComponent(id)}`).join("&");
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname);
    this.render();
    this.onChange(this.picks);
  }

  render() {
    const found = this.found();
    const listed = [...new Set([...this.picks, ...found])].sort().slice(0, LISTED_MAX);
    const list = by("list");
    const wanted = listed.map((id) => this.#item(id));
    const focused = document.activeElement;
    if (found.length > LISTED_MAX) {
      wanted.push(element("li", { className: "more", text: `and ${found.length - LISTED_MAX} more: search` }));
    }
    list.replaceChildren(...wanted);
    if (list.contains(focused)) focused.focus();
    write(by("known"), String(this.known.length || ""));
    const searched = this.search.value.trim() !== "";
    by("pick-found").disabled = !searched || found.length === 0;
    write(by("pick-found"), searched ? `Pick these ${found.length}` : "Pick these");
    by("pick-none").disabled = this.picks.size === 0;
    const n = this.picks.size;
    write(by("pick-hint"), n ? `Only ${n} picked: nothing else is sent.` : "Pick devices and only theirs are sent.");
    this.onFound?.();
  }

  #item(id) {
    let item = this.boxes.get(id);
    if (!item) {
      const box = element("input", { type: "checkbox" });
      box.addEventListener("change", () => this.toggle(id, box.checked));
      item = element("li", {}, element("label", { title: id }, box, id));
      item.box = box;
      this.boxes.set(id, item);
    }
    item.box.checked = this.picks.has(id);
    return item;
  }
}
