// What the card of a question says. twin: a click of the class nearby, while it is asked whether it marks the same action.
import { clock } from "./dom.js";
import { state } from "./model.js";

export const KINDS = { miss: "No click here", error: "Label in doubt", unsure: "Uncertain", misplaced: "Misplaced" };

export function text(q, twin) {
  if (twin) return "The same action?";
  if (q.kind === "error") return `${state.clicks.get(q.click)?.annotator ? `You clicked ${q.label} here` : `There is a click of ${q.label} here`}. Is it right?`;
  return `Is this ${q.label}?`;
}
export function detail(q, twin) {
  if (twin) return `There is a click of ${twin.label} at ${clock(twin.time_s)}. Yes: nothing is added. No: another action, with a click of its own`;
  const score = q.score >= 0.005 ? `score ${q.score.toFixed(2)}` : "";
  if (q.kind === "misplaced") {
    const off = Math.abs(q.time_s - (q.start_s + q.end_s) / 2).toFixed(2), side = q.time_s < q.start_s ? "before" : "after";
    return `You clicked it ${off} s ${side} the middle of the event that the networks find, ${score}. Yes: the click stays where it is. M: it moves to the middle of the event. No: the click is deleted`;
  }
  if (q.kind === "error") return (q.other ? `The networks find ${q.other} there, ${score}` : `The networks do not find it${score ? ` (${score})` : ""}`) + again(q);
  return `The networks find it, ${score}${q.other ? `; or ${q.other}` : ""}`;
}
/** Why a click that was settled is asked about again. */
function again(q) {
  if (!q.settled) return "";
  const { round: number, confirmed, was, now } = q.settled, percent = (p) => `${Math.round(100 * p)} %`;
  return `. It was ${confirmed ? "confirmed" : "given as an answer"} in round ${number}, and is asked again because an error has become more probable: ${percent(now)}, instead of at most ${percent(was)} then`;
}
