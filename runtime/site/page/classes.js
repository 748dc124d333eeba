// Which class it is instead: one of the bundles, or a new one, which the next training is to learn.
import { byId, el, text } from "./dom.js";
import { hueOf, state } from "./model.js";

const SAME = /[\s_-]+/g, HIDDEN = /[\p{C}\p{Zl}\p{Zp}]/u, MOST = 200;
const folded = (label) => label.toLowerCase().replace(SAME, "") || label;

/** Why a text is no name of a class; "" if it is one. The service checks the same. */
export function wrongClass(label, own, known) {
  if (!label) return "Type the name of the class.";
  if (label === own) return `It is ${own} already: use Right.`;
  if (known.includes(label)) return "";
  if ([...label].length > MOST) return `A name has at most ${MOST} characters.`;
  if (HIDDEN.test(label) || label !== label.trim().split(/\s+/u).join(" ") || !/[\p{L}\p{N}]/u.test(label)) return "A name has letters or digits, single spaces and no control characters.";
  const twin = [own, ...known].find((one) => folded(one) === folded(label));
  return twin ? `That is another spelling of the class ${twin}.` : "";
}

/** Ask for the right class of an event. choose: called with it. */
export function askClass(e, choose) {
  const dialog = byId("classes"), others = state.labels.filter((label) => label !== e.label);
  const take = (label) => { dialog.close(); choose(label); };
  const field = el("input", { type: "text", id: "new-class", maxlength: String(MOST), autocomplete: "off", spellcheck: "false", "aria-describedby": "class-wrong" });
  const wrong = el("p", { id: "class-wrong", class: "wrong", role: "alert" });
  field.addEventListener("input", () => text(wrong, ""));
  const typed = (event) => {
    event.preventDefault();
    const label = field.value.trim(), why = wrongClass(label, e.label, state.labels);
    text(wrong, why);
    if (why) field.focus();
    else take(label);
  };
  dialog.replaceChildren(el("h2", { id: "h-classes", text: "Which class is it?" }),
    el("div", { class: "choices" }, ...others.map((label, k) => el("button", { type: "button", class: hueOf(label), onclick: () => take(label), "aria-keyshortcuts": k < 9 ? String(k + 1) : null },
      k < 9 ? el("kbd", { text: String(k + 1) }) : null, el("span", { text: label })))),
    el("form", { class: "new-class", novalidate: true, onsubmit: typed }, el("label", { for: "new-class", text: "Another one, also one that no bundle has yet" }),
      el("span", { class: "group" }, field, el("button", { type: "submit" }, "Take it ", el("kbd", { text: "Enter" }))), wrong),
    el("div", { class: "tools" }, el("button", { type: "button", onclick: () => dialog.close() }, "Cancel ", el("kbd", { text: "Esc" }))));
  dialog.onkeydown = (key) => {
    if (key.target === field || key.ctrlKey || key.metaKey || key.altKey) return;
    const label = /^[1-9]$/.test(key.key) ? others[Number(key.key) - 1] : undefined;
    if (label !== undefined) { key.preventDefault(); take(label); }
  };
  dialog.showModal();
  if (!others.length) field.focus();
}
