// Messages that stay until they are read, above the page.
import { byId, el } from "./dom.js";

const read = new Set();
function place() {
  let box = byId("notices");
  if (!box) {
    box = el("div", { id: "notices" });
    document.querySelector("main").before(box);
  }
  return box;
}

/** Show a message, once. acts: [text of a button, what it does], each of which closes the message; without any: OK. */
export function notice(id, text, ...acts) {
  if (read.has(id)) return;
  close(id);
  const row = el("div", { class: "notice", role: "alert", "data-id": id }, el("p", { text }));
  for (const [word, act] of acts.length ? acts : [["OK", () => read.add(id)]]) {
    row.append(el("button", { type: "button", text: word, onclick: () => { row.remove(); act(); } }));
  }
  place().append(row);
}
export function close(id) {
  for (const row of place().children) if (row.dataset.id === id) row.remove();
}
