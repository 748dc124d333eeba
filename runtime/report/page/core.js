// Data, state and helpers. Text from the data is inserted with textContent and setAttribute only.
const data = JSON.parse(document.getElementById("data").textContent);
const FINAL = 2, GONE = 3, PHASES = ["open", "update", "final", "retracted"], COLORS = 12;
const whole = { from: data.start, to: data.end };
const byId = (id) => document.getElementById(id);
const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
const hue = (label) => "k" + (label % COLORS);

function put(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key === "text") node.textContent = value;
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children) if (child) node.append(child);
  return node;
}
const el = (name, attributes, ...children) => put(document.createElement(name), attributes, children);
const svg = (name, attributes, ...children) =>
  put(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

const swatch = (label) =>
  svg("svg", { class: "sw", viewBox: "0 0 18 12", "aria-hidden": "true" },
    svg("rect", { width: 18, height: 12, fill: `url(#p${label % 32})` }));

/** 1:02:03.4, 2:03.4 or 3.45 s, with the digits that a step of `step` seconds requires. */
function clock(t, step = 0.01) {
  const digits = step >= 1 ? 0 : step >= 0.1 ? 1 : 2;
  const sign = t < -1e-9 ? "−" : "";
  const all = Math.round(Math.abs(t) * 10 ** digits) / 10 ** digits;
  if (whole.to < 60) return sign + all.toFixed(digits) + " s";
  const hours = Math.floor(all / 3600), minutes = Math.floor(all / 60) % 60;
  const seconds = (all % 60).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  return sign + (hours ? hours + ":" + String(minutes).padStart(2, "0") : minutes) + ":" + seconds;
}
const score3 = (x) => (x >= 0.0995 ? x.toFixed(2) : x >= 0.00995 ? x.toFixed(3) : x.toPrecision(2));

const events = data.events.map(([id, label, flags, dropped, history], index) => {
  const last = history[history.length - 1];
  return {
    index, id, label, dropped, history, interrupted: flags & 1, degraded: flags & 2,
    phase: last[0], score: last[1], start: last[2], end: last[3], ended: last[4], at: last[5], delay: last[5] - last[3],
    iou: null, hit: -1,
  };
});
const truth = data.truth === null ? null
  : data.truth.map(([label, start, end], index) => ({ index, label, start, end, by: null }));

const overlap = (a, b) => {
  const inter = Math.min(a.end, b.end) - Math.max(a.start, b.start);
  return inter <= 0 ? 0 : inter / (Math.max(a.end, b.end) - Math.min(a.start, b.start));
};
if (truth) for (const e of events) {
  e.iou = 0;
  for (const a of truth) if (a.label === e.label) e.iou = Math.max(e.iou, overlap(a, e));
}

const state = {
  from: whole.from, to: whole.to, minScore: data.min_score, hidden: new Set(), selected: null, cursor: null,
  layers: { truth: true, tracks: true, proposals: data.proposals.length > 0, pictures: true },
};
const busy = data.labels.map((_, k) => events.some((e) => e.label === k && e.score >= state.minScore && e.phase !== GONE)
  || (truth || []).some((a) => a.label === k));
if (busy.some(Boolean) && data.labels.length > 8) busy.forEach((b, k) => { if (!b) state.hidden.add(k); });
else if (data.labels.length > 8) data.labels.forEach((_, k) => { if (k >= 8) state.hidden.add(k); });

const listeners = [];
/** Call the listeners. what: "view" (visible span), "filter" (score, classes, layers) or "selection". */
const notify = (what) => listeners.forEach((f) => f(what));
const isShown = (e) => !state.hidden.has(e.label) && e.score >= state.minScore;

/** Match shown final events and true actions at IoU 0.5, one to one, best score first, as the evaluation does. */
function match() {
  for (const e of events) e.hit = -1;
  if (!truth) return;
  for (const a of truth) a.by = null;
  const final = events.filter((e) => e.phase === FINAL && isShown(e)).sort((a, b) => b.score - a.score);
  for (const e of final) {
    let best = null, most = 0.5 - 1e-9;
    for (const a of truth) {
      if (a.label !== e.label || a.by) continue;
      const iou = overlap(a, e);
      if (iou >= most && (best === null || iou > most)) { best = a; most = iou; }
    }
    if (best) { best.by = e; e.hit = best.index; }
  }
}

function tiles() {
  const final = events.filter((e) => isShown(e) && e.phase === FINAL);
  byId("t-events").textContent = events.filter((e) => isShown(e) && e.phase !== GONE).length;
  if (truth) {
    const asked = truth.filter((a) => !state.hidden.has(a.label));
    byId("t-found").replaceChildren(String(asked.filter((a) => a.by).length), el("span", { class: "unit", text: ` of ${asked.length}` }));
    byId("t-false").textContent = final.filter((e) => e.hit < 0).length;
  }
  const delays = final.map((e) => e.delay).sort((a, b) => a - b), middle = delays.length >> 1;
  byId("t-delay").replaceChildren(...(delays.length
    ? [(delays.length % 2 ? delays[middle] : (delays[middle] + delays[middle - 1]) / 2).toFixed(2), el("span", { class: "unit", text: " s" })]
    : ["–"]));
}

function decode(text) {
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}
const tracks = data.tracks.map((t) => {
  const low = decode(t.low), high = t.high ? decode(t.high) : low, columns = low.length / t.n;
  return {
    start: t.start, step: t.step, n: t.n, actionness: t.actionness, end: t.start + t.n * t.step,
    levels: Array.from({ length: columns }, (_, c) =>
      [{ low: low.subarray(c * t.n, (c + 1) * t.n), high: high.subarray(c * t.n, (c + 1) * t.n), cell: 1 }]),
  };
});
const gaps = tracks.slice(1).map((t, k) => [tracks[k].end, t.start]).filter(([from, to]) => to - from > 1e-6);
const hasActionness = tracks.some((t) => t.actionness);

/** The level of a column whose cells cover at most `most` snippets. Each level joins four cells: minimum and maximum. */
function levelOf(track, column, most) {
  const levels = track.levels[column];
  let at = 0;
  while (4 ** (at + 1) <= most && levels[at].low.length > 8) {
    if (!levels[at + 1]) {
      const { low, high, cell } = levels[at], n = Math.ceil(low.length / 4);
      const next = { low: new Uint8Array(n), high: new Uint8Array(n), cell: 4 * cell };
      for (let i = 0; i < n; i++) {
        let a = 255, b = 0;
        for (let j = 4 * i; j < Math.min(4 * i + 4, low.length); j++) { a = Math.min(a, low[j]); b = Math.max(b, high[j]); }
        next.low[i] = a; next.high[i] = b;
      }
      levels.push(next);
    }
    at++;
  }
  return levels[at];
}
/** Interpolated value of a column at time t, or null. */
function valueAt(column, t) {
  const track = tracks.find((k) => t >= k.start && t < k.end);
  if (!track || column >= track.levels.length) return null;
  const { low, high } = track.levels[column][0], x = clamp((t - track.start) / track.step - 0.5, 0, track.n - 1), i = Math.floor(x);
  const mean = (k) => (low[k] + high[k]) / 510;
  return i + 1 < track.n ? mean(i) * (1 - x + i) + mean(i + 1) * (x - i) : mean(i);
}
