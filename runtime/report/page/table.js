// The table of events and the list of missed actions. Both follow the filter.
const PAGE = 50, table = byId("events"), more = byId("more");
const columns = [
  ["Class", (e) => data.labels[e.label], null], ["Start", (e) => e.start, (e) => clock(e.start)], ["End", (e) => e.end, (e) => (e.ended ? clock(e.end) : "running")],
  ["Length", (e) => e.end - e.start, (e) => (e.end - e.start).toFixed(2) + " s"], ["Score", (e) => e.score, (e) => score3(e.score)],
  ["Delay", (e) => e.delay, (e) => e.delay.toFixed(2) + " s"], ["Revisions", (e) => e.history.length, (e) => e.history.length],
  ["Phase", (e) => e.phase, (e) => PHASES[e.phase]], ...(truth ? [["IoU", (e) => e.iou, (e) => e.iou.toFixed(2)], ["Match", (e) => (e.hit >= 0 ? 1 : 0), (e) => (e.hit >= 0 ? "true action" : e.phase === FINAL ? "false alarm" : "")]] : []),
];
let order = { column: 1, down: false }, limit = PAGE;

const heads = columns.map(([name], k) => {
  const number = k > 0 && k !== 7 && k !== 9;
  const head = el("th", { scope: "col", class: number ? "n" : null }, el("button", { type: "button", text: name, onclick: () => {
    order = { column: k, down: order.column === k ? !order.down : k > 2 };
    limit = PAGE;
    fillTable();
  } }));
  table.querySelector("thead tr").append(head);
  return head;
});

function fillTable() {
  const value = columns[order.column][1], sign = order.down ? -1 : 1;
  const shown = events.filter(isShown).sort((a, b) => {
    const x = value(a), y = value(b);
    return sign * (typeof x === "string" ? x.localeCompare(y) : x - y) || a.start - b.start || a.index - b.index;
  });
  heads.forEach((head, k) => head.setAttribute("aria-sort", k !== order.column ? "none" : order.down ? "descending" : "ascending"));
  table.querySelector("tbody").replaceChildren(...shown.slice(0, limit).map((e) => {
    const cells = columns.slice(1).map(([, , text], k) => el("td", { class: k !== 6 && k !== 8 ? "n" : null, text: text(e) }));
    const open = el("button", { type: "button", "aria-label": `Show ${describe(e)}` }, swatch(e.label), el("span", { text: data.labels[e.label] }));
    const row = el("tr", { onclick: () => { select(e); detail.scrollIntoView({ block: "nearest" }); } }, el("td", {}, open), ...cells);
    row.event = e;
    return row;
  }));
  markRow();
  const n = Math.min(limit, shown.length);
  byId("count").textContent = shown.length ? `${n} of ${shown.length} shown; ${events.length} at any score` : "No event has the minimum score.";
  more.hidden = n >= shown.length;
  more.textContent = `Show ${Math.min(PAGE * 4, shown.length - n)} more`;
  fillMissed();
}
function markRow() {
  for (const row of table.querySelectorAll("tbody tr")) row.classList.toggle("on", row.event === state.selected);
}
function fillMissed() {
  const box = byId("missed");
  box.replaceChildren();
  if (!truth) return;
  const lost = truth.filter((a) => !a.by && !state.hidden.has(a.label));
  if (!lost.length) return;
  box.append(el("h3", { text: `True actions not found at this minimum score (${lost.length})` }), el("ul", {}, ...lost.slice(0, 60).map((a) =>
    el("li", {}, el("button", { type: "button", onclick: () => { zoomTo(a); lanes.focus(); } }, swatch(a.label), el("span", { text: `${data.labels[a.label]} ${clock(a.start)}` }))))));
  if (lost.length > 60) box.append(el("p", { class: "sum", text: `and ${lost.length - 60} more` }));
}
more.addEventListener("click", () => { limit += 4 * PAGE; fillTable(); });
listeners.push((what) => { if (what === "filter") { limit = PAGE; fillTable(); } else if (what === "selection") markRow(); });

readInk();
match();
tiles();
notes();
drawOverview(overview);
draw();
fillTable();
