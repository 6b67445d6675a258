// What a page goes through: hidden, seen, without a network, closed.

import assert from "node:assert/strict";
import { test } from "node:test";

import { World, settle } from "../testing/world.js";

const MINUTE = 60_000;

test("a page hidden for ten minutes gets nothing more, and goes on when it is seen", async () => {
  const world = new World();
  const client = await world.live();
  await world.see(true);
  await world.pass(9 * MINUTE);
  assert.equal(client.state.name, "live");
  await world.pass(2 * MINUTE);
  assert.deepEqual([client.state.name, world.socket.closed], ["paused", true]);
  world.window.dispatchEvent(new Event("online"));
  await world.pass(30 * MINUTE);
  assert.equal(world.sockets.length, 1);
  await world.see(false);
  assert.equal(world.sockets.length, 2);
  world.socket.open();
  world.socket.say({ type: "subscribed", device_ids: ["a"] });
  assert.equal(client.state.name, "live");
});

test("hidden for a moment only, or never to be paused: it stays", async () => {
  const world = new World();
  const client = await world.live();
  await world.see(true);
  await world.pass(5 * MINUTE);
  await world.see(false);
  await world.pass(20 * MINUTE);
  assert.deepEqual([client.state.name, world.sockets.length], ["live", 1]);
  const other = new World();
  const always = await other.live({ pauseHiddenMs: 0 });
  await other.see(true);
  await other.pass(30 * MINUTE);
  assert.equal(always.state.name, "live");
});

test("a page opened in the background pauses, too", async () => {
  const world = new World();
  world.document.hidden = true;
  const client = await world.live();
  await world.pass(11 * MINUTE);
  assert.equal(client.state.name, "paused");
});

test("a page that is seen again finds out within seconds that its connection died", async () => {
  const world = new World();
  await world.live();
  await world.see(true);
  await world.pass(MINUTE);
  world.pongs = false;
  await world.see(false);
  assert.deepEqual(world.socket.sent.at(-1), { action: "ping" });
  await world.pass(11_000);
  assert.equal(world.sockets[0].closed, true);
  assert.equal(world.sockets.length, 2);
});

test("without a network it says so, and comes back with the network at once", async () => {
  const world = new World({ random: () => 0.999 });
  world.isThere = false;
  const client = await world.live();
  world.navigator.onLine = false;
  world.socket.drop();
  assert.equal(client.state.name, "offline");
  for (let n = 0; n < 6; n += 1) {
    const count = world.sockets.length;
    while (world.sockets.length === count) await world.pass(1_000);
    world.socket.drop();
    await settle();
  }
  assert.ok(client.state.retryAt - world.time > 20_000);
  world.navigator.onLine = true;
  const count = world.sockets.length;
  world.window.dispatchEvent(new Event("online"));
  await settle();
  assert.equal(world.sockets.length, count + 1);
});

test("a socket that never opens is given up", async () => {
  const world = new World();
  world.isThere = false;
  const client = world.connect();
  await world.pass(31_000);
  assert.equal(world.sockets[0].closed, true);
  assert.ok(["waiting", "connecting"].includes(client.state.name));
});

test("closed is closed: nothing more happens, whatever the world does", async () => {
  for (const when of [0, 1, 2, 3]) {
    const world = new World();
    const client = world.connect();
    if (when > 0) await settle();
    if (when > 1) world.socket.open();
    if (when > 2) world.socket.say({ type: "subscribed", device_ids: ["a"] });
    client.close();
    const count = world.sockets.length;
    await world.see(false);
    world.window.dispatchEvent(new Event("online"));
    client.retry();
    client.subscribe(["b"]);
    await world.pass(10 * MINUTE);
    assert.deepEqual([client.state.name, world.sockets.length, world.timers.size], ["closed", count, 0], String(when));
    assert.ok(world.sockets.every((one) => one.closed));
  }
});

test("a subscription too large for API Gateway is not sent", async () => {
  const world = new World();
  const client = await world.live();
  const errors = [];
  client.on("error", ({ code }) => errors.push(code));
  client.subscribe(Array.from({ length: 5_000 }, (_, n) => `device-${n}`));
  assert.deepEqual([errors, world.socket.sent.length], [["too_large"], 1]);
  client.subscribe("*");
  assert.equal(world.socket.sent.length, 2);
});
