// The lists beside the video: classes with their counts, clicks, videos; and the dialogs of annotators and keys.
import { call } from "./api.js";
import { ask, byId, clock, counted, el, say } from "./dom.js";
import * as model from "./model.js";
import { ENOUGH, ENOUGH_VIDEOS, KEYS, MANY, clicksOf, countOf, current, hueOf, isOwn, keyOf, listen, notify, request, state } from "./model.js";
import * as player from "./player.js";

const MOST_CLICKS = 200;
let onClass = () => {}, onVideo = () => {};
export const wire = (classes, videos) => { onClass = classes; onVideo = videos; };

function need(count, videos) {
  if (!count) return "no click yet";
  if (count < ENOUGH) return `${ENOUGH - count} more to be enough`;
  if (videos < ENOUGH_VIDEOS) return `enough clicks; needs ${ENOUGH_VIDEOS} videos or more`;
  return "enough to train";
}
function paintClasses() {
  byId("classes").replaceChildren(...state.classes.map((label) => {
    const [count, videos] = state.counts[label] || [0, 0], key = keyOf(label);
    const meter = el("meter", { min: 0, max: ENOUGH, value: Math.min(count, ENOUGH), "aria-hidden": "true" });
    const button = el("button", {
      type: "button", class: "class " + hueOf(label), "aria-label": `Click: ${label}, ${counted(count, "action")}, ${need(count, videos)}`,
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
  const all = Object.values(state.counts).reduce((sum, [count]) => sum + count, 0);
  const short = state.classes.filter((label) => (state.counts[label] || [0])[0] < ENOUGH);
  byId("enough").textContent = !state.classes.length ? "Add the classes of action that you want to find."
    : short.length ? `${counted(all, "action")} in all. ${short.length === 1 ? "One class needs" : `${short.length} classes need`} more clicks.`
      : `${counted(all, "action")} in all: enough to train.${all < MANY ? ` From ${MANY} on, training uses deeper networks.` : ""}`;
}
async function change(label, count) {
  const name = await ask(count ? `Rename ${label}` : `Rename ${label}, or leave empty to remove it`, label, "Save");
  if (name === null || name === label) return;
  if (name) request({ op: "rename", label, to: name });
  else if (!count) request({ op: "remove", label });
}
byId("add").addEventListener("submit", (e) => {
  e.preventDefault();
  const input = byId("new-class");
  for (const name of input.value.split(",")) if (name.trim()) request({ op: "class", label: name.trim() });
  input.value = "";
});

function paintClicks() {
  const entry = current(), all = entry ? clicksOf(entry.name) : [];
  let shown = all;
  if (all.length > MOST_CLICKS) {
    const t = player.now(), middle = all.findIndex((c) => c.time_s >= t);
    const from = Math.max(Math.min((middle < 0 ? all.length : middle) - MOST_CLICKS / 2, all.length - MOST_CLICKS), 0);
    shown = all.slice(from, from + MOST_CLICKS);
  }
  byId("clicks").replaceChildren(...shown.map((c) => el("li", { class: (isOwn(c) ? "" : "other ") + (c.id === state.selected ? "on" : "") },
    el("button", { type: "button", class: hueOf(c.label), "aria-pressed": c.id === state.selected ? "true" : "false", onclick: () => choose(c.id) },
      el("span", { class: "when", text: clock(c.time_s) }), el("i", { class: "spot" }), el("span", { class: "label", text: c.label }),
      el("small", { text: [isOwn(c) ? "" : c.annotator, c.note].filter(Boolean).join(": ") })),
    isOwn(c) ? el("button", { type: "button", class: "quiet-button", "aria-label": `Delete ${c.label} at ${clock(c.time_s)}`, text: "×", onclick: () => model.deleteClick(c.id) }) : null)));
  const empty = byId("no-clicks");
  empty.textContent = !entry ? "" : all.length > shown.length ? `${shown.length} of ${all.length} clicks, around the present time`
    : all.length ? "" : state.nothing[entry.name] ? "Marked: nothing happens in this video." : "None yet.";
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

export const isLabeled = (v) => Boolean(state.nothing[v.name]) || countOf(v.name) > 0;
const isDone = (v) => Boolean(state.nothing[v.name]?.[state.annotator] || state.finished[v.name]?.[state.annotator]);
function status(v) {
  if (state.nothing[v.name]) return "nothing happens";
  const count = countOf(v.name);
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
  byId("b-nothing").setAttribute("aria-pressed", entry && state.nothing[entry.name] ? "true" : "false");
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
  byId("others").hidden = ![...state.clicks.values()].some((c) => !isOwn(c));
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
  if (!scheduled) { scheduled = true; requestAnimationFrame(paint); }
});
function paint() {
  scheduled = false;
  const has = (...names) => names.some((n) => waiting.has(n));
  if (has("classes")) paintClasses();
  if (has("clicks", "classes", "video", "selection")) { paintClicks(); paintSelected(); }
  if (has("clicks", "videos", "video", "playable", "progress")) { paintVideos(); paintHead(); }
  if (has("person", "clicks")) paintPerson();
  paintPlaying();
  waiting.clear();
}

byId("b-annotator").onclick = async () => {
  const name = await ask("Name of the annotator", state.annotator);
  if (!name) return;
  state.annotator = name;
  try { sessionStorage.setItem("punctum-annotator", name); } catch { /* private mode */ }
  model.history.done.length = model.history.undone.length = 0;
  notify("clicks", "videos", "person");
};
byId("b-others").onchange = (e) => { lent = null; state.others = e.target.checked; notify("clicks"); };
/** A conflict shows the clicks of others in its video; they are hidden again when another video or annotator comes. */
let lent = null;
function lend(video) {
  if (state.others && !lent) return; // the annotator shows them anyway
  lent = { video, annotator: state.annotator };
  state.others = byId("b-others").checked = true;
}
listen((topics) => {
  if (!lent || !(topics.has("person") || topics.has("video"))) return;
  if (lent.annotator === state.annotator && lent.video === current()?.id) return;
  lent = null;
  state.others = byId("b-others").checked = false;
  notify("clicks");
});

byId("b-agreement").onclick = async () => {
  const dialog = byId("agreement");
  const answer = await call("api/agreement").then((a) => (a.ok ? a.json() : null)).catch(() => null);
  if (!answer) return say("The server does not answer", "bad");
  const close = el("button", { type: "button", text: "Close", onclick: () => dialog.close() });
  const rows = answer.pairs.map((p) => el("tr", {}, el("th", { scope: "row", text: p.annotators.join(" and ") }),
    ...[p.videos, `${Math.round(100 * p.share)} %`, p.agreed, p.classes, p.alone].map((text) => el("td", { text }))));
  const heads = ["Annotators", "Videos of both", "Agreement", "Same action", "Other class", "Of one only"];
  const table = el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, ...heads.map((text) => el("th", { scope: "col", text })))), el("tbody", {}, ...rows)));
  const list = el("ol", { class: "conflicts" }, ...answer.conflicts.map((c) => el("li", {}, el("button", {
    type: "button", onclick: () => {
      dialog.close();
      const v = model.videoOf(c.video);
      if (!v) return;
      lend(v.id);
      const go = () => {
        if (current()?.id !== v.id) return; // another video was opened meanwhile
        if (!player.isLoaded()) return setTimeout(go, 60);
        state.selected = c.ids[0];
        player.seek(c.time_s);
        notify("selection", "clicks");
      };
      Promise.resolve(onVideo(v)).then(go);
    },
  }, el("b", { text: `${c.video} ${clock(c.time_s)}` }),
  el("span", { text: c.labels.length > 1 ? ` ${c.annotators[0]}: ${c.labels[0]}, ${c.annotators[1]}: ${c.labels[1]}` : ` ${c.annotators[0]}: ${c.labels[0]}, ${c.annotators[1]}: no click` })))));
  dialog.replaceChildren(el("h2", { id: "h-agreement", text: "Agreement" }),
    answer.pairs.length ? table : el("p", { text: "Two annotators are needed. Change the annotator at the top, or start punctum label with --annotator." }),
    answer.pairs.length ? el("p", { class: "quiet", text: "Clicks of one class at most 1.5 s apart are the same action; for training it counts once." }) : null,
    answer.total ? el("h3", { text: counted(answer.total, "conflict") }) : null, answer.total ? list : null, el("div", { class: "tools" }, close));
  dialog.showModal();
};

const HELP = [
  ["Space", "play, pause"], ["J", "back 2 s (Shift: 10 s)"], ["K", "pause"], ["L", "play; again: faster, up to 4×"],
  ["Shift L", "slower"], [", .", "previous, next frame (also ← →)"], ["Shift ← →", "back, on by 1 s"], ["S", "skip still parts"],
  ["1 2 3 …", "click of a class: the key beside its name"], ["Shift + key", "give the selected click this class"], ["↑ ↓", "previous, next click"],
  ["Delete", "delete the selected click"], ["M", "note at the selected click"], ["Z, Y", "undo, redo (also Ctrl)"],
  ["N", "nothing happens in this video"], ["Enter", "finished, next video (Shift: previous video)"], ["+ − 0", "zoom of the timeline, with Ctrl: of the page"],
];
byId("b-help").onclick = () => {
  const dialog = byId("help");
  dialog.replaceChildren(el("h2", { id: "h-help", text: "Keys" }),
    el("dl", { class: "keys" }, ...HELP.flatMap(([key, text]) => [el("dt", {}, el("kbd", { text: key })), el("dd", { text })])),
    el("p", { class: "quiet", text: `Keys of classes, in this order: ${KEYS.toUpperCase().split("").join(" ")}` }),
    el("div", { class: "tools" }, el("button", { type: "button", text: "Close", onclick: () => dialog.close() })));
  dialog.showModal();
};
