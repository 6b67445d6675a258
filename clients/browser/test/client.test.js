import assert from "node:assert/strict";
import { test } from "node:test";

import { World, dice, frame, reading, settle } from "../testing/world.js";

const MINUTE = 60_000;

test("connects with the token as a subprotocol, subscribes, and is live once that is answered", async () => {
  const world = new World();
  const client = world.connect({ devices: ["a", "b", "a"] });
  await settle();
  const { socket } = world;
  assert.equal(socket.url, "wss://example.test/prod");
  assert.deepEqual(socket.protocols, ["tidewire.v1", "bearer.t0ken"]);
  assert.equal(client.state.name, "connecting");
  socket.open();
  assert.deepEqual(socket.sent, [{ action: "subscribe", device_ids: ["a", "b"] }]);
  assert.equal(client.state.name, "connecting");
  socket.say({ type: "subscribed", device_ids: ["a", "b"] });
  assert.equal(client.state.name, "live");
  assert.deepEqual(client.state.subscribed, ["a", "b"]);
  assert.equal(client.counts.connections, 1);
});

test("nothing wanted, nothing asked", async () => {
  const world = new World();
  const client = world.connect({ devices: [] });
  await settle();
  world.socket.open();
  assert.deepEqual([client.state.name, world.socket.sent.length], ["live", 0]);
});

test("readings and snapshots are handed out, repeats and older ones are not", async () => {
  const world = new World();
  const client = await world.live();
  const seen = [];
  const snapshots = [];
  client.on("reading", (one) => seen.push(one.measures.temperature));
  client.on("snapshot", (one) => snapshots.push(one));
  const now = reading({ time_ns: "10", measures: { temperature: 21 } });
  world.socket.say({ type: "snapshot", readings: [now], complete: false, more: true });
  world.socket.say({ type: "snapshot", readings: [], complete: true });
  world.socket.say(frame(now, reading({ time_ns: "9", measures: { temperature: 5 } }), reading({ time_ns: "11", measures: { temperature: 22 } })));
  assert.deepEqual(seen, [21, 22]);
  assert.deepEqual(snapshots, [{ complete: false, more: true }, { complete: true, more: false }]);
  assert.equal(client.state.complete, true);
  const { readings, repeats, stale } = client.counts;
  assert.deepEqual([readings, repeats, stale], [2, 1, 1]);
});

test("after a new connection older values still change nothing", async () => {
  const world = new World();
  const client = await world.live();
  const seen = [];
  client.on("reading", (one) => seen.push(one.time_ns));
  world.socket.say(frame(reading({ time_ns: "20" })));
  world.socket.drop();
  await world.pass(MINUTE);
  world.socket.open();
  world.socket.say({ type: "subscribed", device_ids: ["a"] });
  world.socket.say({ type: "snapshot", readings: [reading({ time_ns: "19" })], complete: false });
  world.socket.say(frame(reading({ time_ns: "21" })));
  assert.deepEqual(seen, ["20", "21"]);
  assert.equal(client.state.complete, false);
});

test("a lost connection comes back with a fresh token and subscribes again", async () => {
  const world = new World();
  let given = 0;
  const client = await world.live({ token: async () => `t${(given += 1)}`, devices: ["a", "b"] });
  await world.pass(11_000);
  client.subscribe(["c"]);
  world.socket.say({ type: "subscribed", device_ids: ["c"] });
  world.socket.drop();
  assert.equal(client.state.name, "waiting");
  assert.ok(client.state.retryAt > world.time && client.state.retryAt <= world.time + 1_000);
  await world.pass(1_000);
  assert.equal(world.sockets.length, 2);
  assert.deepEqual(world.socket.protocols, ["tidewire.v1", "bearer.t2"]);
  world.socket.open();
  assert.deepEqual(world.socket.sent, [{ action: "subscribe", device_ids: ["c"] }]);
});

test("whatever happens, tries do not come thick, and nothing outlives the client", async () => {
  for (let seed = 0; seed < 60; seed += 1) {
    const random = dice(seed);
    const world = new World({ random });
    world.isThere = random() < 0.5;
    const client = world.connect();
    const begun = world.time;
    for (let n = 0; n < 400; n += 1) {
      await settle();
      const { socket } = world;
      if (socket && !socket.closed) {
        if (random() < 0.3) socket.open();
        if (random() < 0.2) socket.say({ type: "subscribed", device_ids: ["a"] });
        if (random() < 0.2) socket.say({ message: "Internal server error" });
        if (random() < 0.5) socket.drop();
      }
      await world.pass(random() * 3_000);
      assert.ok(world.sockets.filter((one) => !one.closed).length <= 2, `seed ${seed}`);
    }
    const minutes = (world.time - begun) / MINUTE;
    // Each try waits half a second on average at least, and the second one in a row longer.
    assert.ok(world.sockets.length < 12 + minutes * 12, `seed ${seed}: ${world.sockets.length} in ${minutes} min`);
    client.close();
    await settle();
    assert.equal(world.timers.size, 0, `seed ${seed}: a timer outlives the client`);
    assert.ok(world.sockets.every((one) => one.closed), `seed ${seed}: a socket outlives the client`);
  }
});

test("let in and thrown out at once counts as a failure", async () => {
  const world = new World({ random: () => 0.999 });
  await world.live();
  const waits = [];
  for (let n = 0; n < 6; n += 1) {
    const before = world.time;
    const count = world.sockets.length;
    world.socket.drop(1000);
    while (world.sockets.length === count) await world.pass(100);
    waits.push(world.time - before);
    world.socket.open();
    world.socket.say({ type: "subscribed", device_ids: ["a"] });
  }
  assert.ok(waits[5] > 20_000 && waits[5] <= 30_100, String(waits));
});

test("is replaced before two hours without a gap, and at no common time", async () => {
  const renewed = [0, 0.999].map(async (random) => {
    const world = new World({ random: () => random });
    const client = await world.live();
    const names = new Set();
    client.on("state", (state) => names.add(state.name));
    const [old] = world.sockets;
    const begun = world.time;
    while (world.sockets.length === 1) await world.pass(1_000);
    const at = world.time - begun;
    world.socket.open();
    assert.equal(old.closed, false, "kept until the new one serves");
    old.say(frame(reading()));
    assert.equal(client.counts.readings, 1);
    world.socket.say({ type: "subscribed", device_ids: ["a"] });
    assert.equal(old.closed, true);
    assert.ok([...names].every((name) => name === "live"), String([...names]));
    client.close();
    return at;
  });
  const [first, last] = await Promise.all(renewed);
  assert.ok(first >= 99 * MINUTE && last <= 116 * MINUTE && last - first > 10 * MINUTE, `${first} ${last}`);
});

test("closed while it is being replaced: both are", async () => {
  const world = new World();
  const client = await world.live();
  while (world.sockets.length === 1) await world.pass(1_000);
  world.socket.open();
  assert.ok(world.sockets.every((one) => !one.closed));
  client.close();
  assert.ok(world.sockets.every((one) => one.closed));
});

test("a replacement that cannot be made leaves what serves alone", async () => {
  const world = new World();
  const client = await world.live();
  while (world.sockets.length === 1) await world.pass(1_000);
  const [old] = world.sockets;
  world.socket.drop();
  await world.pass(1_000);
  assert.deepEqual([client.state.name, client.state.retryAt, old.closed], ["live", null, false]);
  while (world.sockets.length === 2) await world.pass(1_000);
  world.socket.open();
  world.socket.say({ type: "subscribed", device_ids: ["a"] });
  assert.deepEqual([client.state.name, old.closed], ["live", true]);
});

test("a token that says when it ends is replaced before", async () => {
  const world = new World();
  const expiresMs = world.time + 10 * MINUTE;
  await world.live({ token: () => ({ token: "short", expiresMs }) });
  await world.pass(7 * MINUTE);
  assert.equal(world.sockets.length, 1);
  while (world.sockets.length === 1) await world.pass(1_000);
  assert.ok(world.time < expiresMs - MINUTE / 2);
});

test("a token that has all but ended does not make connections thick", async () => {
  const world = new World();
  await world.live({ token: () => ({ token: "short", expiresMs: world.time + 5_000 }) });
  for (let n = 0; n < 60; n += 1) {
    await world.pass(1_000);
    world.socket.open();
    world.socket.say({ type: "subscribed", device_ids: ["a"] });
  }
  assert.ok(world.sockets.length <= 3, String(world.sockets.length));
});

test("pings before ten minutes of silence, and an unanswered ping ends the connection", async () => {
  const world = new World();
  const client = await world.live();
  await world.pass(90 * MINUTE);
  const [first] = world.sockets;
  const pings = first.sent.filter((one) => one.action === "ping").length;
  assert.ok(pings >= 18 && pings <= 23, String(pings));
  assert.deepEqual([client.state.name, world.sockets.length], ["live", 1]);
  world.pongs = false;
  await world.pass(6 * MINUTE);
  assert.equal(first.closed, true);
  assert.ok(world.sockets.length > 1);
});

test("a subscription changed while one is under way waits for its answer; the last one counts", async () => {
  const world = new World();
  const client = await world.live();
  const asked = () => world.socket.sent.map((one) => one.device_ids);
  client.subscribe(["b"]);
  client.subscribe(["c"]);
  client.subscribe(["d", "e"]);
  client.unsubscribe("e");
  assert.deepEqual(asked(), [["a"], ["b"]]);
  world.socket.say({ type: "subscribed", device_ids: ["b"] });
  assert.deepEqual(asked(), [["a"], ["b"], ["d"]]);
  assert.equal(client.state.subscribed, null);
  world.socket.say({ type: "subscribed", device_ids: ["d"] });
  assert.deepEqual(client.state.subscribed, ["d"]);
  assert.equal(asked().length, 3);
});

test("readings of devices that are no longer wanted are dropped", async () => {
  const world = new World();
  const client = await world.live({ devices: ["a", "room-*"] });
  const seen = [];
  client.on("reading", (one) => seen.push(one.device_id));
  world.socket.say(frame(...["a", "b", "room-7"].map((device_id) => reading({ device_id }))));
  client.subscribe("*");
  world.socket.say(frame(...["x", "y"].map((device_id) => reading({ device_id }))));
  client.subscribe([]);
  world.socket.say(frame(reading({ device_id: "x" })));
  assert.deepEqual(seen, ["a", "room-7", "x", "y"]);
  assert.equal(client.counts.unwanted, 2);
});

test("the gateway's complaints are passed on; what may get better is asked again", async () => {
  const world = new World();
  const client = await world.live();
  const errors = [];
  client.on("error", (error) => errors.push(error.code));
  client.subscribe(["forbidden"]);
  world.socket.say({ type: "error", code: "not_allowed", message: "no", device_ids: ["forbidden"] });
  assert.deepEqual([client.state.name, client.state.subscribed], ["live", null]);
  await world.pass(9_000);
  assert.equal(world.socket.sent.length, 2, "refused for good: not asked again");
  client.subscribe(["b"]);
  world.socket.say({ message: "Internal server error", connectionId: "c", requestId: "r" });
  await world.pass(6_000);
  world.socket.say({ type: "error", code: "unavailable", message: "try again" });
  await world.pass(6_000);
  assert.deepEqual(world.socket.sent.slice(2), Array(3).fill({ action: "subscribe", device_ids: ["b"] }));
  assert.deepEqual(errors, ["not_allowed", "gateway", "unavailable"]);
  world.socket.say({ type: "error", code: "not_connected", message: "connect again" });
  await world.pass(2_000);
  assert.equal(world.sockets.length, 2);
});

test("no answer to a subscription is the end of a connection", async () => {
  const world = new World();
  world.connect();
  await settle();
  world.socket.open();
  await world.pass(12_000);
  assert.equal(world.sockets[0].closed, true);
  assert.equal(world.sockets.length, 2);
});

test("what is no frame is counted and said; unknown frames are none of our business", async () => {
  const world = new World();
  const client = await world.live();
  const errors = [];
  client.on("error", (error) => errors.push(error.code));
  for (const text of ["rubbish", "null", "7", '"x"', "[]", '{"type":"news"}', '{"type":"readings"}', '{"type":"readings","readings":[null,{},7]}']) {
    world.socket.say(text);
  }
  assert.deepEqual(errors, ["bad_frame"]);
  assert.deepEqual([client.counts.bad, client.counts.readings, client.state.name], [4, 0, "live"]);
});

test("a listener that fails costs the others nothing", async () => {
  const world = new World();
  const client = await world.live();
  const seen = [];
  client.on("reading", () => {
    throw new Error("mine");
  });
  const forget = client.on("reading", (one) => seen.push(one));
  world.socket.say(frame(reading({ time_ns: "1" })));
  forget();
  world.socket.say(frame(reading({ time_ns: "2" })));
  assert.deepEqual([seen.length, world.reported.length], [1, 2]);
});

test("iterators get what listeners get, with a bound, and end with the client", async () => {
  const world = new World();
  const client = await world.live({ devices: "*" });
  const slow = client.readings({ bound: 2 });
  const got = [];
  const reader = (async () => {
    for await (const one of client) got.push(one.time_ns);
  })();
  for (const time_ns of ["1", "2", "3"]) world.socket.say(frame(reading({ time_ns })));
  client.close();
  await reader;
  assert.deepEqual(got, ["1", "2", "3"]);
  assert.equal((await slow.next()).value.time_ns, "3");
  assert.deepEqual([(await slow.next()).done, client.counts.skipped], [true, 2]);
  assert.equal((await client.readings().next()).done, true);
});

test("arrival to screen is measured at the paint, and only of what is new", async () => {
  const world = new World({ paints: true });
  const client = await world.live();
  const arrival_ms = world.time;
  world.socket.say({ type: "snapshot", readings: [reading({ time_ns: "1", arrival_ms: arrival_ms - MINUTE })], complete: true });
  world.socket.say(frame(reading({ time_ns: "2", arrival_ms })));
  await world.pass(200);
  assert.equal(client.delays.count, 0);
  await world.paint();
  assert.equal(client.delays.count, 1);
  assert.ok(client.delays.quantile(1) >= 200 && client.delays.quantile(1) < 220);
  await world.see(true);
  world.socket.say(frame(reading({ time_ns: "3", arrival_ms })));
  await world.paint();
  assert.equal(client.delays.count, 1, "nobody saw it");
});
