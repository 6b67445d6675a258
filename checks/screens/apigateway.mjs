// A WebSocket API that knows nothing of tidewire, for the neighbours' tests: whatever stands behind
// `$connect` decides, and what is posted to `@connections/ID` is sent. With it, Lambda's runtime API,
// so that `tidewire gateway` runs as the function that it is.

import { createHash, randomBytes } from "node:crypto";
import { createServer } from "node:http";

const body = async (request) => {
  let text = "";
  for await (const part of request) text += part;
  return text;
};

const listen = (server) => new Promise((then) => server.listen(0, "127.0.0.1", () => then(server.address().port)));

// Text for a client: one frame of up to 64 KB.
function textFrame(text) {
  const data = Buffer.from(text);
  const head = data.length < 126 ? Buffer.from([0x81, data.length]) : Buffer.from([0x81, 126, data.length >> 8, data.length & 255]);
  return Buffer.concat([head, data]);
}

export class Api {
  sockets = new Map();

  // connect(event) answers as a Lambda does: { statusCode, headers }.
  static async start({ connect, disconnect = async () => {} }) {
    const api = new Api();
    const server = createServer(async (request, answer) => {
      const id = decodeURIComponent(request.url.split("/@connections/")[1] ?? "");
      const text = await body(request);
      const socket = api.sockets.get(id);
      socket?.write(textFrame(text));
      answer.writeHead(socket ? 200 : 410, socket ? {} : { "x-amzn-errortype": "GoneException" }).end();
    });
    server.on("upgrade", async (request, socket) => {
      socket.on("error", () => {});
      const connectionId = randomBytes(11).toString("base64");
      const requestContext = { routeKey: "$connect", eventType: "CONNECT", connectionId, connectedAt: Date.now(), requestTimeEpoch: Date.now(), stage: "prod", requestId: connectionId, identity: { sourceIp: "127.0.0.1" } };
      const { host, origin } = request.headers;
      const headers = { Host: host, Origin: origin, "Sec-WebSocket-Protocol": request.headers["sec-websocket-protocol"] };
      const { statusCode, headers: chosen = {} } = await connect({ headers, requestContext, isBase64Encoded: false });
      if (statusCode !== 200) return socket.end(`HTTP/1.1 ${statusCode} Refused\r\ncontent-length: 0\r\n\r\n`);
      const accept = createHash("sha1").update(`${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
      const protocol = Object.entries(chosen).find(([name]) => name.toLowerCase() === "sec-websocket-protocol")?.[1];
      const lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade", `Sec-WebSocket-Accept: ${accept}`];
      if (protocol) lines.push(`Sec-WebSocket-Protocol: ${protocol}`);
      socket.write(`${lines.join("\r\n")}\r\n\r\n`);
      api.sockets.set(connectionId, socket);
      socket.resume();
      socket.on("close", () => {
        api.sockets.delete(connectionId);
        disconnect({ requestContext: { ...requestContext, routeKey: "$disconnect", eventType: "DISCONNECT" }, isBase64Encoded: false });
      });
    });
    api.server = server;
    const port = await listen(server);
    api.websocket = `ws://127.0.0.1:${port}/prod`;
    api.management = `http://127.0.0.1:${port}/prod`;
    return api;
  }

  async post(id, text) {
    return fetch(`${this.management}/@connections/${encodeURIComponent(id)}`, { method: "POST", body: text });
  }

  // All connections end without a word, as a network does.
  drop() {
    for (const socket of this.sockets.values()) socket.destroy();
  }

  close() {
    this.drop();
    this.server.closeAllConnections();
    this.server.close();
  }
}

// Hands events to the function that asks for them, and its answers back.
export class Lambda {
  #events = [];
  #asking = [];
  #answers = new Map();

  static async start() {
    const lambda = new Lambda();
    lambda.server = createServer(async (request, answer) => {
      const text = await body(request);
      if (request.url.endsWith("/invocation/next")) return lambda.#next(answer);
      const [id, kind] = request.url.split("/").slice(-2);
      const told = kind === "response" ? JSON.parse(text) : { statusCode: 502 };
      lambda.#answers.get(id)?.(told);
      answer.writeHead(202).end();
    });
    lambda.address = `127.0.0.1:${await listen(lambda.server)}`;
    return lambda;
  }

  #next(answer) {
    const event = this.#events.shift();
    if (!event) return this.#asking.push(answer);
    const headers = { "lambda-runtime-aws-request-id": event.id, "lambda-runtime-deadline-ms": String(Date.now() + 29_000), "lambda-runtime-invoked-function-arn": "arn:aws:lambda:us-east-1:1:function:gateway", "content-type": "application/json" };
    answer.writeHead(200, headers).end(JSON.stringify(event.event));
  }

  invoke(event) {
    const id = randomBytes(8).toString("hex");
    const answered = new Promise((tell) => this.#answers.set(id, tell));
    this.#events.push({ id, event });
    const waiting = this.#asking.shift();
    if (waiting) this.#next(waiting);
    return answered;
  }

  get env() {
    return { AWS_LAMBDA_RUNTIME_API: this.address, AWS_LAMBDA_FUNCTION_NAME: "gateway", AWS_LAMBDA_FUNCTION_VERSION: "1", AWS_LAMBDA_FUNCTION_MEMORY_SIZE: "128" };
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}
