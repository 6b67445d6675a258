// The well-known way, for comparison: for each message (one reading) ask the table for all connections
// and post the reading to each that wants it, many posts at once. No window, no snapshot, no memory.

import { createInterface } from "node:readline";

const { queue, sqs, dynamodb, management, table } = JSON.parse(process.argv[2]);
const AT_ONCE = 128;
const counts = { posts: 0, queries: 0, requests: 0, readings: 0 };

async function aws(url, service, target, body) {
  const answer = await fetch(url, {
    method: "POST",
    headers: {
      "content-type": "application/x-amz-json-1.0",
      "x-amz-target": target,
      authorization: `AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/${service}/aws4_request, SignedHeaders=host, Signature=0`,
    },
    body: JSON.stringify(body),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${target}: ${answer.status} ${text}`);
  return JSON.parse(text || "{}");
}

// One page holds some thousand connections; the blog does not follow further ones, we do.
async function connections() {
  const rows = [];
  let start;
  do {
    counts.queries += 1;
    const page = await aws(dynamodb, "dynamodb", "DynamoDB_20120810.Query", {
      TableName: table,
      KeyConditionExpression: "LookupKey = :c",
      ExpressionAttributeValues: { ":c": { S: "CONNECTION" } },
      ExclusiveStartKey: start,
    });
    rows.push(...page.Items);
    start = page.LastEvaluatedKey;
  } while (start);
  return rows.map((row) => ({ id: row.SortKey.S, wants: new Set((row.subscriber?.L ?? []).map((one) => one.S)) }));
}

async function broadcast(body, viewers) {
  const reading = JSON.parse(body);
  const frame = JSON.stringify({ type: "readings", readings: [reading] });
  const wanted = viewers.filter(({ wants }) => wants.has(reading.device_id));
  for (let at = 0; at < wanted.length; at += AT_ONCE) {
    const some = wanted.slice(at, at + AT_ONCE);
    await Promise.all(some.map(({ id }) => fetch(`${management}/@connections/${encodeURIComponent(id)}`, { method: "POST", body: frame }).then((answer) => answer.arrayBuffer())));
    counts.posts += some.length;
  }
  counts.readings += 1;
}

async function run() {
  for (;;) {
    counts.requests += 1;
    const { Messages = [] } = await aws(sqs, "sqs", "AmazonSQS.ReceiveMessage", { QueueUrl: queue, MaxNumberOfMessages: 10, WaitTimeSeconds: 1 });
    if (Messages.length === 0) continue;
    // As the Lambda does for its batch.
    const viewers = await connections();
    for (const { Body } of Messages) await broadcast(Body, viewers);
    counts.requests += 1;
    await aws(sqs, "sqs", "AmazonSQS.DeleteMessageBatch", { QueueUrl: queue, Entries: Messages.map(({ ReceiptHandle }, n) => ({ Id: String(n), ReceiptHandle })) });
  }
}

createInterface({ input: process.stdin }).on("line", () => console.log(JSON.stringify(counts)));
run().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
