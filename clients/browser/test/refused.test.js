// Tokens: where they go, where they do not, and what a refusal looks like.

import assert from "node:assert/strict";
import { test } from "node:test";

import { connect } from "../tidewire.js";
import { World, settle } from "../testing/world.js";

const MINUTE = 60_000;
const SECRET = "s3cret-t0ken.of.ada";

// Everything the module shows of itself.
function shown(world, client, said) {
  const { url, options } = world.probed ?? {};
  return JSON.stringify([client.state, client.counts, client.devices, client, said, url, options, world.reported.map(String), world.sockets.map(({ url, sent }) => [url, sent])]);
}

test("a token is in a subprotocol and nowhere else", async () => {
  const world = new World();
  const client = world.connect({ token: SECRET });
  const said = [];
  for (const name of ["state", "error"]) client.on(name, (event) => said.push(event));
  await settle();
  assert.deepEqual(world.socket.protocols, ["tidewire.v1", `bearer.${SECRET}`]);
  world.socket.drop();
  await world.pass(MINUTE);
  assert.ok(said.length > 1 && world.probes > 0);
  assert.ok(!shown(world, client, said).includes(SECRET));
});

test("a browser's error that quotes the token is not passed on", async () => {
  const world = new World();
  world.given.WebSocket = class {
    constructor(url, protocols) {
      throw new SyntaxError(`The subprotocol '${protocols[1]}' is invalid.`);
    }
  };
  const client = world.connect({ token: SECRET });
  const said = [];
  for (const name of ["state", "error"]) client.on(name, (event) => said.push(event));
  await settle();
  assert.equal(client.state.name, "waiting");
  assert.ok(!shown(world, client, said).includes(SECRET));
});

test("a token that no subprotocol can carry is said to be one, and not sent", async () => {
  for (const token of [`${SECRET}==`, `${SECRET} `, `${SECRET}/x`, `ä${SECRET}`]) {
    const world = new World();
    const client = world.connect({ token });
    const said = [];
    for (const name of ["state", "error"]) client.on(name, (event) => said.push(event));
    await settle();
    assert.deepEqual([world.sockets.length, client.state.name], [0, "refused"]);
    assert.equal(said.find((one) => one.code)?.code, "bad_token");
    assert.ok(!shown(world, client, said).includes(SECRET));
  }
});

test("a refusal is told from a dead network by whether anybody answers", async () => {
  for (const [isThere, name] of [[true, "refused"], [false, "waiting"]]) {
    const world = new World();
    world.isThere = isThere;
    const client = world.connect();
    await settle();
    world.socket.drop();
    await settle();
    assert.equal(client.state.name, name);
    const { url, options } = world.probed;
    assert.equal(url, "https://example.test/prod");
    assert.deepEqual([options.mode, options.credentials], ["no-cors", "omit"]);
  }
});

test("where nobody can be asked, it counts as a dead network", async () => {
  const world = new World({ hasFetch: false });
  const client = world.connect();
  await settle();
  world.socket.drop();
  await settle();
  assert.equal(client.state.name, "waiting");
});

test("a refused token is not offered again and again", async () => {
  const world = new World();
  const client = world.connect({ token: SECRET });
  const drop = async () => {
    for (const one of world.sockets) if (!one.closed) one.drop();
    await settle();
  };
  for (let second = 0; second < 3_600; second += 1) {
    await drop();
    await world.pass(1_000);
  }
  assert.ok(world.sockets.length >= 15 && world.sockets.length <= 40, String(world.sockets.length));
  const before = world.sockets.length;
  world.window.dispatchEvent(new Event("online"));
  await world.see(true);
  await world.see(false);
  assert.equal(world.sockets.length, before, "nor because somebody looks");
  client.retry();
  await settle();
  assert.equal(world.sockets.length, before + 1, "but when it is asked to");
});

test("a function is asked for each connection, and told of a refusal", async () => {
  const world = new World();
  const about = [];
  const client = world.connect({ token: (one) => (about.push(one.refused), `t${about.length}`) });
  await settle();
  world.socket.drop();
  await world.pass(1_000);
  assert.deepEqual(world.sockets.map(({ protocols }) => protocols[1]), ["bearer.t1", "bearer.t2"]);
  assert.deepEqual(about, [false, true]);
  world.socket.open();
  world.socket.say({ type: "subscribed", device_ids: ["a"] });
  assert.equal(client.state.name, "live");
});

test("a function that throws, hangs or gives nothing is asked again later", async () => {
  const ways = [
    () => { throw new Error(SECRET); },
    async () => { throw new Error(SECRET); },
    () => new Promise(() => {}),
    () => undefined,
    () => "",
    () => null,
  ];
  for (const way of ways) {
    const world = new World();
    let asked = 0;
    const client = world.connect({ token: () => ((asked += 1), way()) });
    const said = [];
    client.on("state", (state) => said.push(state));
    await world.pass(35_000);
    assert.ok(asked > 1 && asked < 12, `${way}: ${asked}`);
    assert.equal(world.sockets.length, 0);
    assert.ok(said.some(({ why }) => why.includes("no token")), String(way));
    assert.ok(!shown(world, client, said).includes(SECRET));
  }
});

test("a wrong address or a missing token is said at once", () => {
  const { given: world } = new World();
  assert.throws(() => connect("https://example.test", { token: "t", world }), TypeError);
  assert.throws(() => connect("wss://example.test", { world }), TypeError);
});
