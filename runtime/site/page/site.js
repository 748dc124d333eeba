// The site as a whole: what is degraded, what was lost, bundles and outputs.
import { change } from "./api.js";
import { byId, counted, el, say, span, text } from "./dom.js";
import { listen, mayOperate, state } from "./model.js";
import { pairs } from "./camera.js";

const cell = (value, kind) => el("td", { class: kind, text: String(value) });
/** Each cell knows its heading: on a phone, a row is a list of them. */
function table(node, heads, rows) {
  for (const row of rows) {
    row.setAttribute("role", "row");
    [...row.children].forEach((one, k) => { one.setAttribute("role", "cell"); one.dataset.head = heads[k][0]; one.dataset.empty = String(!one.textContent); });
  }
  node.setAttribute("role", "table");
  node.replaceChildren(el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...heads.map(([name, kind]) => el("th", { scope: "col", role: "columnheader", class: kind, text: name })))), el("tbody", { role: "rowgroup" }, ...rows));
}
const many = (n) => Number(n || 0).toLocaleString("en");

function draw() {
  const site = state.site;
  if (!site) return;
  text(byId("s-facts"), `punctum ${site.version}, running for ${span(site.uptime_s)}, ${counted(Object.values(site.cameras).reduce((a, b) => a + b, 0), "camera")}`);
  byId("s-degraded").replaceChildren(...site.degraded.map((line) => el("li", { text: line })));
  byId("s-fine").hidden = site.degraded.length > 0;
  byId("s-changed-part").hidden = !site.changed_over_api.length;
  byId("s-changed").replaceChildren(...site.changed_over_api.map((line) => el("li", { text: line })));
  const losses = Object.entries(site.losses).filter(([, n]) => n);
  const perCamera = state.cameras.map((c) => [c.name, Object.entries(c.losses).filter(([, n]) => n)]).filter(([, all]) => all.length);
  byId("s-losses").replaceChildren(...pairs(losses.map(([key, n]) => [key.replaceAll("_", " "), many(n)])));
  byId("s-camera-losses").hidden = !perCamera.length;
  if (perCamera.length) table(byId("s-camera-losses"), [["Camera"], ["Lost"]], perCamera.map(([name, all]) => el("tr", {}, el("td", {}, el("a", { href: "#camera/" + encodeURIComponent(name), text: name })),
    cell(all.map(([key, n]) => `${many(n)} ${key.replaceAll("_", " ")}`).join(", ")))));
  byId("s-no-losses").hidden = losses.length + perCamera.length > 0;
  byId("b-reload").hidden = !mayOperate();
  drawTraining(site.reviews || "STATE/reviews");
}
const quoted = (path) => (/^[\w./@%+=:,-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`);
/** Where the reviews are, and the commands that make a bundle of those of one camera, or of all cameras together. */
function drawTraining(folder) {
  const cameras = state.cameras.map((c) => c.name), several = cameras.length > 1, name = several ? "reviewed" : cameras[0] ?? "CAMERA";
  const data = several ? name : quoted(`${folder}/${name}`);
  const joined = several ? ["# of all cameras, and of folders that you labeled yourself, if you name them, too", `punctum data merge ${quoted(folder)}/* --out ${data} --replace`] : [];
  text(byId("t-folder"), `${folder}/CAMERA`);
  text(byId("t-commands"), ["pip install 'punctum[train,export,video]'", ...joined, `punctum data check ${data}`, `punctum train ${data} --out runs/${name}`, `# the bundle: runs/${name}/bundle`].join("\n"));
}
function drawParts() {
  byId("s-no-bundles").hidden = state.bundles.length > 0;
  table(byId("s-bundles"), [["Bundle"], ["Version"], ["State"], ["Classes"]], state.bundles.map((b) => el("tr", {}, el("td", {}, el("b", { text: b.name }), el("small", { text: b.id })),
    el("td", {}, el("span", { text: b.version }), b.next_version ? el("small", { text: `${b.next_version} is taking over` }) : null),
    el("td", {}, el("span", { text: b.state }), b.why ? el("small", { text: b.why }) : null), cell(b.labels.length > 8 ? `${b.labels.slice(0, 8).join(", ")} and ${b.labels.length - 8} more` : b.labels.join(", ")))));
  byId("s-no-sinks").hidden = state.sinks.length > 0;
  byId("s-sinks").hidden = !state.sinks.length;
  table(byId("s-sinks"), [["Output"], ["State"], ["Delivered", "n"], ["Retried", "n"], ["Refused", "n"], ["Waiting", "n"], ["Latest error"]], state.sinks.map((k) => el("tr", { class: k.refused || k.last_error ? "bad" : null },
    el("td", {}, el("b", { text: k.name }), el("small", { text: k.type })), cell(k.state), cell(many(k.delivered), "n"), cell(many(k.retried), "n"), cell(many(k.refused), "n"),
    el("td", { class: "n" }, el("span", { text: many(k.waiting) }), k.waiting ? el("small", { text: `oldest ${span(k.oldest_s)}` }) : null), cell(k.last_error))));
}
byId("b-reload").onclick = async () => {
  try { await change("site/reload"); say("The configuration was read"); } catch (error) { say(String(error.message || error).slice(0, 300), "bad"); }
};

listen((topics) => {
  if (topics.has("site") || topics.has("cameras")) draw();
  if (topics.has("parts")) drawParts();
});
