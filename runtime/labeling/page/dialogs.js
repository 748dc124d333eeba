// The dialogs of annotators, agreement and keys, and whether clicks of others are shown.
import { call } from "./api.js";
import { ask, byId, clock, counted, el, say } from "./dom.js";
import * as model from "./model.js";
import { KEYS, current, listen, notify, state } from "./model.js";
import * as player from "./player.js";

let open = () => {};
/** show: opens a video. */
export const wire = (show) => { open = show; };

byId("b-annotator").onclick = async () => {
  const name = await ask("Name of the annotator", state.annotator);
  if (!name) return;
  state.annotator = name;
  try { sessionStorage.setItem("punctum-annotator", name); } catch { /* private mode */ }
  model.history.done.length = model.history.undone.length = 0;
  notify("classes", "clicks", "videos", "background", "person");
};
byId("b-others").onchange = (e) => { lent = null; state.others = e.target.checked; showOthers(); };
/** What is shown of others has changed. */
const showOthers = () => notify("classes", "clicks", "videos", "background", "found");
/** A conflict shows the clicks of others in its video; they are hidden again when another video or annotator comes. */
let lent = null;
function lend(video) {
  if (state.others && !lent) return; // the annotator shows them anyway
  lent = { video, annotator: state.annotator };
  state.others = byId("b-others").checked = true;
  showOthers();
}
listen((topics) => {
  if (!lent || !(topics.has("person") || topics.has("video"))) return;
  if (lent.annotator === state.annotator && lent.video === current()?.id) return;
  lent = null;
  state.others = byId("b-others").checked = false;
  showOthers();
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
      Promise.resolve(open(v)).then(() => player.whenLoaded(v, () => {
        state.selected = c.ids[0];
        player.seek(c.time_s);
        notify("selection", "clicks");
      }));
    },
  }, el("b", { text: `${c.video} ${clock(c.time_s)}` }),
  el("span", { text: c.labels.length > 1 ? ` ${c.annotators[0]}: ${c.labels[0]}, ${c.annotators[1]}: ${c.labels[1]}` : ` ${c.annotators[0]}: ${c.labels[0]}, ${c.annotators[1]}: ${state.nothing[c.video]?.[c.annotators[1]] ? "nothing happens" : "no click"}` })))));
  dialog.replaceChildren(el("h2", { id: "h-agreement", text: "Agreement" }),
    answer.pairs.length ? table : el("p", { text: "Two annotators are needed. Change the annotator at the top, or start punctum label with --annotator." }),
    answer.pairs.length ? el("p", { class: "quiet", text: "Clicks of one class at most 1.5 s apart are the same action; for training it counts once." }) : null,
    answer.total ? el("h3", { text: counted(answer.total, "conflict") }) : null, answer.total ? list : null, el("div", { class: "tools" }, close));
  dialog.showModal();
};

const HELP = [
  ["Space", "play, pause"], ["J", "back 2 s (Shift: 10 s)"], ["K", "pause"], ["L", "play; again: faster, up to 4×"],
  ["Shift L", "slower"], [", .", "previous, next frame (also ← →)"], ["Shift ← →", "back, on by 1 s"], ["Home, End", "start, end of the video"], ["S", "skip still parts"],
  ["1 2 3 …", "click of a class: the key beside its name"], ["Shift + key", "give the selected click this class"], ["↑ ↓", "previous, next click"],
  ["Delete", "delete the selected click"], ["M", "note at the selected click"], ["Z, Y", "undo, redo (also Ctrl)"],
  ["N", "nothing happens in this video"], ["Enter", "finished, next video (Shift: previous video)"], ["+ −", "zoom of the timeline"],
  ["F2", "questions, once training has found something"], ["Esc", "select nothing; end questions"], ["?", "this list"],
];
byId("b-help").onclick = () => {
  const dialog = byId("help");
  dialog.replaceChildren(el("h2", { id: "h-help", text: "Keys" }),
    el("dl", { class: "keys" }, ...HELP.flatMap(([key, text]) => [el("dt", {}, el("kbd", { text: key })), el("dd", { text })])),
    el("p", { class: "quiet", text: `Keys of classes, in this order: ${KEYS.toUpperCase().split("").join(" ")}` }),
    el("p", { class: "quiet", text: "While a question is asked: Y yes, N no, Shift N no action at all, key of a class: another class, Space skip, Z undo." }),
    el("p", { class: "quiet", text: "Sliders and lists that have the focus keep the arrow keys; Esc gives them back to the video." }),
    el("div", { class: "tools" }, el("button", { type: "button", text: "Close", onclick: () => dialog.close() })));
  dialog.showModal();
  dialog.scrollTop = 0; // the button that gets the focus is at the end
};
