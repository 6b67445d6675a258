// Small helps with the document, and how values are written for people.

export const by = (id) => document.getElementById(id);

export function element(tag, { className, text, ...rest } = {}, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  for (const [name, value] of Object.entries(rest)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// Writes text only where it differs: an equal write would still cost a layout.
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const formats = [0, 1, 2, 3].map(
  (digits) => new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }),
);

export function show(value) {
  if (typeof value === "boolean") return value ? "on" : "off";
  if (typeof value !== "number") return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.001 || size >= 1e9)) return value.toPrecision(4);
  if (Number.isInteger(value) && size >= 1000) return formats[0].format(value);
  return formats[size >= 1000 ? 1 : size >= 0.1 || size === 0 ? 2 : 3].format(value);
}

const known = (value) => typeof value === "number" && Number.isFinite(value);
export const count = (value) => (known(value) ? formats[0].format(value) : "–");

export function span(ms) {
  if (!known(ms)) return "–";
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  return ms < 3_600_000 ? `${(ms / 60_000).toFixed(1)} min` : `${(ms / 3_600_000).toFixed(1)} h`;
}

export function age(ms) {
  if (ms < 2_000) return "now";
  if (ms < 60_000) return `${Math.floor(ms / 1_000)} s ago`;
  return ms < 3_600_000 ? `${Math.floor(ms / 60_000)} min ago` : "long ago";
}
