// What the module needs of a browser, for tests to put their own in its place; and what it asks of
// the world beside the socket itself.

const TOKEN_MS = 30_000;
const PROBE_MS = 5_000;

export function worldOf(given) {
  const all = globalThis;
  const world = {
    WebSocket: all.WebSocket,
    fetch: all.fetch?.bind(all),
    setTimeout: all.setTimeout.bind(all),
    clearTimeout: all.clearTimeout.bind(all),
    requestAnimationFrame: all.requestAnimationFrame?.bind(all),
    report: all.reportError?.bind(all) ?? ((error) => queueMicrotask(() => { throw error; })),
    now: Date.now,
    random: Math.random,
    document: all.document,
    window: all.window,
    navigator: all.navigator,
    ...given,
  };
  world.between = (low, high) => low + world.random() * (high - low);
  return world;
}

// { token, expiresMs } of a token, of what gives one, or of such an object; empty where none is to
// be had. What a function throws is not passed on: it may quote a token.
export async function askToken(world, source, about) {
  let timer;
  const late = new Promise((resolve) => (timer = world.setTimeout(resolve, TOKEN_MS)));
  try {
    const given = await Promise.race([typeof source === "function" ? source(about) : source, late]);
    return typeof given === "object" && given !== null ? given : { token: given };
  } catch {
    return {};
  } finally {
    world.clearTimeout(timer);
  }
}

// Whether anybody answers at a WebSocket's address. A browser tells a page the same (1006) of a
// refused handshake and of a dead network; a plain request to the same address, without the token,
// tells them apart.
export async function answers(world, url) {
  if (!world.fetch) return false;
  const ends = new AbortController();
  const timer = world.setTimeout(() => ends.abort(), PROBE_MS);
  try {
    await world.fetch(url.replace(/^ws/, "http"), {
      mode: "no-cors",
      credentials: "omit",
      cache: "no-store",
      referrerPolicy: "no-referrer",
      signal: ends.signal,
    });
    return true;
  } catch {
    return false;
  } finally {
    world.clearTimeout(timer);
  }
}
