/** What a device measured: a value for each name. A whole number beyond 2^53 is rounded by `JSON.parse`. */
export type Measures = Record<string, number | boolean | string>;

/** One reading, as far as it is news: measures of which a newer value came before are left out. */
export interface Reading {
  device_id: string;
  /** Event time in nanoseconds since the epoch, as text: `BigInt(reading.time_ns)`. */
  time_ns: string;
  measures: Measures;
  dimensions?: Record<string, string>;
  /** The Kinesis shard. */
  shard: string;
  /** The record's sequence number, an integer of some 56 digits: see `compareIntegers`. */
  seq: string;
  /** The record within an aggregate. */
  sub: number;
  /** The reading within the record. */
  i: number;
  /** When the record arrived on the stream by Kinesis's clock, milliseconds since the epoch. */
  arrival_ms: number;
  /** Which piece, from 1, of a reading too large for one frame; each has other measures. */
  piece?: number;
}

export type StateName =
  /** A token is asked for, a socket opens, or a first subscription waits for its answer. */
  | "connecting"
  /** The gateway has answered the subscription. */
  | "live"
  /** The connection ended or none could be made; the next try is at `retryAt`. */
  | "waiting"
  /** The same, and the browser says that it has no network. */
  | "offline"
  /** The gateway answers but refuses the connection; the next try is at `retryAt`, seconds to minutes away. */
  | "refused"
  /** The page is hidden (`pauseHiddenMs`); goes on when it is seen. */
  | "paused"
  /** `close` was called. */
  | "closed";

export interface State {
  readonly name: StateName;
  /** For people; never a token. */
  readonly why: string;
  /** When the next try is, milliseconds since the epoch. */
  readonly retryAt: number | null;
  /** What the gateway says is subscribed: ids, `["*"]` for all, only their number where they are many; `null` until it says so. */
  readonly subscribed: readonly string[] | number | null;
  /** Whether the last snapshot held the newest of everything wanted; `null` before it came. `false` for some time after a broadcaster took over, and where more is known than a snapshot holds. */
  readonly complete: boolean | null;
}

export interface Snapshot {
  complete: boolean;
  /** Further frames of the same snapshot follow. */
  more: boolean;
}

/**
 * What went wrong with a message, in the gateway's words (`code` as in its `error` frames) or ours:
 * `bad_token` and `too_large` (not sent), `bad_frame` (not understood), `gateway` (API Gateway's own
 * words, with `requestId`).
 */
export interface Complaint {
  code: string;
  message: string;
  /** Refused ids, the first ten at most. */
  device_ids?: string[];
  requestId?: string;
}

/** Totals since `connect`. */
export interface Counts {
  connections: number;
  frames: number;
  /** Handed to listeners. */
  readings: number;
  /** Dropped: seen before. */
  repeats: number;
  /** Dropped: a newer value of every measure had come before. */
  stale: number;
  /** Dropped: of devices that are no longer subscribed. */
  unwanted: number;
  /** Dropped: no reading, or a frame that is no JSON. */
  bad: number;
  /** Joined into newer ones, or dropped, since an iterator's consumer was slow. */
  skipped: number;
}

export interface Events {
  state: State;
  reading: Reading;
  /** The news of one frame, in the order sent. */
  readings: Reading[];
  /** A frame of a snapshot has been handed out as `reading`s. */
  snapshot: Snapshot;
  error: Complaint;
}

/** A token, or one with the time (milliseconds since the epoch) before which it is to be replaced. */
export type Token = string | { token: string; expiresMs?: number };

export interface Options {
  /**
   * A JWT or ticket; or what gives one, asked before each connection. Tickets are good once and
   * tokens run out, so a text serves for one connection at best. `refused`: the last one was not taken.
   */
  token: string | ((about: { refused: boolean }) => Token | Promise<Token>);
  /** Device ids, `"*"` for all; default: none until `subscribe`. */
  devices?: string | Iterable<string>;
  /** Ends the connection after the page was hidden for so long, since every frame is billed; 0 never does. Default: ten minutes. */
  pauseHiddenMs?: number;
  /** Devices (with equal dimensions) whose age is kept in mind, by default 20,000; the longest silent is forgotten first, and an old value of it could then be shown again. */
  seriesMax?: number;
  /** Stand-ins for the browser, for tests. */
  world?: object;
}

/** An async iterator that holds `bound` readings at most (see `Tidewire.readings`). */
export interface Readings extends AsyncIterableIterator<Reading> {
  readonly skipped: number;
}

/** A histogram of milliseconds, eight buckets for each doubling. */
export class Delays {
  /** By bucket. */
  readonly counts: Uint32Array;
  readonly count: number;
  /** By how much, at least, this machine's clock is behind the stream's. */
  readonly ahead_ms: number;
  /** The most that bucket `at` holds, in milliseconds. */
  static upTo(at: number): number;
  record(ms: number): void;
  /** That part (0 to 1) of all took at most so many milliseconds, at most 9.1 % too high; NaN where there are none. */
  quantile(part: number): number;
  copy(): Delays;
  /** What was recorded since `earlier`, a copy of this. */
  since(earlier: Delays): Delays;
}

/** A connection that comes back by itself until it is closed. */
export class Tidewire implements AsyncIterable<Reading> {
  /** @throws TypeError where the address is no ws:// or wss://, or there is no token. */
  constructor(url: string, options: Options);
  readonly state: State;
  readonly counts: Counts;
  /** From arrival on the stream to the paint after a reading was handed out, by this machine's clock and Kinesis's; snapshots left out. */
  readonly delays: Delays;
  readonly devices: string[];
  /** From now on these devices, in place of those before. */
  subscribe(devices: string | Iterable<string>): void;
  unsubscribe(devices: string | Iterable<string>): void;
  /** Tries now; where connected, finds out whether the connection still stands. */
  retry(): void;
  /** Calls `listener` at each event of that name; the answer ends that. */
  on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): () => void;
  /**
   * Readings from now on. A consumer slower than the readings gets the newest of each device, their
   * measures joined; beyond `bound` (default 1,000) devices the longest waiting is dropped.
   */
  readings(options?: { bound?: number }): Readings;
  [Symbol.asyncIterator](): Readings;
  close(): void;
}

/** Connects to `wss://API.execute-api.REGION.amazonaws.com/STAGE` and stays connected. */
export function connect(url: string, options: Options): Tidewire;

/** Compares integers of any size as decimal text. */
export function compareIntegers(a: string, b: string): number;

/** Positive where `a` is the newer reading: by event time, then by its place in the stream. */
export function compareAge(
  a: Pick<Reading, "time_ns" | "seq" | "sub" | "i" | "shard">,
  b: Pick<Reading, "time_ns" | "seq" | "sub" | "i" | "shard">,
): number;
