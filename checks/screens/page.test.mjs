// The page of `tidewire local` in Chromium.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { DESKTOP, PHONE, PICTURES, Stand, barriers, chromium, eventually, kill, portBase, tab } from "./stand.mjs";

let browser;
let stand;
let base;
before(async () => {
  browser = await chromium();
  base = await portBase();
  stand = await Stand.start({ devices: 40, rate: 40, base });
});
after(async () => {
  await stand?.close();
  await browser?.close();
});

const said = (page, id) => page.locator(`#${id}`).textContent();
const link = (page) => page.locator("#link").getAttribute("data-state");

async function look(page, where = stand, { devices = 40 } = {}) {
  await page.goto(where.card.page);
  await eventually("live", async () => (await link(page)) === "live");
  await eventually("all devices", async () => Number(await said(page, "known")) >= devices);
}

test("shows live values, and nothing that stands in anybody's way, light and dark, large and small", async () => {
  const ways = {
    "desktop-light": { viewport: DESKTOP },
    "desktop-dark": { viewport: DESKTOP, colorScheme: "dark" },
    "phone-light": PHONE,
    "phone-dark": { ...PHONE, colorScheme: "dark" },
  };
  for (const [name, options] of Object.entries(ways)) {
    const page = await tab(browser, options);
    await look(page);
    const value = page.locator(".tile .value").first();
    const first = await value.textContent();
    await eventually("a value that moves", async () => (await value.textContent()) !== first);
    await eventually("a measure of delays", async () => (await said(page, "p99")) !== "–");
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `${name} scrolls sideways by ${wide}`);
    await page.waitForTimeout(6_000);
    await page.screenshot({ path: `${PICTURES}/${name}.png` });
    assert.deepEqual(await barriers(page), [], name);
    await page.locator(".tile .open").nth(2).click();
    await page.waitForTimeout(600);
    await page.screenshot({ path: `${PICTURES}/${name}-device.png` });
    assert.deepEqual(await barriers(page), [], `${name}, a device`);
    assert.deepEqual(page.errors, []);
    await page.context().close();
  }
});

test("is usable with the keyboard alone", async () => {
  const page = await tab(browser);
  await look(page);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  const focused = () => page.evaluate(() => document.activeElement.dataset.device);
  const ids = await page.evaluate(() => [...document.querySelectorAll(".tile .open")].map((one) => one.dataset.device));
  assert.deepEqual(ids, [...ids].sort(), "in the order in which they are seen");
  assert.equal(await focused(), ids[0]);
  await page.keyboard.press("ArrowRight");
  assert.equal(await focused(), ids[1]);
  await page.keyboard.press("End");
  const last = await focused();
  assert.ok(last > ids.at(-1), "the last is reached though it had no tile");
  assert.equal(await page.evaluate(() => document.activeElement.closest("li").getAttribute("aria-posinset")), "40");
  await page.keyboard.press("Enter");
  assert.equal(await said(page, "device-name"), last);
  const chart = page.locator("#device canvas").first();
  await chart.focus();
  await page.keyboard.press("Home");
  assert.match(await chart.getAttribute("aria-label"), /: [-\d.,]+ at \d\d:\d\d:\d\d\. Between .* in the last /);
  await page.keyboard.press("Escape");
  assert.equal(await focused(), last, "the focus is where it was");
  await page.keyboard.press("Home");
  assert.equal(await focused(), ids[0]);
  await page.context().close();
});

test("is quiet to a screen reader, and moves nothing where motion is unwanted", async () => {
  const page = await tab(browser, { viewport: DESKTOP, reducedMotion: "reduce" });
  await look(page);
  const live = await page.evaluate(async () => {
    const regions = [...document.querySelectorAll("[aria-live], [role=status], [role=alert], [role=log]")];
    let changes = 0;
    const watch = new MutationObserver((all) => (changes += all.length));
    for (const one of regions) watch.observe(one, { childList: true, characterData: true, subtree: true });
    await new Promise((then) => setTimeout(then, 3_000));
    return { regions: regions.length, changes };
  });
  assert.ok(live.regions >= 3);
  assert.equal(live.changes, 0, "nothing is said while all goes well");
  await page.locator(".tile .open").first().click();
  assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
  await page.context().close();
});

test("picked devices alone are sent, found again by the address, and searched", async () => {
  const page = await tab(browser);
  await look(page);
  await page.fill("#search", "pump 00");
  await eventually("the found", async () => (await page.locator(".tile").count()) === 9);
  await page.click("#pick-found");
  await page.fill("#search", "");
  await eventually("nine tiles", async () => (await page.locator(".tile").count()) === 9);
  const rows = async () => (await stand.rows()).map((row) => (row.subscriber.L ?? []).length || (row.subscriber.SS ?? []).length);
  await eventually("the row says nine", async () => (await rows()).includes(9));
  assert.match(page.url(), /#device=pump-001&/);
  await page.reload();
  await eventually("nine tiles again", async () => (await page.locator(".tile").count()) === 9);
  assert.equal(await said(page, "known"), "9");
  await page.click("#pick-none");
  await eventually("all again", async () => Number(await said(page, "known")) === 40);
  await page.context().close();
});

test("says that its token is refused, tries little, and is live with a good one", async () => {
  const page = await tab(browser);
  let offered = 0;
  page.on("websocket", () => (offered += 1));
  const spoil = async (route) => {
    const answer = await route.fetch();
    const info = await answer.json();
    await route.fulfill({ response: answer, json: { ...info, token: `${info.token.slice(0, -5)}AAAAA` } });
  };
  await page.route("**/api/info", spoil);
  await page.goto(stand.card.page);
  await eventually("refused", async () => (await link(page)) === "refused" && offered >= 2);
  await page.waitForTimeout(4_500);
  assert.equal(offered, 2, "once, and once more with a fresh one");
  assert.equal(await said(page, "link"), "refused");
  assert.match(await said(page, "trouble-why"), /refuses this page's token/);
  assert.deepEqual(await barriers(page), []);
  await page.screenshot({ path: `${PICTURES}/refused.png` });
  await page.unroute("**/api/info", spoil);
  await page.click("#retry");
  await eventually("live", async () => (await link(page)) === "live");
  assert.equal(await page.locator("#trouble").isVisible(), false);
  await page.context().close();
});

test("comes back when the stand is killed and started again", async () => {
  const page = await tab(browser);
  await look(page);
  await kill(stand.daemon);
  await eventually("lost", async () => (await link(page)) === "waiting");
  await page.screenshot({ path: `${PICTURES}/lost.png` });
  const aloud = await page.evaluate(async () => {
    let changes = 0;
    const watch = new MutationObserver((all) => (changes += all.length));
    const text = { childList: true, characterData: true, subtree: true };
    for (const id of ["link", "trouble-why"]) watch.observe(document.getElementById(id), text);
    watch.observe(document.getElementById("trouble"), { attributeFilter: ["hidden"] });
    await new Promise((then) => setTimeout(then, 6_000));
    return changes;
  });
  assert.equal(aloud, 0, "said once, not at each try");
  await stand.close();
  stand = await Stand.start({ devices: 40, rate: 40, base });
  const begun = Date.now();
  await eventually("live", async () => (await link(page)) === "live");
  const value = page.locator(".tile .value").first();
  const first = await value.textContent();
  await eventually("values that move", async () => (await value.textContent()) !== first);
  console.log(`# values move again ${Date.now() - begun} ms after the stand was up`);
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

// How long tasks were is told, not asserted: it depends on the machine. That the page does not grow
// with the devices, and paints while they speak, is.
test("1,000 devices at 1,000 readings a second", async () => {
  const many = await Stand.start({ devices: 1_000, rate: 1_000 });
  const page = await tab(browser);
  await page.addInitScript(() => {
    window.tasks = [];
    new PerformanceObserver((list) => tasks.push(...list.getEntries().map(({ startTime, duration }) => [startTime, duration]))).observe({ type: "longtask", buffered: true });
  });
  await look(page, many, { devices: 1_000 });
  await page.waitForTimeout(5_000);
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable");
  const spent = async () => Object.fromEntries((await session.send("Performance.getMetrics")).metrics.map(({ name, value }) => [name, value]));
  const before = await spent();
  const seen = await page.evaluate(async () => {
    const begun = performance.now();
    const gaps = [];
    let [last, frames] = [begun, 0];
    while (last - begun < 15_000) {
      const now = await new Promise((then) => requestAnimationFrame(then));
      gaps.push(now - last);
      last = now;
      frames += 1;
      // Through all the devices and back, as a hand on a wheel would.
      scrollTo(0, (0.5 - Math.cos((now - begun) / 2_400) / 2) * document.body.scrollHeight);
    }
    gaps.sort((a, b) => a - b);
    const long = tasks.filter(([start]) => start >= begun).map(([, duration]) => duration);
    return { frames, gap99: gaps[Math.floor(gaps.length * 0.99)], long, early: tasks.filter(([start]) => start < begun).map(([, duration]) => duration), tiles: document.querySelectorAll(".tile").length, nodes: document.querySelectorAll("*").length };
  });
  const now = await spent();
  const share = (name) => `${Math.round((100 * (now[name] - before[name])) / (now.Timestamp - before.Timestamp))} %`;
  const list = (long) => `${long.length}${long.length ? ` (longest ${Math.round(Math.max(...long))} ms)` : ""}`;
  console.log(`# 15 s of scrolling through 1,000 devices at ${await said(page, "rate")} readings/s: ${seen.frames} frames, 99 % of them within ${Math.round(seen.gap99)} ms`);
  console.log(`# tasks over 50 ms: ${list(seen.long)}; before, while the page filled: ${list(seen.early)}`);
  console.log(`# main thread busy ${share("TaskDuration")}, of it scripts ${share("ScriptDuration")}, layout ${share("LayoutDuration")}; ${seen.tiles} tiles, ${seen.nodes} elements`);
  assert.ok(seen.tiles < 60, `${seen.tiles} tiles`);
  assert.ok(seen.nodes < 2_500, `${seen.nodes} elements`);
  assert.ok(seen.frames > 150, `${seen.frames} frames in 15 s`);
  await page.evaluate(() => scrollTo(0, 0));
  await page.waitForTimeout(500);
  await page.screenshot({ path: `${PICTURES}/thousand.png` });
  assert.deepEqual(page.errors, []);
  await page.context().close();
  await many.close();
});
