// A page's use of the module, for the types alone: it is compiled, not run.

import { Delays, connect, compareAge, type Reading, type State } from "../../clients/browser/tidewire.js";

const live = connect("wss://example.test/prod", {
  token: async ({ refused }) => (refused ? { token: "fresh", expiresMs: Date.now() + 60_000 } : "first"),
  devices: new Set(["kitchen"]),
});
const forget: () => void = live.on("state", (state: State) => state.retryAt?.toFixed());
live.on("readings", (all) => all.map((one) => BigInt(one.time_ns)).length);
live.on("error", ({ code, device_ids }) => code.concat(...(device_ids ?? [])));
// @ts-expect-error: there is no such event
live.on("frames", () => {});
// @ts-expect-error: a token is needed
connect("wss://example.test/prod", { devices: "*" });
live.subscribe("*");
live.unsubscribe(["kitchen"]);
const delays: Delays = live.delays.since(live.delays.copy());
export async function newest(): Promise<Reading | undefined> {
  let last: Reading | undefined;
  for await (const one of live.readings({ bound: 10 })) if (!last || compareAge(one, last) > 0) last = one;
  forget();
  return delays.count > Delays.upTo(3) ? last : undefined;
}
