// A local stand, Chromium, and means to look at both.

import { execFile, spawn } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const require = createRequire(join(process.env.BROWSER_TOOLS ?? "target/browser/tools", "any.js"));
export const PICTURES = "target/browser";
const DAEMON = process.env.TIDEWIRE_BIN ?? "target/debug/tidewire";
// On a busy machine, in an unoptimised build.
const DEADLINE_MS = 60_000;

// The first true answer of `look`.
export async function eventually(what, look, ms = DEADLINE_MS) {
  const deadline = Date.now() + ms;
  let failed = "";
  while (Date.now() < deadline) {
    try {
      const found = await look();
      if (found) return found;
    } catch (error) {
      failed = `: ${error.message}`;
    }
    await new Promise((then) => setTimeout(then, 50));
  }
  throw new Error(`not within ${ms / 1_000} s: ${what}${failed}`);
}

async function isFree(port) {
  const server = createServer();
  return new Promise((tell) => {
    server.once("error", () => tell(false));
    server.listen(port, "127.0.0.1", () => server.close(() => tell(true)));
  });
}

// Eight ports in a row, for a stand that is to be found again after a restart.
export async function portBase() {
  for (let base = 17_400; base < 30_000; base += 10) {
    const free = await Promise.all(Array.from({ length: 8 }, (_, n) => isFree(base + n)));
    if (free.every(Boolean)) return base;
  }
  throw new Error("no eight free ports in a row");
}

export class Stand {
  processes = [];

  static async start({ devices = 0, rate = 100, base = 0, more = [] } = {}) {
    const stand = new Stand();
    stand.place = await mkdtemp(join(tmpdir(), "tidewire-"));
    stand.env = { ...process.env, XDG_STATE_HOME: stand.place };
    const args = ["local", "--json", "--port-base", base, "--devices", devices, "--rate", rate, "--shards", 2, ...more];
    const daemon = stand.run(args, { stdio: ["ignore", "pipe", "ignore"] });
    stand.daemon = daemon;
    stand.card = await new Promise((tell, fail) => {
      let text = "";
      daemon.stdout.on("data", (data) => {
        text += data;
        if (text.includes("\n")) tell(JSON.parse(text.split("\n")[0]));
      });
      daemon.once("exit", (code) => fail(new Error(`the stand ended with ${code}`)));
    });
    return stand;
  }

  run(args, { env = {}, stdio = "ignore" } = {}) {
    const child = spawn(DAEMON, args.map(String), { env: { ...this.env, ...env }, stdio });
    this.processes.push(child);
    return child;
  }

  // Another service on this stand, with these settings besides the stand's.
  service(name, settings) {
    const env = Object.fromEntries(Object.entries(settings).map(([key, value]) => [`TIDEWIRE_${key}`, value]));
    return this.run([name, "--config", this.card.config], { env });
  }

  async feed(...readings) {
    const lines = readings.map((one) => JSON.stringify(one)).join("\n");
    await new Promise((tell, fail) => {
      const child = execFile(DAEMON, ["feed", "--config", this.card.config, "-"], { env: this.env }, (error) => (error ? fail(error) : tell()));
      child.stdin.end(`${lines}\n`);
    });
  }

  // One call of an embedded AWS service; nobody checks signatures there.
  async aws(service, target, body) {
    const scope = { dynamodb: "dynamodb", sqs: "sqs" }[service];
    const answer = await fetch(this.card[service], {
      method: "POST",
      headers: {
        "content-type": "application/x-amz-json-1.0",
        "x-amz-target": target,
        authorization: `AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/${scope}/aws4_request, SignedHeaders=host, Signature=0`,
      },
      body: JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${target}: ${answer.status} ${text}`);
    return JSON.parse(text || "{}");
  }

  async rows() {
    const { Items } = await this.aws("dynamodb", "DynamoDB_20120810.Scan", { TableName: this.card.connection_table });
    return Items.filter((row) => row.LookupKey.S === "CONNECTION");
  }

  async queue(name, Attributes = {}) {
    const { QueueUrl } = await this.aws("sqs", "AmazonSQS.CreateQueue", { QueueName: name, Attributes });
    return QueueUrl;
  }

  // What a broadcaster does to show a viewer something.
  async post(connection, body) {
    return fetch(`${this.card.management}/@connections/${encodeURIComponent(connection)}`, { method: "POST", body });
  }

  async close() {
    for (const child of this.processes.reverse()) {
      if (child.exitCode === null && child.signalCode === null) {
        const ended = new Promise((tell) => child.once("exit", tell));
        child.kill("SIGTERM");
        const late = setTimeout(() => child.kill("SIGKILL"), 15_000);
        await ended;
        clearTimeout(late);
      }
    }
    await rm(this.place, { recursive: true, force: true });
  }
}

export async function kill(child) {
  const ended = new Promise((tell) => child.once("exit", tell));
  child.kill("SIGKILL");
  await ended;
}

export async function chromium() {
  const { chromium: driver } = require("playwright-core");
  await mkdir(PICTURES, { recursive: true });
  const browser = await driver.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
  return browser;
}

export const DESKTOP = { width: 1360, height: 850 };
export const PHONE = { viewport: { width: 375, height: 812 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };

// A tab whose errors are kept, so that a test can say that there were none.
export async function tab(browser, options = { viewport: DESKTOP }) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.errors = [];
  page.on("pageerror", (error) => page.errors.push(String(error)));
  return page;
}

// A tab with the module alone, on the stand's own origin: `use` runs in it with `connect`.
export async function bare(browser, stand) {
  const page = await tab(browser);
  await page.goto(`${stand.card.page}/page.css`);
  await page.evaluate(async () => {
    Object.assign(window, await import("/client/tidewire.js"));
  });
  return page;
}

// What axe finds: barriers for people with a keyboard, a screen reader or weak eyes.
export async function barriers(page) {
  const source = await readFile(require.resolve("axe-core/axe.min.js"), "utf8");
  await page.evaluate(source);
  const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  return violations.map(({ id, impact, nodes }) => `${id} (${impact}): ${nodes.map(({ html }) => html.slice(0, 120)).slice(0, 3).join(" | ")}`);
}
