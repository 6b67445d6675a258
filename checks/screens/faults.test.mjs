// The page's panel of faults in Chromium: each switch, each button, and what they look like.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { DESKTOP, PICTURES, Stand, barriers, chromium, eventually, tab } from "./stand.mjs";

const NARROW = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
let browser;
let stand;
before(async () => {
  browser = await chromium();
  stand = await Stand.start({ devices: 20, rate: 40, more: ["--workers", 2] });
});
after(async () => {
  await stand?.close();
  await browser?.close();
});

const said = (page, id) => page.locator(`#${id}`).textContent();
const open = (page, name) => page.locator("details", { has: page.locator("h2", { hasText: name }) }).evaluate((box) => (box.open = true));
const state = async () => (await fetch(`${stand.card.page}/_local/faults`)).json();
const on = async () => (await state()).parts.flatMap(({ part, on }) => on.map((kind) => `${part}:${kind}`));

async function look(options) {
  const page = await tab(browser, options);
  await page.goto(stand.card.page);
  await eventually("live", async () => (await page.locator("#link").getAttribute("data-state")) === "live");
  for (const name of ["Shards", "Faults", "Dead letters", "Bill"]) await open(page, name);
  return page;
}

test("each switch turns its fault on and off, and nothing else", async () => {
  const page = await look({ viewport: DESKTOP });
  for (const part of ["Kinesis", "DynamoDB", "SQS", "Timestream", "WebSocket"]) {
    for (const kind of ["throttle", "outage", "slow", "lost answer"]) {
      const box = page.getByRole("switch", { name: `${part}: ${kind}`, exact: true });
      const fault = `${part === "WebSocket" ? "apigateway" : part.toLowerCase()}:${kind.replace(" ", "-")}`;
      await box.check();
      await eventually(`${fault} is on`, async () => String(await on()) === fault);
      await eventually("it is counted", async () => (await said(page, "fault-count")) === "1 on");
      await box.uncheck();
      await eventually(`${fault} is off`, async () => (await on()).length === 0);
    }
  }
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test("what somebody else switches is shown, and all ends at a click", async () => {
  const page = await look({ viewport: DESKTOP });
  await fetch(`${stand.card.timestream}/_local/faults`, { method: "PUT", body: '{"kind":"throttled"}' });
  await eventually("shown", async () => page.getByRole("switch", { name: "Timestream: throttle" }).isChecked());
  await page.click("#faults-end");
  await eventually("well", async () => (await on()).length === 0);
  await eventually("said", async () => (await said(page, "fault-said")) === "everything is well again");
  await eventually("nothing to end", async () => page.locator("#faults-end").isDisabled());
  await page.context().close();
});

test("workers die and start, shards split and merge, and a refusal is told", async () => {
  const page = await look({ viewport: DESKTOP });
  const workers = () => page.locator("#workers li").count();
  await eventually("two workers", async () => (await workers()) === 2);
  await page.click("#worker-kill");
  await eventually("one", async () => (await workers()) === 1);
  await eventually("said", async () => /^worker .* was killed$/.test(await said(page, "fault-said")));
  await page.click("#worker-kill");
  await eventually("none", async () => (await workers()) === 0);
  await eventually("nobody to kill", async () => page.locator("#worker-kill").isDisabled());
  await page.click("#worker-start");
  await eventually("one again", async () => (await workers()) === 1);
  await page.click("#shard-split");
  await eventually("split", async () => /was split$/.test(await said(page, "fault-said")));
  await page.click("#shard-merge");
  await eventually("merged", async () => /were merged$/.test(await said(page, "fault-said")));
  await page.click("#shard-merge");
  await eventually("merged", async () => (await state()).told.filter(({ words }) => /were merged$/.test(words)).length === 2);
  await page.click("#shard-merge");
  await eventually("refused", async () => /no two shards to merge/.test(await said(page, "fault-said")));
  await page.click("#shard-split");
  await eventually("two shards", async () => /was split$/.test(await said(page, "fault-said")));
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test("stands in nobody's way, light and dark, large and small, with the bill beside it", async () => {
  await fetch(`${stand.card.page}/_local/faults`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"begin":"worker:kill@10m"}',
  });
  const ways = {
    "faults-light": { viewport: { ...DESKTOP, height: 1600 } },
    "faults-dark": { viewport: { ...DESKTOP, height: 1600 }, colorScheme: "dark" },
    "faults-middle": { viewport: { width: 900, height: 1200 } },
    "faults-phone": NARROW,
    "faults-phone-dark": { ...NARROW, colorScheme: "dark" },
  };
  for (const [name, options] of Object.entries(ways)) {
    const page = await look(options);
    const box = page.getByRole("switch", { name: "Timestream: throttle" });
    await box.check();
    await eventually("on", async () => (await on()).length === 1);
    await eventually("the bill", async () => (await page.locator("#bill tr").count()) > 5);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `${name} scrolls sideways by ${wide}`);
    await (options.isMobile ? page.locator(".side") : page).screenshot({ path: `${PICTURES}/${name}.png` });
    assert.deepEqual(await barriers(page), [], name);
    await page.click("#faults-end");
    await eventually("well", async () => (await on()).length === 0);
    assert.deepEqual(page.errors, []);
    await page.context().close();
  }
});
