// The reaction time of a person: how long after a movement begins the key goes down. Measured once, with a short task.
import { byId, el, say } from "./dom.js";
import { request, state } from "./model.js";

const TRIALS = 8, WARM_UP = 2, EARLY_MS = 80, LATE_MS = 1500;
const dialog = byId("reaction");
let timer = 0, begun = 0, times = [], active = false;

export const reactionOf = () => state.reaction[state.annotator] || 0;
const median = (values) => {
  const v = [...values].sort((a, b) => a - b), m = v.length >> 1;
  return v.length % 2 ? v[m] : (v[m - 1] + v[m]) / 2;
};

export function open() {
  const own = reactionOf();
  const start = el("button", { type: "button", class: "main", text: own ? "Measure again" : "Start", onclick: run });
  dialog.replaceChildren(
    el("h2", { id: "h-reaction", text: "Reaction time" }),
    el("p", { text: "You press a key a moment after you see the action. Measured once, this delay is subtracted from clicks "
      + "made while the video plays, times the speed. Both times are saved." }),
    el("p", { text: own ? `${state.annotator}: ${Math.round(own * 1000)} ms` : `Not measured yet for ${state.annotator}` }),
    el("div", { class: "tools" }, start,
      own ? el("button", { type: "button", text: "Do not subtract", onclick: () => { save(0); dialog.close(); } }) : null,
      el("button", { type: "button", text: "Close", onclick: () => dialog.close() })));
  dialog.showModal();
  start.focus();
}
dialog.addEventListener("close", () => { active = false; clearTimeout(timer); });

function run() {
  times = [];
  active = true;
  const pad = el("button", { type: "button", class: "pad", onpointerdown: (e) => { e.preventDefault(); press(e.timeStamp); } },
    el("span", { class: "dot" }));
  dialog.replaceChildren(
    el("h2", { id: "h-reaction", text: "Reaction time" }),
    el("p", { text: "Press Space, or tap the field, the moment the dot jumps. " + TRIALS + " times." }),
    pad, el("p", { id: "r-count", role: "status", text: "Get ready" }));
  pad.focus();
  pad.addEventListener("keydown", (e) => {
    if (e.key !== " " && e.key !== "Enter") return;
    e.preventDefault();
    if (!e.repeat) press(e.timeStamp);
  });
  pad.addEventListener("keyup", (e) => e.preventDefault());
  wait();
}
function wait() {
  const pad = dialog.querySelector(".pad");
  pad.classList.remove("go");
  begun = 0;
  timer = setTimeout(() => requestAnimationFrame(() => {
    pad.classList.add("go");
    requestAnimationFrame((t) => { begun = t; }); // the frame after the change is on screen from about here on
  }), 900 + Math.random() * 1600);
}
function press(moment) {
  if (!active) return;
  const count = byId("r-count"), taken = moment - begun;
  if (!begun || taken < EARLY_MS) {
    clearTimeout(timer);
    count.textContent = "Too early: wait for the jump";
    return wait();
  }
  if (taken > LATE_MS) { count.textContent = "Too late: try again"; return wait(); }
  times.push(taken);
  count.textContent = `${times.length} of ${TRIALS}: ${Math.round(taken)} ms`;
  if (times.length < TRIALS) return wait();
  const seconds = Math.round(median(times.slice(WARM_UP))) / 1000;
  save(seconds);
  dialog.close();
}
function save(seconds) {
  state.reaction[state.annotator] = seconds;
  request({ op: "reaction", seconds });
  say(seconds ? `Reaction time of ${state.annotator}: ${Math.round(seconds * 1000)} ms` : "No reaction time is subtracted");
}
