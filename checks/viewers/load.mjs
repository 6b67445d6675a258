// Many viewers on loopback: what our broadcaster does for them, and what the well-known way does.
// Arguments: viewers, devices each, devices in all, readings a second, seconds, window in ms.

import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";

import { Stand, eventually, portBase } from "../screens/stand.mjs";

const [viewers, each, devices, rate, seconds, window_ms] = process.argv.slice(2).map(Number);
const TICKS = 100; // of /proc, a second
const WARM_MS = 5_000;

const sockets = [];
let seen;

function fresh() {
  seen = { frames: 0, bytes: 0, readings: 0, delays: [] };
}

function connect(url, token, wanted) {
  return new Promise((open, fail) => {
    const socket = new WebSocket(url, ["tidewire.v1", `bearer.${token}`]);
    socket.onopen = () => socket.send(JSON.stringify({ action: "subscribe", device_ids: wanted }));
    socket.onerror = () => fail(new Error("a viewer was not let in"));
    socket.onmessage = ({ data }) => {
      const now = Date.now();
      const frame = JSON.parse(data);
      if (frame.type === "subscribed") return open();
      if (frame.type !== "readings") return;
      seen.frames += 1;
      seen.bytes += data.length;
      seen.readings += frame.readings.length;
      for (const reading of frame.readings) seen.delays.push(now - spoken(reading));
    };
    sockets.push(socket);
  });
}

// As the stand's simulated devices are called.
function device(index) {
  const kind = ["greenhouse", "pump", "truck", "meter"][index % 4];
  return `${kind}-${String(Math.floor(index / 4) + 1).padStart(3, "0")}`;
}

// When the device spoke: ours carry the time in nanoseconds, the well-known messages what it sent.
function spoken({ time_ns, ts }) {
  return time_ns ? Number(BigInt(time_ns) / 1_000_000n) : ts;
}

async function usage(pid) {
  const stat = (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ")[1].split(" ");
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return { cpu: (Number(stat[11]) + Number(stat[12])) / TICKS, peakMb: Number(/VmHWM:\s+(\d+)/.exec(status)[1]) / 1024 };
}

function percentile(sorted, part) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN;
}

async function measure(name, pid, posts) {
  await new Promise((then) => setTimeout(then, WARM_MS));
  const before = { ...(await usage(pid)), posts: await posts() };
  fresh();
  const began = Date.now();
  await new Promise((then) => setTimeout(then, seconds * 1_000));
  const took = (Date.now() - began) / 1_000;
  const { frames, bytes, readings, delays } = seen;
  const after = { ...(await usage(pid)), posts: await posts() };
  delays.sort((a, b) => a - b);
  const posted = after.posts - before.posts;
  const row = {
    name,
    "readings shown/s": Math.round(readings / took),
    "frames/s": Math.round(frames / took),
    "posts/s": Math.round(posted / took),
    "KB/s": Math.round(bytes / took / 1024),
    "p50 ms": percentile(delays, 0.5),
    "p99 ms": percentile(delays, 0.99),
    "CPU %": Math.round(((after.cpu - before.cpu) / took) * 100),
    "peak MB": Math.round(after.peakMb),
    // API Gateway bills a post by 32 KB; ours stay below.
    "billed messages per 1,000 readings shown": readings ? Math.round((posted / readings) * 1_000) : NaN,
  };
  if (readings === 0) throw new Error(`${name}: viewers saw nothing`);
  return row;
}

async function metric(port, name) {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const line = text.split("\n").find((one) => one.startsWith(name));
  return line ? Number(line.split(" ").at(-1)) : 0;
}

const stand = await Stand.start({ devices, rate, more: ["--workers", 0, "--unlimited"] });
try {
  const { card } = stand;
  const shape = { LEASE__TABLE: "leases-load" };
  const ours = await stand.queue("load-packed");
  const theirs = await stand.queue("load-single");

  fresh();
  for (let n = 0; n < viewers; n += 50) {
    const some = Array.from({ length: Math.min(50, viewers - n) }, (_, i) => {
      const wanted = Array.from({ length: each }, (_, k) => device(((n + i) * 7 + k * 13) % devices));
      return connect(card.websocket, card.token, wanted);
    });
    await Promise.all(some);
  }
  console.log(`${viewers} viewers of ${each} devices each; ${devices} devices, ${rate} readings/s, ${seconds} s, window ${window_ms} ms`);

  const port = await portBase();
  const worker = stand.service("worker", { ...shape, QUEUE__URLS: ours });
  const live = stand.service("broadcaster", { QUEUE__URLS: ours, HTTP__LISTEN: `127.0.0.1:${port}`, BROADCASTER__SNAPSHOT_EVERY_MS: 1_000, BROADCASTER__WINDOW_MS: window_ms });
  await eventually("viewers are shown something", () => seen.readings > 0);
  const rows = [await measure("tidewire broadcaster", live.pid, () => metric(port, 'tidewire_posts_total{result="accepted"}'))];
  for (const child of [live, worker]) {
    child.kill("SIGTERM");
    await new Promise((ended) => child.once("exit", ended));
  }

  stand.service("worker", { ...shape, QUEUE__URLS: theirs, QUEUE__FORMAT: "single" });
  const where = { queue: theirs, sqs: card.sqs, dynamodb: card.dynamodb, management: card.management, table: card.connection_table };
  const naive = spawn(process.execPath, [new URL("naive.mjs", import.meta.url).pathname, JSON.stringify(where)], { stdio: ["pipe", "pipe", "inherit"] });
  stand.processes.push(naive);
  const lines = createInterface({ input: naive.stdout })[Symbol.asyncIterator]();
  const counts = async () => {
    naive.stdin.write("\n");
    return JSON.parse((await lines.next()).value).posts;
  };
  fresh();
  await eventually("viewers are shown something", () => seen.readings > 0);
  rows.push(await measure("one post a reading", naive.pid, counts));

  const [head, ...rest] = Object.keys(rows[0]);
  console.log(`| ${head} | ${rest.join(" | ")} |\n|${"---|".repeat(rest.length + 1)}`);
  for (const row of rows) console.log(`| ${Object.values(row).join(" | ")} |`);
} finally {
  for (const socket of sockets) socket.close();
  await stand.close();
}
