// The timeline: rows, view, pointer, keys, details.
const lanes = byId("lanes"), overview = byId("overview"), tip = byId("tip"), detail = byId("detail");
const LIMIT = 160;  // maximum number of events with elements of their own; others are drawn on the canvas
const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
const rows = [];
let frame = 0, motion = 0;

if (!truth) { place.events = [6, 42]; place.wait = 47; }

function makeRow(kind, name, note, label = -1) {
  const plot = el("div", { class: "plot" }, el("canvas", { "aria-hidden": "true" }));
  const below = svg("g"), layer = svg("g");
  if (label >= 0) plot.append(svg("svg", { role: "group", "aria-label": name }, below, layer));
  const cross = el("div", { class: "cross", hidden: true });
  plot.append(cross);
  const who = el("div", { class: "who", text: name });
  const small = el("small", { text: note });
  if (note || label >= 0) who.append(small);
  const row = { kind, label, plot, layer, below, cross, note: small, node: el("div", { class: "row " + kind }, who, plot), made: new Map(), real: new Map() };
  rows.push(row);
  lanes.append(row.node);
  return row;
}
makeRow("axis", "");
if (pictures.length) makeRow("pics", "Video");
data.labels.forEach((name, k) => makeRow("band", name, "", k));
if (hasActionness) makeRow("act", "Actionness", "any class");
document.body.append(svg("svg", { class: "defs", width: 0, height: 0, "aria-hidden": "true" },
  svg("pattern", { id: "hatch", width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    svg("line", { x1: 0, y1: 0, x2: 0, y2: 5, stroke: "var(--edge)", "stroke-width": 1.6 }))));

// View
const shortest = Math.max(tracks.length ? 4 * Math.min(...tracks.map((t) => t.step)) : 0, (whole.to - whole.from) / 5000, 0.05);
function setView(from, to) {
  const span = clamp(to - from, Math.min(shortest, whole.to - whole.from), whole.to - whole.from);
  const start = clamp((from + to) / 2 - span / 2, whole.from, whole.to - span);
  if (start === state.from && start + span === state.to) return false;
  state.from = start;
  state.to = start + span;
  notify("view");
  return true;
}
function glide(from, to) {
  cancelAnimationFrame(motion);
  if (calm.matches) { setView(from, to); return; }
  const a = state.from, b = state.to, began = performance.now();
  const step = (now) => {
    const part = clamp((now - began) / 180, 0, 1), ease = 1 - (1 - part) ** 3;
    setView(a + (from - a) * ease, b + (to - b) * ease);
    if (part < 1) motion = requestAnimationFrame(step);
  };
  motion = requestAnimationFrame(step);
}
function zoom(factor, at, smooth = false) {
  const span = (state.to - state.from) / factor, part = (at - state.from) / (state.to - state.from);
  const from = at - part * span;
  if (!smooth) return setView(from, from + span);
  glide(clamp(from, whole.from, whole.to), clamp(from + span, whole.from, whole.to));
  return true;
}
const pan = (seconds) => {
  const span = state.to - state.from, from = clamp(state.from + seconds, whole.from, whole.to - span);
  return setView(from, from + span);
};
function showEvent(e) {
  const span = state.to - state.from;
  if (e.end < state.from || e.start > state.to) {
    const middle = (e.start + e.end) / 2;
    setView(middle - span / 2, middle + span / 2);
  }
}
/** Center of zooming with keys and buttons: the focused or selected event if it is visible. */
function anchor() {
  const e = document.activeElement?.event || state.selected, middle = e ? (e.start + e.end) / 2 : 0;
  return e && middle >= state.from && middle <= state.to ? middle : (state.from + state.to) / 2;
}
const zoomTo = (e) => {
  const margin = Math.max(1.5 * (Math.max(e.end, e.at || 0) - e.start), 4 * shortest);
  glide(e.start - margin, Math.max(e.end, e.at || 0) + margin);
};

// Drawing
function describe(e) {
  const end = e.ended ? `to ${clock(e.end)}` : "still running";
  const iou = e.iou === null ? "" : `, best IoU with a true action ${e.iou.toFixed(2)}`;
  return `${data.labels[e.label]}, ${clock(e.start)} ${end}, score ${score3(e.score)}, ${PHASES[e.phase]}, delay ${e.delay.toFixed(2)} s${iou}`;
}
function makeEvent(e) {
  const node = svg("g", { class: `ev ${hue(e.label)}${e.phase === GONE ? " gone" : ""}`, role: "button", tabindex: -1, "aria-label": describe(e) },
    svg("rect", { class: "hit" }), svg("rect", { class: "body" }), svg("path", { class: "wait" }), svg("circle", { class: "when", r: 2.6 }));
  node.event = e;
  return node;
}
function placeEvent(node, e, s, detailed) {
  const [hit, body, wait, when] = node.childNodes, x = s.x(e.start), wide = Math.max((e.end - e.start) * s.scale, 2), high = barHeight(e);
  const reach = Math.max(wide, 10), top = place.events[0] - 3;
  put(hit, { x: x - (reach - wide) / 2, y: top, width: reach, height: place.wait + 4 - top, rx: 2 }, []);
  put(body, { x, y: place.events[1] - high, width: wide, height: high, rx: Math.min(2, wide / 3) }, []);
  if (detailed) {
    const y = place.wait, marks = e.history.map((h) => `M${s.x(h[5]).toFixed(1)} ${y - 2.5}v5`).join("");
    const begin = Math.min(x + wide, s.x(e.history[0][5]));
    wait.setAttribute("d", `M${begin.toFixed(1)} ${y}H${s.x(e.at).toFixed(1)}${marks}`);
    put(when, { cx: s.x(e.at), cy: y }, []);
  } else wait.setAttribute("d", "");
  when.setAttribute("visibility", detailed ? "visible" : "hidden");
  node.classList.toggle("on", state.selected === e);
  node.setAttribute("tabindex", state.cursor === e ? 0 : -1);
}

const ranked = [...events].sort((a, b) => b.score - a.score || a.index - b.index);
function draw() {
  frame = 0;
  const inView = ranked.filter((e) => isShown(e) && Math.max(e.end, e.at) >= state.from && e.start <= state.to);
  const chosen = inView.slice(0, LIMIT), rest = inView.slice(LIMIT), detailed = inView.length <= 60;
  const real = (truth || []).filter((a) => !state.hidden.has(a.label) && a.end >= state.from && a.start <= state.to);
  if (!state.cursor || !chosen.includes(state.cursor)) {
    const focused = document.activeElement && document.activeElement.event;
    state.cursor = focused || chosen.reduce((first, e) => (!first || e.start < first.start ? e : first), null);
  }
  for (const row of rows) {
    const gone = row.kind === "pics" ? !state.layers.pictures : row.kind === "act" ? !state.layers.tracks : state.hidden.has(row.label);
    row.node.hidden = gone;
    if (gone) continue;
    if (row.kind === "axis") drawAxis(row.plot);
    else if (row.kind === "pics") drawPictures(row.plot);
    else if (row.kind === "act") drawActionness(row.plot);
    else drawBandRow(row, chosen, rest, detailed, state.layers.truth ? real : []);
  }
  const all = whole.to - whole.from, box = overview.querySelector(".window"), wide = overview.clientWidth;
  box.style.left = (100 * (state.from - whole.from)) / all + "%";
  box.style.width = Math.max((wide * (state.to - state.from)) / all, 6) + "px";
  const room = all - (state.to - state.from);
  overview.setAttribute("aria-valuenow", room > 1e-9 ? Math.round((100 * (state.from - whole.from)) / room) : 0);
  overview.setAttribute("aria-valuetext", `${clock(state.from)} to ${clock(state.to)}`);
  lanes.dataset.from = state.from.toFixed(4);
  lanes.dataset.to = state.to.toFixed(4);
  byId("b-out").disabled = byId("b-all").disabled = room < 1e-9;
  byId("b-left").disabled = state.from <= whole.from + 1e-9;
  byId("b-right").disabled = state.to >= whole.to - 1e-9;
  byId("b-in").disabled = state.to - state.from <= Math.min(shortest, all) * 1.001;
}
function drawBandRow(row, chosen, rest, detailed, real) {
  const close = real.length > LIMIT, mine = chosen.filter((e) => e.label === row.label), asked = real.filter((a) => a.label === row.label);
  drawBand(row.plot, row.label, rest.filter((e) => e.label === row.label), close ? asked : []);
  const width = row.plot.clientWidth, scale = width / (state.to - state.from), s = { scale, x: (t) => (t - state.from) * scale };
  keep(row.made, mine, (e) => makeEvent(e), row.layer);
  for (const [e, node] of row.made) placeEvent(node, e, s, detailed || e === state.selected);
  keep(row.real, close ? [] : asked, makeTrue, row.below);
  for (const [a, node] of row.real) {
    node.classList.toggle("missed", !a.by);
    put(node, { x: s.x(a.start) + 0.75, width: Math.max((a.end - a.start) * scale - 1.5, 1.5) }, []);
  }
}
function makeTrue(a) {
  const node = svg("rect", {
    class: `true ${hue(a.label)}`, y: place.truth[0], height: place.truth[1] - place.truth[0], rx: 1, role: "img",
    "aria-label": `true ${data.labels[a.label]}, ${clock(a.start)} to ${clock(a.end)}`,
  });
  node.truth = a;
  return node;
}
/** One element for each item, in this order. Existing elements are not moved, so that they keep the focus. */
function keep(made, wanted, make, parent) {
  const set = new Set(wanted);
  for (const [item, node] of made) {
    if (!set.has(item) && node !== document.activeElement) { node.remove(); made.delete(item); }
  }
  let next = null;  // tall bars first, so that lower ones in front of them can be clicked
  for (let k = wanted.length - 1; k >= 0; k--) {
    let node = made.get(wanted[k]);
    if (!node) {
      node = make(wanted[k]);
      made.set(wanted[k], node);
      parent.insertBefore(node, next);
    }
    next = node;
  }
}
function notes() {
  for (const row of rows) {
    if (row.label < 0) continue;
    const n = events.filter((e) => e.label === row.label && isShown(e) && e.phase !== GONE).length;
    const asked = truth ? truth.filter((a) => a.label === row.label) : [];
    row.note.textContent = `${n} event${n === 1 ? "" : "s"}` + (truth ? `,\n${asked.filter((a) => a.by).length} of ${asked.length} found` : "");
  }
}
const redraw = () => { if (!frame) frame = requestAnimationFrame(draw); };
listeners.push((what) => {
  if (what === "filter") { match(); tiles(); notes(); drawOverview(overview); }
  if (what === "selection") drawDetail();
  redraw();
});

// Details on hover and focus
function line(text) { return el("span", { text }); }
function showTip(x, y, parts) {
  tip.replaceChildren(...parts.filter(Boolean));
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = clamp(x + 14, 8, window.innerWidth - box.width - 8) + "px";
  tip.style.top = (y + 18 + box.height > window.innerHeight - 8 ? Math.max(y - box.height - 12, 8) : y + 18) + "px";
}
const hideTip = () => { tip.hidden = true; for (const row of rows) row.cross.hidden = true; };
function picture(t, width) {
  const found = pictures.length ? nearestPicture(t) : null;
  return found ? el("img", { src: found.uri, width, alt: `picture at ${clock(found.at)}` }) : null;
}
function eventTip(e) {
  return [
    picture((e.start + e.end) / 2, 128), el("b", { text: data.labels[e.label] }),
    line(`${clock(e.start)} to ${e.ended ? clock(e.end) : "…"} (${(e.end - e.start).toFixed(2)} s)`),
    line(`score ${score3(e.score)} · ${PHASES[e.phase]} · delay ${e.delay.toFixed(2)} s`),
    e.history.length > 1 ? line(`${e.history.length} revisions, the first reported at ${clock(e.history[0][5])}`) : null,
    e.iou !== null ? line(e.hit >= 0 ? `matches a true action, IoU ${e.iou.toFixed(2)}` : `best IoU with a true action ${e.iou.toFixed(2)}`) : null,
  ];
}
function hover(event) {
  const row = rows.find((r) => r.plot.contains(event.target));
  if (!row || event.pointerType === "touch") { hideTip(); return; }
  const box = row.plot.getBoundingClientRect(), t = state.from + ((event.clientX - box.left) / box.width) * (state.to - state.from);
  for (const r of rows) { r.cross.hidden = false; r.cross.style.left = event.clientX - box.left + "px"; }
  const over = event.target.closest(".ev"), real = event.target.closest(".true");
  let parts;
  if (over) parts = eventTip(over.event);
  else if (real) {
    const a = real.truth;
    parts = [picture((a.start + a.end) / 2, 128), el("b", { text: `true ${data.labels[a.label]}` }), line(`${clock(a.start)} to ${clock(a.end)} (${(a.end - a.start).toFixed(2)} s)`),
      line(a.by ? `found: score ${score3(a.by.score)}, IoU ${overlap(a, a.by).toFixed(2)}` : "missed at this minimum score")];
  } else {
    const column = row.kind === "band" ? row.label : row.kind === "act" ? data.labels.length : -1, value = column < 0 ? null : valueAt(column, t);
    const near = row.kind === "band" ? proposals[row.label].filter((c) => c.start <= t && t <= c.end) : [];
    parts = [row.kind === "pics" ? picture(t, 220) : null, el("b", { text: clock(t) }), value === null ? null : line(`${column === data.labels.length ? "actionness" : data.labels[column]} ${value.toFixed(2)}`),
      near.length ? line(`${near.length} proposal${near.length > 1 ? "s" : ""} here, best ${score3(Math.max(...near.map((c) => c.score)))}`) : null];
  }
  showTip(event.clientX, event.clientY, parts);
}

// Pointer: drag, pinch, wheel, click
const pointers = new Map();
let moved = 0, pinch = 0;
const timeAt = (clientX) => {
  const box = rows[0].plot.getBoundingClientRect();
  return state.from + ((clientX - box.left) / box.width) * (state.to - state.from);
};
lanes.addEventListener("pointerdown", (event) => {
  const row = rows.find((r) => r.plot.contains(event.target));
  if (!row || event.button) return;
  pointers.set(event.pointerId, event.clientX);
  moved = pointers.size > 1 ? 99 : 0;
  pinch = 0;
});
lanes.addEventListener("pointermove", (event) => {
  if (!pointers.has(event.pointerId)) { hover(event); return; }
  const before = pointers.get(event.pointerId), width = rows[0].plot.clientWidth;
  pointers.set(event.pointerId, event.clientX);
  moved += Math.abs(event.clientX - before);
  if (moved > 4 && !lanes.hasPointerCapture(event.pointerId)) lanes.setPointerCapture(event.pointerId);
  if (pointers.size === 2) {
    const [a, b] = [...pointers.values()], apart = Math.max(Math.abs(a - b), 10);
    if (pinch) zoom(apart / pinch, timeAt((a + b) / 2));
    pinch = apart;
  } else if (moved > 4) {
    hideTip();
    pan(((before - event.clientX) / width) * (state.to - state.from));
  }
});
const drop = (event) => { pointers.delete(event.pointerId); pinch = 0; };
for (const name of ["pointerup", "pointercancel"]) lanes.addEventListener(name, drop);
lanes.addEventListener("pointerleave", hideTip);
lanes.addEventListener("click", (event) => {
  const over = event.target.closest(".ev");
  if (moved > 4) return;
  if (over) select(over.event, true);
  else if (event.target.closest(".plot")) lanes.focus({ preventScroll: true });
});
lanes.addEventListener("dblclick", (event) => {
  if (event.target.closest(".plot")) zoom(2.5, timeAt(event.clientX), true);
});
lanes.addEventListener("wheel", (event) => {
  const mine = lanes.contains(document.activeElement) || event.ctrlKey || event.metaKey;
  const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey;
  let used = false;
  if (sideways) used = pan((((event.deltaX || event.deltaY) * (event.deltaMode ? 20 : 1)) / rows[0].plot.clientWidth) * (state.to - state.from));
  else if (mine) used = zoom(Math.exp(-event.deltaY * (event.deltaMode ? 20 : 1) * (event.ctrlKey ? 0.008 : 0.002)), timeAt(event.clientX)) || event.ctrlKey;
  if (used) event.preventDefault();
}, { passive: false });

overview.addEventListener("pointerdown", (event) => {
  overview.setPointerCapture(event.pointerId);
  overview.classList.add("grab");
  jump(event);
});
overview.addEventListener("pointermove", (event) => { if (overview.hasPointerCapture(event.pointerId)) jump(event); });
overview.addEventListener("pointerup", () => overview.classList.remove("grab"));
function jump(event) {
  const box = overview.getBoundingClientRect(), span = state.to - state.from;
  const t = whole.from + ((event.clientX - box.left) / box.width) * (whole.to - whole.from);
  const from = clamp(t - span / 2, whole.from, whole.to - span);
  setView(from, from + span);
}

// Keys
function moveKeys(event) {
  const span = state.to - state.from;
  const act = {
    ArrowLeft: () => pan(-0.15 * span), ArrowRight: () => pan(0.15 * span), PageUp: () => pan(-0.9 * span), PageDown: () => pan(0.9 * span),
    Home: () => setView(whole.from, whole.from + span), End: () => setView(whole.to - span, whole.to),
    "+": () => zoom(1.5, anchor()), "=": () => zoom(1.5, anchor()), "-": () => zoom(1 / 1.5, anchor()), _: () => zoom(1 / 1.5, anchor()), 0: () => setView(whole.from, whole.to),
  }[event.key];
  if (!act || event.ctrlKey || event.metaKey || event.altKey) return false;
  act();
  event.preventDefault();
  return true;
}
function nodeOf(e) { return rows.find((r) => r.label === e.label)?.made.get(e); }
function focusEvent(e) {
  if (!e) return;
  state.cursor = e;
  showEvent(e);
  cancelAnimationFrame(frame);
  draw();
  nodeOf(e)?.focus({ preventScroll: false });
}
/** The next event in time of the same class, or the nearest one of the next class up or down. */
function neighbor(e, key) {
  const shown = events.filter(isShown);
  if (key === "ArrowLeft" || key === "ArrowRight") {
    const mine = shown.filter((o) => o.label === e.label).sort((a, b) => a.start - b.start || a.index - b.index);
    return mine[mine.indexOf(e) + (key === "ArrowRight" ? 1 : -1)];
  }
  const order = [...new Set(shown.map((o) => o.label))].sort((a, b) => a - b), to = order[order.indexOf(e.label) + (key === "ArrowDown" ? 1 : -1)];
  const away = (o) => Math.abs(o.start + o.end - e.start - e.end);
  return shown.filter((o) => o.label === to).sort((a, b) => away(a) - away(b))[0];
}
lanes.addEventListener("keydown", (event) => {
  const e = event.target.event;
  if (e && event.key.startsWith("Arrow")) { focusEvent(neighbor(e, event.key)); event.preventDefault(); return; }
  if (e && (event.key === "Enter" || event.key === " ")) { select(e); event.preventDefault(); return; }
  if (e && event.key.toLowerCase() === "f") { zoomTo(e); event.preventDefault(); return; }
  if (event.key === "Escape") { hideTip(); if (e) lanes.focus({ preventScroll: true }); else select(null); return; }
  if (!e && event.key === "Enter") { focusEvent(state.cursor); event.preventDefault(); return; }
  moveKeys(event);
});
overview.addEventListener("keydown", moveKeys);
lanes.addEventListener("focusin", (event) => {
  const e = event.target.event;
  if (!e) return;
  state.cursor = e;
  if (!event.target.matches(":focus-visible")) return;
  const box = event.target.querySelector(".body").getBoundingClientRect();
  showTip(box.left, box.bottom, eventTip(e));
});
lanes.addEventListener("focusout", hideTip);

// The selected event
function select(e, focus = false) {
  state.selected = e;
  if (e) { state.cursor = e; showEvent(e); }
  notify("selection");
  if (focus && e) { cancelAnimationFrame(frame); draw(); nodeOf(e)?.focus({ preventScroll: true }); }
}
function pairs(entries) {
  return el("dl", { class: "pairs" }, ...entries.filter(Boolean).map(([name, value]) => el("div", {}, el("dt", { text: name }), el("dd", { text: value }))));
}
function drawDetail() {
  const e = state.selected;
  detail.replaceChildren();
  if (!e) return;
  const marks = [e.interrupted && "the stream was interrupted next to it", e.degraded && "reduced scoring", e.dropped && `${e.dropped} snippets or frames lost next to it`].filter(Boolean);
  const facts = pairs([
    ["start, end", `${clock(e.start)} to ${e.ended ? clock(e.end) : "still running"}`], ["length", `${(e.end - e.start).toFixed(2)} s`],
    ["score", score3(e.score)], ["phase", PHASES[e.phase]], ["delay", `${e.delay.toFixed(2)} s after the end`],
    e.iou === null ? null : ["match", e.hit >= 0 ? `matches a true action, IoU ${e.iou.toFixed(2)}` : `no match, best IoU ${e.iou.toFixed(2)}`],
    marks.length ? ["note", marks.join(", ")] : null, ["id", e.id],
  ]);
  const rowsOf = e.history.map((h, k) => el("tr", {}, el("td", { text: PHASES[h[0]] }), el("td", { class: "n", text: clock(h[5]) }),
    el("td", { class: "n", text: clock(h[2]) }), el("td", { class: "n", text: h[4] ? clock(h[3]) : "running" }), el("td", { class: "n", text: score3(h[1]) })));
  const history = el("div", {}, drawHistory(e), el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Revisions of this event" }, el("table", {},
    el("thead", {}, el("tr", {}, ...["phase", "reported at", "start", "end", "score"].map((t, k) => el("th", { scope: "col", class: k ? "n" : null, text: t })))),
    el("tbody", {}, ...rowsOf))));
  detail.append(
    el("h3", {}, swatch(e.label), el("span", { text: data.labels[e.label] }), el("span", { class: "acts" },
      el("button", { type: "button", text: "Zoom in", onclick: () => zoomTo(e) }), el("button", { type: "button", text: "Close", onclick: () => { select(null); lanes.focus({ preventScroll: true }); } }))),
    el("div", { class: "cols" }, el("div", {}, picture((e.start + e.end) / 2, 160), facts), history));
}
/** Every revision as a line: its segment, and a dot at the time of its report. */
function drawHistory(e) {
  const revisions = e.history, from = Math.min(...revisions.map((h) => h[2])), to = Math.max(...revisions.map((h) => Math.max(h[3], h[5])));
  const step = clamp(90 / revisions.length, 5, 14), high = revisions.length * step + 8, x = (t) => 6 + ((t - from) / Math.max(to - from, 1e-6)) * 308;
  const parts = revisions.flatMap((h, k) => {
    const y = 6 + k * step;
    return [svg("rect", { x: x(h[2]), y: y - 2, width: Math.max(x(h[3]) - x(h[2]), 1), height: 4, fill: "var(--k)", opacity: h[0] === GONE ? 0.3 : 0.85 }),
      svg("line", { x1: x(h[3]), x2: x(h[5]), y1: y, y2: y, stroke: "var(--edge)", "stroke-dasharray": "2 2" }),
      svg("circle", { cx: x(h[5]), cy: y, r: 2.8, fill: h[0] === FINAL ? "var(--k)" : "var(--card)", stroke: "var(--k)", "stroke-width": 1.4 })];
  });
  return svg("svg", { class: `chart ${hue(e.label)}`, viewBox: `0 0 320 ${high}`, role: "img", "aria-label": `${revisions.length} revisions from ${clock(revisions[0][5])} to ${clock(revisions[revisions.length - 1][5])}` }, ...parts);
}

// Tools, filter, legend
byId("b-in").addEventListener("click", () => zoom(2, anchor(), true));
byId("b-out").addEventListener("click", () => zoom(0.5, anchor(), true));
byId("b-all").addEventListener("click", () => glide(whole.from, whole.to));
byId("b-left").addEventListener("click", () => pan(-0.5 * (state.to - state.from)));
byId("b-right").addEventListener("click", () => pan(0.5 * (state.to - state.from)));
byId("filter").addEventListener("submit", (event) => event.preventDefault());
const slider = byId("score"), output = byId("score-out");
slider.max = (Math.ceil(Math.max(highest, state.minScore) * 100) / 100).toFixed(2); // no event may reach the minimum
// Rounded down, so that an event with exactly the minimum score is shown.
slider.step = "0.001";
slider.value = Math.floor(state.minScore * 1000) / 1000;
output.textContent = score3(state.minScore);
slider.addEventListener("input", () => {
  state.minScore = Number(slider.value);
  output.textContent = state.minScore.toFixed(3);
  notify("filter");
});
function box(text, checked, change, mark) {
  const input = el("input", { type: "checkbox" });
  input.checked = checked;
  input.addEventListener("change", () => change(input.checked));
  return el("label", {}, input, mark, el("span", { text }));
}
const layers = [truth && ["truth", "Ground truth"], tracks.length && ["tracks", "Tracks"], data.proposals.length && ["proposals", "Proposals"], pictures.length && ["pictures", "Pictures"]].filter(Boolean);
layers.forEach(([key, text]) => byId("layers").append(box(text, state.layers[key], (on) => { state.layers[key] = on; notify("filter"); })));
if (!layers.length) byId("layers").hidden = true;
const boxes = data.labels.map((name, k) => box(name, !state.hidden.has(k), (on) => { if (on) state.hidden.delete(k); else state.hidden.add(k); notify("filter"); }, swatch(k)));
byId("classes").append(...boxes);
if (data.labels.length > 3) {
  const every = (on) => { data.labels.forEach((_, k) => { boxes[k].querySelector("input").checked = on; if (on) state.hidden.delete(k); else state.hidden.add(k); }); notify("filter"); };
  byId("classes").append(el("button", { type: "button", text: "all", "aria-label": "Show all classes", onclick: () => every(true) }),
    el("button", { type: "button", text: "none", "aria-label": "Show no class", onclick: () => every(false) }));
}
function legend(text, ...parts) {
  byId("legend").append(el("li", {}, svg("svg", { class: "k0", viewBox: "0 0 28 16", width: 28, height: 16, "aria-hidden": "true" }, ...parts), el("span", { text })));
}
if (truth) {
  legend("true action", svg("rect", { class: "true", x: 1, y: 3, width: 26, height: 10 }));
  legend("missed", svg("rect", { class: "true missed", x: 1, y: 3, width: 26, height: 10 }));
}
legend("event; height: score", svg("rect", { x: 1, y: 7, width: 11, height: 9, fill: "var(--k)" }), svg("rect", { x: 15, y: 1, width: 12, height: 15, fill: "var(--k)" }));
legend("time until the last revision, one tick per revision", svg("path", { d: "M1 8H22M7 5v6M13 5v6", stroke: "var(--k)", "stroke-width": 1.5 }), svg("circle", { cx: 23, cy: 8, r: 2.8, fill: "var(--card)", stroke: "var(--k)", "stroke-width": 1.5 }));
if (events.some((e) => e.phase === GONE)) legend("retracted", svg("rect", { x: 2, y: 3, width: 24, height: 11, fill: "none", stroke: "var(--k)", "stroke-width": 1.5, "stroke-dasharray": "3 2" }));
if (tracks.length) legend("class track; dotted: lowest threshold", svg("path", { d: "M1 14C8 14 9 2 14 2S20 14 27 14", stroke: "var(--k)", "stroke-width": 1.4, fill: "none" }), svg("path", { d: "M0 11H28", stroke: "var(--edge)", "stroke-dasharray": "2 3" }));
if (data.proposals.length) legend("proposals; height: score", svg("path", { d: "M3 13H25M6 9H22M9 5H19", stroke: "var(--ink)", "stroke-width": 1 }));

window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readInk(); drawOverview(overview); redraw(); });
new ResizeObserver(() => { drawOverview(overview); redraw(); }).observe(lanes);
