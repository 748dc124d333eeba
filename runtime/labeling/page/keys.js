// The keyboard: one key a class, and keys for everything else.
import { byId } from "./dom.js";
import { KEYS, state } from "./model.js";

const TYPING = "input[type=text], textarea, select, [contenteditable]";
// Keys that other elements use themselves while they have the focus.
const MOVES = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"];
const OWN = [["input[type=range], .scroll", MOVES], ["input[type=checkbox]", [" "]], ["summary, a", [" ", "Enter"]]];
// Keys that act again while they are held.
const REPEATED = new Set([...MOVES, "j", ",", ".", "z", "y", "+", "=", "-"]);

/** The button that was reached with the Tab key: Space and Enter press it. Others keep the focus of a mouse click, which
 * does not take these keys from the video. */
let reached = null, last = "";
const isReached = (target) => target === reached && target instanceof HTMLButtonElement;

/** Whether a key belongs to the element that has the focus. */
function belongs(target, key) {
  if (!(target instanceof Element)) return false;
  if ((key === " " || key === "Enter") && isReached(target.closest("button"))) return true;
  return OWN.some(([selector, keys]) => keys.includes(key) && target.closest(selector));
}

/** The class of a key event, by the place of digits and the sign of letters; undefined if it is none. */
export function classOf(event) {
  const digit = /^(?:Digit|Numpad)(\d)$/.exec(event.code);
  const sign = digit ? digit[1] : event.key.length === 1 ? event.key.toLowerCase() : "";
  const place = sign ? KEYS.indexOf(sign) : -1;
  return place < 0 ? undefined : state.classes[place];
}

/** acts: name of a key -> function of the event; onClass: called with a class and the event. */
export function listenKeys(acts, onClass) {
  addEventListener("keydown", (event) => {
    last = event.key;
    // What a dialog has taken, such as the key that ended it, is for nothing else.
    if (document.querySelector("dialog[open]") || event.defaultPrevented || event.altKey || event.isComposing) return;
    if (event.target instanceof Element && event.target.closest(TYPING)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (event.ctrlKey || event.metaKey) {
      if (key === "z" || key === "y") {
        event.preventDefault();
        acts[key === "y" || event.shiftKey ? "y" : "z"](event);
      }
      return;
    }
    if (belongs(event.target, key)) return;
    const label = classOf(event);
    if (acts.before?.(key, label, event)) return event.preventDefault();
    if (label !== undefined) {
      event.preventDefault();
      if (!event.repeat) onClass(label, event);
      return;
    }
    if (key in acts) {
      event.preventDefault();
      if (!event.repeat || REPEATED.has(key)) acts[key](event);
    }
  });
  addEventListener("focusin", (event) => { if (last === "Tab") reached = event.target; });
  addEventListener("pointerdown", () => { reached = null; last = ""; }, true);
  // A dialog gives the focus back to the button that opened it, which needs it only if the Tab key was used.
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.addEventListener("close", () => { if (!isReached(document.activeElement)) document.activeElement?.blur(); });
  }
  // A button that was clicked keeps the focus: Space would press it again.
  addEventListener("keyup", (event) => {
    if (event.key === " " && event.target instanceof HTMLButtonElement && !isReached(event.target) && !document.querySelector("dialog[open]")) event.preventDefault();
  });
  byId("video").addEventListener("click", () => acts[" "]());
}
