// One socket from its making to its end: its deadlines, its pings, one question at a time.

// A handshake waits for a Lambda that may just be starting: API Gateway gives it 29 s.
const OPEN_MS = 30_000;
// For what a started Lambda answers.
const ANSWER_MS = 10_000;
// API Gateway ends a connection after ten minutes of silence. Drawn from a span, lest all viewers
// ping at once.
const PING_MS = [240_000, 300_000];

export class Link {
  #world;
  #socket;
  #on;
  #timers = new Set();
  #asked = null;
  isOpen = false;
  openedAt = 0;
  // Something was asked for while a question was under way: API Gateway runs two messages of one
  // client at the same time and in any order, so the second waits for the first's answer.
  asksAgain = false;
  // The link that this one is to replace: it is kept until this one serves.
  before = null;
  heard = 0;

  // on: { open(link), frame(link, text), end(link, why) }
  constructor(world, socket, on) {
    this.#world = world;
    this.#socket = socket;
    this.#on = on;
    const opening = this.after(OPEN_MS, () => this.end("it did not open in time"));
    socket.onopen = () => {
      this.#cancel(opening);
      this.isOpen = true;
      this.openedAt = world.now();
      this.#pingLater();
      on.open(this);
    };
    socket.onmessage = ({ data }) => {
      this.heard += 1;
      on.frame(this, data);
    };
    // It tells nothing that the close does not; Node's `ws` ends the process where nobody listens.
    socket.onerror = () => {};
    socket.onclose = ({ code }) => this.end(`closed (${code})`);
  }

  get isAsking() {
    return this.#asked !== null;
  }

  // Calls `then` unless the link ends before.
  after(ms, then) {
    const timer = this.#world.setTimeout(() => {
      this.#timers.delete(timer);
      then();
    }, ms);
    this.#timers.add(timer);
    return timer;
  }

  #cancel(timer) {
    this.#world.clearTimeout(timer);
    this.#timers.delete(timer);
  }

  #pingLater() {
    this.after(this.#world.between(...PING_MS), () => {
      this.check();
      this.#pingLater();
    });
  }

  // Is somebody still there? A network that went away does not say so.
  check() {
    if (!this.isOpen) return;
    const { heard } = this;
    this.#socket.send('{"action":"ping"}');
    this.after(ANSWER_MS, () => this.heard === heard && this.end("nothing was answered"));
  }

  ask(text) {
    this.#socket.send(text);
    this.#asked = this.after(ANSWER_MS, () => this.end("nothing was answered"));
  }

  // Whether anything was asked.
  answered() {
    if (!this.isAsking) return false;
    this.#cancel(this.#asked);
    this.#asked = null;
    return true;
  }

  end(why) {
    this.retire();
    this.#on.end(this, why);
  }

  // Quietly, and at once: a closing handshake with somebody who is gone would take its time.
  retire() {
    for (const timer of this.#timers) this.#world.clearTimeout(timer);
    this.#timers.clear();
    this.before?.retire();
    this.before = null;
    this.isOpen = false;
    const socket = this.#socket;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }
}
