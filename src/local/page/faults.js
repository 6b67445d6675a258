// The panel of what goes wrong on purpose, from /_local/faults: a switch for each way in which each
// service can misbehave, and buttons for workers and shards.

import { by, element, span, write } from "./dom.js";

const KINDS = [
  ["throttle", "throttle"],
  ["outage", "outage"],
  ["slow", "slow"],
  ["lost-answer", "lost answer"],
];
const PARTS = {
  kinesis: "Kinesis",
  dynamodb: "DynamoDB",
  sqs: "SQS",
  timestream: "Timestream",
  apigateway: "WebSocket",
};
const DEEDS = {
  "worker-start": "worker:start",
  "worker-kill": "worker:kill",
  "shard-split": "shard:split",
  "shard-merge": "shard:merge",
};

// shardId-000000000003 -> 3, as in the panel of shards.
const short = (words) => words.replace(/shardId-0*(?=\d)/g, "");

async function ask(change) {
  const request = change && { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(change) };
  const answer = await fetch("/_local/faults", { cache: "no-store", ...request });
  if (!answer.ok) throw new Error((await answer.text()).trim() || `answered ${answer.status}`);
  return answer.json();
}

export class Faults {
  #boxes = new Map();
  // Changes under way: until the last is answered, what is asked for meanwhile is of yesterday.
  #asking = 0;

  constructor() {
    const rows = Object.entries(PARTS).map(([part, name]) =>
      element("tr", {}, element("th", { text: name, scope: "row" }), ...KINDS.map((kind) => this.#cell(part, name, kind))),
    );
    by("fault-parts").replaceChildren(...rows);
    for (const [id, fault] of Object.entries(DEEDS)) by(id).addEventListener("click", () => this.#change({ begin: fault }));
    by("faults-end").addEventListener("click", () => this.#change({ end: "all" }));
  }

  // Asks how things are, once.
  async look() {
    const state = await ask();
    if (this.#asking === 0) this.#show(state);
  }

  #cell(part, name, [kind, words]) {
    const fault = `${part}:${kind}`;
    const box = element("input", { type: "checkbox", role: "switch", "aria-label": `${name}: ${words}` });
    box.addEventListener("change", () => this.#change(box.checked ? { begin: fault } : { end: fault }));
    this.#boxes.set(fault, box);
    return element("td", {}, element("label", { title: `${name}: ${words}` }, box));
  }

  async #change(change) {
    this.#asking += 1;
    let refused = "";
    let state;
    try {
      state = await ask(change);
    } catch (error) {
      refused = error.message;
    }
    this.#asking -= 1;
    // A switch that was refused is where it was.
    if (!state) state = await ask().catch(() => undefined);
    if (state && this.#asking === 0) this.#show(state);
    this.#say(refused || state?.told?.[0]?.words || "");
  }

  // Said once, after a change: what comes by itself is in the list below.
  #say(words) {
    write(by("fault-said"), words);
  }

  #show(state) {
    const on = new Set((state.parts ?? []).flatMap(({ part, on }) => on.map((kind) => `${part}:${kind}`)));
    for (const [fault, box] of this.#boxes) box.checked = on.has(fault);
    const coming = state.coming ?? [];
    write(by("fault-count"), on.size ? `${on.size} on` : coming.length ? `${coming.length} to come` : "");
    by("fault-count").classList.toggle("alarm", on.size > 0);
    by("faults-end").disabled = on.size === 0 && coming.length === 0;
    by("worker-kill").disabled = !(state.workers > 0);
    const items = coming.slice(0, 4).map(({ fault, in_ms }) => element("li", {}, element("b", { text: short(fault) }), element("span", { text: `in ${span(in_ms)}` })));
    for (const { words, failed, ago_ms } of state.told ?? []) {
      items.push(element("li", failed ? { className: "failed" } : {}, element("b", { text: short(words), title: words }), element("span", { text: `${span(ago_ms)} ago` })));
    }
    by("fault-list").replaceChildren(...items);
    by("fault-list").hidden = items.length === 0;
  }
}
