// The well-known blog's page and Lambdas beside ours, each written anew from what is known of them:
// the page offers a bare token and expects one bare object a frame; its connect Lambda writes rows
// its way; its broadcast Lambda reads `single` messages. And two browsers while a broadcaster dies.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { after, before, test } from "node:test";

import { Api, Lambda } from "./apigateway.mjs";
import { Stand, bare, chromium, eventually, kill, tab } from "./stand.mjs";

// Short for a browser, long for the tests.
const FEED_MS = 250;

let browser;
let stand;
before(async () => {
  browser = await chromium();
  stand = await Stand.start({ more: ["--workers", 0] });
});
after(async () => {
  await stand?.close();
  await browser?.close();
});

// A worker of its own, which brings the stream to this queue in this form.
function worker(name, urls, format, on = stand) {
  return on.service("worker", { LEASE__TABLE: `leases-${name}`, QUEUE__URLS: urls, QUEUE__FORMAT: format });
}

function broadcaster(url, management, frame, on = stand) {
  return on.service("broadcaster", { BROADCASTER__QUEUE_URL: url, QUEUE__URLS: url, AWS__ENDPOINT_MANAGEMENT: management, BROADCASTER__FRAME: frame, BROADCASTER__SNAPSHOT_EVERY_MS: 500 });
}

// The blog's page: its whole script.
async function blogsPage(api) {
  const page = await tab(browser);
  await page.goto(`${stand.card.page}/page.css`);
  await page.evaluate(
    ([url, token]) => {
      window.shown = {};
      window.socket = new WebSocket(url, token);
      socket.onmessage = ({ data }) => {
        const reading = JSON.parse(data);
        shown[reading.device_id] = reading;
      };
    },
    [api.websocket, stand.card.token],
  );
  await eventually("open", () => page.evaluate(() => socket.readyState === WebSocket.OPEN));
  assert.equal(await page.evaluate(() => socket.protocol), stand.card.token, "a bare token is echoed");
  return page;
}

// Says where it is until it is seen: services may still be starting.
async function feedUntil(what, devices, look) {
  let n = 0;
  await eventually(what, async () => {
    n += 1;
    await stand.feed(...devices.map((device_id) => ({ device_id, ts: Date.now(), temperature: n, site: "north" })));
    await new Promise((then) => setTimeout(then, FEED_MS));
    return look();
  });
}

test("the blog's page, with our gateway and broadcaster behind it", async () => {
  const lambda = await Lambda.start();
  const gateway = stand.run(["gateway", "--config", stand.card.config], { env: { ...lambda.env, TIDEWIRE_GATEWAY__LEGACY_TOKEN: "true" } });
  const api = await Api.start({ connect: (event) => lambda.invoke(event), disconnect: (event) => lambda.invoke(event) });
  const url = await stand.queue("page");
  const services = [worker("page", url, "packed"), broadcaster(url, api.management, "single")];
  const page = await blogsPage(api);
  await feedUntil("a bare object", ["kitchen"], () => page.evaluate(() => shown.kitchen));
  const { device_id, ts, temperature } = await page.evaluate(() => shown.kitchen);
  assert.equal(device_id, "kitchen");
  assert.ok(Number.isInteger(ts) && Math.abs(Date.now() - ts) < 60_000, String(ts));
  assert.equal(typeof temperature, "number");
  await page.context().close();
  await eventually("the row goes with the page", async () => (await stand.rows()).length === 0);
  for (const one of [...services, gateway]) await kill(one);
  api.close();
  lambda.close();
});

// The blog's connect Lambda: a row with ids as a list, its own kind of time, and nothing of ours.
const rowsOfTheBlog = (devices) => async ({ headers, requestContext: { connectionId } }) => {
  const row = { LookupKey: { S: "CONNECTION" }, SortKey: { S: connectionId }, connected_at: { S: new Date().toISOString() } };
  if (devices) row.subscriber = { L: devices.map((id) => ({ S: id })) };
  await stand.aws("dynamodb", "DynamoDB_20120810.PutItem", { TableName: stand.card.connection_table, Item: row });
  return { statusCode: 200, headers: { "Sec-WebSocket-Protocol": headers["Sec-WebSocket-Protocol"] } };
};

const forgetRow = async ({ requestContext: { connectionId } }) => {
  const Key = { LookupKey: { S: "CONNECTION" }, SortKey: { S: connectionId } };
  await stand.aws("dynamodb", "DynamoDB_20120810.DeleteItem", { TableName: stand.card.connection_table, Key });
};

test("the blog's connect Lambda and page, with our broadcaster", async () => {
  const url = await stand.queue("connect");
  // One API to a broadcaster: with ids in the row for the first page, without for the second.
  let devices = ["kitchen", "cellar"];
  const api = await Api.start({ connect: (event) => rowsOfTheBlog(devices)(event), disconnect: forgetRow });
  const services = [worker("connect", url, "packed"), broadcaster(url, api.management, "single")];
  const some = await blogsPage(api);
  devices = null;
  const all = await blogsPage(api);
  await feedUntil("each sees its own", ["kitchen", "cellar", "attic"], async () => {
    const [a, b] = await Promise.all([some, all].map((page) => page.evaluate(() => Object.keys(shown).sort().join())));
    return a === "cellar,kitchen" && b === "attic,cellar,kitchen";
  });
  for (const one of services) await kill(one);
  for (const page of [some, all]) await page.context().close();
  api.close();
});

test("the blog's broadcast Lambda, page and connect Lambda, with our worker", async () => {
  const api = await Api.start({ connect: rowsOfTheBlog(["kitchen"]), disconnect: forgetRow });
  const url = await stand.queue("broadcast");
  const ours = worker("broadcast", url, "single");
  const page = await blogsPage(api);
  // One event of that Lambda: up to ten messages, all rows for each, one post after another.
  const broadcast = async () => {
    const { Messages = [] } = await stand.aws("sqs", "AmazonSQS.ReceiveMessage", { QueueUrl: url, MaxNumberOfMessages: 10 });
    for (const { Body, ReceiptHandle } of Messages) {
      const { device_id } = JSON.parse(Body);
      for (const row of await stand.rows()) {
        const wanted = row.subscriber?.L?.map(({ S }) => S);
        if (!wanted || wanted.includes(device_id)) await api.post(row.SortKey.S, Body);
      }
      await stand.aws("sqs", "AmazonSQS.DeleteMessage", { QueueUrl: url, ReceiptHandle });
    }
  };
  await feedUntil("a reading", ["kitchen", "cellar"], async () => {
    await broadcast();
    return page.evaluate(() => shown.kitchen);
  });
  assert.deepEqual(await page.evaluate(() => Object.keys(shown)), ["kitchen"]);
  const { ts, temperature } = await page.evaluate(() => shown.kitchen);
  assert.ok(Number.isInteger(ts) && typeof temperature === "number");
  await kill(ours);
  await page.context().close();
  api.close();
});

// A server of the page's owner, which makes a ticket for somebody it knows (docs/screens.md).
async function ticket() {
  const text = randomBytes(24).toString("base64url");
  const Item = { LookupKey: { S: "TICKET" }, SortKey: { S: createHash("sha256").update(text).digest("hex") }, expires_at: { N: String(Math.floor(Date.now() / 1_000) + 60) } };
  await stand.aws("dynamodb", "DynamoDB_20120810.PutItem", { TableName: stand.card.connection_table, Item });
  return text;
}

test("a page with one-time tickets: a fresh one for each connection, and none is good twice", async () => {
  const lambda = await Lambda.start();
  const gateway = stand.run(["gateway", "--config", stand.card.config], { env: { ...lambda.env, TIDEWIRE_GATEWAY__TICKETS: "true" } });
  const api = await Api.start({ connect: (event) => lambda.invoke(event), disconnect: (event) => lambda.invoke(event) });
  const page = await bare(browser, stand);
  let given = 0;
  await page.exposeFunction("askTicket", () => ((given += 1), ticket()));
  const once = await ticket();
  await page.evaluate(
    ([url, once]) => {
      window.live = connect(url, { token: () => askTicket() });
      window.spent = connect(url, { token: once });
    },
    [api.websocket, once],
  );
  const states = () => page.evaluate(() => [live.state.name, spent.state.name].join());
  await eventually("both are let in", async () => (await states()) === "live,live");
  api.drop();
  await eventually("one comes back, the other's ticket was spent", async () => (await states()) === "live,refused");
  assert.deepEqual([given, await page.evaluate(() => live.counts.connections)], [2, 2]);
  await page.context().close();
  await kill(gateway);
  api.close();
  lambda.close();
});

test("two browsers side by side while the broadcaster is killed: each sees its devices again, and nothing older", async () => {
  const busy = await Stand.start({ devices: 8, rate: 200, more: ["--workers", 0] });
  // What a killed broadcaster had taken comes again after two seconds, older than what was shown.
  const url = await busy.queue("beside", { VisibilityTimeout: "2" });
  worker("beside", url, "packed", busy);
  let casting = broadcaster(url, busy.card.management, "packed", busy);
  const wishes = [["meter-001", "pump-001"], ["pump-001", "truck-002"]];
  // Two browsers, not two tabs of one.
  const other = await chromium();
  const pages = await Promise.all([browser, other].map((one) => bare(one, busy)));
  for (const [at, page] of pages.entries()) {
    await page.evaluate(
      ([url, token, devices]) => {
        window.seen = [];
        window.older = [];
        const shown = {};
        window.live = connect(url, { token, devices });
        live.on("reading", (one) => {
          const before = shown[one.device_id];
          if (before && compareAge(one, before) < 0) older.push([before, one]);
          shown[one.device_id] = one;
          seen.push([one.device_id, Date.now()]);
        });
      },
      [busy.card.websocket, busy.card.token, wishes[at]],
    );
  }
  const first = (page, begun) =>
    page.evaluate((begun) => {
      const first = {};
      for (const [id, at] of seen) if (at >= begun) first[id] ??= at;
      return first;
    }, begun);
  const wanted = wishes.map((ids) => ids.join());
  // When each had seen each of its devices since then; nothing while one lacks one.
  const allSince = async (begun) => {
    const times = await Promise.all(pages.map((page) => first(page, begun)));
    return times.every((one, at) => Object.keys(one).sort().join() === wanted[at]) && Math.max(...times.flatMap(Object.values));
  };
  await eventually("all is seen", () => allSince(0));

  for (let round = 1; round <= 4; round += 1) {
    await kill(casting);
    const killed = Date.now();
    casting = broadcaster(url, busy.card.management, "packed", busy);
    // What was still on its way to the browsers when it was killed does not count.
    const at = await eventually("each sees its devices again", () => allSince(killed + 100));
    console.log(`# kill ${round}: both saw all their devices again ${at - killed} ms later`);
    await pages[0].waitForTimeout(700 * round);
  }
  await pages[0].waitForTimeout(2_500);
  for (const page of pages) {
    assert.deepEqual(await page.evaluate(() => older), []);
    const { readings, repeats, stale } = await page.evaluate(() => live.counts);
    console.log(`# ${readings} readings shown; ${repeats} repeats and ${stale} older ones came and were dropped`);
    assert.equal(await page.evaluate(() => live.state.name), "live");
  }
  await other.close();
  await busy.close();
});
