// The page as a whole: what keys and buttons do.
import { call } from "./api.js";
import { ask, byId, clock, counted, flash, say } from "./dom.js";
import { follow, load } from "./connection.js";
import { listenKeys } from "./keys.js";
import * as model from "./model.js";
import { clicksOf, current, hueOf, isOwn, notify, state } from "./model.js";
import { describe } from "./history.js";
import * as guide from "./guide.js";
import * as outcome from "./outcome.js";
import * as dialogs from "./dialogs.js";
import { choose, wire } from "./panels.js";
import * as player from "./player.js";
import * as reaction from "./reaction.js";
import * as unlabeled from "./unlabeled.js";
import { reveal, zoom } from "./timeline.js";
import "./legend.js";
import "./training.js";
import "./export.js";

/** A click of a class, at the frame that was on screen at a moment. */
function click(label, moment) {
  const entry = current();
  if (!entry || !player.isLoaded()) return say("The video is not ready yet");
  const clicked = player.timeAt(moment), speed = player.playing() ? player.rate() : 0;
  const time = Math.max(clicked - reaction.reactionOf() * speed, 0);
  const round = (x) => Math.round(x * 1000) / 1000;
  const twin = clicksOf(entry.name).find((c) => c.annotator === state.annotator && c.label === label && Math.abs(c.time_s - time) < 1e-3);
  if (twin) {
    state.selected = twin.id;
    notify("selection");
    return say(`There is a click of ${label} at this frame already. Go to another frame for another action`);
  }
  const id = model.addClick({ label, video: entry.name, time_s: round(time), clicked_s: round(clicked), speed });
  if (!speed) { state.selected = id; notify("selection"); }
  flash(label, hueOf(label));
  say(`${label} at ${clock(time)}${model.alsoUnmarked(model.history.done.at(-1))}`);
}
/** The selected click; without one, that at the frame on screen of a paused video. Only own clicks can be changed. */
function chosen() {
  const own = (c) => isOwn(c) || void say(`This click is ${c.annotator}'s`), picked = state.clicks.get(state.selected);
  if (picked) return own(picked) ? picked : null;
  const entry = current(), here = !entry || player.playing() ? [] : clicksOf(entry.name).filter((c) => isOwn(c) && player.isHere(c.time_s));
  if (here.length === 1) return here[0];
  say(here.length ? "Several clicks at this frame: select one, ↑ ↓" : "Select a click first: ↑ ↓");
  return null;
}
function onClass(label, event) {
  if (!event.shiftKey) return click(label, event.timeStamp);
  const c = chosen();
  if (!c) return;
  model.editClick(c.id, { label });
  say(`${clock(c.time_s)} is ${label} now`);
}

function walk(by) {
  const all = current() ? clicksOf(current().name) : [];
  if (!all.length) return say("No click in this video");
  const place = all.findIndex((c) => c.id === state.selected), t = player.now();
  let next;
  if (place >= 0) next = all[place + by];
  else if (all.some((c) => player.isHere(c.time_s))) next = all.find((c) => player.isHere(c.time_s));
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
  say("");
  if (by > 0) {
    const empty = !model.saidNothing(entry.name) && !model.ownCountOf(entry.name);
    if (empty) say(`${entry.name} has no click${model.hasOthers() ? " of yours" : ""}: press N there if nothing happens in it`);
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
  const own = model.ownCountOf(entry.name);
  if (!marked && own) return say(`This video has ${counted(own, "click")} of yours. Delete ${own === 1 ? "it" : "them"} first, or press Enter to finish the video as it is`);
  model.mark("nothing", entry.name, !marked);
  say(marked ? `${entry.name}: not marked any more` : `${entry.name}: nothing happens in it`);
}
async function note() {
  const c = chosen();
  if (!c) return;
  const text = await ask(`Note at ${c.label}, ${clock(c.time_s)}`, c.note, "Save");
  if (text !== null) model.editClick(c.id, { note: text });
}
/** Undo or redo, and show where: the video is opened if it is another one. */
async function back(which) {
  const entry = model[which]();
  if (!entry) return;
  guide.follow(entry, which === "undo");
  const { text, video, time_s } = describe(entry, which === "undo"), there = model.videoOf(video);
  say(text);
  if (!there || there.id === state.current) return void (time_s !== undefined && reveal(time_s));
  autoplay = false;
  await show(there);
  if (time_s !== undefined) player.whenLoaded(there, () => player.seek(time_s));
}
function remove() {
  const c = chosen();
  if (!c) return;
  model.deleteClick(c.id);
  say(`Deleted: ${c.label} at ${clock(c.time_s)}. Z brings it back`);
}
function unselect() { if (state.selected) { state.selected = null; notify("selection"); } }
const play = () => { unselect(); player.toggle(); };
guide.wire(show);
unlabeled.wire(show);

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
  n: nothing, m: note, Delete: remove, Backspace: remove, Escape: () => { document.activeElement?.blur(); unselect(); },
  Enter: (e) => next(e.shiftKey ? -1 : 1),
  "+": () => zoom(1.6), "=": () => zoom(1.6), "-": () => zoom(1 / 1.6),
  "?": () => byId("b-help").click(),
};
listenKeys(acts, onClass);
const openVideo = (v) => { autoplay = false; say(""); return show(v); };
wire((label, moment) => guide.onClass(label) || click(label, moment), openVideo);
dialogs.wire(openVideo);
const buttons = {
  "b-play": play, "b-back": () => acts.j(), "b-frame-back": acts[","], "b-frame": acts["."], "b-slower": () => player.faster(-1),
  "b-faster": () => player.faster(1), "b-still": acts.s, "b-undo": () => back("undo"), "b-redo": () => back("redo"),
  "b-nothing": nothing, "b-next": () => next(1), "b-reaction": reaction.open,
};
for (const [id, act] of Object.entries(buttons)) byId(id).onclick = () => act();

model.listen((topics) => { if (topics.has("playable") || topics.has("progress")) player.load(); });

/** The header stays in view, except for its second row in a narrow window. Scroll targets stop below it. */
new ResizeObserver(() => {
  const tools = document.querySelector(".top .tools"), below = tools.offsetWidth > 0.8 * innerWidth ? tools.offsetHeight + 8 : 0;
  document.documentElement.style.setProperty("--tools", String(below));
  document.documentElement.style.setProperty("--head", `${document.querySelector(".top").offsetHeight - below}px`);
}).observe(document.querySelector(".top"));

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
    || state.videos.find((v) => !state.finished[v.name]?.[state.annotator] && !model.saidNothing(v.name)) || state.videos[0];
  await show(open);
  if (!state.classes.length) byId("new-class").focus();
}
begin();
