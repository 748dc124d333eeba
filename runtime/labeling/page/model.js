// What the page knows, the changes it asks for, and undo. Changes show at once; the server confirms or refuses them.
import { say } from "./dom.js";

export const KEYS = "1234567890qwertuiopadfghxcvb";
export const ENOUGH = 20, ENOUGH_VIDEOS = 3, MANY = 200;

const bare = () => Object.create(null); // names of people, videos and classes are its keys
export const state = {
  boot: "", annotator: "", classes: [], fixed: false, videos: [], clicks: new Map(), nothing: bare(), finished: bare(),
  reaction: bare(), counts: bare(), current: null, selected: null, others: false, overview: null,
  background: new Map(), confirmed: bare(), learning: null, found: null, least: null, refused: null,
};
const listeners = [];
export const listen = (f) => listeners.push(f);
/** topic: clicks, classes, videos, video (another one is shown), selection, overview, person, background, learning (how
 * training stands), round (there is a new result), found (its events have been loaded) or refused (the server has refused
 * state.refused). */
export const notify = (...topics) => listeners.forEach((f) => f(new Set(topics)));

let transmit = () => {};
export const connect = (f) => { transmit = f; };

const byName = new Map();
export const videoOf = (name) => byName.get(name);
export const current = () => state.videos.find((v) => v.id === state.current) || null;
export const hueOf = (label) => "k" + (Math.max(state.classes.indexOf(label), 0) % 12);
/** From the 13th class on, colors repeat, with another form. */
export const isRepeated = (label) => state.classes.indexOf(label) >= 12;
/** Color and form of a class, as classes of an element. */
export const lookOf = (label) => hueOf(label) + (isRepeated(label) ? " again" : "");
export const keyOf = (label) => KEYS[state.classes.indexOf(label)] || "";

/** Take over the whole state of the server. */
export function replace(record) {
  Object.assign(state, {
    boot: record.boot, classes: record.classes, fixed: record.fixed, nothing: record.nothing, finished: record.finished,
    reaction: record.reaction_s, counts: record.counts, videos: record.videos, confirmed: record.confirmed,
    learning: record.learning,
  });
  state.background = new Map(record.background.map((b) => [b.id, b]));
  state.clicks = new Map(record.clicks.map((c) => [c.id, c]));
  byName.clear();
  for (const v of state.videos) byName.set(v.name, v);
  if (state.selected && !state.clicks.has(state.selected)) state.selected = null;
  group();
  notify("clicks", "classes", "videos", "person", "progress", "background", "learning", "round");
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
/** Number of clicks in a video: as `clicksOf`, own ones only, or those of everybody. */
export const countOf = (name) => clicksOf(name).length;
export const ownCountOf = (name) => clicksOf(name).filter(isOwn).length;
export const anyCountOf = (name) => { clicksOf(name); return sorted.get(name).length; };
/** Whether a video is marked with "Nothing happens". Marks of other annotators count only while they are shown. */
export const saidNothing = (name) => Boolean(state.others ? state.nothing[name] : state.nothing[name]?.[state.annotator]);
export const hasOthers = () => { for (const c of state.clicks.values()) if (!isOwn(c)) return true; return false; };
/** Number of actions and of videos with actions of each class; while others are hidden, by own clicks. */
export function countsByClass() {
  if (state.others || !hasOthers()) return state.counts;
  const counts = {}, seen = new Set();
  for (const c of state.clicks.values()) {
    if (!isOwn(c)) continue;
    const pair = counts[c.label] ||= [0, 0], place = `${c.label}\n${c.video}`;
    pair[0] += 1;
    if (!seen.has(place)) pair[1] += 1;
    seen.add(place);
  }
  return counts;
}
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
  if (event.renamed) {
    renameLocally(...event.renamed);
    topics.push("round"); // what was found has the new name, too
  }
  if (event.classes) { state.classes = event.classes; topics.push("classes"); }
  if (event.counts) { state.counts = event.counts; topics.push("classes"); }
  if (event.nothing) { state.nothing = event.nothing; topics.push("videos"); }
  if (event.finished) { state.finished = event.finished; topics.push("videos"); }
  if (event.background) { state.background.set(event.background.id, event.background); topics.push("background"); }
  if (event.unbackground) { state.background.delete(event.unbackground); topics.push("background"); }
  if (event.confirmed) { state.confirmed = event.confirmed; topics.push("clicks"); }
  if (event.learning) { state.learning = event.learning; topics.push("learning"); }
  if (event.round) topics.push("round");
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

let renamed = () => {};
/** f: called with the old and the new name of a class. */
export const onRename = (f) => { renamed = f; };
function renameLocally(old, name) {
  renamed(old, name);
  for (const c of state.clicks.values()) if (c.label === old) { c.label = name; c.rev += 1; }
}

// Each change and its inverse, or lists of them. `apply` shows it here; the same record goes to the server.
const undone = [], done = [];
export const history = { done, undone };
const list = (x) => (Array.isArray(x) ? x : [x]);

function unmark(marks, key, who) {
  if (!marks[key]) return;
  delete marks[key][who];
  if (!Object.keys(marks[key]).length) delete marks[key];
}
/** What this page knows of a click that it changes: the server refuses the change if that is not so any more. */
const known = (c) => ({ label: c.label, time_s: c.time_s, note: c.note });

/** Show a change here. Returns it as it is sent; null if its click is gone. */
export function display(change, who) {
  const own = { ...change, annotator: who };
  if (change.op === "add") {
    const { op, by, asked, key, folder, origin, place, made, ...fields } = change;
    const click = { note: "", created: "", clicked_s: null, speed: null, ...fields, annotator: by || who, rev: 1 };
    state.clicks.set(click.id, click);
    touched(click.video);
    unmark(state.nothing, click.video, click.annotator);
  } else if (change.op === "edit") {
    const old = state.clicks.get(change.id);
    if (!old) return null;
    own.was = known(old);
    const click = { ...old, rev: old.rev + 1 };
    for (const name of ["label", "time_s", "note"]) if (name in change) click[name] = change[name];
    state.clicks.set(click.id, click);
    touched(click.video);
  } else if (change.op === "delete") {
    const old = state.clicks.get(change.id);
    if (!old) return null;
    own.was = known(old);
    state.clicks.delete(old.id);
    touched(old.video);
    if (state.selected === old.id) state.selected = null;
  } else if (change.op === "nothing" || change.op === "finished") {
    const marks = state[change.op];
    if (change.value) (marks[change.video] ||= bare())[who] = "now";
    else unmark(marks, change.video, who);
  } else if (change.op === "background") {
    const { op, by, asked, key, folder, origin, place, made, ...fields } = change;
    state.background.set(change.id, { label: null, created: "", ...fields, annotator: by || who });
  } else if (change.op === "unbackground") state.background.delete(change.id);
  else if (change.op === "confirm") {
    if (change.value && !state.clicks.has(change.id)) return null;
    if (change.value) (state.confirmed[change.id] ||= bare())[who] = "now";
    else unmark(state.confirmed, change.id, who);
  }
  return own;
}

/** Show changes and send them. of: keys of the changes that they undo; what was not made is not undone. The server puts
 * back exactly what was there, which this page need not know. Returns the keys, null for each click that is gone. */
function apply(changes, of = null) {
  const keys = changes.map((change, place) => {
    const own = of && !of[place] ? null : display(change, state.annotator);
    if (!own) return null;
    own.key = nextId();
    transmit(of ? { op: "undo", annotator: own.annotator, key: own.key, of: of[place], plain: own } : own);
    return own.key;
  });
  notify("clicks", "videos", "selection", "background");
  return keys.some(Boolean) ? keys : null;
}

/** Make a change that can be undone. Returns its entry in the history; null if its click is gone. */
export function act(change, inverse) {
  const entry = { change: list(change), inverse: list(inverse), gone: false };
  entry.keys = apply(entry.change);
  if (!entry.keys) return null;
  done.push(entry);
  if (done.length > 1000) done.shift();
  undone.length = 0;
  return entry;
}
/** Forget a change that the server has refused. */
export function drop(key) {
  for (const entries of [done, undone]) {
    for (const entry of entries.filter((e) => e.keys.includes(key))) {
      entry.keys = entry.keys.map((k) => (k === key ? null : k));
      if (entry.keys.some(Boolean)) continue;
      entry.gone = true;
      entries.splice(entries.indexOf(entry), 1);
    }
  }
}

function step(from, to, which, word) {
  const entry = from.pop();
  if (!entry) { say(`Nothing to ${word}`); return null; }
  const look = (change) => state.clicks.get(change.id) || state.background.get(change.id), before = entry[which].map(look);
  const keys = apply(entry[which], [...entry.keys].reverse());
  if (!keys) { say("That click is gone: it was deleted in another page"); return null; }
  entry.keys = keys;
  entry.effects = entry[which].map((change, place) => ({ change, before: before[place], after: look(change) }));
  to.push(entry);
  return entry;
}
/** Undo the last change. Returns its entry, with the effects: change, and the click or span before and after. */
export const undo = () => step(done, undone, "inverse", "undo");
export const redo = () => step(undone, done, "change", "redo");

export const fieldsOf = (c) => ({
  id: c.id, label: c.label, video: c.video, time_s: c.time_s, note: c.note,
  ...(c.clicked_s === null ? {} : { clicked_s: c.clicked_s }), ...(c.speed === null ? {} : { speed: c.speed }),
  ...(c.created ? { created: c.created } : {}), ...(c.annotator ? { by: c.annotator } : {}),
});
/** Add a click. It removes the mark "Nothing happens" from the video; undoing the click restores the mark. */
export function addClick(fields) {
  const id = nextId(), { video } = fields, add = [{ op: "add", id, ...fields }, { op: "delete", id }];
  const marked = state.nothing[video]?.[state.annotator];
  actAll(marked ? [[{ op: "nothing", video, value: false }, { op: "nothing", video, value: true }], add] : [add]);
  return id;
}
/** What a message adds about a change that ended the mark of its video. */
export const alsoUnmarked = (entry) => (entry?.change.length > 1 && entry.change[0].op === "nothing" ? '. "Nothing happens" is not marked any more: Z restores it' : "");
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
/** The change that says that no action, or none of a class, takes place in a span, and its inverse. */
export function excluded(video, start_s, end_s, label) {
  const id = nextId(), round = (x) => Math.round(Math.max(x, 0) * 1000) / 1000;
  const span = { op: "background", id, video, start_s: round(start_s), end_s: round(end_s), asked: true };
  return [label ? { ...span, label } : span, { op: "unbackground", id }];
}
/** Make several changes that are undone together. pairs: [change, inverse]. */
export const actAll = (pairs) => act(pairs.map(([change]) => change), pairs.map(([, inverse]) => inverse).reverse());
export function mark(op, video, value) {
  return act({ op, video, value }, { op, video, value: !value });
}
/** A change without undo: classes, reaction time. */
export const request = (change) => transmit({ ...change, annotator: state.annotator, key: nextId() });
