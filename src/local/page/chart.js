// Charts on a canvas.

const ratio = () => Math.min(window.devicePixelRatio || 1, 2);

// Sizes are kept as they are observed: to ask for one between two writes would lay the page out
// anew for each chart.
const sizes = new WeakMap();
const observer = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) {
    sizes.set(target, { width: contentRect.width, height: contentRect.height });
    target.onresized?.();
  }
});

// Follows a canvas's size; `onresized` is called once it is known and whenever it changes.
export function follow(canvas, onresized) {
  canvas.onresized = onresized;
  observer.observe(canvas);
}

// Fits the pixels of a followed canvas to its size on screen and clears it; the context in CSS
// pixels, or nothing while the size is unknown.
export function surface(canvas) {
  const size = sizes.get(canvas);
  if (!size || size.width < 1) return null;
  const { width, height } = size;
  const scale = ratio();
  const [w, h] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
}

// The lowest and highest value; a flat line lies in the middle, and noise is not blown up to fill
// the box.
export function bounds(series, floor = Infinity, ceiling = -Infinity) {
  let [low, high] = [floor, ceiling];
  for (let i = 0; i < series.length; i += 1) {
    const value = series.at(i);
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const least = Math.max(Math.abs(high) * 0.002, 1e-9);
  if (high - low >= least) return [low, high];
  const middle = (high + low) / 2;
  return [middle - least, middle + least];
}

const PAD = 3;

// Draws a series (anything with `length` and `at(i)`) into a box. `x(i)` says where each point lies;
// without it, `slots` places come to the width, the newest at the right.
export function line(pen, series, box, color, { slots, x, step = false, low, high } = {}) {
  const n = series.length;
  if (n === 0) return null;
  if (low === undefined) [low, high] = bounds(series);
  x ??= (i) => box.x + box.width - PAD - ((n - 1 - i) * (box.width - 2 * PAD)) / (slots - 1);
  const y = (i) => box.y + box.height - PAD - ((series.at(i) - low) / (high - low)) * (box.height - 2 * PAD);
  pen.beginPath();
  pen.moveTo(x(0), y(0));
  for (let i = 1; i < n; i += 1) {
    if (step) pen.lineTo(x(i), y(i - 1));
    pen.lineTo(x(i), y(i));
  }
  pen.strokeStyle = color;
  pen.lineWidth = 1.6;
  pen.lineJoin = "round";
  pen.stroke();
  pen.lineTo(x(n - 1), box.y + box.height);
  pen.lineTo(x(0), box.y + box.height);
  pen.closePath();
  pen.globalAlpha = 0.13;
  pen.fillStyle = color;
  pen.fill();
  pen.globalAlpha = 1;
  pen.beginPath();
  pen.arc(x(n - 1), y(n - 1), 2.2, 0, 7);
  pen.fill();
  return { x, y };
}

// Bars side by side, the highest as high as the box.
export function bars(pen, heights, box, color) {
  const most = Math.max(...heights, 1);
  const width = box.width / heights.length;
  pen.fillStyle = color;
  heights.forEach((height, at) => {
    if (height === 0) return;
    const tall = Math.max(1.5, (height / most) * box.height);
    pen.fillRect(box.x + at * width, box.y + box.height - tall, Math.max(1, width - 1), tall);
  });
}

// The last `slots` values of something measured now and then.
export class History {
  values = [];

  constructor(slots) {
    this.slots = slots;
  }

  get length() {
    return this.values.length;
  }

  at(index) {
    return this.values[index];
  }

  push(value) {
    this.values.push(value);
    if (this.values.length > this.slots) this.values.shift();
  }
}

// The page's colours, read again when the scheme changes.
export const colours = { lines: [], text: "", muted: "", rule: "" };

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  colours.lines = ["--a", "--b", "--c", "--d"].map(of);
  [colours.text, colours.muted, colours.rule] = ["--text", "--muted", "--line"].map(of);
}

export function watchColours(redraw) {
  readColours();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    readColours();
    redraw();
  });
}
