// The timeline: thumbnails, motion and clicks on one canvas. Wheel and pinch zoom, dragging moves clicks or the time.
import { address } from "./api.js";
import { byId, clamp, clock, say } from "./dom.js";
import { clicksOf, current, editClick, hueOf, isOwn, isRepeated, keyOf, listen, notify, state } from "./model.js";
import * as player from "./player.js";

const canvas = byId("timeline");
const RULER = 20, FLAGS = 30, EVENTS = 18, PICTURES = 54, MOTION = 34, BAR = 10;
const EDGE = 14; // so that the marker of a click at the start or the end is whole
const HEIGHT = RULER + FLAGS + EVENTS + PICTURES + MOTION + BAR;
const view = { from: 0, to: 1 };
const images = new Map();
let drag = null, pending = false, width = 0;
const pointers = new Map();

const total = () => Math.max(player.length(), 0.1);
const inner = () => Math.max(width - 2 * EDGE, 1);
const xOf = (t) => EDGE + ((t - view.from) / (view.to - view.from)) * inner();
const tOf = (x) => view.from + ((x - EDGE) / inner()) * (view.to - view.from);
const draw = () => { if (!pending) { pending = true; requestAnimationFrame(paint); } };

export function fit() { view.from = 0; view.to = total(); draw(); }
export function zoom(factor, around = player.now()) {
  const least = Math.min(1, total()), span = clamp((view.to - view.from) / factor, least, total());
  const part = (clamp(around, view.from, view.to) - view.from) / (view.to - view.from);
  place(clamp(around, view.from, view.to) - part * span, span);
}
function place(from, span = view.to - view.from) {
  view.from = clamp(from, 0, Math.max(total() - span, 0));
  view.to = view.from + span;
  draw();
}
/** Keep a time in view. */
export function reveal(t) {
  const span = view.to - view.from;
  if (t < view.from || t > view.to) place(t - span * 0.15, span);
}

function picture(number) {
  const url = address(`media/${state.current}/thumbnail/${number}?version=${current()?.version ?? ""}`);
  if (!images.has(url)) {
    if (images.size > 600) images.clear();
    const image = new Image();
    image.onload = draw;
    image.src = url;
    images.set(url, image);
  }
  const image = images.get(url);
  return image.complete && image.naturalWidth ? image : null;
}

function paint() {
  pending = false;
  const scale = devicePixelRatio || 1;
  width = canvas.clientWidth;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(HEIGHT * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(HEIGHT * scale);
  }
  const g = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  g.setTransform(scale, 0, 0, scale, 0, 0);
  g.clearRect(0, 0, width, HEIGHT);
  if (view.to > total() + 1e-6 || view.to - view.from < 1e-3) { view.from = 0; view.to = total(); }
  const ink = color("--ink"), soft = color("--soft"), rule = color("--rule"), field = color("--field"), accent = color("--accent");
  g.font = "11px system-ui, sans-serif";
  g.textBaseline = "middle";
  paintRuler(g, soft, rule);
  paintPictures(g, field);
  paintMotion(g, field, soft, rule);
  paintEvents(g, color, ink);
  paintClicks(g, color, ink);
  const x = xOf(player.now());
  g.fillStyle = accent;
  g.fillRect(x - 1, 0, 2, HEIGHT - BAR);
  g.beginPath();
  g.moveTo(x - 6, 0); g.lineTo(x + 6, 0); g.lineTo(x, 8);
  g.fill();
  g.fillStyle = field;
  g.fillRect(0, HEIGHT - BAR + 3, width, BAR - 3);
  g.fillStyle = accent;
  g.fillRect((view.from / total()) * width, HEIGHT - BAR + 3, Math.max(((view.to - view.from) / total()) * width, 6), BAR - 3);
  describe();
}

function paintRuler(g, soft, rule) {
  const span = view.to - view.from, least = (span * 76) / width;
  const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200].find((s) => s >= least) || 7200;
  g.fillStyle = soft;
  for (let t = Math.ceil(view.from / step) * step; t <= view.to + 1e-9; t += step) {
    const x = xOf(t);
    g.fillStyle = rule;
    g.fillRect(x, 0, 1, HEIGHT - BAR);
    g.fillStyle = soft;
    const text = clock(t, step < 1 ? 1 : 0);
    if (x + 4 + g.measureText(text).width <= width) g.fillText(text, x + 4, RULER / 2);
  }
}

function paintPictures(g, field) {
  const top = RULER + FLAGS + EVENTS, o = state.overview;
  g.fillStyle = field;
  const first = Math.max(xOf(0), 0);
  g.fillRect(first, top, Math.min(width, xOf(total())) - first, PICTURES - 2);
  if (!o?.thumbnails.length) return;
  const sample = picture(0), wide = sample ? (sample.naturalWidth / sample.naturalHeight) * (PICTURES - 2) : 72;
  const end = Math.min(width, xOf(total()));
  for (let x = first; x < end; x += wide) {
    const t = tOf(Math.min(x + wide / 2, end));
    if (t > total() || t < o.thumbnails[0] - wide) continue;
    const image = picture(nearest(o.thumbnails, t));
    const shown = Math.min(wide, end - x);
    if (image) g.drawImage(image, 0, 0, (image.naturalWidth * shown) / wide, image.naturalHeight, x, top, shown, PICTURES - 2);
  }
}
function nearest(times, t) {
  let low = 0, high = times.length - 1;
  while (low < high) { const middle = (low + high + 1) >> 1; if (times[middle] <= t) low = middle; else high = middle - 1; }
  return low;
}

function paintMotion(g, field, soft, rule) {
  const top = RULER + FLAGS + EVENTS + PICTURES, o = state.overview, floor = top + MOTION;
  for (const [from, to] of player.stills()) {
    if (to < view.from || from > view.to) continue;
    g.fillStyle = field;
    g.fillRect(xOf(from), top, xOf(to) - xOf(from), MOTION);
  }
  g.fillStyle = rule;
  g.fillRect(0, floor, width, 1);
  if (!o?.motion.length) return;
  let most = o.most;
  if (!most) { for (const m of o.motion) most = Math.max(most || 1, m); o.most = most; }
  g.fillStyle = soft;
  for (let x = 0; x < width; x += 2) {
    const from = Math.floor(tOf(x) / o.step_s), to = Math.max(Math.ceil(tOf(x + 2) / o.step_s), from + 1);
    let value = 0;
    for (let k = Math.max(from, 0); k < Math.min(to, o.motion.length); k++) value = Math.max(value, o.motion[k]);
    const high = Math.sqrt(value / most) * (MOTION - 4);
    if (high > 0.5) g.fillRect(x, floor - high, 2, high);
  }
}

/** Events of the last round from the minimum score on: [class, start, end, score]. */
export function eventsOf(name) {
  const rows = (state.found && name && state.found.videos[name]) || [];
  return rows.filter((row) => row[3] >= (state.least ?? state.found.min_score));
}
function paintEvents(g, color, ink) {
  const name = current()?.name, top = RULER + FLAGS, high = EVENTS - 5;
  for (const b of state.background.values()) {
    if (b.video !== name || !(state.others || isOwn(b)) || b.end_s < view.from || b.start_s > view.to) continue;
    g.strokeStyle = color("--edge");
    g.lineWidth = 1;
    const x = xOf(b.start_s), wide = Math.max(xOf(b.end_s) - x, 3);
    g.strokeRect(x + 0.5, top + 1.5, wide - 1, high - 1);
    for (let at = 4; at < wide; at += 6) { g.beginPath(); g.moveTo(x + at, top + 1); g.lineTo(x + at - 4, top + high); g.stroke(); }
  }
  const playing = player.looping();
  for (const [label, start, end, score] of eventsOf(name)) {
    if (end < view.from || start > view.to) continue;
    const x = xOf(start), wide = Math.max(xOf(end) - x, 4);
    g.globalAlpha = 0.35 + 0.65 * score;
    g.fillStyle = color("--" + hueOf(label));
    g.beginPath();
    g.roundRect(x, top + 2, wide, high - 2, 3);
    g.fill();
    if (isRepeated(label)) { g.fillStyle = color("--card"); g.fillRect(x + 2, top + high / 2, Math.max(wide - 4, 0), 2); }
    g.globalAlpha = 1;
    if (playing && playing[0] <= start && playing[1] >= end) { g.strokeStyle = ink; g.lineWidth = 1.5; g.strokeRect(x, top + 1, wide, high); }
  }
}
function eventAt(x, y) {
  if (y < RULER + FLAGS || y > RULER + FLAGS + EVENTS) return null;
  const t = tOf(x), near = tOf(x + 3) - t;
  return eventsOf(current()?.name).findLast(([, start, end]) => t >= start - near && t <= end + near) || null;
}

function visible() {
  const entry = current();
  return entry ? clicksOf(entry.name).filter((c) => c.time_s >= view.from - 1 && c.time_s <= view.to + 1) : [];
}
function paintClicks(g, color, ink) {
  const floor = RULER + FLAGS;
  g.textAlign = "center";
  for (const c of visible()) {
    const time = drag?.click === c.id ? drag.time : c.time_s, x = xOf(time), chosen = c.id === state.selected;
    g.globalAlpha = isOwn(c) ? 1 : 0.55;
    g.fillStyle = color("--" + hueOf(c.label));
    g.fillRect(x - 1, RULER + 4, 2, FLAGS + EVENTS + PICTURES + MOTION - 4);
    if (isOwn(c)) {
      g.beginPath();
      g.roundRect(x - 9, RULER + 3, 18, 20, 4);
      g.fill();
    } else {
      g.beginPath();
      g.arc(x, RULER + 13, 9, 0, 7);
      g.fill();
    }
    if (isRepeated(c.label)) {
      g.strokeStyle = color("--card");
      g.lineWidth = 1.5;
      g.beginPath();
      if (isOwn(c)) g.roundRect(x - 7, RULER + 5, 14, 16, 3);
      else g.arc(x, RULER + 13, 7, 0, 7);
      g.stroke();
    }
    if (chosen) { g.strokeStyle = ink; g.lineWidth = 2; g.strokeRect(x - 11, RULER + 1, 22, 24); }
    g.fillStyle = color("--card");
    g.font = "600 12px system-ui, sans-serif";
    g.fillText(keyOf(c.label).toUpperCase() || "•", x, RULER + 13.5);
    if (c.note) { g.fillStyle = ink; g.fillRect(x - 3, floor - 4, 6, 3); }
    g.globalAlpha = 1;
  }
  g.textAlign = "start";
}

function describe() {
  canvas.setAttribute("aria-valuemax", total().toFixed(2));
  canvas.setAttribute("aria-valuenow", player.now().toFixed(2));
  canvas.setAttribute("aria-valuetext", `${clock(player.now())} of ${clock(total())}`);
  canvas.dataset.from = view.from.toFixed(3);
  canvas.dataset.to = view.to.toFixed(3);
}

function clickAt(x, y) {
  if (y < RULER || y > RULER + FLAGS) return null;
  let best = null, near = 14;
  for (const c of visible()) {
    const away = Math.abs(xOf(c.time_s) - x);
    if (away < near) { near = away; best = c; }
  }
  return best;
}
const spot = (e) => { const box = canvas.getBoundingClientRect(); return { x: e.clientX - box.left, y: e.clientY - box.top }; };

canvas.addEventListener("pointerdown", (e) => {
  if (e.button > 0) return;
  const { x, y } = spot(e);
  canvas.setPointerCapture(e.pointerId);
  pointers.set(e.pointerId, x);
  if (pointers.size === 2) {
    const [a, b] = pointers.values();
    drag = { pinch: Math.max(Math.abs(a - b), 10), span: view.to - view.from, middle: tOf((a + b) / 2) };
    return;
  }
  const click = clickAt(x, y), event = eventAt(x, y);
  if (event) {
    player.loop([event[1] - 0.3, event[2] + 0.3]);
    say(`${event[0]}, ${clock(event[1])} to ${clock(event[2])}, score ${event[3].toFixed(2)}. K stops`);
    drag = {};
  } else if (click) {
    player.loop(null);
    state.selected = click.id;
    player.pause();
    player.seek(click.time_s);
    drag = isOwn(click) ? { click: click.id, time: click.time_s, offset: x - xOf(click.time_s), from: x } : null;
    notify("selection");
  } else if (y > HEIGHT - BAR) drag = { bar: true };
  else { drag = { scrub: true }; player.loop(null); player.seek(tOf(x)); }
  draw();
});
canvas.addEventListener("pointermove", (e) => {
  const { x, y } = spot(e);
  if (!pointers.has(e.pointerId)) {
    const event = eventAt(x, y);
    canvas.style.cursor = clickAt(x, y) ? "ew-resize" : "pointer";
    canvas.title = event ? `${event[0]}, score ${event[3].toFixed(2)}` : "";
    return;
  }
  pointers.set(e.pointerId, x);
  if (!drag) return;
  if (drag.pinch && pointers.size === 2) {
    const [a, b] = pointers.values(), apart = Math.max(Math.abs(a - b), 10);
    const span = clamp((drag.span * drag.pinch) / apart, Math.min(1, total()), total());
    place(drag.middle - (((a + b) / 2 - EDGE) / inner()) * span, span);
  } else if (drag.click) {
    if (Math.abs(x - drag.from) > 3) drag.moved = true;
    if (drag.moved) {
      drag.time = clamp(tOf(x - drag.offset), 0, total());
      player.seek(drag.time);
    }
  } else if (drag.bar) place((x / width) * total() - (view.to - view.from) / 2);
  else if (drag.scrub) player.seek(tOf(x));
  draw();
});
function release(e) {
  pointers.delete(e.pointerId);
  if (drag?.click && drag.moved && e.type === "pointerup") {
    editClick(drag.click, { time_s: Math.round(drag.time * 1000) / 1000 });
  }
  drag = null;
  draw();
}
canvas.addEventListener("pointerup", release);
canvas.addEventListener("pointercancel", release);
canvas.addEventListener("wheel", (e) => {
  if (document.activeElement !== canvas && !e.ctrlKey && !e.shiftKey && !e.deltaX) return; // the page scrolls
  e.preventDefault();
  if (e.shiftKey || Math.abs(e.deltaX) > Math.abs(e.deltaY)) {
    place(view.from + ((e.deltaX || e.deltaY) / width) * (view.to - view.from));
  } else zoom(Math.exp(-e.deltaY * 0.002), tOf(spot(e).x));
}, { passive: false });

byId("b-in").onclick = () => zoom(1.6);
byId("b-out").onclick = () => zoom(1 / 1.6);
byId("b-fit").onclick = fit;
new ResizeObserver(draw).observe(canvas);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
let seen = null;
listen((topics) => {
  if (topics.has("video")) {
    if (seen !== state.current) { seen = state.current; images.clear(); }
    fit();
  }
  if (topics.has("time") && player.playing()) reveal(player.now());
  draw();
});
