// The timeline of a day: one row a camera, with its events and gaps. Only the rows on screen are drawn.
import { byId, clamp, clock, dayName, el, fitted, ink, surface, text } from "./dom.js";
import { at, hueOf, idOf, listen, select, selected, shown, state, until } from "./model.js";

const box = byId("lanes"), canvas = byId("lanes-canvas"), axis = byId("axis"), room = byId("lanes-room");
const ROW = 38, NAME = 16, LEAST_S = 20, BAR = 15, HOUR = 3600;
const view = { from: 0, to: 86400 }; // Unix seconds
let rows = [], byRow = new Map(), gapsOf = new Map(), pending = false;
const pointers = new Map();
let moved = 0, pinch = 0;
let follows = true; // the span follows the events until the user chooses another one

const day = () => state.day || { start: 0, end: 86400 };
const xOf = (t) => ((t - view.from) / (view.to - view.from)) * canvas.clientWidth;
const tOf = (x) => view.from + (x / Math.max(canvas.clientWidth, 1)) * (view.to - view.from);
export const draw = () => { if (!pending) { pending = true; requestAnimationFrame(paint); } };

function place(from, span = view.to - view.from) {
  follows = false;
  const d = day(), wide = clamp(span, LEAST_S, d.end - d.start);
  view.from = clamp(from, d.start, d.end - wide);
  view.to = view.from + wide;
  draw();
}
/** What to zoom about: what is selected, else the present, else the last event; the middle where none is in view. */
function focus() {
  const e = selected(), found = shown(), inside = (t) => t >= view.from && t <= view.to;
  const places = [e && (at(e) + until(e)) / 2, Date.now() / 1000, found.length ? at(found[0]) : null];
  return places.find((t) => t !== null && inside(t)) ?? (view.from + view.to) / 2;
}
export function zoom(factor, around = focus()) {
  const span = clamp((view.to - view.from) / factor, LEAST_S, day().end - day().start);
  const part = (clamp(around, view.from, view.to) - view.from) / (view.to - view.from);
  place(around - part * span, span);
}
export const pan = (part) => place(view.from + part * (view.to - view.from));
export const whole = () => place(day().start, day().end - day().start);
/** From the first event of the day to the present, or to the last event of a day that is over; at least an hour. */
export function fit() {
  follows = true;
  const d = day(), now = Date.now() / 1000, found = shown(), present = now > d.start && now < d.end;
  if (!found.length && !present) { view.from = d.start; view.to = d.end; return draw(); }
  const last = present ? now : found.reduce((t, e) => Math.max(t, until(e)), d.start), first = found.length ? at(found[found.length - 1]) : last;
  const room = Math.max(last - first, HOUR) / 50;
  view.to = Math.min(last + room, d.end);
  view.from = Math.max(Math.min(first - room, view.to - HOUR), d.start);
  view.to = Math.max(view.to, Math.min(view.from + HOUR, d.end));
  draw();
}
/** Bring an event into view: its time, and its row. */
export function reveal(e) {
  const t = at(e), wide = view.to - view.from;
  if (t < view.from || until(e) > view.to) place(t - wide / 2);
  const row = rows.indexOf(e.camera);
  if (row >= 0 && (row * ROW < box.scrollTop || (row + 1) * ROW > box.scrollTop + box.clientHeight)) box.scrollTop = row * ROW - box.clientHeight / 3;
  draw();
}

function collect() {
  const events = shown(), names = new Set(state.cameras.map((c) => c.name));
  byRow = new Map();
  for (const e of events) {
    names.add(e.camera);
    if (!byRow.has(e.camera)) byRow.set(e.camera, []);
    byRow.get(e.camera).push(e);
  }
  gapsOf = new Map();
  for (const g of state.gaps) {
    if (g.start_unix === null || g.end_unix === null) continue;
    if (!gapsOf.has(g.camera)) gapsOf.set(g.camera, []);
    gapsOf.get(g.camera).push(g);
  }
  rows = [...names].filter((name) => !state.filter.camera || name === state.filter.camera);
  byId("line").hidden = !rows.length;
  room.style.height = `${rows.length * ROW}px`;
  size();
  if (follows) fit();
  const found = events.length, gaps = state.gaps.length;
  canvas.setAttribute("aria-label", `Timeline of ${state.day ? dayName(state.day.start) : "the day"}: ${found} events, ${gaps} gaps, ${rows.length} cameras`);
  draw();
}

/** As many whole rows as there is room for, so that none is cut. */
function size() {
  const small = innerWidth <= 860, most = Math.max(Math.round((innerHeight * (small ? 0.3 : 0.26)) / ROW), 4), many = Math.min(rows.length, most);
  box.style.height = `${many * ROW}px`;
  document.documentElement.style.setProperty("--lanes", `${many * ROW}px`);
  text(byId("lanes-more"), many < rows.length ? `${many} of ${rows.length} cameras: scroll for the others` : "");
}
addEventListener("resize", size);

function paint() {
  pending = false;
  canvas.style.height = `${box.clientHeight}px`;
  const s = surface(canvas);
  if (!s) return;
  const { g, width, height } = s, top = box.scrollTop, first = Math.floor(top / ROW), last = Math.min(Math.ceil((top + height) / ROW), rows.length);
  g.font = "12px system-ui, sans-serif";
  g.textBaseline = "middle";
  const now = Date.now() / 1000;
  const seen = new Set();
  for (let k = first; k < last; k++) row(g, rows[k], k * ROW - top, width, k, seen);
  legend(seen);
  if (now > view.from && now < view.to) {
    g.fillStyle = ink("field");
    g.globalAlpha = 0.5;
    g.fillRect(xOf(now), 0, width, height);
    g.globalAlpha = 1;
    g.fillStyle = ink("accent");
    g.fillRect(xOf(now) - 1, 0, 2, height);
  }
  paintAxis();
  canvas.dataset.from = view.from.toFixed(1);
  canvas.dataset.to = view.to.toFixed(1);
}

/** The colors of the classes in view. */
function legend(seen) {
  const names = [...seen].sort((a, b) => order(a) - order(b) || (a < b ? -1 : 1)), list = byId("class-legend");
  if ([...list.children].map((node) => node.textContent + node.className).join("\n") === names.map((name) => name + hueOf(name)).join("\n")) return;
  list.replaceChildren(...names.map((name) => el("li", { class: hueOf(name) }, el("i", { class: "spot", "aria-hidden": "true" }), el("span", { text: name }))));
}
const order = (label) => { const k = state.labels.indexOf(label); return k < 0 ? state.labels.length : k; };

function row(g, name, y, width, place, seen) {
  const floor = y + ROW - 4, high = BAR;
  if (place % 2) { g.fillStyle = ink("field"); g.globalAlpha = 0.45; g.fillRect(0, y, width, ROW); g.globalAlpha = 1; }
  g.fillStyle = ink("rule");
  g.fillRect(0, floor, width, 1);
  for (const gap of gapsOf.get(name) || []) {
    if (gap.end_unix < view.from || gap.start_unix > view.to) continue;
    const x = xOf(gap.start_unix), wide = Math.max(xOf(gap.end_unix) - x, 2);
    g.save();
    g.beginPath();
    g.rect(x, floor - high, wide, high);
    g.fillStyle = ink("rule");
    g.fill();
    g.clip();
    g.strokeStyle = ink("edge");
    g.lineWidth = 1;
    g.beginPath();
    for (let d = Math.max(x, 0) - high - (Math.max(x, 0) % 6); d < Math.min(x + wide, width); d += 6) { g.moveTo(d, floor); g.lineTo(d + high, floor - high); }
    g.stroke();
    g.restore();
  }
  for (const e of byRow.get(name) || []) {
    if (until(e) < view.from || at(e) > view.to) continue;
    seen.add(e.label);
    bar(g, e, floor);
  }
  g.fillStyle = ink("soft");
  const label = fitted(g, name, width - 12);
  g.fillText(label, 6, y + NAME / 2 + 2);
}
function bar(g, e, floor) {
  const x = xOf(at(e)), wide = Math.max(xOf(until(e)) - x, 3), high = 5 + (BAR - 5) * clamp(e.score, 0, 1), color = ink(hueOf(e.label));
  g.fillStyle = g.strokeStyle = color;
  if (e.review?.verdict === "wrong") { // outlined: there is no action
    g.lineWidth = 1;
    g.strokeRect(x + 0.5, floor - high + 0.5, Math.max(wide - 1, 2), high - 1);
  } else {
    g.globalAlpha = e.phase === "final" ? 1 : 0.6;
    g.fillRect(x, floor - high, wide, high);
    g.globalAlpha = 1;
  }
  if (e.review) { // underlined: broken where the class or the edges are others
    const corrected = e.review.verdict === "class" || e.review.verdict === "edges", part = corrected ? Math.max(wide / 2 - 1, 1) : wide;
    g.fillStyle = ink("ink");
    g.fillRect(x, floor + 2, part, 2);
    if (corrected) g.fillRect(x + wide - part, floor + 2, part, 2);
  }
  if (idOf(e) === state.selected) {
    g.strokeStyle = ink("ink");
    g.lineWidth = 2;
    g.strokeRect(x - 2, floor - BAR - 2, wide + 4, BAR + 4);
  }
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600];
function paintAxis() {
  const s = surface(axis);
  if (!s) return;
  const { g, width, height } = s, least = ((view.to - view.from) * 62) / width, step = STEPS.find((k) => k >= least) || 21600;
  g.font = "12px system-ui, sans-serif";
  g.textBaseline = "middle";
  const base = day().start;
  for (let t = base + Math.ceil((view.from - base) / step) * step; t <= view.to + 1e-6; t += step) {
    const x = xOf(t), words = clock(t, step < 60), wide = g.measureText(words).width;
    g.fillStyle = ink("edge");
    g.fillRect(Math.round(x), height - 5, 1, 5);
    g.fillStyle = ink("soft");
    if (x + wide + 4 < width) g.fillText(words, Math.round(x) + 4, height / 2);
  }
}

const spot = (e) => { const r = canvas.getBoundingClientRect(); return { x: e.clientX - r.left, y: e.clientY - r.top }; };
function nearest(x, y, reach = 6) {
  const name = rows[Math.floor((y + box.scrollTop) / ROW)];
  let best = null, near = reach;
  for (const e of byRow.get(name) || []) {
    const from = xOf(at(e)), to = Math.max(xOf(until(e)), from + 3), away = x < from ? from - x : x > to ? x - to : 0;
    if (away < near || (away === near && best && idOf(e) === state.selected)) { near = away; best = e; }
  }
  return best;
}
function gapAt(x, y) {
  const name = rows[Math.floor((y + box.scrollTop) / ROW)], t = tOf(x);
  return (gapsOf.get(name) || []).find((g) => t >= g.start_unix && t <= g.end_unix) || null;
}

canvas.addEventListener("pointerdown", (e) => {
  if (e.button > 0) return;
  pointers.set(e.pointerId, e.clientX);
  moved = pointers.size > 1 ? 99 : 0;
  pinch = 0;
});
canvas.addEventListener("pointermove", (e) => {
  const { x, y } = spot(e);
  if (!pointers.has(e.pointerId)) return hover(x, y);
  const before = pointers.get(e.pointerId);
  pointers.set(e.pointerId, e.clientX);
  moved += Math.abs(e.clientX - before);
  if (moved > 4 && !canvas.hasPointerCapture(e.pointerId)) canvas.setPointerCapture(e.pointerId);
  if (pointers.size === 2) {
    const [a, b] = [...pointers.values()], apart = Math.max(Math.abs(a - b), 10);
    if (pinch) zoom(apart / pinch, tOf((a + b) / 2 - canvas.getBoundingClientRect().left));
    pinch = apart;
  } else if (moved > 4) place(view.from + ((before - e.clientX) / canvas.clientWidth) * (view.to - view.from));
});
function hover(x, y) {
  const e = nearest(x, y), gap = e ? null : gapAt(x, y);
  canvas.style.cursor = e ? "pointer" : "grab";
  canvas.title = e ? `${e.label}, ${clock(at(e))} to ${clock(until(e))}, score ${e.score.toFixed(2)}`
    : gap ? `Gap, ${clock(gap.start_unix)} to ${clock(gap.end_unix)}: ${gap.reason}` : "";
}
const release = (e) => { pointers.delete(e.pointerId); pinch = 0; };
for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, release);
canvas.addEventListener("click", (e) => {
  if (moved > 4) return;
  const { x, y } = spot(e), found = nearest(x, y, e.pointerType === "touch" ? 18 : 6);
  if (found) select(idOf(found));
});
canvas.addEventListener("dblclick", (e) => zoom(3, tOf(spot(e).x)));
canvas.addEventListener("wheel", (e) => {
  const sideways = Math.abs(e.deltaX) > Math.abs(e.deltaY) || e.shiftKey, unit = e.deltaMode ? 20 : 1;
  if (sideways) place(view.from + (((e.deltaX || e.deltaY) * unit) / canvas.clientWidth) * (view.to - view.from));
  else if (e.ctrlKey || e.metaKey || document.activeElement === canvas) zoom(Math.exp(-e.deltaY * unit * (e.ctrlKey ? 0.008 : 0.002)), tOf(spot(e).x));
  else return;
  e.preventDefault();
}, { passive: false });
canvas.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey) return;
  const act = {
    ArrowLeft: () => pan(-0.15), ArrowRight: () => pan(0.15), PageUp: () => pan(-0.9), PageDown: () => pan(0.9), f: fit,
    Home: () => place(day().start), End: () => place(day().end), ArrowUp: () => { box.scrollTop -= ROW; }, ArrowDown: () => { box.scrollTop += ROW; },
    "+": () => zoom(1.6), "=": () => zoom(1.6), "-": () => zoom(1 / 1.6), 0: whole,
  }[e.key];
  if (!act) return;
  act();
  e.preventDefault();
  e.stopPropagation();
});
box.addEventListener("scroll", draw);
byId("b-in").onclick = () => zoom(2);
byId("b-out").onclick = () => zoom(1 / 2);
byId("b-fit").onclick = fit;
byId("b-whole").onclick = whole;
byId("b-earlier").onclick = () => pan(-0.5);
byId("b-later").onclick = () => pan(0.5);
new ResizeObserver(draw).observe(box);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
setInterval(() => (follows ? fit() : draw()), 15000); // the present moves

let drawnDay = 0;
listen((topics) => {
  if (state.day && drawnDay !== state.day.start) { drawnDay = state.day.start; fit(); }
  if (topics.has("events") || topics.has("day") || topics.has("cameras")) collect();
  else if (topics.has("selection") || topics.has("parts")) draw();
});
