// How long to wait before the next try. Waits are drawn from the whole span ("full jitter"), or the
// viewers of a gateway that restarts would come back together: API Gateway takes 500 new connections
// a second for a whole account.

const WAIT_MS = 1_000;
const WAIT_MAX_MS = 30_000;
// A refusal seldom gets better by itself, and every try costs a run of the Lambda.
const REFUSED_MS = 5_000;
const REFUSED_SPAN_MS = 10_000;
const REFUSED_MAX_MS = 300_000;
// A connection that ended sooner was a failure: one that is let in and thrown out at once would
// otherwise be made without end.
const STABLE_MS = 10_000;
// 2^10 is beyond both bounds.
const COUNT_MAX = 10;

export class Tries {
  #between;
  #failures = 0;
  refusals = 0;

  constructor(between) {
    this.#between = between;
  }

  opened() {
    this.refusals = 0;
  }

  ended(life_ms) {
    if (life_ms >= STABLE_MS) this.#failures = 0;
  }

  failed() {
    const span = Math.min(WAIT_MAX_MS, WAIT_MS * 2 ** this.#failures);
    this.#failures = Math.min(this.#failures + 1, COUNT_MAX);
    return this.#between(0, span);
  }

  // The first time, a token that is asked for anew may just have run out on its way.
  refused(isAskedAnew) {
    this.refusals = Math.min(this.refusals + 1, COUNT_MAX);
    if (this.refusals === 1 && isAskedAnew) return this.#between(0, WAIT_MS);
    const span = Math.min(REFUSED_MAX_MS, REFUSED_SPAN_MS * 2 ** this.refusals);
    return this.#between(REFUSED_MS, span);
  }
}
