// The list of known devices: search, and pick those to receive.

import { by, element, write } from "./dom.js";

const LISTED_MAX = 200;
// One subscription takes this many ids: the default of `gateway.subscriptions_max`.
const PICKS_MAX = 500;

export class Picker {
  // onPick(): other devices are to be received; onFind(): others are to be shown.
  constructor({ onPick, onFind }) {
    Object.assign(this, { onPick, onFind, known: [] });
    this.items = new Map();
    const kept = new URLSearchParams(location.hash.slice(1)).getAll("device");
    this.picks = new Set(kept.slice(0, PICKS_MAX));
    this.search = by("search");
    this.search.addEventListener("input", () => {
      this.render();
      this.onFind();
    });
    by("pick-found").addEventListener("click", () => this.#pick(this.found().slice(0, PICKS_MAX)));
    by("pick-none").addEventListener("click", () => this.#pick([]));
    this.render();
  }

  // What the search leaves of the known ids, or of the picked ones.
  found() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    return this.known.filter((id) => words.every((word) => id.toLowerCase().includes(word)));
  }

  shown() {
    return this.picks.size ? this.found().filter((id) => this.picks.has(id)) : this.found();
  }

  get isSearching() {
    return this.search.value.trim() !== "";
  }

  know(ids) {
    if (ids.length === this.known.length) return;
    this.known = ids.sort();
    this.render();
    this.onFind();
  }

  toggle(id, isPicked) {
    const picks = new Set(this.picks);
    if (isPicked) picks.add(id);
    else picks.delete(id);
    this.#pick([...picks].slice(0, PICKS_MAX));
  }

  #pick(ids) {
    this.picks = new Set(ids);
    const hash = ids.map((id) => `device=${encodeURIComponent(id)}`).join("&");
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname);
    this.render();
    this.onFind();
    this.onPick();
  }

  render() {
    const found = this.found();
    const listed = [...new Set([...this.picks, ...found])].sort().slice(0, LISTED_MAX);
    const items = listed.map((id) => this.#item(id));
    const focused = document.activeElement;
    const left = found.length - listed.length;
    if (left > 0) items.push(element("li", { className: "more", text: `and ${left} more: search` }));
    const list = by("list");
    list.replaceChildren(...items);
    if (list.contains(focused)) focused.focus();
    write(by("known"), String(this.known.length || ""));
    by("pick-found").disabled = !this.isSearching || found.length === 0;
    write(by("pick-found"), this.isSearching ? `Pick these ${found.length}` : "Pick these");
    by("pick-none").disabled = this.picks.size === 0;
    const n = this.picks.size;
    write(by("pick-hint"), n ? `${n} picked: nothing else is sent.` : "Pick devices, and only theirs are sent.");
  }

  #item(id) {
    let item = this.items.get(id);
    if (!item) {
      const box = element("input", { type: "checkbox" });
      box.addEventListener("change", () => this.toggle(id, box.checked));
      item = element("li", {}, element("label", { title: id }, box, element("span", { text: id })));
      item.box = box;
      this.items.set(id, item);
    }
    item.box.checked = this.picks.has(id);
    return item;
  }
}
