// The page as a whole: which view is shown, what keys do, and when the service is asked.
import { byId, dayName, el, hush, midnight, say, text } from "./dom.js";
import { openCamera } from "./camera.js";
import { check, follow, reachable } from "./live.js";
import { ensure } from "./login.js";
import * as model from "./model.js";
import { listen, loadDay, refilter, state } from "./model.js";
import * as review from "./review.js";
import "./site.js";
import { draw as drawTimeline, fit, whole, zoom } from "./timeline.js";
import "./wall.js";

const VIEWS = ["cameras", "events", "camera", "site"];
let shownView = "";

function route() {
  const parts = location.hash.slice(1).split("/").map((part) => { try { return decodeURIComponent(part); } catch { return part; } });
  const view = VIEWS.includes(parts[0]) ? parts[0] : "cameras", changed = view !== shownView;
  shownView = view;
  for (const name of VIEWS) byId("v-" + name).hidden = name !== view;
  for (const link of document.querySelectorAll("nav a")) {
    const here = link.hash === "#" + (view === "camera" ? "cameras" : view);
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (view === "camera") openCamera(parts[1] || "");
  if (view === "events" && parts[2]) review.openEvent(parts[1], parts[2]);
  else if (view === "events") address();
  if (view === "site") poll(true);
  if (view === "events") drawTimeline();
  if (changed) { hush(); scrollTo(0, 0); model.notify("events", "cameras", "site"); }
  if (view === "site" && parts[1] === "training") byId("training").scrollIntoView();
  title();
}
/** The address of the page is that of the selected event: it can be sent to others, and survives a reload. */
function address() {
  if (shownView !== "events") return;
  const e = model.selected(), wanted = e ? "#" + model.placeOf(e) : "#events";
  if (location.hash !== wanted) history.replaceState(null, "", wanted);
}
function title() {
  const name = state.site?.name || "punctum", words = { cameras: "Cameras", events: "Events", site: "Site", camera: location.hash.split("/")[1] || "Camera" };
  document.title = `${words[shownView]} – ${name}`;
}
addEventListener("hashchange", route);

// Filters and days
const dayField = byId("day");
let today = 0; // the day that is shown, while it is the present one
const open = (start) => { if (state.day && state.day.start !== start) model.select(""); today = start === midnight(Date.now() / 1000) ? start : 0; return loadDay(start); };
dayField.addEventListener("change", () => { const start = midnight(dayField.value); if (Number.isFinite(start)) open(start); });
byId("b-day-before").onclick = () => open(midnight(state.day.start, -1));
byId("b-day-after").onclick = () => open(midnight(state.day.start, 1));
byId("b-today").onclick = () => open(midnight(Date.now() / 1000));
const pick = { camera: byId("f-camera"), label: byId("f-label"), score: byId("f-score"), todo: byId("f-todo"), weak: byId("f-weak") };
pick.camera.onchange = () => refilter({ camera: pick.camera.value });
pick.label.onchange = () => refilter({ label: pick.label.value });
pick.score.oninput = () => { byId("f-score-out").textContent = Number(pick.score.value).toFixed(2); refilter({ minScore: Number(pick.score.value) }); };
pick.todo.onchange = () => refilter({ todo: pick.todo.checked });
pick.weak.onchange = () => refilter({ weak: pick.weak.checked });
/** Provisional events below the minimum score are left out, and the page says how many there are. */
function weak() {
  const n = model.weak();
  byId("weak").hidden = !n && !state.filter.weak;
  text(byId("f-weak-count"), String(n));
}
function options(node, names, all) {
  const wanted = ["", ...names], old = [...node.options].map((o) => o.value);
  if (wanted.length === old.length && wanted.every((name, k) => name === old[k])) return;
  const value = node.value;
  node.replaceChildren(...wanted.map((name) => el("option", { value: name, text: name || all })));
  if (wanted.includes(value)) node.value = value;
  else if (value) { node.value = ""; node.dispatchEvent(new Event("change")); }
}

// Keys: one for each act
const judge = (verdict) => () => review.judge(verdict);
const ACTS = [
  ["r", "R", "Right", judge("right")], ["w", "W", "Wrong: there is no action", judge("wrong")], ["c", "C", "Another class", judge("class")], ["e", "E", "Wrong edges: start or end", judge("edges")],
  ["u", "U", "Undo the latest verdict given here", () => review.undo()],
  ["n", "N", "Next event", () => review.step(1)], ["p", "P", "Previous event", () => review.step(-1)], [" ", "Space", "Play or pause the clip", () => review.play()], ["l", "L", "Loop the clip, or not", () => review.loop()],
  ["[", "[", "Edges: the start is here", () => review.edgeHere("start")], ["]", "]", "Edges: the end is here", () => review.edgeHere("end")],
  ["+", "+", "Timeline: closer", () => zoom(1.6)], ["-", "−", "Timeline: wider", () => zoom(1 / 1.6)], ["0", "0", "Timeline: the whole day", whole], ["f", "F", "Timeline: from the first event to now", fit],
];
const KEYS = Object.fromEntries(ACTS.map(([key, , , act]) => [key, act]));
KEYS.ArrowDown = KEYS.n;
KEYS.ArrowUp = KEYS.p;
KEYS["="] = KEYS["+"];
addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]") || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const node = event.target instanceof Element ? event.target : document.body, typing = node.closest("input:not([type=checkbox]):not([type=range]), select, textarea");
  if (event.key === "Escape") hush();
  if (event.key === "Escape" && review.editing()) { review.endEdges(); byId("list").focus({ preventScroll: true }); return; }
  const brackets = event.key === "[" || event.key === "]";
  if (typing && !(brackets && review.editing())) return;
  if (event.key === "?") { help(); event.preventDefault(); return; }
  if (shownView !== "events" || (event.key === " " && node.closest("button, a, summary, input"))) return;
  if (event.key.startsWith("Arrow") && node.closest("input")) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key, act = KEYS[key];
  if (!act) return;
  event.preventDefault();
  if (!event.repeat || ["n", "p", "ArrowDown", "ArrowUp"].includes(key)) act();
});
for (const verdict of ["right", "wrong", "class", "edges"]) byId("b-" + verdict).onclick = () => review.judge(verdict);
byId("b-undo").onclick = () => review.undo();
byId("b-withdraw").onclick = () => review.withdraw();
byId("b-next").onclick = () => review.step(1);
byId("b-previous").onclick = () => review.step(-1);
byId("b-play").onclick = () => review.play();
byId("b-loop").onclick = () => review.loop();
function help() {
  const dialog = byId("help");
  dialog.replaceChildren(el("h2", { id: "h-help", text: "Keys of the events" }), el("dl", { class: "keys" }, ...ACTS.flatMap(([, shown, what]) => [el("dt", {}, el("kbd", { text: shown })), el("dd", { text: what })])),
    el("p", { class: "quiet", text: "After a verdict, the page goes on to the next event by itself: N is for events that you leave out. U takes back the latest verdict and shows its event; each further U takes back the one before." }),
    el("div", { class: "tools" }, el("button", { type: "button", text: "Close", onclick: () => dialog.close() })));
  dialog.showModal();
}
byId("b-help").onclick = help;

// The service
const LINKS = { live: ["Live", "good"], connecting: ["Connecting", "busy"], lost: ["Not connected: trying again", "bad"], paused: ["Paused", "busy"] };
let turn = 0, asking = false;
async function poll(all = false) {
  if (asking || document.hidden || byId("login").open) return;
  asking = true;
  try {
    const parts = [model.loadSite(), model.loadCameras()];
    if (all || (shownView === "site" && turn % 2 === 0) || turn === 0) parts.push(model.loadParts());
    turn += 1;
    await Promise.all(parts);
    reachable();
    if (today && state.day?.start === today && midnight(Date.now() / 1000) > today) open(midnight(Date.now() / 1000));
  } catch { /* the state of the connection says it */ } finally { asking = false; }
}
setInterval(() => { check(); poll(); }, 3000);
document.addEventListener("visibilitychange", () => { if (!document.hidden) poll(); });

listen((topics) => {
  if (topics.has("link")) {
    const [words, kind] = LINKS[state.link];
    text(byId("link"), words);
    byId("link").dataset.kind = kind;
  }
  if (topics.has("site")) {
    text(byId("site"), state.site.name);
    const lines = state.site.degraded, node = byId("trouble");
    node.hidden = !lines.length;
    text(byId("trouble-text"), lines.length ? `Degraded: ${lines[0]}${lines.length > 1 ? ` (and ${lines.length - 1} more)` : ""}` : "");
    title();
  }
  if (topics.has("day") && state.day) {
    dayField.value = dayName(state.day.start);
    byId("b-today").disabled = state.day.start === midnight(Date.now() / 1000);
    byId("b-day-after").disabled = state.day.start >= midnight(Date.now() / 1000);
  }
  if (topics.has("cameras") || topics.has("events")) {
    const names = new Set(state.cameras.map((c) => c.name)), labels = new Set(state.labels);
    for (const e of state.events.values()) { names.add(e.camera); labels.add(e.label); }
    options(pick.camera, [...names], "All cameras");
    options(pick.label, [...labels], "All classes");
  }
  if (topics.has("selection")) address();
  if (topics.has("events") || topics.has("day") || topics.has("cameras")) weak();
  if (topics.has("restart")) { say("The service was started again"); poll(true); }
});

async function begin() {
  try {
    await ensure();
  } catch {
    text(byId("link"), LINKS.lost[0]);
    byId("link").dataset.kind = "bad";
    setTimeout(begin, 2000);
    return;
  }
  await poll(true);
  open(midnight(Date.now() / 1000));
  follow();
  route();
}
begin();
