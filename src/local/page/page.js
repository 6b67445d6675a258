// The page of `tidewire local`. Readings change plain data as they come; the screen is changed at
// most once an animation frame, and only where it is seen.

import { Bill } from "./bill.js";
import { watchColours } from "./chart.js";
import { DeviceView } from "./device.js";
import { by, write } from "./dom.js";
import { Faults } from "./faults.js";
import { Figures } from "./figures.js";
import { Panels } from "./panels.js";
import { Picker } from "./picker.js";
import { Store } from "./store.js";
import { Wall } from "./wall.js";
import { connect } from "/client/tidewire.js";

const STATE_MS = 1_000;
const GROW_MS = 500;
const AGAIN_MS = 1_000;
const BILL_MS = 3_000;

const store = new Store();
const panels = new Panels();
const bill = new Bill();
const faults = new Faults();
const figures = new Figures(store);
const wall = new Wall(by("wall"), store.devices, { onOpen: (device) => view.open(device), schedule });
const picker = new Picker({ onPick: subscribe, onFind: showDevices });
const view = new DeviceView({ schedule, isPicked: (id) => picker.picks.has(id), onPick: (id, isPicked) => picker.toggle(id, isPicked) });
let live = null;
let isScheduled = false;

// ---- the screen

function schedule() {
  if (isScheduled) return;
  isScheduled = true;
  requestAnimationFrame(paint);
}

function paint() {
  isScheduled = false;
  const now = Date.now();
  view.draw(now);
  if (!wall.draw(now)) schedule();
}

function showDevices() {
  wall.show(picker.shown());
  by("empty").hidden = wall.size > 0;
  if (wall.size > 0) return;
  write(by("empty"), picker.isSearching ? "No device of that name among those received." : "Waiting for the first reading.");
}

function redraw() {
  wall.redraw();
  view.redraw();
  figures.draw();
}

// ---- the connection

async function askInfo() {
  const answer = await fetch("/api/info", { cache: "no-store" });
  if (!answer.ok) throw new Error(`/api/info answered ${answer.status}`);
  return answer.json();
}

const SAID = {
  connecting: "connecting",
  live: "live",
  waiting: "connection lost",
  offline: "no network",
  refused: "refused",
  paused: "paused",
  closed: "closed",
};

const TROUBLE = {
  waiting: "No connection: the stand is away or restarts.",
  offline: "No connection: this machine has no network.",
  refused: "The gateway answers, but refuses this page's token.",
};

// Trouble is said aloud once, not at each try; the seconds until the next are for the eye only.
function tellState({ name }) {
  tellWait();
  if (name === "connecting" && !by("trouble").hidden) return;
  by("link").dataset.state = name;
  write(by("link"), SAID[name]);
  by("trouble").hidden = !TROUBLE[name];
  if (TROUBLE[name]) write(by("trouble-why"), TROUBLE[name]);
}

function tellWait() {
  const { retryAt } = live?.state ?? {};
  const says = typeof retryAt === "number" ? `again in ${Math.max(0, Math.ceil((retryAt - Date.now()) / 1_000))} s` : "trying";
  write(by("trouble-wait"), says);
}

function subscribe() {
  live?.subscribe(picker.picks.size ? picker.picks : "*");
}

function takeReadings(readings) {
  const now = Date.now();
  for (const reading of readings) {
    const device = store.apply(reading, now);
    if (!device) continue;
    wall.touch(device);
    view.touch(device);
  }
  schedule();
}

async function begin() {
  let info;
  try {
    info = await askInfo();
  } catch {
    by("link").dataset.state = "waiting";
    write(by("link"), "no answer");
    return setTimeout(begin, AGAIN_MS);
  }
  write(by("stream"), info.stream ?? "");
  document.title = `tidewire: ${info.stream ?? "live"}`;
  live = connect(info.websocket, {
    token: async () => (await askInfo()).token,
    devices: picker.picks.size ? picker.picks : "*",
  });
  figures.follow(live);
  live.on("state", tellState);
  live.on("readings", takeReadings);
  live.on("error", ({ code, message }) => console.warn("refused:", code, message));
  by("retry").addEventListener("click", () => live.retry());
}

// ---- the stand

let wasAway = false;

async function askState() {
  try {
    if (!document.hidden) {
      const answer = await fetch("/api/state", { cache: "no-store" });
      if (answer.ok) panels.state(await answer.json());
      // It is there again: no reason to wait for the next try.
      if (wasAway) live?.retry();
      wasAway = false;
    }
  } catch {
    // The connection's own state says that the stand is away.
    wasAway = true;
  }
  setTimeout(askState, STATE_MS);
}

async function askFaults() {
  try {
    if (!document.hidden) await faults.look();
  } catch {
    // As above.
  }
  setTimeout(askFaults, STATE_MS);
}

async function askBill() {
  try {
    if (!document.hidden) {
      const answer = await fetch("/_local/meter", { cache: "no-store" });
      if (answer.ok) bill.show((await answer.json()) ?? {});
    }
  } catch {
    // As above.
  }
  setTimeout(askBill, BILL_MS);
}

function grow() {
  const now = Date.now();
  picker.know([...store.devices.keys()]);
  wall.grow(now);
  view.grow(now);
  tellWait();
}

// Where there is little room, the panels begin closed.
if (matchMedia("(max-width: 760px)").matches) {
  for (const box of document.querySelectorAll("details")) box.open = false;
}
watchColours(redraw);
window.addEventListener("resize", redraw);
setInterval(grow, GROW_MS);
showDevices();
begin();
askState();
askFaults();
askBill();
