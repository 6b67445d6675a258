// The panel of what AWS would bill, from /_local/meter: a month at the rate counted so far, beside the
// architecture of the well-known blog under the same load.

import { by, count, element, write } from "./dom.js";

const known = (value) => typeof value === "number" && Number.isFinite(value);
// Of less time, what a start costs would be taken for what a month costs.
const EARLY_S = 30;

const SERVICES = {
  timestream: "Timestream",
  sqs: "SQS",
  dynamodb: "DynamoDB",
  apigateway: "WebSocket",
  lambda: "Lambda",
};

function dollars(usd) {
  if (!known(usd)) return "–";
  if (usd !== 0 && usd < 10) return `$${usd.toFixed(2)}`;
  return `$${count(usd)}`;
}

function units(line) {
  return `${count(line.ours_month)} and ${count(line.blog_month)} a month; the blog's: ${line.blog_is}`;
}

function row(name, title, ours, blog) {
  return element(
    "tr",
    {},
    element("td", { text: name, title }),
    element("td", { className: "right", text: dollars(ours), title }),
    element("td", { className: "right", text: dollars(blog), title }),
  );
}

export class Bill {
  show(report) {
    const month = report.month_usd ?? {};
    const early = !(report.since_s >= EARLY_S);
    const ratio = report.blog_to_ours_with_tasks;
    write(by("bill-ratio"), early || !known(ratio) ? "" : `1 to ${ratio.toFixed(ratio < 10 ? 1 : 0)}`);
    const rows = (report.comparison ?? []).map((line) => {
      // "reads" where AWS says "read request units"; the whole of it stands in the title.
      const unit = line.unit.replace(/ (request )?unit$/, "");
      const name = `${SERVICES[line.service] ?? line.service} ${unit}s`;
      return row(name, `${line.unit}s: ${units(line)}`, line.ours_usd, line.blog_usd);
    });
    rows.push(row("Fargate tasks", "two tasks of half a vCPU and 1 GB", month.our_tasks, 0));
    const all = row("together", "", month.ours + month.our_tasks, month.blog);
    all.className = "sum";
    rows.push(all);
    by("bill").replaceChildren(...rows);
    write(by("bill-note"), this.#note(report, month, early));
  }

  #note(report, month, early) {
    if (early) return "Counting; a month is told once half a minute has passed.";
    const same = `Kinesis and connections cost both ${dollars(month.same_for_both)}.`;
    return `${same} List prices of ${report.region}, ${report.prices_as_of}, at the rate since the start.`;
  }
}
