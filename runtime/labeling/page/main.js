// The page as a whole: what keys and buttons do.
import { call } from "./api.js";
import { ask, byId, clock, flash, say } from "./dom.js";
import { follow, load } from "./connection.js";
import { listenKeys } from "./keys.js";
import * as model from "./model.js";
import { clicksOf, current, hueOf, notify, state } from "./model.js";
import * as guide from "./guide.js";
import * as outcome from "./outcome.js";
import { choose, wire } from "./panels.js";
import * as player from "./player.js";
import * as reaction from "./reaction.js";
import { reveal, zoom } from "./timeline.js";

/** A click of a class, at the frame that was on screen at a moment. */
function click(label, moment) {
  const entry = current();
  if (!entry || !player.isLoaded()) return say("The video is not ready yet");
  const clicked = player.timeAt(moment), speed = player.playing() ? player.rate() : 0;
  const time = Math.max(clicked - reaction.reactionOf() * speed, 0);
  const round = (x) => Math.round(x * 1000) / 1000;
  const id = model.addClick({ label, video: entry.name, time_s: round(time), clicked_s: round(clicked), speed });
  if (!speed) { state.selected = id; notify("selection"); }
  flash(label, hueOf(label));
  say(`${label} at ${clock(time)}`);
}
function onClass(label, event) {
  const chosen = state.clicks.get(state.selected);
  if (event.shiftKey && chosen) {
    model.editClick(chosen.id, { label });
    say(`${clock(chosen.time_s)} is ${label} now`);
  } else click(label, event.timeStamp);
}

function walk(by) {
  const all = current() ? clicksOf(current().name) : [];
  if (!all.length) return say("No click in this video");
  const place = all.findIndex((c) => c.id === state.selected), t = player.now();
  let next;
  if (place >= 0) next = all[place + by];
  else next = by > 0 ? all.find((c) => c.time_s > t + 1e-3) : all.findLast((c) => c.time_s < t - 1e-3);
  if (!next) return say(by > 0 ? "That was the last click" : "That was the first click");
  choose(next.id);
  reveal(next.time_s);
}

async function show(entry) {
  if (!entry) return;
  await player.show(entry);
  await overview(entry.id);
}
function next(by) {
  const entry = current();
  if (!entry) return;
  if (by > 0) {
    const empty = !state.nothing[entry.name] && !model.countOf(entry.name);
    if (empty) say(`${entry.name} has no click: press N there if nothing happens in it`);
    else if (!state.finished[entry.name]?.[state.annotator]) model.mark("finished", entry.name, true);
  }
  const place = state.videos.indexOf(entry) + by;
  if (!state.videos[place]) return say(by > 0 ? "That was the last video" : "That was the first video");
  const going = player.playing() || by > 0;
  show(state.videos[place]).then(() => { autoplay = going; start(); });
}
let autoplay = false;
/** After "next", the video plays at once. */
function start() { if (autoplay && player.isLoaded()) { autoplay = false; player.play(); } }
byId("video").addEventListener("canplay", start);

async function overview(ident) {
  if (ident !== state.current) return;
  const answer = await call(`api/videos/${ident}/overview`).then((a) => (a.ok ? a.json() : null)).catch(() => null);
  if (!answer || ident !== state.current) return;
  const old = state.overview; // answers can overtake each other
  if (old && (old.done || old.motion.length > answer.motion.length)) return;
  state.overview = answer;
  notify("overview");
}

function nothing() {
  const entry = current();
  if (!entry) return;
  const marked = Boolean(state.nothing[entry.name]?.[state.annotator]);
  if (!marked && model.countOf(entry.name)) return say("This video has clicks");
  model.mark("nothing", entry.name, !marked);
  say(marked ? `${entry.name}: not marked any more` : `${entry.name}: nothing happens in it`);
}
async function note() {
  const chosen = state.clicks.get(state.selected);
  if (!chosen) return say("Select a click first: ↑ ↓");
  const text = await ask(`Note at ${chosen.label}, ${clock(chosen.time_s)}`, chosen.note, "Save");
  if (text !== null) model.editClick(chosen.id, { note: text });
}
function back(which) {
  const entry = model[which]();
  if (!entry) return;
  guide.follow(entry, which === "undo");
  const changes = entry[which === "undo" ? "inverse" : "change"], change = Array.isArray(changes) ? changes[0] : changes;
  const done = {
    add: "click added", delete: "click deleted", edit: "click changed", nothing: "mark changed", finished: "mark changed",
    background: "answer", unbackground: "answer", confirm: "answer",
  };
  say(`${which === "undo" ? "Undone" : "Redone"}: ${done[change.op]}`);
  const c = state.clicks.get(change.id);
  if (c && c.video === current()?.name) reveal(c.time_s);
}
function remove() {
  const chosen = state.clicks.get(state.selected);
  if (!chosen) return say("Select a click first: ↑ ↓");
  if (!model.isOwn(chosen)) return say(`This click is ${chosen.annotator}'s`);
  model.deleteClick(chosen.id);
  say(`Deleted: ${chosen.label} at ${clock(chosen.time_s)}. Z brings it back`);
}
function unselect() { if (state.selected) { state.selected = null; notify("selection"); } }
const play = () => { unselect(); player.toggle(); };
guide.wire(show);

const acts = {
  " ": play,
  k: () => { player.pause(); player.loop(null); },
  F2: () => guide.toggle(),
  before: guide.onKey,
  j: (e) => player.seek(player.now() - (e?.shiftKey ? 10 : 2)),
  l: (e) => { if (e?.shiftKey) player.faster(-1); else if (player.playing()) player.faster(1); else { unselect(); player.play(); } },
  ",": () => player.stepFrame(-1), ".": () => player.stepFrame(1),
  ArrowLeft: (e) => (e.shiftKey ? player.seek(player.now() - 1) : player.stepFrame(-1)),
  ArrowRight: (e) => (e.shiftKey ? player.seek(player.now() + 1) : player.stepFrame(1)),
  ArrowUp: () => walk(-1), ArrowDown: () => walk(1),
  Home: () => player.seek(0), End: () => player.seek(player.length()),
  s: () => say(player.toggleSkip() ? "Still parts are skipped" : "Still parts are played"),
  z: (e) => back(e?.shiftKey ? "redo" : "undo"), y: () => back("redo"),
  n: nothing, m: note, Delete: remove, Backspace: remove, Escape: unselect,
  Enter: (e) => next(e.shiftKey ? -1 : 1),
  "+": () => zoom(1.6), "=": () => zoom(1.6), "-": () => zoom(1 / 1.6),
  "?": () => byId("b-help").click(),
};
listenKeys(acts, onClass);
wire(click, (v) => { autoplay = false; return show(v); });
const buttons = {
  "b-play": play, "b-back": () => acts.j(), "b-frame-back": acts[","], "b-frame": acts["."], "b-slower": () => player.faster(-1),
  "b-faster": () => player.faster(1), "b-still": acts.s, "b-undo": () => back("undo"), "b-redo": () => back("redo"),
  "b-nothing": nothing, "b-next": () => next(1), "b-reaction": reaction.open,
};
for (const [id, act] of Object.entries(buttons)) byId(id).onclick = () => act();

model.listen((topics) => { if (topics.has("playable") || topics.has("progress")) player.load(); });

async function begin() {
  try {
    const record = await load();
    state.annotator = record.annotator;
    try { state.annotator = sessionStorage.getItem("punctum-annotator") || record.annotator; } catch { /* private mode */ }
    document.title = `${record.title} – punctum label`;
    byId("title").textContent = record.title;
  } catch (error) {
    byId("saved").textContent = `The page cannot be loaded: ${String(error.message || error).slice(0, 200)}`;
    return;
  }
  follow(overview);
  outcome.begin();
  notify("classes", "clicks", "videos", "person");
  const open = state.videos.find((v) => v.id === location.hash.slice(1))
    || state.videos.find((v) => !state.finished[v.name] && !state.nothing[v.name]) || state.videos[0];
  await show(open);
  if (!state.classes.length) byId("new-class").focus();
}
begin();
