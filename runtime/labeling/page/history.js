// Undo and redo in words: what has happened, in which video, and when.
import { clock } from "./dom.js";

/** One effect of undo or redo as words. */
function words({ change, before, after }, undone) {
  const c = after || before, at = c && "time_s" in c ? ` at ${clock(c.time_s)}` : "";
  const span = c && "start_s" in c ? ` from ${clock(c.start_s)} to ${clock(c.end_s)}` : "";
  const again = undone ? "again" : "now";
  if (change.op === "add") return `click ${c.label}${at} ${undone ? "is back" : "added"}`;
  if (change.op === "delete") return `click ${c.label}${at} removed`;
  if (change.op === "edit") {
    if (!before || !after) return "click changed";
    if (before.label !== after.label) return `click${at} is ${after.label} ${again}`;
    if (before.time_s !== after.time_s) return `click ${c.label} moved from ${clock(before.time_s)} to ${clock(after.time_s)}`;
    return `note of click ${c.label}${at} ${after.note ? `is "${after.note}" ${again}` : "removed"}`;
  }
  if (change.op === "nothing") return change.value ? '"Nothing happens" is marked' : '"Nothing happens" is not marked any more';
  if (change.op === "finished") return change.value ? "marked as finished" : "not marked as finished any more";
  if (change.op === "confirm") return `click ${c ? c.label : ""}${at} ${change.value ? "confirmed" : "not confirmed any more"}`;
  if (change.op === "background" || change.op === "unbackground") return `answer "no ${c?.label || "action"}"${span} ${after ? "is back" : "removed"}`;
  return "changed";
}

/** What undo or redo of an entry has done: text, name of its video, and the time to go to, or undefined. */
export function describe(entry, undone) {
  const effects = entry.effects || [], places = effects.map((e) => e.after || e.before);
  const video = places.find(Boolean)?.video || effects.find((e) => e.change.video)?.change.video || "";
  const place = places.find(Boolean);
  return { text: `${undone ? "Undone" : "Redone"}${video ? ` in ${video}` : ""}: ${effects.map((e) => words(e, undone)).join("; ")}`, video, time_s: place?.time_s ?? place?.start_s };
}
