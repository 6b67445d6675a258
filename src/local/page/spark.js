// Small line charts on a canvas.

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

export function unfollow(canvas) {
  canvas.onresized = null;
  observer.unobserve(canvas);
}

// Fits the pixels of a followed canvas to its size on screen and clears it; the context in CSS
// pixels, or nothing while the size is unknown.
export function surface(canvas) {
  const size = sizes.get(canvas);
  if (!size) return null;
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

// Draws a series (anything with `length` and `at(i)`) into a box. `slots` places come to the width,
// the newest at the right.
export function line(pen, series, box, color, slots, { step = false, floor = Infinity, ceiling = -Infinity } = {}) {
  const n = series.length;
  if (n === 0) return;
  let low = floor;
  let high = ceiling;
  for (let i = 0; i < n; i += 1) {
    const value = series.at(i);
    if (value < low) low = value;
    if (value > high) high = value;
  }
  // A flat line lies in the middle, and noise is not blown up to fill the box.
  const least = Math.max(Math.abs(high) * 0.002, 1e-9);
  if (high - low < least) {
    const middle = (high + low) / 2;
    low = middle - least;
    high = middle + least;
  }
  const pad = 2.5;
  const x = (i) => box.x + box.width - pad - ((n - 1 - i) * (box.width - 2 * pad)) / (slots - 1);
  const y = (i) => box.y + box.height - pad - ((series.at(i) - low) / (high - low)) * (box.height - 2 * pad);
  pen.beginPath();
  pen.moveTo(x(0), y(0));
  for (let i = 1; i < n; i += 1) {
    if (step) pen.lineTo(x(i), y(i - 1));
    pen.lineTo(x(i), y(i));
  }
  pen.strokeStyle = color;
  pen.lineWidth = 1.4;
  pen.lineJoin = "round";
  pen.stroke();
  pen.lineTo(x(n - 1), box.y + box.height);
  pen.lineTo(x(0), box.y + box.height);
  pen.closePath();
  pen.globalAlpha = 0.1;
  pen.fillStyle = color;
  pen.fill();
  pen.globalAlpha = 1;
  pen.beginPath();
  pen.arc(x(n - 1), y(n - 1), 1.9, 0, 7);
  pen.fill();
}

// The last `slots` values of something measured now and then.
export class History {
  constructor(slots) {
    this.slots = slots;
    this.values = [];
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
export const colours = { lines: [] };

function readColours() {
  const style = getComputedStyle(document.documentElement);
  colours.lines = ["--a", "--b", "--c", "--d"].map((name) => style.getPropertyValue(name).trim());
}

export function watchColours(redraw) {
  readColours();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    readColours();
    redraw();
  });
}
