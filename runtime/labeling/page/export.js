// The export of a bundle: how far it is, of which round it is, and the commands that run it.
import { call } from "./api.js";
import { byId, el, say } from "./dom.js";
import { listen, state } from "./model.js";

let began = 0, timer = 0;

byId("b-export").onclick = async () => {
  const least = byId("o-least").value ? { min_score: state.least } : {};
  const answer = await call("api/export", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(least) }).catch(() => null);
  const record = await answer?.json().catch(() => null);
  if (!answer?.ok) say(record?.error || "The server does not answer", "bad");
};
function words(l) {
  const done = l.exported;
  if (l.exporting) return "Exporting in the background";
  if (done.error) return done.error;
  if (!done.folder) return l.commands.length ? `An earlier bundle is in ${l.bundle}` : `To ${l.bundle}`;
  const newer = l.round && l.round.number > done.round ? ` Round ${l.round.number} is newer: export again to use it.` : "";
  return `Written: ${done.folder} (${done.id}), round ${done.round}, minimum score ${done.min_score}.${newer}`;
}
function paint() {
  const l = state.learning;
  if (!l) return;
  byId("b-export").disabled = l.exporting || !l.round;
  const options = byId("o-least").options, least = l.round?.min_score, slider = state.least ?? least ?? 0.5;
  options[0].textContent = least === undefined ? "from training" : `${least.toFixed(2)}, from training`;
  options[1].textContent = `${slider.toFixed(2)}, of the slider`;
  byId("o-export").textContent = words(l);
  byId("o-wait").hidden = !l.exporting;
  clearInterval(timer);
  if (l.exporting) {
    began = performance.now() - 1000 * l.exporting_s;
    tick();
    timer = setInterval(tick, 1000);
  }
  byId("o-run").hidden = !l.commands.length;
  byId("commands").replaceChildren(...l.commands.map((command) => el("li", {}, el("code", { text: command }),
    el("button", { type: "button", "aria-label": `Copy ${command}`, text: "Copy", onclick: () => copy(command) }))));
}
function tick() { byId("o-taken").textContent = `${Math.round((performance.now() - began) / 1000)} s so far`; }
function copy(text) {
  navigator.clipboard.writeText(text).then(() => say(`Copied: ${text}`), () => say("The browser does not allow copying: select the text", "bad"));
}
listen((topics) => { if (topics.has("learning") || topics.has("found")) paint(); });
