// Saving. Each change waits in the browser's storage until the server has it on disk, so that neither a crash of the
// server nor one of the browser loses it. The server takes a change only once, however often it is sent.
import { byId, say } from "./dom.js";
import { connect, nextId, receive, replace, state } from "./model.js";

const page = nextId();
const outbox = [];
let folder = "", sending = false, closed = false, number = 0;
const RETRY_MS = 1000, WAIT_MS = 10000, ADOPT_MS = 5000;

const prefix = () => `punctum-change-${folder}-`;
function keep(entry) {
  try { localStorage.setItem(entry.key, JSON.stringify(entry.change)); } catch { /* private mode: memory only */ }
}
function forget(entry) {
  outbox.splice(outbox.indexOf(entry), 1);
  try { localStorage.removeItem(entry.key); } catch { /* as above */ }
}

connect((change) => {
  number += 1;
  const key = prefix() + String(Date.now()).padStart(15, "0") + String(number).padStart(6, "0") + page;
  const entry = { key, change };
  outbox.push(entry);
  keep(entry);
  show();
  pump();
});

// A page holds a lock as long as it lives, so that its changes are left to itself.
const lock = (name) => `punctum-page-${name}`;
navigator.locks?.request(lock(page), () => new Promise(() => {}));

/** Changes that a page before this one could not send. */
async function adopt() {
  let keys = [];
  try { keys = Object.keys(localStorage).filter((k) => k.startsWith(prefix())).sort(); } catch { /* as above */ }
  const alive = new Set(((await navigator.locks?.query())?.held || []).map((held) => held.name));
  for (const key of keys) {
    if (outbox.some((e) => e.key === key) || alive.has(lock(key.slice(prefix().length + 21)))) continue;
    try {
      const change = JSON.parse(localStorage.getItem(key));
      if (change) outbox.push({ key, change });
    } catch { localStorage.removeItem(key); }
  }
}

let trouble = "";
/** Say how saving stands. problem: why it does not work; until it does, that is what is shown. */
function show(problem = trouble) {
  trouble = problem;
  const node = byId("saved");
  node.dataset.kind = problem ? "bad" : outbox.length ? "busy" : "good";
  node.textContent = problem || (outbox.length ? `Saving ${outbox.length}` : "Saved");
}

async function pump() {
  if (sending) return;
  sending = true;
  while (outbox.length) {
    const entry = outbox[0];
    const again = await post(entry);
    if (again) {
      sending = false;
      setTimeout(pump, RETRY_MS);
      return;
    }
  }
  sending = false;
  show(closed ? "Not connected: the server does not answer" : "");
}

/** Send one change. Returns whether it has to be sent again. */
async function post(entry) {
  const waits = outbox.length === 1 ? "1 change waits" : `${outbox.length} changes wait`;
  let answer;
  try {
    answer = await fetch("api/change", {
      method: "POST", headers: { "content-type": "application/json", "x-page": page }, body: JSON.stringify(entry.change),
      signal: AbortSignal.timeout(WAIT_MS),
    });
  } catch {
    show(`Not saved: the server does not answer. ${waits} in this browser`);
    return true;
  }
  if (answer.status === 403 || answer.status === 421) {
    show(`Not saved: open the new address that punctum label printed. ${waits} in this browser`);
    return true;
  }
  const body = await answer.json().catch(() => ({}));
  if (answer.status >= 500) {
    show(`Not saved: ${body.error || "the server has failed"}. ${waits}`);
    return true;
  }
  forget(entry);
  if (answer.ok) receive(body);
  else if (answer.status === 409) conflict(entry.change, body);
  else {
    say(body.error || "The server refused the change", "bad");
    await load().catch(() => {});
  }
  if (body.reload) await load().catch(() => {});
  show("");
  return false;
}

function conflict(change, body) {
  if (body.click) {
    receive({ click: body.click, force: true });
    say(`Another page changed this click: it is ${body.click.label} at ${body.click.time_s.toFixed(2)} s now`, "bad");
  } else {
    receive({ deleted: change.id });
    say("Another page deleted this click", "bad");
  }
}

/** Load everything, then show the changes on top that are still on their way. */
export async function load() {
  const answer = await fetch("api/state", { signal: AbortSignal.timeout(30000) });
  if (!answer.ok) throw new Error(await answer.text());
  const record = await answer.json();
  folder = record.folder;
  replace(record);
  for (const { change } of outbox) {
    if (change.op === "add") receive({ click: { note: "", created: "", clicked_s: null, speed: null, ...change, rev: 1 } });
    if (change.op === "delete") receive({ deleted: change.id });
  }
  return record;
}

let source = null, version = -1;
/** Follow what other pages do. The browser reconnects by itself; after a gap everything is loaded again. */
export async function follow(onOverview) {
  await adopt();
  show();
  pump();
  setInterval(() => adopt().then(pump), ADOPT_MS); // of pages that have been closed meanwhile
  listenTo(onOverview);
  // A browser opens few connections to one server, so a page in the background gives up its own.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) source.close();
    else if (source.readyState === EventSource.CLOSED) listenTo(onOverview);
  });
}
function listenTo(onOverview) {
  source = new EventSource("api/events");
  source.onmessage = async (message) => {
    const event = JSON.parse(message.data);
    if (event.hello) {
      closed = false;
      if (event.hello !== state.boot || (version >= 0 && event.version !== version)) await load().catch(() => {});
      version = event.version;
      show("");
      pump();
      return;
    }
    if ("version" in event) version = event.version;
    if (event.overview) onOverview(event.overview);
    else if (event.reload) await load().catch(() => {});
    else if (event.from !== page) receive(event);
  };
  source.onerror = () => {
    closed = true;
    if (!outbox.length) show("Not connected: the server does not answer");
    const failed = source;
    if (failed.readyState === EventSource.CLOSED) {
      setTimeout(() => { if (failed === source && !document.hidden) listenTo(onOverview); }, 3000);
    }
  };
}
addEventListener("beforeunload", (e) => { if (outbox.length) e.preventDefault(); });
