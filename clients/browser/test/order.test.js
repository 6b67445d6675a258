import assert from "node:assert/strict";
import { test } from "node:test";

import { Latest, compareAge, isReading } from "../order.js";
import { compareIntegers } from "../tidewire.js";
import { dice, reading } from "../testing/world.js";

const CASES = 300;

test("integers as text compare as integers do", () => {
  const random = dice(1);
  const some = () => {
    const digits = 1 + Math.floor(random() * 60);
    const text = Array.from({ length: digits }, () => Math.floor(random() * 10)).join("");
    return BigInt(text) * (random() < 0.3 ? -1n : 1n);
  };
  for (let n = 0; n < 20_000; n += 1) {
    const a = some();
    const b = random() < 0.2 ? a + BigInt(Math.floor(random() * 3) - 1) : some();
    const expected = a < b ? -1 : a > b ? 1 : 0;
    assert.equal(Math.sign(compareIntegers(String(a), String(b))), expected, `${a} ${b}`);
  }
});

// Readings of few devices, times and places, so that equals and near equals are common.
function some(random) {
  const pick = (...values) => values[Math.floor(random() * values.length)];
  const names = ["t", "h", "p"].filter(() => random() < 0.6);
  const [time_ns, seq, sub, i, shard] = [pick("-5", "9", "10", "11"), pick("9", "10", "100"), pick(0, 1), pick(0, 1), pick("s0", "s1")];
  // One place in the stream holds one reading, so its values follow from its place.
  const mark = [time_ns, seq, sub, i, shard].join("/");
  const measures = Object.fromEntries((names.length ? names : ["t"]).map((name) => [name, `${name} of ${mark}`]));
  return reading({ device_id: pick("a", "b"), time_ns, seq, sub, i, shard, measures });
}

const copyOf = (shown) => JSON.stringify(Object.entries(shown).sort());

test("age is a total order", () => {
  const random = dice(2);
  for (let n = 0; n < 20_000; n += 1) {
    const [a, b, c] = [some(random), some(random), some(random)];
    assert.equal(Math.sign(compareAge(a, b)), 0 - Math.sign(compareAge(b, a)));
    if (compareAge(a, b) <= 0 && compareAge(b, c) <= 0) assert.ok(compareAge(a, c) <= 0);
  }
});

test("whatever the order and however often readings come, the newest of each measure is shown in the end", () => {
  for (let seed = 0; seed < CASES; seed += 1) {
    const random = dice(seed);
    const all = Array.from({ length: 40 }, () => some(random));
    const expected = {};
    const newest = new Map();
    for (const one of all) {
      for (const [name, value] of Object.entries(one.measures)) {
        const key = `${one.device_id} ${name}`;
        const before = newest.get(key);
        if (before && compareAge(one, before) <= 0) continue;
        newest.set(key, one);
        expected[key] = value;
      }
    }
    const latest = new Latest();
    const shown = {};
    const ages = new Map();
    const again = [...all, ...all].sort(() => random() - 0.5);
    for (const one of again) {
      const news = latest.take(one);
      for (const [name, value] of Object.entries(news?.measures ?? {})) {
        const key = `${one.device_id} ${name}`;
        if (ages.has(key)) assert.ok(compareAge(one, ages.get(key)) > 0, `seed ${seed}: an older value was shown`);
        ages.set(key, one);
        shown[key] = value;
      }
    }
    assert.equal(copyOf(shown), copyOf(expected), `seed ${seed}`);
  }
});

test("a repeat is counted as one, and what is older as stale", () => {
  const latest = new Latest();
  const [old, now] = [reading({ time_ns: "9" }), reading({ time_ns: "10" })];
  assert.equal(latest.take(now), now);
  assert.equal(latest.take(structuredClone(now)), null);
  assert.equal(latest.take(old), null);
  assert.deepEqual([latest.repeats, latest.stale], [1, 1]);
});

test("measures that come in messages of their own do not hide each other", () => {
  const latest = new Latest();
  latest.take(reading({ time_ns: "10", measures: { temperature: 20 } }));
  const late = reading({ time_ns: "9", measures: { temperature: 19, humidity: 60 } });
  assert.deepEqual(latest.take(late).measures, { humidity: 60 });
});

test("pieces of one reading are no repeats of each other", () => {
  const latest = new Latest();
  const whole = reading();
  assert.ok(latest.take({ ...whole, piece: 1, measures: { a: 1 } }));
  assert.ok(latest.take({ ...whole, piece: 2, measures: { b: 1 } }));
  assert.equal(latest.take({ ...whole, piece: 2, measures: { b: 1 } }), null);
});

test("equal devices with other dimensions are other series", () => {
  const latest = new Latest();
  assert.ok(latest.take(reading({ time_ns: "10", dimensions: { site: "x" } })));
  assert.ok(latest.take(reading({ time_ns: "9", dimensions: { site: "y" } })));
  assert.ok(latest.take(reading({ time_ns: "9" })));
});

test("memory is bounded: the series silent for longest is forgotten, and of one series the oldest measure", () => {
  const latest = new Latest(2);
  for (const device_id of ["a", "b", "a", "c"]) latest.take(reading({ device_id }));
  assert.deepEqual([...latest.series.keys()], ["a", "c"]);
  for (let n = 0; n < 3_000; n += 1) latest.take(reading({ measures: { [`m${n}`]: n } }));
  assert.equal(latest.series.get("a").size, 1_024);
});

test("names that objects know are names like others", () => {
  const latest = new Latest();
  const odd = JSON.parse('{"__proto__":1,"constructor":2,"t":3}');
  latest.take(reading({ time_ns: "10", measures: { t: 3 } }));
  const news = latest.take(reading({ time_ns: "9", measures: odd }));
  assert.deepEqual(Object.keys(news.measures), ["__proto__", "constructor"]);
  assert.equal({}.polluted, undefined);
});

test("what is no reading is not taken for one", () => {
  assert.ok(isReading(reading()));
  assert.ok(isReading(reading({ time_ns: "-1", dimensions: { site: "x" } })));
  const wrong = [{ device_id: 7 }, { time_ns: 17 }, { time_ns: "" }, { time_ns: "1e9" }, { seq: undefined }, { sub: "0" }, { i: 0.5 }, { measures: [] }, { measures: null }, { dimensions: [] }, { shard: null }];
  for (const fields of wrong) assert.ok(!isReading(reading(fields)), JSON.stringify(fields));
  for (const value of [null, 1, "a", [], undefined]) assert.ok(!isReading(value));
});
