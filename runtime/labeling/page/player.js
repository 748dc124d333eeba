// Playback. The time of a click is the media time of the frame that was on screen when the key went down.
import { address, call } from "./api.js";
import { byId, clamp, clock, say } from "./dom.js";
import { current, notify, state } from "./model.js";

export const SPEEDS = [0.25, 0.5, 1, 1.5, 2, 3, 4];
const video = byId("video");
const shown = []; // the last frames: media time, and when each appeared
const KEPT = 90;
const framed = "requestVideoFrameCallback" in HTMLVideoElement.prototype;
let speed = Number(stored("punctum-speed")) || 1;
let skipping = stored("punctum-skip") === "1";
let source = "", stepping = Promise.resolve();

function stored(key) { try { return localStorage.getItem(key); } catch { return null; } }
function store(key, value) { try { localStorage.setItem(key, value); } catch { /* private mode */ } }

function frame(now, facts) {
  shown.push({ at: Math.max(facts.expectedDisplayTime, now), time: facts.mediaTime });
  if (shown.length > KEPT) shown.shift();
  video.requestVideoFrameCallback(frame);
  moved();
}
if (framed) video.requestVideoFrameCallback(frame);

/** Media time of the frame that was on screen at a moment of performance.now(). */
export function timeAt(moment = performance.now()) {
  if (!framed) return video.currentTime;
  for (let k = shown.length - 1; k >= 0; k--) if (shown[k].at <= moment + 1) return shown[k].time;
  return shown.length ? shown[0].time : video.currentTime;
}
export const now = () => (framed && shown.length ? shown[shown.length - 1].time : video.currentTime);
export const playing = () => !video.paused && !video.ended;
export const rate = () => speed;
/** Whether a time belongs to the frame on screen. */
export const isHere = (time) => { const period = 1 / (current()?.rate || 25); return time > now() - period / 2 && time < now() + period - 1e-3; };
export const length = () => (Number.isFinite(video.duration) && video.duration) || current()?.duration_s || 0;

let drawn = 0;
function moved() {
  const t = now();
  if (looped && playing() && (t >= looped[1] || t < looped[0] - 1)) video.currentTime = looped[0];
  if (Math.abs(t - drawn) > 1e-6) {
    drawn = t;
    byId("clock").textContent = clock(t);
    notify("time");
  }
}

let looped = null;
/** Play a stretch again and again; null: no more. */
export function loop(stretch) {
  looped = stretch && [Math.max(stretch[0], 0), Math.min(stretch[1], Math.max(length() - 0.02, 0.05))];
  if (!looped || !isLoaded()) return;
  seek(looped[0]);
  roll(); // while it seeks, the video is not loaded
}
export const looping = () => looped;

/** Show a video, as soon as the server has something that the browser plays. */
export async function show(entry) {
  remember();
  video.pause();
  shown.length = 0;
  looped = null;
  source = "";
  video.removeAttribute("src");
  video.load();
  state.current = entry.id;
  state.overview = null;
  state.selected = null;
  location.replace("#" + entry.id);
  notify("video", "selection", "clicks", "time");
  const answer = await call(`api/videos/${entry.id}/open`, { method: "POST" }).catch(() => null);
  const facts = answer?.ok ? await answer.json() : {};
  if (state.current !== entry.id) return;
  Object.assign(current() || entry, facts); // the list may have been loaded anew meanwhile
  load();
}

/** Call a function once a video is loaded; not if another one is opened meanwhile. */
export function whenLoaded(entry, then) {
  if (current()?.id !== entry.id) return;
  if (!isLoaded()) setTimeout(() => whenLoaded(entry, then), 60);
  else then();
}

/** Load the current video if it can be played now; otherwise say why it has to wait. */
export function load() {
  const entry = current(), wait = byId("wait");
  if (!entry) return;
  const ready = entry.state === "direct" || entry.state === "ready";
  wait.hidden = ready;
  if (!ready) {
    source = ""; // a converted file may be made again
    const done = entry.duration_s ? `, ${Math.min(Math.round((100 * entry.done_s) / entry.duration_s), 99)} %` : "";
    wait.textContent = entry.state === "failed" ? entry.why
      : entry.state === "converting" ? `Converting for the browser${done}: ${entry.why}`
        : entry.state === "waiting" ? `Waiting to be converted: ${entry.why}` : "Opening";
    return;
  }
  const wanted = address(`media/${entry.id}/video?${entry.state}`);
  if (source === wanted) return;
  source = wanted;
  video.src = wanted;
  video.load();
}
export const isLoaded = () => Boolean(source) && video.readyState >= 2;

video.addEventListener("loadedmetadata", () => {
  video.playbackRate = video.defaultPlaybackRate = speed;
  const entry = current(), last = entry && Number(stored(`punctum-at-${entry.id}`));
  if (last && last < length() - 0.5) video.currentTime = last;
  notify("video");
});
video.addEventListener("error", () => {
  const entry = current();
  if (!entry || !source) return;
  if (entry.state === "direct") {
    source = "";
    call(`api/videos/${entry.id}/convert`, { method: "POST" }).then((a) => a.json()).then((facts) => {
      Object.assign(current() || entry, current()?.id === facts.id ? facts : {});
      load();
    }).catch(() => say("The video cannot be loaded: the server does not answer", "bad"));
  } else say("The video cannot be played. Load the page again", "bad");
});
for (const name of ["play", "pause", "ended", "seeked", "ratechange"]) {
  video.addEventListener(name, () => { notify("playing"); if (!framed || name === "seeked") moved(); });
}
video.addEventListener("timeupdate", () => { if (!framed) moved(); skip(); });
video.addEventListener("ended", () => {
  if (looped) { video.currentTime = looped[0]; roll(); }
});
video.addEventListener("ended", () => looped || say("End of the video. Enter: finished, next video"));

let kept = 0;
function remember() {
  const entry = current();
  if (entry && isLoaded()) store(`punctum-at-${entry.id}`, video.ended ? "0" : now().toFixed(3));
}
setInterval(() => { if (performance.now() - kept > 2000) { kept = performance.now(); remember(); } }, 1000);
addEventListener("pagehide", remember);

export function toggle() {
  if (!isLoaded()) return;
  if (playing()) pause();
  else play();
}
export function play() {
  if (!isLoaded()) return;
  if (video.ended) video.currentTime = 0;
  roll();
}
function roll() {
  video.playbackRate = speed;
  video.play().catch((e) => { if (e.name === "NotAllowedError") say("The browser blocks playback: click the video", "bad"); });
}
export const pause = () => video.pause();

export function setSpeed(value) {
  speed = value;
  video.playbackRate = video.defaultPlaybackRate = value;
  store("punctum-speed", String(value));
  notify("playing");
}
export function faster(by) {
  const place = SPEEDS.reduce((best, s, k) => (Math.abs(s - speed) < Math.abs(SPEEDS[best] - speed) ? k : best), 0);
  setSpeed(SPEEDS[clamp(place + by, 0, SPEEDS.length - 1)]);
}

export function seek(time) {
  if (!isLoaded()) return;
  video.currentTime = clamp(time, 0, Math.max(length() - 1e-3, 0));
}
/** Resolves when the frame at the new place is on screen. */
function arrive(time) {
  return new Promise((done) => {
    let waits = true;
    const finish = () => { if (waits) { waits = false; done(); } };
    if (framed) video.requestVideoFrameCallback(finish);
    else video.addEventListener("seeked", finish, { once: true });
    setTimeout(finish, 500);
    seek(time);
  });
}
/** One frame on or back. Frames need not last equally long: the next one is searched in steps of a nominal frame. */
export function stepFrame(by) {
  if (!isLoaded()) return;
  pause();
  stepping = stepping.then(async () => {
    const here = now(), period = 1 / (current()?.rate || 25);
    if (by < 0) {
      if (here > 0) await arrive(Math.max(here - Math.min(period / 4, 2e-3), 0));
      return;
    }
    for (let k = 1; k <= 64; k *= 2) {
      const target = here + period * (k + 0.02);
      await arrive(target);
      if (now() > here + 1e-6 || target >= length()) return;
    }
  });
}

/** Still stretches of the overview: [from, to] pairs of at least two seconds without motion. */
export function stills() {
  const o = state.overview;
  if (!o || o.motion.length < 4 || o.step_s > 2) return [];
  if (o.stills) return o.stills;
  const ordered = [...o.motion].sort((a, b) => a - b);
  const threshold = Math.max(3, 1.8 * ordered[Math.floor(ordered.length / 10)]);
  const found = [];
  let from = -1;
  for (let k = 0; k <= o.motion.length; k++) {
    const still = k < o.motion.length && o.motion[k] < threshold;
    if (still && from < 0) from = k;
    if (!still && from >= 0) {
      if ((k - from) * o.step_s >= 2) found.push([from * o.step_s, k * o.step_s]);
      from = -1;
    }
  }
  o.stills = found;
  return found;
}
/** While skipping is on, playback jumps over still stretches. */
function skip() {
  if (!skipping || !playing()) return;
  const t = now();
  const part = stills().find(([from, to]) => t > from + 0.4 && t < to - 1);
  if (part) seek(part[1] - 0.6);
}
export function toggleSkip() {
  skipping = !skipping;
  store("punctum-skip", skipping ? "1" : "0");
  notify("playing");
  return skipping;
}
export const isSkipping = () => skipping;
