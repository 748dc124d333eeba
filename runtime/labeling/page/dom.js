// Helpers for the document of this page. Those of all pages come from elements.js.
import { byId, el } from "./elements.js";
export { byId, clamp, counted, el } from "./elements.js";

/** 1:02:03.45 or 2:03.45. */
export function clock(t, digits = 2) {
  const all = Math.round(Math.max(t, 0) * 10 ** digits) / 10 ** digits;
  const hours = Math.floor(all / 3600), minutes = Math.floor(all / 60) % 60;
  const seconds = (all % 60).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  return (hours ? hours + ":" + String(minutes).padStart(2, "0") : minutes) + ":" + seconds;
}

let quiet = 0;
/** A message below the video; it goes away by itself unless it is an error. */
export function say(text, kind = "") {
  const node = byId("say");
  node.textContent = text;
  node.dataset.kind = kind;
  clearTimeout(quiet);
  if (kind !== "bad") quiet = setTimeout(() => { node.textContent = ""; }, 6000);
}

/** A short sign over the video: what a key did. */
export function flash(text, hue = "") {
  const node = byId("flash");
  node.textContent = text;
  node.className = "flash " + hue;
  node.getAnimations().forEach((a) => a.cancel());
  node.animate([{ opacity: 1 }, { opacity: 1, offset: 0.6 }, { opacity: 0 }], { duration: 900, fill: "forwards" });
}

/** Ask for one line of text. Resolves to null if the person cancels. */
export const ask = async (title, value, button = "OK") => (await edit(title, value, "", button))?.text ?? null;
/** Ask for one line of text, with another way out. Resolves to the text and whether that way was taken, or null. */
export function edit(title, value, other = "", button = "Save") {
  const dialog = byId("ask");
  return new Promise((done) => {
    const input = el("input", { type: "text", maxlength: 1000, value, "aria-label": title });
    const finish = (answer) => { dialog.onclose = null; dialog.close(); done(answer); };
    const form = el("form", { onsubmit: (e) => { e.preventDefault(); finish({ text: input.value.trim(), other: false }); } },
      el("h2", { id: "h-ask", text: title }), input,
      el("div", { class: "tools" }, el("button", { type: "submit", class: "main", text: button }),
        other ? el("button", { type: "button", text: other, onclick: () => finish({ text: "", other: true }) }) : null,
        el("button", { type: "button", text: "Cancel", onclick: () => finish(null) })));
    dialog.replaceChildren(form);
    dialog.onclose = () => done(null);
    dialog.showModal();
    input.select();
  });
}
