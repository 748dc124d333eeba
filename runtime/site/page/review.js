// Review of events: the list, the clip in a loop, and one key for each verdict.
import { eventPath, get, url } from "./api.js";
import { byId, clamp, clock, counted, dayName, el, hush, say, text } from "./dom.js";
import { at, hueOf, idOf, listen, loadDay, mayOperate, notify, select, selected, shown, state, take, until } from "./model.js";
import { askClass } from "./classes.js";
import { reveal } from "./timeline.js";
import { canTakeBack, save, takeBack, VERDICTS, whenGiven, withdraw as withdrawn } from "./verdicts.js";

const list = byId("list"), room = byId("list-room"), video = byId("clip"), still = byId("still"), bar = byId("clip-bar");
const ROW = 48, AROUND = 6;
let order = [], loops = true, playing = "", edges = null, drawing = false;

// The list. Only the rows on screen exist.
function drawList() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => { drawing = false; paintList(); });
}
function paintList() {
  room.style.height = `${Math.max(order.length * ROW, 1)}px`;
  const first = Math.max(Math.floor(list.scrollTop / ROW) - AROUND, 0), last = Math.min(Math.ceil((list.scrollTop + list.clientHeight) / ROW) + AROUND, order.length);
  const nodes = [];
  for (let k = first; k < last; k++) nodes.push(option(order[k], k));
  room.replaceChildren(...nodes);
  const active = document.getElementById("e-active");
  if (active) list.setAttribute("aria-activedescendant", "e-active");
  else list.removeAttribute("aria-activedescendant");
  byId("no-events").hidden = order.length > 0 || state.loading;
  list.hidden = !order.length;
  text(byId("no-events"), state.failed ? `The events cannot be loaded: ${state.failed}`
    : state.events.size ? "No event of this day passes the filters." : "There is no event on this day.");
  const todo = order.reduce((n, e) => n + (e.review ? 0 : 1), 0);
  text(byId("list-facts"), state.loading ? `Loading: ${counted(state.events.size, "event")}` : order.length ? `${counted(order.length, "event")}, ${todo} not reviewed` : "");
}
function option(e, place) {
  const chosen = idOf(e) === state.selected;
  const mark = e.review ? VERDICTS[e.review.verdict] : e.ended ? "" : "running";
  const node = el("div", {
    class: "ev " + hueOf(e.label), role: "option", id: chosen ? "e-active" : null, "aria-selected": String(chosen), "aria-setsize": order.length, "aria-posinset": place + 1,
    onclick: () => { select(idOf(e)); list.focus({ preventScroll: true }); },
  }, el("i", { class: "spot", "aria-hidden": "true" }), el("span", { class: "what" }, el("b", { text: e.label }), el("small", { text: e.camera })),
  el("span", { class: "when" }, el("span", { text: clock(at(e)) }), el("small", { text: mark || e.score.toFixed(2) })));
  node.style.top = `${place * ROW}px`;
  node.dataset.review = e.review?.verdict || "";
  return node;
}
/** Whole rows only, so that the first one is not cut. */
function scrollTo(place) {
  const top = place * ROW;
  if (place < 0) return;
  if (top < list.scrollTop) list.scrollTop = top - ROW;
  else if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = Math.ceil((top + 2 * ROW - list.clientHeight) / ROW) * ROW;
}
/** Put the events in order. What is looked at stays where it is: the selected event, else the first one on screen. */
function arrange() {
  const inView = (place) => place >= 0 && (place + 1) * ROW > list.scrollTop && place * ROW < list.scrollTop + list.clientHeight;
  const chosen = order.findIndex((e) => idOf(e) === state.selected), kept = inView(chosen) ? chosen : list.scrollTop >= ROW ? Math.floor(list.scrollTop / ROW) : -1;
  const id = order[kept] ? idOf(order[kept]) : "";
  order = shown();
  const now = id ? order.findIndex((e) => idOf(e) === id) : -1;
  room.style.height = `${Math.max(order.length * ROW, 1)}px`;
  if (now >= 0 && now !== kept) list.scrollTop += (now - kept) * ROW;
  drawList();
}
/** Select another event of the list: 1 is the next one, which is older. */
export function step(by) {
  if (!order.length) return say("There is no event to show");
  const place = order.findIndex((e) => idOf(e) === state.selected), next = order[place < 0 ? 0 : place + by];
  if (!next) return say(by > 0 ? "That was the last event of the list" : "That was the first event of the list");
  select(idOf(next));
}

// The selected event
function drawSelected() {
  const e = selected();
  byId("no-event").hidden = Boolean(e);
  byId("event").hidden = !e;
  if (!e) { stop(); return; }
  byId("e-label").textContent = e.label;
  byId("e-spot").className = "spot " + hueOf(e.label);
  byId("e-camera").textContent = e.camera;
  byId("e-camera").href = "#camera/" + encodeURIComponent(e.camera);
  text(byId("e-when"), `${dayName(at(e))} ${clock(at(e))} to ${e.ended ? clock(until(e)) : "now: it still runs"}`);
  const notes = [
    `score ${e.score.toFixed(2)}`, `${(e.end - e.start).toFixed(1)} s`, e.phase === "final" ? "" : e.phase === "retracted" ? "retracted" : "provisional",
    e.interrupted && "cut off by a gap", e.degraded && "scored with reduced effort", e.dropped && `${e.dropped} snippets or frames lost beside it`,
  ].filter(Boolean);
  text(byId("e-facts"), notes.join(" · "));
  text(byId("e-bundle"), `${e.bundle} (${e.bundle_id})`);
  const review = e.review;
  text(byId("e-review"), review ? `${VERDICTS[review.verdict]}${review.label ? ": " + review.label : ""}${edgesText(e)}${review.by ? ", by " + review.by : ""}` : "Not reviewed");
  for (const verdict of Object.keys(VERDICTS)) {
    const button = byId("b-" + verdict);
    button.setAttribute("aria-pressed", String(review?.verdict === verdict));
    button.disabled = !mayOperate() || e.phase === "retracted" || !e.ended;
  }
  byId("b-withdraw").hidden = !mayOperate() || !review;
  drawUndo();
  text(byId("e-role"), mayOperate() ? (e.ended ? "" : "It can be reviewed when it has ended.") : "This token may only read: log in with the other one to review.");
  drawMedia(e);
}
function drawUndo() { byId("b-undo").disabled = !mayOperate() || !canTakeBack(); }
whenGiven(drawUndo);
function edgesText(e) {
  const r = e.review;
  if (r.verdict !== "edges") return "";
  const off = (x, from) => `${x >= from ? "+" : "−"}${Math.abs(x - from).toFixed(1)} s`;
  return ` (${[r.start !== null && `start ${off(r.start, e.start)}`, r.end !== null && `end ${off(r.end, e.end)}`].filter(Boolean).join(", ")})`;
}
function stop() {
  if (!playing) return;
  playing = "";
  video.pause();
  video.removeAttribute("src");
  video.replaceChildren();
  video.load();
}
function drawMedia(e) {
  const clip = e.clip?.url ? url(e.clip.url) : "", picture = e.picture?.url ? url(e.picture.url) : "";
  if (clip !== playing) {
    stop();
    if (clip) {
      playing = clip;
      video.src = clip;
      video.loop = loops;
      video.append(el("track", { kind: "captions", label: "Class and score", srclang: "en", src: url(eventPath(e) + "/clip.vtt") }));
      video.play().catch(() => {});
    }
  }
  video.hidden = !clip;
  byId("clip-tools").hidden = !clip;
  still.hidden = Boolean(clip) || !picture;
  if (!clip && picture && still.getAttribute("src") !== picture) still.src = picture;
  still.alt = picture ? `Picture of ${e.label} at ${e.camera}` : "";
  const none = byId("no-clip");
  none.hidden = Boolean(clip);
  text(none, clip ? "" : whyNoClip(e));
  bar.hidden = !clip;
  drawBar();
}
/** Why an event has no clip, or that it may still come. */
function whyNoClip(e) {
  if (e.clip?.why) return `No clip: ${e.clip.why.replace(/^no clip: /i, "")}`;
  if (e.phase === "retracted") return "No clip: the event was retracted";
  const camera = state.cameras.find((c) => c.name === e.camera), media = camera?.config.media || {};
  if (media.mask && camera.config.masks?.length) return "No clip: with media.mask, no clips are stored";
  if (media.clips === false) return "No clip: media.clips is off for this camera";
  if (e.phase !== "final") return "The clip comes when the event is final";
  const mayCome = camera && camera.state !== "off" && Date.now() / 1000 - e.updated_unix < 60 + (media.post_s ?? 3);
  return mayCome ? "The clip is not there yet" : "There is no clip of this event";
}
video.addEventListener("error", () => {
  if (!playing) return;
  byId("no-clip").hidden = false;
  byId("no-clip").textContent = "This browser cannot play the clip, or it has been deleted";
  video.hidden = true;
});

/** Where the event lies in its clip, and the place that plays. */
function drawBar() {
  const e = selected();
  if (!e || bar.hidden) return;
  const begin = e.clip.start_s ?? e.start, length = video.duration || (e.clip.end_s ?? e.end) - begin || 1;
  const percent = (t) => `${(clamp((t - begin) / length, 0, 1) * 100).toFixed(2)}%`;
  const [start, end] = edges ? [edges.start, edges.end] : [e.start, e.end];
  const part = byId("clip-event"), head = byId("clip-head");
  part.className = hueOf(e.label);
  part.style.left = percent(start);
  part.style.right = `${(100 - Number.parseFloat(percent(end))).toFixed(2)}%`;
  head.style.left = percent(begin + video.currentTime);
}
function frame() { drawBar(); if (!video.paused && !video.hidden) requestAnimationFrame(frame); }
video.addEventListener("play", frame);
for (const name of ["timeupdate", "loadedmetadata", "seeked", "pause"]) video.addEventListener(name, drawBar);
for (const name of ["play", "pause"]) video.addEventListener(name, () => { byId("b-play").firstChild.textContent = video.paused ? "Play " : "Pause "; });
bar.addEventListener("pointerdown", (p) => {
  const box = bar.getBoundingClientRect();
  if (video.duration) video.currentTime = clamp((p.clientX - box.left) / box.width, 0, 1) * video.duration;
});
export function play() {
  if (video.hidden) return say("There is no clip of this event");
  if (video.paused) video.play().catch(() => {});
  else video.pause();
}
export function loop() {
  loops = !loops;
  video.loop = loops;
  byId("b-loop").setAttribute("aria-pressed", String(loops));
  if (loops && !video.hidden && video.paused) video.play().catch(() => {});
}

// Verdicts
/** Save a verdict, which `undo` can take back, and go to the next event. */
function give(e, body) {
  if (!mayOperate()) return say("This token may only read", "bad");
  save(e, body);
  step(1);
}
/** Take back the latest verdict that was given on this page, and show its event. */
export function undo() {
  const e = takeBack();
  if (!e) return say("No verdict was given here since the page was opened");
  if (edges) endEdges();
  select(idOf(e));
}
function reviewable() {
  const e = selected();
  if (!e) { say("Select an event first"); return null; }
  if (e.phase === "retracted" || !e.ended) { say(e.ended ? "It was retracted" : "It has not ended"); return null; }
  return e;
}
/** Write a verdict and go to the next event. */
export function judge(verdict) {
  const e = reviewable();
  if (!e) return;
  if (verdict === "class") return askClass(e, (label) => give(e, { verdict: "class", label }));
  if (verdict === "edges") return beginEdges(e);
  give(e, { verdict });
}

/** Withdraw the review of the selected event. */
export function withdraw() {
  const e = selected();
  if (!e) return say("Select an event first");
  if (e.review) withdrawn(e);
  else say("This event has no review");
}

const startField = byId("edge-start"), endField = byId("edge-end");
function beginEdges(e) {
  edges = { id: idOf(e), start: e.review?.start ?? e.start, end: e.review?.end ?? e.end };
  byId("edges").hidden = false;
  fill();
  startField.focus();
  byId("edges").scrollIntoView({ block: "nearest" });
}
function fill() {
  const e = selected();
  startField.value = (edges.start - e.start).toFixed(2);
  endField.value = (edges.end - e.end).toFixed(2);
  drawBar();
}
export const editing = () => edges !== null;
export function endEdges() {
  edges = null;
  hush();
  byId("edges").hidden = true;
  drawBar();
}
function read() {
  const e = selected();
  edges.start = e.start + (Number(startField.value) || 0);
  edges.end = e.end + (Number(endField.value) || 0);
  drawBar();
}
for (const field of [startField, endField]) field.addEventListener("input", () => { hush(); read(); });
/** Take the time that is on screen as start or end. */
export function edgeHere(which) {
  const e = selected();
  if (!edges || !e) return;
  if (video.hidden) return say("There is no clip: type the seconds");
  video.pause();
  edges[which] = (e.clip.start_s ?? e.start) + video.currentTime;
  fill();
}
byId("edges").addEventListener("submit", (event) => {
  event.preventDefault();
  const e = selected();
  if (!edges || !e) return;
  if (startField.validity.badInput || endField.validity.badInput) return say("Type the seconds as numbers", "bad");
  read();
  const { start, end } = edges;
  if (!(start >= 0 && start < end)) return say("The start has to be before the end", "bad");
  if (start > e.end || end < e.start) return say("The new edges do not overlap the event. If it shows no action of its class, mark it as wrong", "bad");
  const body = { verdict: "edges" };
  if (Math.abs(start - e.start) > 5e-3) body.start = start;
  if (Math.abs(end - e.end) > 5e-3) body.end = end;
  if (body.start === undefined && body.end === undefined) return say("Neither start nor end was changed");
  const [first, last] = e.clip?.url ? [e.clip.start_s - 0.25, e.clip.end_s + 0.25] : [e.start - 30, e.end + 30];
  if ((body.start ?? first) < first || (body.end ?? last) > last) return say(e.clip?.url ? "The clip does not show that: edges have to lie within it" : "That is more than 30 s away from the event", "bad");
  endEdges();
  list.focus({ preventScroll: true });
  give(e, body);
});
byId("b-edge-start").onclick = () => edgeHere("start");
byId("b-edge-end").onclick = () => edgeHere("end");
byId("b-edge-cancel").onclick = endEdges;

/** Clips come some seconds after their event: look again while they are missing. */
async function lookAgain() {
  const e = selected();
  if (!e || byId("v-events").hidden || document.hidden || state.link !== "live" || e.clip || Date.now() / 1000 - e.updated_unix > 180) return;
  try {
    const now = await get(eventPath(e));
    if (now.clip || now.picture || now.review) take(now);
  } catch { /* the next look, or the list, says what is wrong */ }
}
setInterval(lookAgain, 3000);

/** Open an event by its camera and key, also one of another day. */
export async function openEvent(camera, key) {
  const id = `${camera}/${key}`;
  if (!state.events.has(id)) {
    try {
      const e = await get(eventPath({ camera, key }));
      await loadDay(new Date(at(e) * 1000).setHours(0, 0, 0, 0) / 1000);
      take(e);
    } catch (error) { return say(String(error.message || error).slice(0, 300), "bad"); }
  }
  select(id);
  notify("selection");
}

list.addEventListener("scroll", drawList);
new ResizeObserver(drawList).observe(list);
listen((topics) => {
  if (topics.has("events") || topics.has("day")) arrange();
  if (topics.has("selection")) {
    if (edges && edges.id !== state.selected) endEdges();
    const e = selected();
    if (e) {
      scrollTo(order.indexOf(e));
      reveal(e);
      if (!e.clip) lookAgain();
    }
    drawList();
    drawSelected();
  } else if (topics.has("selected") || topics.has("site")) drawSelected();
});
