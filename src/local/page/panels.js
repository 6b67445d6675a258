// The strip of figures, the leases and the dead letters, from /api/state.

import { by, count, element, span, write } from "./dom.js";

const known = (value) => typeof value === "number" && Number.isFinite(value);
const LATE_MS = 5_000;

// shardId-000000000003 -> 3; the rest of what is long is cut in its middle.
const shardName = (id = "") => id.replace(/^shardId-0*(?=\d)/, "");
const short = (text = "", head = 3, tail = 8) =>
  text.length > head + tail + 1 ? `${text.slice(0, head)}…${text.slice(-tail)}` : text;

// Rates from totals that only rise; a total that fell is a new process's.
class Rates {
  constructor() {
    this.before = new Map();
  }

  of(name, total, at) {
    const before = this.before.get(name);
    if (!known(total)) return undefined;
    this.before.set(name, { total, at });
    if (!before || at <= before.at || total < before.total) return undefined;
    return ((total - before.total) * 1_000) / (at - before.at);
  }
}

const sum = (list, field) => {
  const values = list.map((one) => one[field]).filter(known);
  return values.length ? values.reduce((a, b) => a + b, 0) : undefined;
};

export class Panels {
  rates = new Rates();

  state(state) {
    const leases = state.leases ?? [];
    const workers = state.workers ?? [];
    const at = state.now_ms ?? Date.now();
    const behinds = leases.map((lease) => lease.behind_ms).filter(known);
    const behind = behinds.length ? Math.max(...behinds) : undefined;
    write(by("behind"), span(behind));
    by("behind").closest(".stat").classList.toggle("late", behind > LATE_MS);
    write(by("read"), count(this.rates.of("read", sum(workers, "read_total"), at)));
    write(by("written"), count(this.rates.of("written", sum(workers, "written_total"), at)));
    write(by("rows"), count(state.rows));
    const cast = state.broadcaster ?? {};
    write(by("viewers"), count(cast.viewers));
    write(by("posts"), count(this.rates.of("posts", cast.posts_total, at)));
    this.#leases(leases);
    this.#workers(workers, leases, at);
    this.#letters(state.dead_letters ?? {}, at);
  }

  #leases(leases) {
    write(by("lease-count"), leases.length ? String(leases.length) : "");
    const rows = leases.map((lease) => {
      const owner = lease.owner ?? "";
      const late = known(lease.behind_ms) && lease.behind_ms > LATE_MS;
      const state = lease.state === "ended" ? "ended" : owner ? (late ? "late" : "held") : "free";
      const says = lease.state ?? (owner ? "held" : "free");
      const dot = element("span", { className: "dot", "data-state": state, role: "img", "aria-label": says });
      const name = element("td", { title: `${lease.shard}: ${says}` }, dot, shardName(lease.shard));
      return element(
        "tr",
        {},
        name,
        element("td", { text: owner ? short(owner, 8, 4) : says, title: owner }),
        element("td", { className: "mono", text: short(lease.checkpoint), title: lease.checkpoint ?? "" }),
        element("td", { className: "right", text: span(lease.behind_ms) }),
      );
    });
    by("leases").replaceChildren(...rows);
  }

  #workers(workers, leases, at) {
    const items = workers.map((worker) => {
      const id = worker.worker_id;
      const held = leases.filter((lease) => lease.owner === id && lease.state !== "ended").length;
      const rate = this.rates.of(`read ${id}`, worker.read_total, at);
      const flight = known(worker.in_flight_bytes) ? `, ${(worker.in_flight_bytes / 1e6).toFixed(1)} MB` : "";
      const name = element("b", { text: short(id, 8, 4), title: id });
      return element("li", {}, name, element("span", { text: `${held} ${held === 1 ? "shard" : "shards"}, ${count(rate)}/s${flight}`, title: "held, read, in flight" }));
    });
    by("workers").replaceChildren(...items);
    by("workers").hidden = items.length === 0;
  }

  #letters(letters, at) {
    write(by("letters"), count(letters.count));
    write(by("letter-count"), known(letters.count) ? count(letters.count) : "");
    by("letters-stat").classList.toggle("alarm", letters.count > 0);
    const items = (letters.newest ?? []).slice(0, 8).map((letter) => {
      const age = known(letter.arrival_ms) ? `, ${span(at - letter.arrival_ms)} ago` : "";
      const where = `${letter.stage ?? "?"}, shard ${shardName(letter.shard)}${age}`;
      const seq = element("code", { text: short(letter.seq), title: letter.seq ?? "" });
      const meta = element("span", { className: "meta", text: `${where}, ` }, seq);
      return element("li", {}, letter.reason ?? "no reason given", meta);
    });
    if (items.length === 0) {
      const says = letters.count > 0 ? "They wait in the dead-letter queue." : "None. Every record was understood and taken.";
      items.push(element("li", { className: "none", text: says }));
    }
    by("letter-list").replaceChildren(...items);
  }
}
