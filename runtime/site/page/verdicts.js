// Verdicts of people about events: saved one after another, and taken back in reverse order.
import { change, eventPath } from "./api.js";
import { byId, clock, say, text } from "./dom.js";
import { at, mayOperate, take } from "./model.js";

export const VERDICTS = { right: "Right", wrong: "Wrong", class: "Other class", edges: "Wrong edges" };
const given = []; // on this page, the latest last: { event, before }
let saving = 0, queue = Promise.resolve(), changed = () => {};
/** Called when there is something more, or less, that can be taken back. */
export const whenGiven = (call) => { changed = call; };
export const canTakeBack = () => given.length > 0;

/** Send a review, after those before it; without one, withdraw it. Returns whether it was saved. */
function send(e, body, words) {
  if (!mayOperate()) { say("This token may only read", "bad"); return Promise.resolve(false); }
  saving += 1;
  text(byId("e-saving"), "Saving");
  queue = queue.then(async () => {
    try {
      take(await change(`${eventPath(e)}/review`, body, body ? "POST" : "DELETE"), true);
      say(`${words}, ${e.camera} ${clock(at(e))}`);
      return true;
    } catch (error) {
      say(`Not saved: ${String(error.message || error).slice(0, 300)}`, "bad");
      return false;
    } finally {
      saving -= 1;
      if (!saving) text(byId("e-saving"), "");
    }
  });
  return queue;
}
const named = (body) => VERDICTS[body.verdict] + (body.label ? ": " + body.label : "");

/** Save a verdict, which can be taken back. */
export async function save(e, body) {
  const one = { event: e, before: e.review };
  given.push(one);
  changed();
  if (await send(e, body, named(body))) return;
  given.splice(given.indexOf(one), 1);
  changed();
}

/** Take back the latest verdict: what was there before it is there again. Returns its event, or null without one. */
export function takeBack() {
  const one = given.pop();
  if (!one) return null;
  const old = one.before, body = old ? { verdict: old.verdict, by: old.by, note: old.note } : undefined;
  if (old?.verdict === "class") body.label = old.label;
  if (old?.verdict === "edges") Object.assign(body, { start: old.start, end: old.end });
  changed();
  send(one.event, body, body ? `${named(body)}, as before` : "Verdict taken back").then((saved) => {
    if (!saved) { given.push(one); changed(); }
  });
  return one.event;
}

/** Withdraw the review of an event, whoever gave it. */
export const withdraw = (e) => send(e, undefined, "Review withdrawn");
