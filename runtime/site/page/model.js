// What the page knows: the site, its cameras, and the events of one day.
import { get } from "./api.js";
import { midnight } from "./dom.js";

const COLORS = 12;
export const state = {
  role: null, site: null, cameras: [], bundles: [], sinks: [], labels: [],
  day: null, // { start, end }, Unix seconds
  events: new Map(), gaps: [], loading: false, more: false, failed: "",
  filter: { camera: "", label: "", minScore: 0, todo: false, weak: false },
  selected: "", link: "connecting",
};
const listeners = [];
let topics = new Set();
export const listen = (call) => listeners.push(call);
/** Call the listeners once for all topics of this frame. */
export function notify(...names) {
  if (!topics.size) queueMicrotask(() => { const all = topics; topics = new Set(); for (const call of listeners) call(all); });
  for (const name of names) topics.add(name);
}

export const idOf = (e) => `${e.camera}/${e.key}`;
/** The address of an event on this page. */
export const placeOf = (e) => `events/${encodeURIComponent(e.camera)}/${encodeURIComponent(e.key)}`;
export const at = (e) => e.start_unix ?? e.first_unix;
export const until = (e) => e.end_unix ?? at(e) + Math.max(e.end - e.start, 0);
/** The color of a class: by its place among those of the bundles, as in reports. Classes of no bundle get those that are left. */
export const hueOf = (label) => {
  const place = state.labels.indexOf(label);
  return "k" + (place < 0 ? strange(label) : place) % COLORS;
};
const others = new Map(); // class of no bundle -> place of its color
function strange(label) {
  const free = Array.from({ length: Math.max(COLORS - state.labels.length, 0) }, (_, k) => state.labels.length + k);
  if (!free.length) free.push(...Array(COLORS).keys());
  if (!free.includes(others.get(label))) {
    const first = [...label].reduce((sum, c) => sum + c.codePointAt(0), 0) % free.length, used = new Set(others.values());
    const unused = [...free.slice(first), ...free.slice(0, first)].find((k) => !used.has(k));
    others.set(label, unused ?? free[first]);
  }
  return others.get(label);
}
/** The least score of the final events of a class: what the camera sets, else what the bundle prefers. */
function leastOf(e) {
  const of = (score) => (score !== null && typeof score === "object" ? score[e.label] : score) ?? undefined;
  return of(state.cameras.find((c) => c.name === e.camera)?.config.min_score) ?? of(state.bundles.find((b) => b.name === e.bundle)?.min_score) ?? 0;
}
/** Whether an event is provisional and its score still below the minimum: it becomes an event, or is retracted. */
export const isWeak = (e) => e.phase !== "final" && e.phase !== "retracted" && e.score < leastOf(e);
export const mayOperate = () => state.role === "operate";

const fresh = new Set(); // reviewed on this page: they stay in the list of events to review
let sorted = null;
/** Events that the filters let through, newest first. Retracted ones are left out. */
export function shown() {
  const f = state.filter;
  sorted = sorted || [...state.events.values()].sort((a, b) => at(b) - at(a) || (idOf(a) < idOf(b) ? 1 : -1));
  return sorted.filter((e) => e.phase !== "retracted" && (!f.camera || e.camera === f.camera) && (!f.label || e.label === f.label)
    && (f.weak || !isWeak(e) || idOf(e) === state.selected) && e.score >= f.minScore && (!f.todo || !e.review || fresh.has(idOf(e))));
}
/** How many events of the day are left out because they are provisional and below the minimum score. */
export const weak = () => [...state.events.values()].reduce((n, e) => n + (isWeak(e) ? 1 : 0), 0);
export const selected = () => state.events.get(state.selected) || null;
export function select(id) {
  if (state.selected === id) return;
  state.selected = id;
  notify("selection");
}
export function refilter(changes) {
  fresh.clear();
  Object.assign(state.filter, changes);
  notify("events");
}
/** Take an event as the API describes it. */
export function take(e, reviewed = false) {
  const id = idOf(e);
  if (reviewed) fresh.add(id);
  state.events.set(id, e);
  sorted = null;
  notify("events", ...(id === state.selected ? ["selected"] : []));
}

const latest = new Map(); // camera -> [time, label]
export const lastOf = (camera) => latest.get(camera) || null;
function seen(camera, when, label) {
  const old = latest.get(camera);
  if (!old || old[0] <= when) latest.set(camera, [when, label]);
}

/** A report of the stream: a new event, or a later revision of one that is known. */
export function report(r) {
  const e = r.event, start = r.start_unix ?? r.received_unix;
  if (e.phase !== "retracted") seen(r.camera, start, e.label);
  notify("latest");
  if (!state.day || start >= state.day.end || (r.end_unix ?? start) < state.day.start) return;
  const id = `${r.camera}/${r.key}`, old = state.events.get(id);
  if (old && old.revision > e.revision) return;
  take({
    camera: r.camera, id: e.event, key: r.key, bundle: r.bundle, bundle_id: e.bundle, label: e.label, score: e.score, raw_score: e.raw_score,
    phase: e.phase, revision: e.revision, ended: e.ended, start: e.start, end: e.end, delay_s: e.delay_s,
    start_unix: r.start_unix, end_unix: r.end_unix, first_unix: old?.first_unix ?? r.received_unix, updated_unix: r.received_unix,
    dropped: e.dropped, interrupted: e.interrupted, degraded: e.degraded,
    clip: old?.clip ?? null, picture: old?.picture ?? null, review: old?.review ?? null,
  });
}

let loads = 0;
/** Load the events and gaps of a day. Reports that come meanwhile are kept. */
export async function loadDay(start) {
  const mine = ++loads, day = { start, end: midnight(start, 1) }, other = state.day?.start !== start;
  state.day = day;
  state.loading = true;
  state.failed = "";
  if (other) { state.events = new Map(); state.gaps = []; sorted = null; }
  notify("day", "events");
  const range = `start=${day.start}&end=${day.end}`;
  try {
    const before = new Map(state.events);
    let cursor = "";
    do {
      const page = await get(`events?${range}&limit=1000${cursor ? "&cursor=" + encodeURIComponent(cursor) : ""}`);
      if (mine !== loads) return;
      for (const e of page.events) {
        const now = state.events.get(idOf(e));
        before.delete(idOf(e));
        if (e.phase !== "retracted") seen(e.camera, at(e), e.label);
        if (!now || now.revision <= e.revision) state.events.set(idOf(e), e);
      }
      sorted = null;
      cursor = page.next;
      notify("events", "latest");
    } while (cursor);
    for (const [id, e] of before) if (state.events.get(id) === e) state.events.delete(id); // no longer in the store
    sorted = null;
    const gaps = [];
    do {
      const page = await get(`gaps?${range}&limit=1000${cursor ? "&cursor=" + encodeURIComponent(cursor) : ""}`);
      if (mine !== loads) return;
      for (const g of page.gaps) gaps.push(g);
      cursor = page.next;
    } while (cursor);
    state.gaps = gaps.reverse();
  } catch (error) {
    if (mine !== loads) return;
    state.failed = String(error.message || error).slice(0, 300);
  }
  state.loading = false;
  notify("events", "selected", "day");
}

export async function loadSite() {
  const site = await get("site");
  state.role = site.role;
  if (JSON.stringify(site.labels) !== JSON.stringify(state.labels)) { state.labels = site.labels; notify("events"); }
  state.site = { ...site, heard: performance.now() };
  notify("site");
}
export async function loadCameras() {
  const minimums = () => JSON.stringify(state.cameras.map((c) => [c.name, c.config.min_score]));
  const before = minimums();
  state.cameras = (await get("cameras")).cameras;
  notify("cameras", ...(minimums() === before ? [] : ["events"]));
}
export async function loadParts() {
  const [bundles, sinks] = await Promise.all([get("bundles"), get("sinks")]);
  state.bundles = bundles.bundles;
  state.sinks = sinks.sinks;
  notify("parts", "events");
}
