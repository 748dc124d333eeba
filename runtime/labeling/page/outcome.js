// Results of the last round: precision and recall by click, confusion, mistakes.
import { known } from "./answers.js";
import { call } from "./api.js";
import { byId, clock, counted, el } from "./dom.js";
import * as guide from "./guide.js";
import { isOwn, listen, lookOf, notify, state } from "./model.js";

const NONE = "no click", MISSED = "not found";
let open = false, shown = null, drawn = "", timer = 0, number = 0;

const percent = (share) => (share.value === null ? "–" : `${Math.round(100 * share.value)} %`);
const range = (share) => `${Math.round(100 * share.low)} to ${Math.round(100 * share.high)} %`;

async function load() {
  if (!open || !state.found) return;
  const mine = ++number;
  await known();
  const answer = await call(`api/results?min_score=${state.least ?? ""}`).then((a) => (a.ok ? a.json() : null)).catch(() => null);
  if (mine !== number || !answer || !("min_score" in answer)) return;
  const text = JSON.stringify([answer, state.confirmed, state.others, state.annotator]);
  if (text === drawn) return; // what is under the pointer stays
  drawn = text;
  shown = answer;
  paint();
}
function soon() {
  clearTimeout(timer);
  timer = setTimeout(load, 80);
}

function paint() {
  const r = shown;
  byId("o-facts").textContent = `${counted(r.videos, "labeled video")}, each judged by networks that have not seen its clicks`;
  paintAge();
  byId("o-figures").replaceChildren(
    el("b", { text: `Precision ${percent(r.precision)}` }), ` (${r.right} of ${counted(r.events, "event")} hold a click; 95 %: ${range(r.precision)}). `,
    el("b", { text: `Recall ${percent(r.recall)}` }), ` (${r.right} of ${counted(r.clicks, "click")} are found; ${range(r.recall)}).`);
  byId("o-chance").textContent = `Rounds differ by chance: with ${counted(r.clicks, "click")}, a change of recall within ${range(r.recall)}, or of precision within ${range(r.precision)}, is no sign that labels made it better or worse.`;
  const labels = Object.keys(r.per_class);
  byId("o-classes").replaceChildren(table(["", "Clicks", "Found", "Events", "Right"], labels.map((label) => {
    const c = r.per_class[label];
    return [label, c.clicked, percent(c.recall), c.events, percent(c.precision)];
  })));
  const counts = new Map(r.confusion.map(([clicked, found, count]) => [`${clicked}\n${found}`, count]));
  const cell = (clicked, found) => {
    const count = counts.get(`${clicked}\n${found}`) || 0;
    if (!count) return "";
    return el("span", { class: clicked === found ? "same" : "wrong", text: count });
  };
  byId("o-confusion").replaceChildren(table(["Clicked \\ found", ...labels, MISSED],
    [...labels.map((a) => [a, ...labels.map((b) => cell(a, b)), cell(a, "")]), [NONE, ...labels.map((b) => cell("", b)), ""]]));
  const seen = r.mistakes.filter(isShown), others = r.mistakes.length - seen.length;
  byId("mistakes").replaceChildren(...seen.map((q) => el("li", { class: isSettled(q) ? "settled" : "" },
    el("button", { type: "button", class: lookOf(q.label), "data-key": q.key, onclick: () => ask(q) },
      el("i", { class: "spot" }), el("b", { text: `${q.video} ${clock(q.time_s)}` }), el("span", { text: words(q) }),
      el("small", { text: isSettled(q) ? "answered" : q.score >= 0.005 ? q.score.toFixed(2) : "" })))));
  mark();
  byId("h-mistakes").textContent = (r.mistakes_total > r.mistakes.length ? `Mistakes: the worst ${r.mistakes.length} of ${r.mistakes_total}` : `Mistakes: ${r.mistakes_total}`)
    + (others ? `; ${others} at clicks of others, which are hidden` : "");
}
/** Which round it is, and whether labels have changed since. */
function paintAge() {
  const l = state.learning, r = l?.round;
  if (!r) return;
  byId("o-age").textContent = `Round ${r.number}, trained on ${counted(r.clicks, "click")}`
    + (l.changed ? `; ${counted(l.changed, "change")} of labels since ${l.changed === 1 ? "is" : "are"} not in it${l.training ? ". The next round is being trained" : ""}.` : ", up to date.");
  byId("o-age").classList.toggle("old", l.changed > 0);
}
/** Mistakes at clicks of others would give these away. */
const isShown = (q) => { const c = q.click && state.clicks.get(q.click); return !c || state.others || isOwn(c); };
const isSettled = (q) => q.answered || Boolean(q.click && state.confirmed[q.click]);
/** The mistake that is asked about. */
function mark() {
  const key = guide.asked()?.key;
  for (const button of byId("mistakes").querySelectorAll("button")) button.setAttribute("aria-current", button.dataset.key === key ? "true" : "false");
}
function words(q) {
  if (!q.click) return `${q.label} without a click`;
  if (q.kind === "misplaced") return `${q.label} clicked ${Math.abs(q.time_s - (q.start_s + q.end_s) / 2).toFixed(2)} s beside the event`;
  return q.other ? `${q.label} clicked, ${q.other} found` : `${q.label} clicked, not found`;
}
function table(heads, rows) {
  const line = ([head, ...cells]) => el("tr", {}, el("th", { scope: "row", text: head }), ...cells.map((c) => {
    const node = el("td", c instanceof Node ? { class: c.className } : { text: c });
    if (c instanceof Node) node.append(c.textContent);
    return node;
  }));
  return el("table", {}, el("thead", {}, el("tr", {}, ...heads.map((text) => el("th", { scope: "col", text })))), el("tbody", {}, ...rows.map(line)));
}

/** Mistakes from one on are asked about like questions: one key corrects each, and then the ones before it come. */
function ask(first) {
  const all = shown.mistakes, place = all.indexOf(first), order = [...all.slice(place), ...all.slice(0, place)];
  guide.begin(order.filter((q, k) => k === 0 || !isSettled(q)), load, true);
}

function setLeast(value) {
  state.least = value;
  byId("least").value = value;
  byId("least-value").textContent = value.toFixed(2);
  notify("found");
  soon();
}
byId("least").addEventListener("input", (e) => setLeast(Number(e.target.value)));

byId("b-outcome").onclick = () => {
  open = !open;
  byId("b-outcome").setAttribute("aria-pressed", open ? "true" : "false");
  byId("outcome").hidden = !open;
  if (open) { setLeast(state.least ?? state.found?.min_score ?? 0.5); byId("outcome").scrollIntoView({ block: "nearest" }); }
};
export function begin() {
  listen((topics) => {
    if (topics.has("learning")) paintAge();
    if (topics.has("question")) mark();
    if (["clicks", "background", "round", "person"].some((t) => topics.has(t))) { if (!guide.isAsking()) soon(); }
    if (topics.has("found") && open && state.found && byId("least-value").textContent === "") setLeast(state.least);
  });
}
