// The wall: one tile a camera, with its picture, state and reason.
import { picture } from "./api.js";
import { byId, clock, counted, el, span, text } from "./dom.js";
import { hueOf, lastOf, listen, state } from "./model.js";

const KINDS = { running: "good", starting: "busy", opening: "busy", lost: "bad", failed: "bad", ended: "idle", off: "idle", scheduled: "idle" };
// The words of the API, as everywhere.
const NAMES = { running: "Running", starting: "Starting", opening: "Opening", lost: "Lost", failed: "Failed", ended: "Ended", off: "Off", scheduled: "Scheduled" };
export const kindOf = (camera) => (camera.degraded ? "bad" : KINDS[camera.state] || "busy");
/** The state in words; a camera that runs and loses media says so. */
export const wordOf = (camera) => (camera.degraded ? "Degraded" : nameOf(camera.state));
export const nameOf = (word) => NAMES[word] || word;
const ORDER = ["bad", "busy", "good", "idle"];
const SECOND_MS = 1000, AT_ONCE = 3;
const tiles = new Map();

/** Shows a picture in an image element; the one before is freed. */
export function setPicture(image, found) {
  if (!found.address) return;
  const old = image.src;
  image.src = found.address;
  image.hidden = false;
  if (old.startsWith("blob:")) URL.revokeObjectURL(old);
}

const watch = new IntersectionObserver((entries) => {
  for (const entry of entries) { const tile = tiles.get(entry.target.dataset.camera); if (tile) tile.visible = entry.isIntersecting; }
}, { rootMargin: "100px" });

function make(name) {
  const image = el("img", { alt: "", hidden: true, decoding: "async" });
  const none = el("span", { class: "none" });
  const badge = el("span", { class: "badge" }), title = el("b", { class: "name" });
  const why = el("span", { class: "why" }), last = el("span", { class: "last" });
  const node = el("li", { class: "tile" },
    el("a", { href: "#camera/" + encodeURIComponent(name) }, el("span", { class: "screen" }, image, none), el("span", { class: "row" }, title, badge), why, last));
  node.dataset.camera = name;
  title.textContent = name;
  const tile = { node, image, none, badge, why, last, visible: false, asked: 0, due: 0, tag: "", busy: false };
  watch.observe(node);
  return tile;
}

function draw() {
  const list = byId("wall"), cameras = state.cameras;
  for (const [name, tile] of tiles) if (!cameras.some((c) => c.name === name)) {
    watch.unobserve(tile.node);
    tile.node.remove();
    if (tile.image.src.startsWith("blob:")) URL.revokeObjectURL(tile.image.src);
    tiles.delete(name);
  }
  cameras.forEach((camera, place) => {
    let tile = tiles.get(camera.name);
    if (!tile) tiles.set(camera.name, (tile = make(camera.name)));
    if (list.children[place] !== tile.node) list.insertBefore(tile.node, list.children[place] || null);
    update(tile, camera);
  });
  byId("no-cameras").hidden = cameras.length > 0 || !state.site;
  const counts = {};
  for (const c of cameras) { const word = wordOf(c); counts[word] = counts[word] || { kind: kindOf(c), number: 0 }; counts[word].number += 1; }
  const order = Object.keys(counts).sort((a, b) => ORDER.indexOf(counts[a].kind) - ORDER.indexOf(counts[b].kind));
  text(byId("wall-facts"), cameras.length ? `${counted(cameras.length, "camera")}: ${order.map((k) => `${counts[k].number} ${k.toLowerCase()}`).join(", ")}` : "");
  byId("wall").classList.toggle("many", cameras.length > 24);
}

function update(tile, camera) {
  const kind = kindOf(camera);
  tile.node.dataset.kind = kind;
  tile.node.dataset.degraded = String(Boolean(camera.degraded)); // its picture is a live one
  tile.picture = camera.picture;
  tile.badge.dataset.kind = kind;
  text(tile.badge, wordOf(camera));
  const lost = Object.entries(camera.losses).filter(([, n]) => n).map(([what, n]) => `${Number(n).toLocaleString("en")} ${what.replaceAll("_", " ")}`);
  const age = state.site ? state.site.now_unix - camera.since_unix : 0;
  const since = age > 72000 ? ` (for ${span(age)})` : ` (since ${clock(camera.since_unix, false)})`;
  text(tile.why, camera.why ? camera.why + (camera.degraded ? "" : since) : lost.length ? `Lost since the start: ${lost.join(", ")}` : "");
  tile.node.title = camera.why || "";
  text(tile.none, tile.image.hidden ? (camera.picture ? "Waiting for a picture" : "No picture") : camera.picture ? "" : "Last picture");
  tile.none.hidden = !tile.none.textContent;
  drawLast(tile, camera.name);
}
function drawLast(tile, name) {
  const found = lastOf(name);
  tile.last.className = "last " + (found ? hueOf(found[1]) : "");
  text(tile.last, found ? `${found[1]}, ${clock(found[0])}` : "No event yet");
}

let running = 0;
/** Ask for pictures of the tiles on screen, each at most once a second, few at a time. */
async function refresh() {
  if (byId("v-cameras").hidden || document.hidden || state.link === "lost") return;
  const now = performance.now();
  const due = [...tiles.entries()].filter(([, t]) => t.visible && t.picture && !t.busy && now >= t.due)
    .sort((a, b) => a[1].asked - b[1].asked);
  for (const [name, tile] of due.slice(0, Math.max(AT_ONCE - running, 0))) {
    running += 1;
    tile.busy = true;
    tile.asked = now;
    picture(`cameras/${encodeURIComponent(name)}/picture`, tile.tag).then((found) => {
      if (!found || !tiles.has(name)) return;
      tile.tag = found.tag;
      setPicture(tile.image, found);
      tile.none.hidden = true;
    }).catch(() => {}).finally(() => {
      tile.busy = false;
      running -= 1;
      const took = performance.now() - now; // a slow camera leaves room for the others
      tile.due = now + Math.max(SECOND_MS, 3 * took);
    });
  }
}
setInterval(refresh, 120);

listen((topics) => {
  if (topics.has("cameras") || topics.has("site")) draw();
  else if (topics.has("latest")) for (const [name, tile] of tiles) drawLast(tile, name);
});
