// The module in Chromium, through the real local gateway.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { execFile } from "node:child_process";
import { after, before, test } from "node:test";

import { Stand, bare, chromium, eventually, kill, portBase, require } from "./stand.mjs";

let browser;
let stand;
before(async () => {
  browser = await chromium();
  stand = await Stand.start();
});
after(async () => {
  await stand?.close();
  await browser?.close();
});

// A connection of the module in that tab; what it hears is kept.
async function open(page, stand, { token = stand.card.token, devices }) {
  await page.evaluate(
    ([url, token, devices]) => {
      Object.assign(window, { seen: [], states: [], complaints: [] });
      window.live = connect(url, { token, devices });
      live.on("reading", (one) => seen.push(one));
      live.on("state", (one) => states.push(one));
      live.on("error", (one) => complaints.push(one));
    },
    [stand.card.websocket, token, devices],
  );
}
const stateOf = (page) => page.evaluate(() => live.state);
const isLive = (page) => async () => (await stateOf(page)).name === "live";
const reading = (device_id, ts, temperature) => ({ device_id, ts, temperature });

test("its types hold for a page that uses it", async () => {
  const tsc = require.resolve("typescript").replace(/lib\/.*$/, "bin/tsc");
  const args = ["--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "checks/screens/types.ts"];
  const [code, out] = await new Promise((tell) => execFile(process.execPath, [tsc, ...args], (error, out) => tell([error?.code ?? 0, out])));
  assert.deepEqual([code, out], [0, ""]);
});

test("connects, subscribes, shows what comes and nothing older", async () => {
  const page = await bare(browser, stand);
  await open(page, stand, { devices: ["kitchen"] });
  await eventually("live", isLive(page));
  assert.deepEqual((await stateOf(page)).subscribed, ["kitchen"]);
  const now = Date.now();
  await stand.feed(reading("kitchen", now, 21.5), reading("cellar", now, 9));
  await eventually("a reading", () => page.evaluate(() => seen.length > 0));
  const [first] = await page.evaluate(() => seen);
  assert.deepEqual([first.device_id, first.measures, first.time_ns], ["kitchen", { temperature: 21.5 }, `${now}000000`]);

  // An older one on the stream, and older and repeated ones straight from a confused broadcaster.
  const [row] = await stand.rows();
  await stand.feed(reading("kitchen", now - 60_000, 1));
  const older = { ...first, time_ns: `${now - 1_000}000000`, measures: { temperature: 2 } };
  await stand.post(row.SortKey.S, JSON.stringify({ type: "readings", readings: [older, first] }));
  await stand.feed(reading("kitchen", now + 1_000, 22));
  await eventually("the newer one", () => page.evaluate(() => seen.at(-1).measures.temperature === 22));
  assert.deepEqual(await page.evaluate(() => seen.map((one) => one.measures.temperature)), [21.5, 22]);
  const counts = await page.evaluate(() => live.counts);
  assert.ok(counts.stale >= 1 && counts.repeats >= 1, JSON.stringify(counts));

  const p99 = await page.evaluate(() => live.delays.quantile(0.99));
  console.log(`# arrival to screen, ${await page.evaluate(() => live.delays.count)} readings: p99 at most ${Math.round(p99)} ms`);
  await page.evaluate(() => live.subscribe(["cellar"]));
  await eventually("the cellar's snapshot", () => page.evaluate(() => seen.some((one) => one.device_id === "cellar")));
  await page.evaluate(() => live.subscribe(["a", "room-*"]));
  await eventually("an answer", () => page.evaluate(() => live.state.subscribed !== null || complaints.length > 0));
  await page.context().close();
});

test("a refused token is told from a dead gateway, and not offered again and again", async () => {
  const page = await bare(browser, stand);
  const offered = [];
  page.on("websocket", (socket) => offered.push(socket.url()));
  const forged = `${stand.card.token.slice(0, -5)}AAAAA`;
  await open(page, stand, { token: forged, devices: ["kitchen"] });
  await eventually("refused", async () => (await stateOf(page)).name === "refused");
  await page.waitForTimeout(4_000);
  assert.equal(offered.length, 1);
  const shown = await page.evaluate(() => JSON.stringify([live.state, states, complaints, live.counts]));
  assert.ok(!shown.includes(forged.slice(-20)) && offered.every((url) => !url.includes("token") && url === stand.card.websocket), shown);

  await page.evaluate(() => {
    window.gone = connect("ws://127.0.0.1:9", { token: "t" });
  });
  await eventually("nobody there", async () => (await page.evaluate(() => gone.state.name)) === "waiting");
  await page.context().close();
});

test("an iterator in a page is slower than the readings, and gets the newest of each device", async () => {
  const page = await bare(browser, stand);
  await open(page, stand, { devices: ["x", "y"] });
  await eventually("live", isLive(page));
  await page.evaluate(() => (window.slow = live.readings({ bound: 3 })));
  const now = Date.now();
  for (let n = 1; n <= 6; n += 1) {
    await stand.feed(...["x", "y"].map((device) => reading(device, now + n, n)));
    // One by one: of those within a window a viewer gets the newest alone.
    await eventually(`${n} came`, () => page.evaluate((n) => seen.filter((one) => one.measures.temperature === n).length === 2, n));
  }
  const got = await page.evaluate(async () => {
    const got = [];
    for (let n = 0; n < 2; n += 1) got.push((await slow.next()).value);
    return got.map((one) => [one.device_id, one.measures.temperature]).sort();
  });
  assert.deepEqual(got, [["x", 6], ["y", 6]]);
  assert.ok((await page.evaluate(() => live.counts.skipped)) >= 4);
  await page.context().close();
});

test("a connection is replaced before its token runs out, and nothing is missed meanwhile", async () => {
  const page = await bare(browser, stand);
  await page.evaluate(
    ([url, token]) => {
      window.seen = new Set();
      window.names = new Set();
      // Half a minute is the soonest.
      window.live = connect(url, { token: () => ({ token, expiresMs: Date.now() + 40_000 }), devices: ["clock"] });
      live.on("reading", (one) => seen.add(one.measures.temperature));
    },
    [stand.card.websocket, stand.card.token],
  );
  await eventually("live", isLive(page));
  await page.evaluate(() => live.on("state", (one) => names.add(one.name)));
  let n = 0;
  await eventually("the second connection, and two readings through it", async () => {
    n += 1;
    await stand.feed(reading("clock", Date.now(), n));
    await eventually(`reading ${n}`, () => page.evaluate((n) => seen.has(n), n));
    const made = await page.evaluate(() => live.counts.connections);
    return made === 2 && (await stand.rows()).length === 1;
  });
  n += 1;
  await stand.feed(reading("clock", Date.now(), n));
  await eventually("one more", () => page.evaluate((n) => seen.has(n), n));
  assert.deepEqual(await page.evaluate(() => [...names]), ["live"], "no other state in between");
  await page.context().close();
});

// ---- what browsers do with subprotocols: what the gateway's contract rests on

// A WebSocket server that echoes what it is told to, or nothing.
async function echoing() {
  const heard = [];
  const server = createServer();
  server.on("upgrade", (request, socket) => {
    heard.push(request.headers["sec-websocket-protocol"]);
    const echo = decodeURIComponent(request.url.slice(1));
    const accept = createHash("sha1").update(`${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
    const lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade", `Sec-WebSocket-Accept: ${accept}`];
    if (echo) lines.push(`Sec-WebSocket-Protocol: ${echo}`);
    socket.on("error", () => {});
    socket.write(`${lines.join("\r\n")}\r\n\r\n`);
  });
  await new Promise((then) => server.listen(0, "127.0.0.1", then));
  return { heard, url: `ws://127.0.0.1:${server.address().port}`, close: () => (server.closeAllConnections(), server.close()) };
}

test("what a browser can send as a subprotocol, and what it does when none is echoed", async () => {
  const page = await bare(browser, stand);
  const server = await echoing();
  const attempt = (protocols, echo) =>
    page.evaluate(
      ([url, protocols]) =>
        new Promise((tell) => {
          let socket;
          try {
            socket = new WebSocket(url, protocols);
          } catch (error) {
            return tell({ thrown: error.name, message: error.message });
          }
          socket.onopen = () => (tell({ opened: socket.protocol }), socket.close());
          socket.onclose = ({ code, wasClean }) => tell({ closed: code, wasClean });
        }),
      [`${server.url}/${encodeURIComponent(echo)}`, protocols],
    );
  const jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.x-_x";
  const ours = ["tidewire.v1", `bearer.${jwt}`];
  assert.deepEqual(await attempt(ours, "tidewire.v1"), { opened: "tidewire.v1" });
  assert.equal(server.heard.at(-1), `tidewire.v1, bearer.${jwt}`, "one header, a comma and a space between");
  assert.deepEqual(await attempt([jwt], jwt), { opened: jwt }, "a bare token, as the blog's page offers it");
  // None echoed, or one that was not offered: the handshake fails, and the page learns no more than
  // of a dead network.
  const failed = { closed: 1006, wasClean: false };
  assert.deepEqual(await attempt(ours, ""), failed);
  assert.deepEqual(await attempt(ours, "another"), failed);
  assert.deepEqual(await attempt(ours, `tidewire.v1, bearer.${jwt}`), failed, "nor both at once");
  // What is no token of RFC 7230 is refused before anything is sent, in words that quote it.
  const sent = server.heard.length;
  for (const bad of ["bearer.pad==", "bearer.sla/sh", "bearer.a b", "bearer.ä", ""]) {
    const { thrown, message } = await attempt(["tidewire.v1", bad], "tidewire.v1");
    assert.equal(thrown, "SyntaxError", bad);
    assert.ok(message.includes(bad.replace("ä", "\\u00E4")), message);
  }
  assert.equal((await attempt(["tidewire.v1", "tidewire.v1"], "tidewire.v1")).thrown, "SyntaxError", "nor twice the same");
  assert.equal(server.heard.length, sent);
  await page.context().close();
  server.close();
});

test("the stand is killed and started again: the module is live again with a fresh token", async () => {
  const base = await portBase();
  let other = await Stand.start({ base });
  const page = await bare(browser, other);
  await page.evaluate((page) => (window.askToken = async () => (await (await fetch(`${page}/api/info`)).json()).token), other.card.page);
  await page.evaluate((url) => {
    window.seen = [];
    window.states = [];
    window.live = connect(url, { token: askToken, devices: ["kitchen"] });
    live.on("reading", (one) => seen.push(one.time_ns));
    live.on("state", (one) => states.push(one.name));
  }, other.card.websocket);
  await eventually("live", isLive(page));
  const now = Date.now();
  await other.feed(reading("kitchen", now, 1));
  await eventually("a reading", () => page.evaluate(() => seen.length === 1));
  await kill(other.daemon);
  await eventually("lost", async () => (await stateOf(page)).name === "waiting");
  await other.close();
  other = await Stand.start({ base });
  const begun = Date.now();
  await eventually("live again", isLive(page));
  console.log(`# live again ${Date.now() - begun} ms after the stand was up`);
  await other.feed(reading("kitchen", now - 5_000, 0));
  await other.feed(reading("kitchen", now + 5_000, 2));
  await eventually("news", () => page.evaluate(() => seen.length === 2));
  assert.deepEqual(await page.evaluate(() => seen), [`${now}000000`, `${now + 5_000}000000`]);
  await page.context().close();
  await other.close();
});
