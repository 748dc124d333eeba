// What the page knows, the changes it asks for, and undo. Changes show at once; the server confirms or refuses them.
import { say } from "./dom.js";

export const KEYS = "1234567890qwertuiopadfghxcvb";
export const ENOUGH = 20, ENOUGH_VIDEOS = 3, MANY = 200;

export const state = {
  boot: "", annotator: "", classes: [], fixed: false, videos: [], clicks: new Map(), nothing: {}, finished: {},
  reaction: {}, counts: {}, current: null, selected: null, others: false, overview: null,
};
const listeners = [];
export const listen = (f) => listeners.push(f);
/** topic: clicks, classes, videos, video (another one is shown), selection, overview, or person. */
export const notify = (...topics) => listeners.forEach((f) => f(new Set(topics)));

let transmit = () => {};
export const connect = (f) => { transmit = f; };

const byName = new Map();
export const videoOf = (name) => byName.get(name);
export const current = () => state.videos.find((v) => v.id === state.current) || null;
export const hueOf = (label) => "k" + (Math.max(state.classes.indexOf(label), 0) % 8);
export const keyOf = (label) => KEYS[state.classes.indexOf(label)] || "";

/** Take over the whole state of the server. */
export function replace(record) {
  Object.assign(state, {
    boot: record.boot, classes: record.classes, fixed: record.fixed, nothing: record.nothing, finished: record.finished,
    reaction: record.reaction_s, counts: record.counts, videos: record.videos,
  });
  state.clicks = new Map(record.clicks.map((c) => [c.id, c]));
  byName.clear();
  for (const v of state.videos) byName.set(v.name, v);
  if (state.selected && !state.clicks.has(state.selected)) state.selected = null;
  group();
  notify("clicks", "classes", "videos", "person", "progress");
}

const sorted = new Map();
const inOrder = (a, b) => a.time_s - b.time_s || (a.id < b.id ? -1 : 1);
function group() {
  sorted.clear();
  for (const v of state.videos) sorted.set(v.name, []);
  for (const c of state.clicks.values()) sorted.get(c.video)?.push(c);
  for (const clicks of sorted.values()) clicks.sort(inOrder);
}
/** Clicks of a video in time order; those of other annotators only if they are shown. */
export function clicksOf(name) {
  if (!sorted.has(name)) {
    const found = [];
    for (const c of state.clicks.values()) if (c.video === name) found.push(c);
    sorted.set(name, found.sort(inOrder));
  }
  const all = sorted.get(name);
  return state.others ? all : all.filter(isOwn);
}
/** Clicks without an annotator are of before: everybody sees and changes them. */
export const isOwn = (c) => !c.annotator || c.annotator === state.annotator;
export const countOf = (name) => { clicksOf(name); return sorted.get(name).length; };
const touched = (name) => sorted.delete(name);

export function nextId() {
  return Date.now().toString(36) + "-" + [...crypto.getRandomValues(new Uint8Array(6))].map((b) => b.toString(16).padStart(2, "0")).join("");
}

/** Apply an event or an answer of the server. */
export function receive(event) {
  const topics = [];
  if (event.click) {
    const old = state.clicks.get(event.click.id);
    if (!old || event.click.rev >= old.rev || event.force) {
      state.clicks.set(event.click.id, event.click);
      touched(event.click.video);
      topics.push("clicks");
    }
  }
  if (event.deleted) {
    const old = state.clicks.get(event.deleted);
    if (old) { state.clicks.delete(event.deleted); touched(old.video); }
    if (state.selected === event.deleted) { state.selected = null; topics.push("selection"); }
    topics.push("clicks");
  }
  if (event.renamed) renameLocally(...event.renamed);
  if (event.classes) { state.classes = event.classes; topics.push("classes"); }
  if (event.counts) { state.counts = event.counts; topics.push("classes"); }
  if (event.nothing) { state.nothing = event.nothing; topics.push("videos"); }
  if (event.finished) { state.finished = event.finished; topics.push("videos"); }
  if (event.reaction_s) { state.reaction = event.reaction_s; topics.push("person"); }
  if (event.video && typeof event.video === "object") {
    const video = state.videos.find((v) => v.id === event.video.id);
    if (video) {
      const before = video.state;
      Object.assign(video, event.video);
      topics.push("videos");
      if (video.id === state.current) topics.push(before === video.state ? "progress" : "playable");
    }
  }
  if (topics.length) notify(...topics);
}

function renameLocally(old, name) {
  for (const c of state.clicks.values()) if (c.label === old) { c.label = name; c.rev += 1; }
}

// Each change and its inverse. `apply` shows it here; the same record goes to the server.
const undone = [], done = [];
export const history = { done, undone };

function apply(change) {
  const own = { ...change, annotator: state.annotator };
  if (change.op === "add") {
    const { op, by, ...fields } = change;
    const click = { note: "", created: "", clicked_s: null, speed: null, ...fields, annotator: by || state.annotator, rev: 1 };
    state.clicks.set(click.id, click);
    touched(click.video);
    delete state.nothing[click.video];
  } else if (change.op === "edit") {
    const old = state.clicks.get(change.id);
    if (!old) return false;
    own.rev = old.rev;
    const click = { ...old, rev: old.rev + 1 };
    for (const name of ["label", "time_s", "note"]) if (name in change) click[name] = change[name];
    state.clicks.set(click.id, click);
    touched(click.video);
  } else if (change.op === "delete") {
    const old = state.clicks.get(change.id);
    if (!old) return false;
    own.rev = old.rev;
    state.clicks.delete(old.id);
    touched(old.video);
    if (state.selected === old.id) state.selected = null;
  } else if (change.op === "nothing" || change.op === "finished") {
    const marks = state[change.op];
    if (change.value) (marks[change.video] ||= {})[state.annotator] = "now";
    else if (marks[change.video]) {
      delete marks[change.video][state.annotator];
      if (!Object.keys(marks[change.video]).length) delete marks[change.video];
    }
  }
  transmit(own);
  notify("clicks", "videos", "selection");
  return true;
}

/** Make a change that can be undone. */
export function act(change, inverse) {
  if (!apply(change)) return false;
  done.push({ change, inverse });
  if (done.length > 1000) done.shift();
  undone.length = 0;
  return true;
}

function step(from, to, which, word) {
  const entry = from.pop();
  if (!entry) { say(`Nothing to ${word}`); return null; }
  if (!apply(entry[which])) { say("That click is gone: it was deleted in another page"); return null; }
  to.push(entry);
  return entry;
}
export const undo = () => step(done, undone, "inverse", "undo");
export const redo = () => step(undone, done, "change", "redo");

export const fieldsOf = (c) => ({
  id: c.id, label: c.label, video: c.video, time_s: c.time_s, note: c.note,
  ...(c.clicked_s === null ? {} : { clicked_s: c.clicked_s }), ...(c.speed === null ? {} : { speed: c.speed }),
  ...(c.created ? { created: c.created } : {}), ...(c.annotator ? { by: c.annotator } : {}),
});
export function addClick(fields) {
  const id = nextId();
  act({ op: "add", id, ...fields }, { op: "delete", id });
  return id;
}
export function editClick(id, values) {
  const c = state.clicks.get(id), before = {};
  if (!c) return false;
  for (const name of Object.keys(values)) before[name] = c[name];
  if (Object.keys(values).every((name) => values[name] === c[name])) return false;
  return act({ op: "edit", id, ...values }, { op: "edit", id, ...before });
}
export function deleteClick(id) {
  const c = state.clicks.get(id);
  return c ? act({ op: "delete", id }, { op: "add", ...fieldsOf(c) }) : false;
}
export function mark(op, video, value) {
  return act({ op, video, value }, { op, video, value: !value });
}
/** A change without undo: classes, reaction time. */
export const request = (change) => transmit({ ...change, annotator: state.annotator });
