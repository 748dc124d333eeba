// Some unlabeled videos, in random order, to label next.
import { byId, el } from "./dom.js";
import * as model from "./model.js";
import { listen, state } from "./model.js";

const MOST = 5;
let listed = "", onShow = () => {};
export const wire = (show) => { onShow = show; };

function paint() {
  const first = (state.unlabeled || []).filter((name) => !model.anyCountOf(name) && !state.nothing[name]).slice(0, MOST);
  if (first.join("\n") === listed) return; // what is under the pointer stays
  listed = first.join("\n");
  byId("next").hidden = !first.length;
  byId("unlabeled").replaceChildren(...first.map((name) => el("li", {}, el("button", {
    type: "button", onclick: () => onShow(model.videoOf(name)),
  }, el("span", { class: "label", text: name })))));
}
listen((topics) => {
  if (topics.has("found") || topics.has("clicks") || topics.has("videos")) paint();
});
