// The keyboard: one key a class, and keys for everything else.
import { byId } from "./dom.js";
import { KEYS, state } from "./model.js";

const TYPING = "input[type=text], textarea, select, [contenteditable]";

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
    if (document.querySelector("dialog[open]") || event.altKey || event.isComposing) return;
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
    if ((key === " " || key === "Enter") && event.target instanceof Element && event.target.closest("summary, a")) return;
    const label = classOf(event);
    if (acts.before?.(key, label, event)) return event.preventDefault();
    if (label !== undefined) {
      event.preventDefault();
      if (!event.repeat) onClass(label, event);
      return;
    }
    if (key in acts) {
      event.preventDefault();
      acts[key](event);
    }
  });
  // A button that was clicked keeps the focus: Space would press it again.
  addEventListener("keyup", (event) => {
    if (event.key === " " && event.target instanceof HTMLButtonElement && !document.querySelector("dialog[open]")) event.preventDefault();
  });
  byId("video").addEventListener("click", () => acts[" "]());
}
