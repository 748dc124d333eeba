// One camera: its picture, state, measurements, tracks, and what may be done with it.
import { change, get, picture } from "./api.js";
import { byId, clock, el, ink, say, span, surface, text } from "./dom.js";
import { at, hueOf, idOf, listen, loadCameras, mayOperate, state } from "./model.js";
import { kindOf, setPicture, wordOf } from "./wall.js";

let name = "", tag = "", busy = false, tracks = null, asked = 0;
const image = byId("c-image"), canvas = byId("c-tracks");
const current = () => state.cameras.find((c) => c.name === name) || null;

export function openCamera(which) {
  if (name !== which) {
    name = which;
    tag = "";
    tracks = null;
    image.hidden = true;
    image.removeAttribute("src");
  }
  draw();
  tick();
}

const DAYS = { mon: "Mon", tue: "Tue", wed: "Wed", thu: "Thu", fri: "Fri", sat: "Sat", sun: "Sun" };
const schedule = (periods) => (periods || []).map((p) => `${(p.days || []).map((d) => DAYS[d]).join(", ") || "Every day"} ${p.start || "00:00"} to ${p.end || "24:00"}`).join("; ") || "Always";
const count = (value) => Math.round(value).toLocaleString("en");
const seconds = (value) => `${value < 10 ? value.toFixed(1) : Math.round(value)} s`;
const megabytes = (value) => `${value < 10 ? value.toFixed(1) : Math.round(value)} MB`;
const yes = (value) => (value ? "Yes" : "No");
// What is shown of the measurements, in this order. The API has all of them.
const VIDEO = [["codec", "Codec", String], ["fps", "Frames a second", (v) => v.toFixed(1)], ["decoder", "Decoder", String], ["frames", "Frames read", count], ["delay_s", "Delay", seconds],
  ["reconnects", "Reconnections", count], ["behind", "Falls behind", yes]];
const STORED = [["clips", "Clips stored", count], ["pictures", "Pictures stored", count], ["media_waiting", "Waiting to be stored", count], ["media_refused", "Not possible", count], ["ring_mb", "Video in memory", megabytes]];
const PROCESS = [["rss_mb", "Memory", megabytes], ["cpu_s", "CPU time", seconds]];
const ENGINE = [["events", "Events reported", count], ["snippets", "Snippets processed", count], ["gaps", "Gaps", count], ["queue", "Snippets waiting", count], ["lag_s", "Oldest waits for", seconds], ["degraded", "Reduced effort", yes]];

export function pairs(entries) {
  return entries.filter(([, value]) => value !== "" && value !== null && value !== undefined)
    .map(([key, value]) => el("div", {}, el("dt", { text: key }), el("dd", { text: String(value) })));
}
const chosen = (record, facts) => facts.filter(([key]) => ["number", "boolean"].includes(typeof record[key]) || (typeof record[key] === "string" && record[key]))
  .map(([key, name, form]) => [name, typeof record[key] === "string" ? record[key] : form(record[key])]);
/** Measurements in groups: [heading, [[name, text], ...]]. */
function groups(stats) {
  const size = stats.width && stats.height ? [["Size", `${stats.width} x ${stats.height}`]] : [];
  const engines = Object.entries(stats).filter(([key, value]) => key.startsWith("engine ") && value).map(([key, value]) => [`Bundle ${key.slice(7)}`, chosen(value, ENGINE)]);
  return [["Video", [...size, ...chosen(stats, VIDEO)]], ["Clips and pictures", chosen(stats, STORED)], ...engines, ["Process", chosen(stats, PROCESS)]].filter(([, facts]) => facts.length);
}

function draw() {
  if (byId("v-camera").hidden) return;
  const camera = current();
  text(byId("c-name"), name);
  byId("c-gone").hidden = Boolean(camera) || !state.cameras.length;
  byId("c-body").hidden = !camera;
  if (!camera) return;
  const badge = byId("c-state");
  badge.dataset.kind = kindOf(camera);
  text(badge, wordOf(camera));
  text(byId("c-why"), camera.why);
  text(byId("c-next"), camera.next_step ? `Next: ${camera.next_step}` : "");
  text(byId("c-none"), image.hidden ? (camera.picture ? "Waiting for a picture" : "No picture") : camera.picture ? "" : "Last picture");
  byId("c-none").hidden = !byId("c-none").textContent;
  byId("c-tools").hidden = !mayOperate();
  byId("b-enable").hidden = camera.enabled;
  byId("b-disable").hidden = !camera.enabled;
  byId("b-restart").disabled = !camera.enabled;
  const now = state.site ? state.site.now_unix : Date.now() / 1000;
  byId("c-facts").replaceChildren(...pairs([
    ["State since", `${clock(camera.since_unix)} (${span(now - camera.since_unix)})`], ["Source", camera.source], ["Bundles", camera.bundles.join(", ")],
    ["Schedule", schedule(camera.config.schedule)], ["Classes", (camera.config.labels || []).join(", ") || "All"],
  ]));
  byId("c-stats").replaceChildren(...groups(camera.stats).map(([heading, facts]) => el("section", { class: "facts", "aria-label": heading }, el("h4", { text: heading }), el("dl", { class: "pairs" }, ...pairs(facts)))));
  const losses = Object.entries(camera.losses).filter(([, n]) => n).map(([key, n]) => [key.replaceAll("_", " "), count(n)]);
  byId("c-losses").replaceChildren(...pairs(losses));
  byId("c-no-losses").hidden = losses.length > 0;
  byId("c-track-part").hidden = !camera.tracks && !tracks;
  events();
}
function events() {
  const found = [...state.events.values()].filter((e) => e.camera === name && e.phase !== "retracted").sort((a, b) => at(b) - at(a)).slice(0, 12);
  byId("c-events").replaceChildren(...found.map((e) => el("li", { class: hueOf(e.label) }, el("a", { href: `#events/${encodeURIComponent(e.camera)}/${encodeURIComponent(e.key)}` },
    el("i", { class: "spot", "aria-hidden": "true" }), el("b", { text: e.label }), el("span", { text: clock(at(e)) }), el("small", { text: e.ended ? e.score.toFixed(2) : "running" })))));
  byId("c-no-events").hidden = found.length > 0;
}

async function tick() {
  const camera = current();
  if (byId("v-camera").hidden || document.hidden || busy || !camera || state.link === "lost" || performance.now() - asked < 800) return;
  busy = true;
  asked = performance.now();
  try {
    const which = name, path = `cameras/${encodeURIComponent(which)}`;
    const found = camera.picture ? await picture(path + "/picture", tag) : null;
    if (which === name && found) { tag = found.tag; setPicture(image, found); byId("c-none").hidden = true; }
    const next = camera.tracks ? await get(path + "/tracks") : null;
    if (which === name) { tracks = next || tracks; drawTracks(); }
  } catch { /* the state of the connection says it */ } finally { busy = false; }
}
setInterval(tick, 250);

function drawTracks() {
  const part = byId("c-track-part");
  part.hidden = !tracks;
  const s = tracks && surface(canvas);
  if (!s) return;
  const { g, width, height } = s, n = tracks.actionness.length, floor = height - 18;
  const best = Object.entries(tracks.classes).sort((a, b) => Math.max(...b[1], 0) - Math.max(...a[1], 0)).slice(0, 6);
  const x = (k) => (n > 1 ? (k / (n - 1)) * width : 0), y = (v) => floor - v * (floor - 6);
  g.strokeStyle = ink("rule");
  g.lineWidth = 1;
  for (const v of [0, 0.5, 1]) { g.beginPath(); g.moveTo(0, Math.round(y(v)) + 0.5); g.lineTo(width, Math.round(y(v)) + 0.5); g.stroke(); }
  const line = (values, color, wide, fill) => {
    g.beginPath();
    values.forEach((v, k) => (k ? g.lineTo(x(k), y(v)) : g.moveTo(x(k), y(v))));
    g.strokeStyle = color;
    g.lineWidth = wide;
    g.stroke();
    if (fill) { g.lineTo(x(values.length - 1), floor); g.lineTo(0, floor); g.globalAlpha = 0.14; g.fillStyle = color; g.fill(); g.globalAlpha = 1; }
  };
  line(tracks.actionness, ink("edge"), 1.5, true);
  for (const [label, values] of best) line(values, ink(hueOf(label)), 2);
  g.font = "12px system-ui, sans-serif";
  g.textBaseline = "middle";
  g.fillStyle = ink("soft");
  const seconds = n * tracks.stride_s;
  g.fillText(`${Math.round(seconds)} s ago`, 0, height - 8);
  g.textAlign = "end";
  g.fillText(tracks.start_unix === null ? "now" : clock(tracks.start_unix + seconds), width, height - 8);
  g.textAlign = "start";
  byId("c-legend").replaceChildren(el("li", {}, el("i", { class: "spot edge" }), el("span", { text: "actionness" })),
    ...best.map(([label, values]) => el("li", { class: hueOf(label) }, el("i", { class: "spot" }), el("span", { text: `${label} ${(values[values.length - 1] ?? 0).toFixed(2)}` }))));
  canvas.setAttribute("aria-label", `Tracks of the last ${Math.round(seconds)} seconds: ${best.map(([label, v]) => `${label} ${(v[v.length - 1] ?? 0).toFixed(2)}`).join(", ")}`);
}
new ResizeObserver(drawTracks).observe(canvas);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawTracks);

async function operate(what, done) {
  try {
    await change(`cameras/${encodeURIComponent(name)}/${what}`);
    say(done);
    await loadCameras();
  } catch (error) { say(String(error.message || error).slice(0, 300), "bad"); }
}
byId("b-enable").onclick = () => operate("enable", "Enabled");
byId("b-disable").onclick = () => operate("disable", "Disabled");
byId("b-restart").onclick = () => operate("restart", "It is starting again");

listen((topics) => {
  if (topics.has("cameras") || topics.has("site") || topics.has("link")) draw();
  else if (topics.has("events") && !byId("v-camera").hidden && current()) events();
});
