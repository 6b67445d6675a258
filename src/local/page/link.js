// The WebSocket: connects with a fresh token, subscribes, and comes back by itself.

const PROTOCOL = "tidewire.v1";
const WAIT_MIN_MS = 500;
const WAIT_MAX_MS = 10_000;
// API Gateway ends a connection after ten minutes without a message and after two hours anyway.
const PING_MS = 240_000;
const RENEW_MS = 105 * 60_000;

const jitter = (ms) => ms * (0.5 + Math.random() / 2);

export class Link {
  // on: { state(name, text), info(info), frame(object) }
  constructor(on) {
    this.on = on;
    this.wanted = ["*"];
    this.failures = 0;
    this.socket = null;
    window.addEventListener("online", () => this.#again(0));
    this.#open();
  }

  // Asks for these devices from now on; ["*"] is all of them.
  subscribe(ids) {
    this.wanted = ids;
    if (this.socket?.readyState === WebSocket.OPEN) this.#ask();
  }

  #ask() {
    this.socket.send(JSON.stringify({ action: "subscribe", device_ids: this.wanted }));
  }

  async #open() {
    clearTimeout(this.timer);
    this.timer = null;
    this.on.state("waiting", "connecting");
    let info;
    try {
      const answer = await fetch("/api/info", { cache: "no-store" });
      if (!answer.ok) throw new Error(`${answer.status}`);
      info = await answer.json();
    } catch {
      return this.#failed("tidewire local does not answer");
    }
    this.on.info(info);
    let socket;
    try {
      socket = new WebSocket(info.websocket, [PROTOCOL, `bearer.${info.token}`]);
    } catch {
      return this.#failed("no connection can be made");
    }
    this.socket = socket;
    let renew, ping;
    socket.onopen = () => {
      this.failures = 0;
      this.on.state("live", "live");
      this.#ask();
      ping = setInterval(() => socket.send('{"action":"ping"}'), jitter(PING_MS));
      renew = setTimeout(() => socket.close(1000, "renew"), jitter(RENEW_MS));
    };
    socket.onmessage = (event) => {
      let frame;
      try {
        frame = JSON.parse(event.data);
      } catch {
        return;
      }
      this.on.frame(frame);
    };
    socket.onclose = (event) => {
      clearInterval(ping);
      clearTimeout(renew);
      if (this.socket !== socket) return;
      this.socket = null;
      this.#failed(event.wasClean ? "closed" : "connection lost");
    };
  }

  #failed(why) {
    const wait = jitter(Math.min(WAIT_MAX_MS, WAIT_MIN_MS * 2 ** this.failures));
    this.failures = Math.min(this.failures + 1, 10);
    this.on.state("down", `${why}, again in ${(wait / 1000).toFixed(1)} s`);
    this.#again(wait);
  }

  #again(wait) {
    if (this.socket) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#open(), wait);
  }
}
