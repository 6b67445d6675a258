// A stand with viewers, left to itself for a while, and what its meter then says.
// Arguments: devices, readings a second, viewers, devices of each, seconds, window in ms.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

const [devices, rate, viewers, each, seconds, window_ms] = process.argv.slice(2).map(Number);

// As the stand's simulated devices are called.
function device(index) {
  const kind = ["greenhouse", "pump", "truck", "meter"][index % 4];
  return `${kind}-${String(Math.floor(index / 4) + 1).padStart(3, "0")}`;
}

function watch({ websocket, token }, wanted) {
  return new Promise((open, fail) => {
    const socket = new WebSocket(websocket, ["tidewire.v1", `bearer.${token}`]);
    socket.onopen = () => socket.send(JSON.stringify({ action: "subscribe", device_ids: wanted }));
    socket.onerror = () => fail(new Error("a viewer was not let in"));
    socket.onmessage = ({ data }) => JSON.parse(data).type === "subscribed" && open();
  });
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const dollars = (usd) => (usd < 10 ? usd.toFixed(2) : whole.format(usd));

function table({ comparison, month_usd, load, since_s, ...rest }) {
  const lines = comparison.map((line) => {
    const name = `${line.service}: ${line.unit}s`;
    const cells = [line.ours_month, line.blog_month].map((units) => whole.format(units));
    return `| ${name} | ${cells.join(" | ")} | ${dollars(line.ours_usd)} | ${dollars(line.blog_usd)} |`;
  });
  const head = ["| billed | here, a month | the blog, a month | here, $ | the blog, $ |", "|---|---|---|---|---|"];
  const tasks = `| two Fargate tasks | | | ${dollars(month_usd.our_tasks)} | |`;
  const all = `| together | | | ${dollars(month_usd.ours + month_usd.our_tasks)} | ${dollars(month_usd.blog)} |`;
  const shown = (load.readings_shown / since_s).toFixed(0);
  const written = (load.readings_written / since_s).toFixed(0);
  return [
    ...head, ...lines, tasks, all, "",
    `${written} readings a second written and ${shown} shown, over ${since_s.toFixed(0)} s; one Query of the table: ${load.table_read_units} units.`,
    `The blog's bill is ${rest.blog_to_ours.toFixed(1)} times ours without the tasks, ${rest.blog_to_ours_with_tasks.toFixed(1)} times with them. Kinesis and connections cost both $${dollars(month_usd.same_for_both)}.`,
  ].join("\n");
}

const args = ["local", "--json", "--port-base", "0", "--devices", devices, "--rate", rate, "--window-ms", window_ms].map(String);
const stand = spawn(process.env.TIDEWIRE_BIN, args, { stdio: ["ignore", "pipe", "ignore"] });
try {
  const [line] = await once(createInterface({ input: stand.stdout }), "line");
  const card = JSON.parse(line);
  const wanted = (n) => Array.from({ length: each }, (_, at) => device((n * each + at) % devices));
  await Promise.all(Array.from({ length: viewers }, (_, n) => watch(card, wanted(n))));
  await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
  const answer = await fetch(`${card.page}/_local/meter`);
  console.log(table(await answer.json()));
} finally {
  stand.kill("SIGTERM");
}
process.exit(0);
