// What the marks on the timeline mean: only those that there are in the video on screen.
import { byId, el } from "./dom.js";
import { clicksOf, current, isOwn, listen, state } from "./model.js";
import { eventsOf } from "./timeline.js";

let drawn = "";
function paint() {
  const name = current()?.name, events = eventsOf(name);
  const spans = [...state.background.values()].some((b) => b.video === name && (state.others || isOwn(b)));
  const items = [
    name && clicksOf(name).some((c) => !isOwn(c)) ? ["round", "click of another annotator"] : null,
    events.length ? ["bar", "found by training; the paler, the lower its score"] : null,
    spans ? ["hatched", "your answer: no action"] : null,
  ].filter(Boolean);
  const text = items.map(([kind]) => kind).join();
  if (text === drawn) return;
  drawn = text;
  byId("legend").replaceChildren(...items.map(([kind, words]) => el("span", {}, el("i", { class: `sign ${kind}`, "aria-hidden": "true" }), words)));
}
listen((topics) => { if (["video", "found", "background", "clicks"].some((t) => topics.has(t))) paint(); });
