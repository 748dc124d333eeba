// Helpers for the document of this page. Those of all pages come from elements.js.
import { byId } from "./elements.js";
export { byId, clamp, counted, el } from "./elements.js";

/** Replaces the content of a node only where it differs, so that focus and selection stay. */
export function text(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

const two = (n) => String(n).padStart(2, "0");
/** 14:03:09 of a Unix time, in the time zone of this browser. */
export function clock(unix, seconds = true) {
  const d = new Date(unix * 1000);
  return `${two(d.getHours())}:${two(d.getMinutes())}${seconds ? ":" + two(d.getSeconds()) : ""}`;
}
/** 2026-01-31 */
export function dayName(unix) {
  const d = new Date(unix * 1000);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
}
/** Local midnight of the day with a Unix time, or of a text like 2026-01-31; of the day `add` days later. */
export function midnight(value, add = 0) {
  const d = typeof value === "string" ? new Date(value + "T00:00:00") : new Date(value * 1000);
  return new Date(d.getFullYear(), d.getMonth(), d.getDate() + add).getTime() / 1000;
}
/** 3 s, 12 min, 5 h, 9 d */
export function span(seconds) {
  const s = Math.max(seconds, 0);
  if (s < 90) return `${Math.round(s)} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  return s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} d`;
}
let quiet = 0;
/** A message in its own line of the view that is shown, so that it covers nothing. It goes away by itself, errors later. */
export function say(message, kind = "") {
  for (const node of document.querySelectorAll(".say")) {
    node.textContent = message;
    node.dataset.kind = kind;
  }
  clearTimeout(quiet);
  if (message) quiet = setTimeout(hush, kind === "bad" ? 15000 : 5000);
}
/** Take the message away: what it was about is over. */
export const hush = () => say("");

/** The canvas's drawing context, sized to its box and the pixels of the screen; null while it has no size. */
export function surface(canvas) {
  const width = canvas.clientWidth, height = canvas.clientHeight, ratio = Math.min(devicePixelRatio || 1, 3);
  if (!width || !height) return null;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const g = canvas.getContext("2d");
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, width, height);
  return { g, width, height };
}
let inks = null;
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { inks = null; });
/** A color of the theme, for canvases. */
export function ink(name) {
  inks = inks || { style: getComputedStyle(document.documentElement), known: {} };
  return (inks.known[name] = inks.known[name] || inks.style.getPropertyValue("--" + name).trim());
}
/** A text that fits a width. */
export function fitted(g, value, width) {
  if (g.measureText(value).width <= width) return value;
  let low = 0, high = value.length;
  while (low < high) { const middle = (low + high + 1) >> 1; if (g.measureText(value.slice(0, middle) + "…").width <= width) low = middle; else high = middle - 1; }
  return low ? value.slice(0, low) + "…" : "";
}
