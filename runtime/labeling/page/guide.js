// Questions: the page plays the moment in a loop, and one key answers. Each answer is a click, or a span without an
// action, and can be undone like any other change.
import { get, known, note, saved, tell } from "./answers.js";
import { byId, clock, counted, flash, say } from "./dom.js";
import { describe } from "./history.js";
import * as model from "./model.js";
import { current, hueOf, listen, notify, state } from "./model.js";
import * as player from "./player.js";
import { KINDS, detail, text } from "./wording.js";

const PAD_S = 0.6, LEAST_S = 1.2;
const NEAR_SHARE = 0.5; // as the server has it
let queue = [], question = null, twin = null, answered = [], single = false, round = -1, onShow = () => {}, after = () => {};
export const wire = (show) => { onShow = show; };
export const isAsking = () => question !== null;
export const asked = () => question;

model.onRename((old, name) => {
  for (const q of question ? [question, ...queue] : queue) {
    if (q.label === old) q.label = name;
    if (q.other === old) q.other = name;
  }
  if (question) paint();
});

export async function toggle() {
  if (question) return leave();
  await saved();
  await known();
  const answer = await get("api/questions");
  if (!answer) return say("The server does not answer", "bad");
  if (!answer.questions.length) return say(state.learning?.round ? "No question at present: label another video" : "There are no questions before the first training");
  begin(answer.questions);
}
/** Whether this annotator may answer: others' clicks are theirs. */
function mine(q) {
  const c = q.click && state.clicks.get(q.click);
  return !q.click || (c && model.isOwn(c));
}
/** Ask these questions, one after the other. done: called at the end; listed: they are the mistakes of the results, after
 * which no other questions come. */
export function begin(questions, done = () => {}, listed = false) {
  queue = questions.filter((q) => mine(q) && ofRound(q));
  after = done;
  single = listed;
  next();
}
export function leave() {
  const had = question;
  question = twin = null;
  player.loop(null);
  player.pause();
  paint();
  if (had) after();
}

async function next() {
  if (!queue.length && question && !single) {
    await saved();
    await known();
    const answer = await get("api/questions");
    const seen = keysOfRound();
    queue = (answer?.questions || []).filter((q) => mine(q) && !seen.has(q.key) && ofRound(q));
  }
  if (!queue.length) {
    const left = answered.filter((a) => isHere(a) && a.skipped).length, all = single ? "mistakes" : "questions";
    say(left ? `No further ${all}: ${left} skipped` : `All ${all} are answered`);
    return leave();
  }
  show(queue.shift());
}

/** The player, the question and the line of messages come into view. */
function reveal() {
  const top = byId("screen").getBoundingClientRect().top, bottom = byId("say").getBoundingClientRect().bottom;
  if (top < document.querySelector(".top").getBoundingClientRect().bottom || bottom > innerHeight) byId("screen").scrollIntoView({ block: "start" });
}

async function show(q) {
  question = q;
  twin = null;
  paint();
  reveal();
  const entry = model.videoOf(q.video);
  if (!entry) return next();
  if (current()?.id !== entry.id) await onShow(entry);
  if (question !== q) return;
  const from = Math.min(q.start_s, q.time_s), to = Math.max(q.end_s, q.time_s), spare = Math.max((LEAST_S - (to - from)) / 2, PAD_S);
  player.whenLoaded(entry, () => { if (question === q) player.loop([from - spare, to + spare]); });
}

function paint() {
  const box = byId("question"), q = question;
  box.hidden = !q;
  byId("b-ask").setAttribute("aria-pressed", q ? "true" : "false");
  if (!q) return notify("question");
  box.className = "question card " + model.lookOf(q.label);
  byId("q-kind").textContent = KINDS[q.kind];
  byId("q-place").textContent = `${q.video}, ${clock(q.start_s)} to ${clock(q.end_s)}`;
  byId("q-text").textContent = text(q, twin);
  byId("q-detail").textContent = detail(q, twin);
  byId("q-left").textContent = `${counted(answered.filter((a) => !a.skipped).length, "answer")} so far, ${counted(queue.length, single ? "mistake" : "question")} left.`;
  byId("b-none").hidden = byId("b-skip").hidden = Boolean(twin);
  byId("b-move").hidden = q.kind !== "misplaced" || Boolean(twin);
  notify("question");
  byId("b-unanswer").disabled = !answered.length;
}

/** Whether two questions are about the same moment: the middle of one is in the other, or they have the same click. */
function about(p, q) {
  if (p.click && p.click === q.click) return true;
  const middle = (x) => (x.start_s + x.end_s) / 2, holds = (x, t) => x.start_s <= t && t <= x.end_s;
  return p.video === q.video && (holds(p, middle(q)) || holds(q, middle(p)));
}
const isHere = (a) => a.round === round;
const keysOfRound = () => new Set(answered.filter(isHere).map((a) => a.question.key));
const ofRound = (q) => !answered.some((a) => !a.skipped && isHere(a) && about(q, a.question));
/** click: id of the click that the answer gives or confirms. */
function done(q, what, hue, entry, click = q.click) {
  answered.push({ question: q, skipped: false, entry, round });
  const moment = { video: q.video, start_s: Math.max(q.start_s, 0), end_s: Math.max(q.end_s, 0), click: click || null };
  answered.at(-1).moment = moment;
  note(q.key, moment);
  queue = queue.filter((p) => p.key !== q.key && !about(p, q)); // the same answer settles them
  flash(what, hue);
  say(`${q.video} ${clock(q.time_s)}: ${what}. Z undoes it${model.alsoUnmarked(entry)}`);
  next();
}
/** An own click of a class that is so close that it probably marks this action. */
function near(q, label) {
  const within = Math.max(NEAR_SHARE * (q.end_s - q.start_s), state.found?.typical_s[label] || 0);
  const off = (c) => Math.abs(c.time_s - (q.start_s + q.end_s) / 2);
  return model.clicksOf(q.video)
    .filter((c) => model.isOwn(c) && c.label === label && c.time_s >= q.start_s - within && c.time_s <= q.end_s + within)
    .sort((a, b) => off(a) - off(b))[0] || null;
}
function clickAt(q, label) {
  const id = model.addClick({ label, video: q.video, time_s: q.time_s, speed: 0, asked: true });
  done(q, label, hueOf(label), model.history.done.at(-1), id);
}
/** The answer to "the same action?": nothing is added, or a click after all. */
function settleTwin(same) {
  const q = question, c = twin;
  twin = null;
  if (!same) return clickAt(q, c.label);
  if (!state.clicks.has(c.id)) return gone(q);
  if (state.confirmed[c.id]?.[state.annotator]) return done(q, `the same ${c.label}`, "", null, c.id);
  done(q, `the same ${c.label}`, "", confirm(c.id), c.id);
}
const confirm = (id) => model.act({ op: "confirm", id, value: true }, { op: "confirm", id, value: false });
/** The click that is asked about was deleted while it was asked about: there is nothing to answer. */
function gone(q) {
  queue = queue.filter((p) => p.key !== q.key && p.click !== q.click);
  next();
  say("That click is gone: it was deleted meanwhile", "bad");
}
/** What is the answer for a click, whose class may have been changed meanwhile. */
function settle(q, label) {
  const c = state.clicks.get(q.click);
  const entry = !c ? null : c.label === label ? confirm(c.id) : model.editClick(c.id, { label });
  if (entry) done(q, label, hueOf(label), entry);
  else gone(q);
}
export function yes() { if (twin) settleTwin(true); else other(question.label); }
/** Not the class; without a class: no action at all. */
export function no(label) {
  if (twin) return settleTwin(false);
  const q = question, pairs = [model.excluded(q.video, q.start_s, q.end_s, label)];
  const c = q.click && state.clicks.get(q.click);
  if (c) pairs.unshift([{ op: "delete", id: c.id }, { op: "add", ...model.fieldsOf(c) }]);
  done(q, label ? `no ${label}` : "no action", "", model.actAll(pairs));
}
function other(label) {
  const q = question;
  if (q.click) return settle(q, label);
  twin = near(q, label);
  if (twin) paint();
  else clickAt(q, label);
}
/** A misplaced click moves to the middle of the event. */
function move() {
  const q = question, entry = model.editClick(q.click, { time_s: Math.round(500 * (q.start_s + q.end_s)) / 1000 });
  if (entry) done(q, `${q.label} moved`, hueOf(q.label), entry);
  else gone(q);
}
function skip() {
  const q = question;
  answered.push({ question: q, skipped: true, round });
  tell(q.key, true);
  next();
}
function undo() {
  if (twin) { twin = null; return paint(); }
  const last = answered.at(-1);
  if (!last) return say("Nothing to undo");
  const refused = last.entry?.gone;
  if (!last.skipped && !refused && last.entry && last.entry !== model.history.done.at(-1)) { // another change came after it
    const undone = model.undo();
    if (undone) say(`${describe(undone, true).text}. It was no answer`);
    return;
  }
  answered.pop();
  if (last.skipped) tell(last.question.key, false);
  else {
    note(last.question.key, null);
    if (!refused && last.entry) model.undo();
  }
  if (question) queue.unshift(question);
  say(last.skipped ? "The question is back" : refused ? "That answer was not saved" : last.entry?.effects ? describe(last.entry, true).text : "Undone");
  show(last.question);
}

/** An entry of the history was undone or redone without a question on screen: its answer does not hold, or holds again. */
const withdrawn = [];
export function follow(entry, undone) {
  const [from, to] = undone ? [answered, withdrawn] : [withdrawn, answered];
  const place = from.findIndex((a) => a.entry === entry);
  if (place < 0) return;
  const [a] = from.splice(place, 1);
  to.push(a);
  note(a.question.key, undone ? null : a.moment);
}
/** Keys while a question is asked. Returns whether the key is taken. */
export function onKey(key, label, event) {
  if (!question) return false;
  if (event.repeat) return true;
  if (label !== undefined && !event.shiftKey && !twin) { other(label); return true; }
  if (twin && (label !== undefined || key === " ")) return true; // yes or no first
  const acts = { y: yes, n: () => no(event.shiftKey ? "" : question.label), " ": skip, z: undo, Escape: () => (twin ? undo() : leave()) };
  if (key === "m" && !byId("b-move").hidden) { move(); return true; }
  if (!(key in acts)) return false;
  acts[key]();
  return true;
}
/** The button of a class answers as its key does. Returns whether a question is asked. */
export function onClass(label) {
  if (question && !twin) other(label);
  return question !== null || twin !== null;
}
const buttons = {
  "b-yes": yes, "b-no": () => no(question.label), "b-none": () => no(""), "b-move": move, "b-skip": skip, "b-unanswer": undo, "b-leave": () => (twin ? undo() : leave()),
  "b-ask": toggle,
};
for (const [id, act] of Object.entries(buttons)) byId(id).onclick = () => act();

async function load() {
  const found = await get("api/found");
  if (!found) return;
  state.found = found.round ? found : null;
  if (state.least === null && found.round) state.least = found.min_score;
  const answer = found.round ? await get("api/questions") : null;
  state.unlabeled = answer?.unlabeled || [];
  const later = round > 0 && found.round > round;
  round = found.round;
  if (later && question && !single && answer) {
    const seen = keysOfRound();
    queue = answer.questions.filter((q) => mine(q) && q.key !== question.key && !seen.has(q.key));
    paint();
  }
  notify("found", "videos");
}
listen((topics) => {
  if (topics.has("learning")) byId("b-ask").disabled = !state.learning?.round && !question;
  if (topics.has("round")) load();
});
