// The lists beside the video: classes with their counts, clicks, videos.
import { byId, clock, counted, edit, el, say } from "./dom.js";
import * as model from "./model.js";
import { ENOUGH, ENOUGH_VIDEOS, MANY, clicksOf, countOf, current, isOwn, keyOf, listen, lookOf, notify, request, saidNothing, state } from "./model.js";
import * as player from "./player.js";

const MOST_CLICKS = 200, COMPACT = 7;
let onClass = () => {}, onVideo = () => {};
export const wire = (classes, videos) => { onClass = classes; onVideo = videos; };

function need(count, videos) {
  if (!count) return "no click yet";
  if (count < ENOUGH) return `${ENOUGH - count} more to be enough`;
  if (videos < ENOUGH_VIDEOS) return `enough clicks; needs ${ENOUGH_VIDEOS} videos or more`;
  return "enough to train";
}
function paintClasses() {
  const counts = model.countsByClass(), hidden = counts !== state.counts;
  byId("classes").classList.toggle("compact", state.classes.length >= COMPACT);
  byId("classes").replaceChildren(...state.classes.map((label) => {
    const [count, videos] = counts[label] || [0, 0], key = keyOf(label), enough = count >= ENOUGH && videos >= ENOUGH_VIDEOS;
    const meter = el("meter", { min: 0, max: ENOUGH, value: Math.min(count, ENOUGH), "aria-hidden": "true" });
    const button = el("button", {
      type: "button", class: `class ${lookOf(label)}${enough ? " reached" : ""}`, title: need(count, videos), "aria-label": `Click: ${label}, ${counted(count, "action")}, ${need(count, videos)}`,
      onpointerdown: (e) => { if (e.button === 0) { e.preventDefault(); onClass(label, e.timeStamp); } },
      onclick: (e) => { if (e.detail === 0) onClass(label, e.timeStamp); }, // keyboard and assistive technology
    }, el("kbd", { text: key.toUpperCase() || "–" }), el("span", { class: "label", text: label }), el("b", { text: count }), meter,
    el("small", { text: need(count, videos) }));
    const menu = state.fixed ? null : el("button", {
      type: "button", class: "quiet-button", "aria-label": `Rename or remove ${label}`, text: "…", onclick: () => change(label, count),
    });
    return el("li", {}, button, menu);
  }));
  byId("add").hidden = state.fixed;
  const all = Object.values(counts).reduce((sum, [count]) => sum + count, 0);
  const short = state.classes.filter((label) => (counts[label] || [0])[0] < ENOUGH);
  byId("enough").textContent = !state.classes.length ? "Add the classes of action that you want to find."
    : hidden ? `${counted(all, "action")} of yours. Those of others are hidden and not counted here; training uses them, too.`
    : short.length ? `${counted(all, "action")} in all. ${short.length === 1 ? "One class needs" : `${short.length} classes need`} more clicks.`
      : `${counted(all, "action")} in all: enough to train.${all < MANY ? ` From ${MANY} on, training uses deeper networks.` : ""}`;
}
async function change(label, count) {
  const answer = await edit(`Rename ${label}`, label, count ? "" : "Remove class");
  if (answer === null || answer.text === label && !answer.other) return;
  say("");
  if (answer.other) request({ op: "remove", label });
  else if (answer.text) request({ op: "rename", label, to: answer.text });
}
byId("add").addEventListener("submit", (e) => {
  e.preventDefault();
  const input = byId("new-class");
  say(""); // what was wrong with an earlier name
  for (const name of input.value.split(",")) if (name.trim()) request({ op: "class", label: name.trim() });
  input.value = "";
});
/** The name of a class that was refused comes back, to be corrected. */
function restoreName() {
  const input = byId("new-class");
  if (state.refused?.op !== "class" || input.value) return;
  input.value = state.refused.label;
  input.select();
}

function paintClicks() {
  const entry = current(), all = entry ? clicksOf(entry.name) : [];
  let shown = all;
  if (all.length > MOST_CLICKS) {
    const t = player.now(), middle = all.findIndex((c) => c.time_s >= t);
    const from = Math.max(Math.min((middle < 0 ? all.length : middle) - MOST_CLICKS / 2, all.length - MOST_CLICKS), 0);
    shown = all.slice(from, from + MOST_CLICKS);
  }
  byId("clicks").replaceChildren(...shown.map((c) => el("li", { class: (isOwn(c) ? "" : "other ") + (c.id === state.selected ? "on" : "") },
    el("button", { type: "button", class: lookOf(c.label), "aria-pressed": c.id === state.selected ? "true" : "false", onclick: () => choose(c.id) },
      el("span", { class: "when", text: clock(c.time_s) }), el("i", { class: "spot" }), el("span", { class: "label", text: c.label }),
      el("small", { text: [isOwn(c) ? "" : c.annotator, c.note].filter(Boolean).join(": ") })),
    isOwn(c) ? el("button", { type: "button", class: "quiet-button", "aria-label": `Delete ${c.label} at ${clock(c.time_s)}`, text: "×", onclick: () => model.deleteClick(c.id) }) : null)));
  const empty = byId("no-clicks");
  empty.textContent = !entry ? "" : all.length > shown.length ? `${shown.length} of ${all.length} clicks, around the present time`
    : all.length ? "" : saidNothing(entry.name) ? "Marked: nothing happens in this video." : "None yet.";
}
export function choose(id) {
  state.selected = id;
  const c = state.clicks.get(id);
  if (c) { player.pause(); player.seek(c.time_s); }
  notify("selection");
}
function paintSelected() {
  const box = byId("selected"), c = state.clicks.get(state.selected);
  box.hidden = !c;
  if (!c || box.contains(document.activeElement)) return;
  const type = el("select", { id: "retype", onchange: (e) => model.editClick(c.id, { label: e.target.value }) },
    ...state.classes.map((label) => el("option", { value: label, text: label, selected: label === c.label })));
  const note = el("input", { id: "note", type: "text", maxlength: 1000, value: c.note, onchange: (e) => model.editClick(c.id, { note: e.target.value.trim() }) });
  const raw = c.clicked_s !== null && Math.abs(c.clicked_s - c.time_s) > 5e-4 ? `; key pressed at ${clock(c.clicked_s)}` : "";
  box.replaceChildren(
    el("p", { class: "quiet", text: `${clock(c.time_s)}${raw}${c.annotator ? `, ${c.annotator}` : ""}` }),
    el("label", { for: "retype", text: "Class" }), type, el("label", { for: "note", text: "Note" }), note);
  for (const control of [type, note]) control.disabled = !isOwn(c);
}

const isDone = (v) => Boolean(state.nothing[v.name]?.[state.annotator] || state.finished[v.name]?.[state.annotator]);
function status(v) {
  const count = countOf(v.name);
  if (saidNothing(v.name)) return count ? `nothing happens; ${counted(count, "click")}` : "nothing happens";
  if (!count) return v.state === "failed" ? "cannot be played" : "no click";
  return counted(count, "click") + (isDone(v) ? ", finished" : "");
}
let listed = null;
const rows = new Map();
/** Thousands of videos may be listed, so only what has changed is written. */
function paintVideos() {
  if (listed !== state.videos) {
    listed = state.videos;
    rows.clear();
    for (const v of listed) {
      const small = el("small"), button = el("button", { type: "button", onclick: () => onVideo(model.videoOf(v.name)) }, el("span", { class: "label", text: v.name }), small);
      rows.set(v.id, { small, button, item: el("li", {}, button), text: "" });
    }
    byId("videos").replaceChildren(...[...rows.values()].map((row) => row.item));
  }
  for (const v of listed) {
    const row = rows.get(v.id), text = status(v) + (v.listed ? "" : ", in no list"), here = v.id === state.current;
    if (row.text !== text) { row.text = row.small.textContent = text; }
    row.item.classList.toggle("done", isDone(v));
    if (row.here !== here) {
      row.here = here;
      row.button.setAttribute("aria-current", here ? "true" : "false");
      if (here) keepInView(byId("videos"), row.item);
    }
  }
  const done = state.videos.filter(isDone).length;
  byId("videos-done").textContent = `${done} of ${counted(state.videos.length, "video")} finished`;
  const entry = current();
  byId("b-nothing").setAttribute("aria-pressed", entry && state.nothing[entry.name]?.[state.annotator] ? "true" : "false");
}
function paintHead() {
  const entry = current();
  byId("video-name").textContent = entry ? entry.name : "No video";
  byId("video-facts").textContent = !entry ? "" : [
    `${state.videos.indexOf(entry) + 1} of ${state.videos.length}`, player.length() ? clock(player.length(), 0) : "",
    entry.state === "ready" ? "converted for the browser" : "",
  ].filter(Boolean).join(" · ");
}
function paintPerson() {
  byId("b-annotator").textContent = `Annotator: ${state.annotator}`;
  const own = state.reaction[state.annotator];
  byId("b-reaction").textContent = own === undefined ? "Reaction time: measure" : own ? `Reaction time: ${Math.round(own * 1000)} ms` : "Reaction time: off";
  byId("others").hidden = !model.hasOthers();
}
function paintPlaying() {
  byId("b-play").textContent = player.playing() ? "Pause" : "Play";
  byId("speed").textContent = `${player.rate()}×`;
  byId("b-still").setAttribute("aria-pressed", player.isSkipping() ? "true" : "false");
  byId("b-undo").disabled = !model.history.done.length;
  byId("b-redo").disabled = !model.history.undone.length;
}

/** Scroll a list, and nothing else, so that an item can be seen. */
function keepInView(list, item) {
  const box = list.getBoundingClientRect(), place = item.getBoundingClientRect();
  if (place.top < box.top) list.scrollTop -= box.top - place.top;
  if (place.bottom > box.bottom) list.scrollTop += place.bottom - box.bottom;
}

const waiting = new Set();
let scheduled = false;
listen((topics) => {
  topics.forEach((t) => waiting.add(t));
  if (topics.has("refused")) restoreName();
  if (!scheduled) { scheduled = true; requestAnimationFrame(paint); }
});
function paint() {
  scheduled = false;
  const has = (...names) => names.some((n) => waiting.has(n));
  if (has("classes", "clicks", "person")) paintClasses();
  if (has("clicks", "classes", "video", "selection")) { paintClicks(); paintSelected(); }
  if (has("clicks", "videos", "video", "playable", "progress")) { paintVideos(); paintHead(); }
  if (has("person", "clicks")) paintPerson();
  paintPlaying();
  waiting.clear();
}
