// The README's example runs as it stands there.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

import { World, frame, reading, settle } from "../testing/world.js";

test("the README's lines connect, subscribe and show readings", async (t) => {
  const readme = await readFile(new URL("../README.md", import.meta.url), "utf8");
  const [, lines] = readme.match(/```js\n([\s\S]*?)```/);
  assert.ok(lines.trim().split("\n").length <= 11);
  const place = await mkdtemp(join(tmpdir(), "tidewire-"));
  const path = pathToFileURL(join(place, "example.mjs"));
  const there = new URL("../tidewire.js", import.meta.url);
  await writeFile(path, lines.replace("./tidewire.js", there.href));

  const world = new World();
  const shown = [];
  const page = Object.assign(world.document, { title: "", body: { append: (text) => shown.push(text) } });
  const stands = { ...world.given, document: page, fetch: async () => ({ text: async () => "a-token" }) };
  const before = Object.fromEntries(Object.keys(stands).map((name) => [name, globalThis[name]]));
  t.after(async () => {
    Object.assign(globalThis, before);
    await rm(place, { recursive: true });
  });
  for (const [name, value] of Object.entries(stands)) Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });

  const ran = import(path.href);
  while (world.sockets.length === 0) await new Promise((then) => setImmediate(then));
  assert.deepEqual(world.socket.protocols, ["tidewire.v1", "bearer.a-token"]);
  world.socket.open();
  assert.deepEqual(world.socket.sent[0].device_ids, ["kitchen", "cellar"]);
  world.socket.say({ type: "subscribed", device_ids: ["kitchen", "cellar"] });
  world.socket.say(frame(reading({ device_id: "kitchen", measures: { temperature: 21.5 } })));
  await settle();
  assert.deepEqual(shown, ['kitchen: {"temperature":21.5}\n']);
  assert.equal(page.title, "live ");
  assert.ok(ran instanceof Promise);
});
