import assert from "node:assert/strict";
import { test } from "node:test";

import { Delays } from "../tidewire.js";
import { Tries } from "../tries.js";
import { Readings } from "../waiting.js";
import { dice, reading } from "../testing/world.js";

test("a quantile is never too low and at most a tenth too high", () => {
  const random = dice(3);
  for (let n = 0; n < 100; n += 1) {
    const delays = new Delays();
    const all = Array.from({ length: 500 }, () => 2 ** (random() * 19.9)).sort((a, b) => a - b);
    for (const ms of all) delays.record(ms);
    for (const part of [0, 0.5, 0.99, 1]) {
      const exact = all[Math.max(0, Math.ceil(all.length * part) - 1)];
      const read = delays.quantile(part);
      assert.ok(read >= exact * 0.999_999 && read <= exact * 1.091, `${part}: ${read} for ${exact}`);
    }
  }
});

test("delays below nothing tell of the clocks, and absurd ones break nothing", () => {
  const delays = new Delays();
  assert.ok(Number.isNaN(delays.quantile(0.5)));
  for (const ms of [-250, 0, 1, NaN, undefined, 1e12]) delays.record(ms);
  assert.deepEqual([delays.count, delays.ahead_ms, delays.quantile(0.5), delays.quantile(1)], [4, 250, 1, Infinity]);
  const earlier = delays.copy();
  delays.record(100);
  const since = delays.since(earlier);
  assert.equal(since.count, 1);
  assert.ok(since.quantile(0.99) >= 100 && since.quantile(0.99) < 109.2);
});

const drained = async (readings) => {
  readings.end();
  const all = [];
  for await (const one of readings) all.push(one);
  return all;
};

test("a consumer that keeps up gets every reading in order", async () => {
  const readings = new Readings(10, () => {});
  const all = Array.from({ length: 10 }, () => reading());
  for (const one of all) readings.push(one);
  assert.deepEqual(await drained(readings), all);
  assert.equal(readings.skipped, 0);
});

test("a slow consumer gets the newest of each device, measures joined, within the bound", async () => {
  for (let seed = 0; seed < 200; seed += 1) {
    const random = dice(seed);
    const bound = 1 + Math.floor(random() * 8);
    const readings = new Readings(bound, () => {});
    const newest = {};
    const devices = Math.min(bound, 4);
    const count = bound + 1 + Math.floor(random() * 50);
    for (let n = 0; n < count; n += 1) {
      const device_id = `d${Math.floor(random() * devices)}`;
      const measures = { [random() < 0.5 ? "t" : "h"]: n };
      newest[device_id] = { ...newest[device_id], ...measures };
      readings.push(reading({ device_id, measures }));
    }
    const got = await drained(readings);
    assert.ok(got.length <= bound);
    assert.equal(got.length + readings.skipped, count);
    for (const { device_id, measures } of got) assert.deepEqual(measures, newest[device_id], `seed ${seed}`);
    assert.equal(got.length, Object.keys(newest).length);
  }
});

test("a consumer that has caught up gets every reading again", async () => {
  const readings = new Readings(2, () => {});
  for (const time_ns of ["1", "2", "3"]) readings.push(reading({ time_ns }));
  assert.equal((await readings.next()).value.time_ns, "3");
  for (const time_ns of ["4", "5"]) readings.push(reading({ time_ns }));
  assert.deepEqual((await drained(readings)).map((one) => one.time_ns), ["4", "5"]);
  assert.equal(readings.skipped, 2);
});

test("more devices than the bound: the longest waiting is dropped, and it is counted", async () => {
  const readings = new Readings(2, () => {});
  for (const device_id of ["a", "b", "c", "b", "d"]) readings.push(reading({ device_id }));
  assert.equal(readings.skipped, 3);
  assert.deepEqual((await drained(readings)).map((one) => one.device_id), ["b", "d"]);
});

test("several askers are served in turn, and none waits for ever", async () => {
  let returned = 0;
  const readings = new Readings(10, () => (returned += 1));
  const asked = [readings.next(), readings.next(), readings.next()];
  const one = reading();
  readings.push(one);
  assert.deepEqual(await asked[0], { value: one, done: false });
  await readings.return();
  assert.equal(returned, 1);
  for (const end of [...asked.slice(1), readings.next()]) assert.deepEqual(await end, { value: undefined, done: true });
});

test("waits are drawn from the whole span, grow, and have an end", () => {
  for (const [random, least, most] of [[0, 0, 0], [0.999, 900, 30_000]]) {
    const tries = new Tries((low, high) => low + random * (high - low));
    const waits = Array.from({ length: 12 }, () => tries.failed());
    assert.ok(waits[0] >= least && waits.every((ms) => ms <= most), String(waits));
    assert.ok(waits.every((ms, at) => at === 0 || ms >= waits[at - 1]));
    tries.ended(9_999);
    assert.ok(tries.failed() >= waits.at(-1), "a short life is a failure");
    tries.ended(10_000);
    assert.ok(tries.failed() <= 1_000, "a long life begins anew");
  }
});

test("refusals wait for seconds, then minutes; a function's first is asked again at once", () => {
  const tries = new Tries((low, high) => (low + high) / 2);
  assert.ok(tries.refused(true) <= 1_000);
  assert.ok(tries.refused(true) >= 5_000);
  for (let n = 0; n < 10; n += 1) assert.ok(tries.refused(true) <= 300_000);
  assert.ok(tries.refused(true) >= 150_000);
  tries.opened();
  assert.ok(tries.refused(false) >= 5_000, "a fixed token does not get better");
});
