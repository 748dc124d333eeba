// The stream of reports. After an interruption it goes on behind the last report that came, whoever was restarted.
import { url } from "./api.js";
import { loadDay, notify, report, state } from "./model.js";

const RETRY_MS = 2000, HIDDEN_MS = 60000, SILENT_MS = 45000;
let source = null, last = "", boot = "", waiting = 0, heard = 0, hidden = 0;

function show(link) {
  if (state.link === link) return;
  state.link = link;
  notify("link");
}

export function follow() {
  clearTimeout(waiting);
  source?.close();
  heard = performance.now();
  const mine = (source = new EventSource(url("events/stream") + (last ? `?after=${encodeURIComponent(last)}` : "")));
  mine.addEventListener("hello", (message) => {
    if (mine !== source) return;
    heard = performance.now();
    const hello = JSON.parse(message.data), again = boot !== "";
    const restarted = again && hello.boot !== boot;
    boot = hello.boot;
    last = message.lastEventId;
    show("live");
    if (restarted) notify("restart");
    if (state.day && (hello.reset || restarted)) loadDay(state.day.start);
  });
  mine.addEventListener("report", (message) => {
    if (mine !== source) return;
    heard = performance.now();
    last = message.lastEventId;
    report(JSON.parse(message.data));
  });
  mine.onerror = () => {
    if (mine !== source) return;
    show("lost");
    // The browser tries again by itself, unless the service refused: then it is up to us.
    if (mine.readyState === EventSource.CLOSED) waiting = setTimeout(follow, RETRY_MS);
  };
}
export function stopFollowing() {
  clearTimeout(waiting);
  source?.close();
  source = null;
}

// A browser opens six connections to a host: pages in the background give theirs back.
document.addEventListener("visibilitychange", () => {
  clearTimeout(hidden);
  if (document.hidden) hidden = setTimeout(() => { stopFollowing(); show("paused"); }, HIDDEN_MS);
  else if (state.link === "paused") { show("connecting"); follow(); }
});
// The same for pages that were left, which a browser keeps for the way back.
addEventListener("pagehide", () => { stopFollowing(); state.link = "paused"; });
addEventListener("pageshow", (event) => { if (event.persisted) { show("connecting"); follow(); } });
/** Whether the stream stands. A connection that died silently is opened again. */
export function check() {
  if (source && source.readyState === EventSource.OPEN && performance.now() - heard > SILENT_MS) { show("lost"); follow(); }
}
/** The service answered a request: what the browser may not know yet. */
export function reachable() {
  if (source && source.readyState === EventSource.CLOSED) follow();
}
