// The page of `tidewire local`. Frames change plain data as they come; the screen is changed at
// most once an animation frame, and only where it is seen.

import { Cards, write } from "./cards.js";
import { Link } from "./link.js";
import { Panels } from "./panels.js";
import { Picker } from "./picker.js";
import { Store } from "./store.js";
import { watchColours } from "./spark.js";

const STATE_MS = 1_000;
const OWN_MS = 500;
// Arrival times kept until the next paint; a hidden page paints nothing.
const UNPAINTED_MAX = 4_096;

const by = (id) => document.getElementById(id);
const store = new Store();
const panels = new Panels();
const cards = new Cards(by("cards"), (id, isPicked) => picker.toggle(id, isPicked), schedule);
const picker = new Picker(() => pickChanged());
let unpainted = [];
let scheduled = false;

function refilter() {
  const { picks } = picker;
  const found = picker.matches();
  cards.filter((id) => (picks.size === 0 || picks.has(id)) && (!found || found.has(id)), store.devices, picks);
  showEmpty();
}

function showEmpty() {
  const isEmpty = cards.cards.size === 0;
  by("empty").hidden = !isEmpty;
  if (!isEmpty) return;
  const searched = picker.matches() && store.devices.size > 0;
  write(by("empty"), searched ? "No device of that name among those received." : "Waiting for the first reading.");
}

function pickChanged() {
  refilter();
  link.subscribe(picker.picks.size ? [...picker.picks] : ["*"]);
}

function schedule() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(paint);
}

function paint() {
  scheduled = false;
  const now = Date.now();
  if (!cards.draw(now)) return schedule();
  for (const arrival of unpainted) store.painted(arrival, now);
  unpainted = [];
  showEmpty();
}

function takeReadings(readings) {
  const now = Date.now();
  for (const reading of readings) {
    const device = store.apply(reading, now);
    if (!device) continue;
    cards.touch(device);
    if (typeof reading.arrival_ms === "number" && !document.hidden && unpainted.length < UNPAINTED_MAX) {
      unpainted.push(reading.arrival_ms);
    }
  }
  schedule();
}

function takeFrame(frame) {
  if (frame.type === "error") console.warn("refused:", frame.code, frame.message);
  else if (Array.isArray(frame.readings)) takeReadings(frame.readings);
  else if (frame.device_id) takeReadings([frame]);
}

const link = new Link({
  state(name, text) {
    by("link").dataset.state = name;
    write(by("link"), text);
  },
  info(info) {
    write(by("stream"), info.stream ?? "");
    document.title = `tidewire: ${info.stream ?? "live"}`;
  },
  frame: takeFrame,
});
picker.onFound = refilter;
pickChanged();

async function askState() {
  try {
    if (!document.hidden) {
      const answer = await fetch("/api/state", { cache: "no-store" });
      if (answer.ok) panels.state(await answer.json());
    }
  } catch {
    // The connection's own state says that the stand is away.
  }
  setTimeout(askState, STATE_MS);
}

// Frames come in bursts: the rate is a mean over some samples.
const RATE_SAMPLES = 4;
const counted = [{ count: 0, at: performance.now() }];
function measure() {
  const now = { count: store.count, at: performance.now() };
  const then = counted[0];
  if (counted.push(now) > RATE_SAMPLES) counted.shift();
  const rate = ((now.count - then.count) * 1_000) / (now.at - then.at);
  panels.own(rate, store.delays(Date.now()));
  picker.know([...store.devices.keys()]);
  cards.grow(Date.now());
}

// Where there is little room, the panels begin closed.
if (matchMedia("(max-width: 700px)").matches) {
  for (const box of document.querySelectorAll("details")) box.open = false;
}
document.addEventListener("visibilitychange", () => (unpainted = []));
watchColours(() => {
  cards.redraw();
  schedule();
});
window.addEventListener("resize", () => {
  cards.redraw();
  schedule();
});
setInterval(measure, OWN_MS);
askState();
