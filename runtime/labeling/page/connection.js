// Saving. Each change waits in the browser's storage until the server has it on disk, so that neither a crash of the
// server nor one of the browser loses it. The server takes a change only once, however often it is sent.
import { address, call, parse, site } from "./api.js";
import { byId, counted, say } from "./dom.js";
import { connect, display, drop, nextId, notify, receive, replace, state } from "./model.js";
import { close, notice } from "./notices.js";
import * as waiting from "./waiting.js";

const page = nextId();
const outbox = [];
let sending = false, closed = false;
const RETRY_MS = 1000, SURE_MS = 300, WAIT_MS = 10000, ADOPT_MS = 5000, MOST_KNOWN = 4000, MOST_AGE_S = 29 * 86400;

function forget(entry) {
  outbox.splice(outbox.indexOf(entry), 1);
  waiting.forget(entry);
}

// What each change replaced, by its key, as the server has told. To undo a change, this is sent back.
const replaced = new Map();
function learn(key, restore) {
  if (!key || !restore) return;
  replaced.set(key, restore);
  if (replaced.size > MOST_KNOWN) replaced.delete(replaced.keys().next().value);
  for (const entry of outbox) if (entry.change.of === key) { entry.change.restore = restore; waiting.keep(entry); }
}
/** A change as the server takes it. What it has replaced may be unknown, after a restart: then its plain inverse is sent. The
 * server gets the age of the change, and not its time: the two clocks may differ. */
function sent({ made, ...change }) {
  const age_s = made ? Math.min(Math.max((Date.now() - made) / 1000, 0), MOST_AGE_S) : 0;
  if (change.op !== "undo") return { ...change, age_s };
  const { plain, of, restore, ...rest } = change;
  return { ...(restore ? { ...rest, restore } : { ...plain, ...rest, op: plain.op }), age_s };
}

/** Whether changes are on their way to the server. */
export const isSaving = () => outbox.length > 0;

connect((change) => {
  const facts = { folder: site.folder, origin: site.origin, place: site.place, made: Date.now() };
  const entry = { key: waiting.newKey(page), change: { ...change, ...facts } };
  if (replaced.has(change.of)) entry.change.restore = replaced.get(change.of); // for the page that will send it
  outbox.push(entry);
  waiting.keep(entry);
  setTimeout(() => secure(entry), SURE_MS); // most are saved by then
  show();
  pump();
});
function secure(entry) {
  if (outbox.includes(entry)) waiting.secure(entry).then(() => { if (trouble) show(); });
}

// A page holds a lock as long as it lives, so that its changes are left to itself.
const lock = (name) => `punctum-page-${name}`;
navigator.locks?.request(lock(page), () => new Promise(() => {}));

/** Changes that a page before this one could not send. */
async function adopt() {
  const alive = new Set(((await navigator.locks?.query())?.held || []).map((held) => held.name));
  const isAlive = (other) => alive.has(lock(other));
  await waiting.restore(isAlive);
  const found = waiting.left(new Set(outbox.map((e) => e.key)), isAlive);
  for (const entry of outbox) if (!entry.kept) waiting.keep(entry); // there may be room again
  if (!found.length) return;
  const first = sending ? outbox.splice(0, 1) : []; // it is on its way
  outbox.push(...found);
  outbox.sort((a, b) => (a.key < b.key ? -1 : 1));
  outbox.unshift(...first);
  found.forEach(secure);
}

let trouble = null;
/** Show the save status. reason: returns why saving fails; it is shown until saving works again. */
function show(reason = trouble) {
  trouble = reason;
  const problem = reason?.();
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
  show(closed ? unconnected : null);
}

const unconnected = () => "Not connected: the server does not answer";
/** How many changes wait, and where. */
function held() {
  const count = outbox.length === 1 ? "1 change waits" : `${outbox.length} changes wait`;
  if (outbox.every((e) => e.sure)) return `${count} in this browser`;
  if (outbox.every((e) => e.kept)) return `${count} in this browser, and may be lost if it is killed`;
  return `${count}, only in this window: do not close it (the browser stores no more)`;
}
/** Say that another folder is served here. What waits for the folder of this page is kept. */
function elsewhere(body) {
  const left = () => (outbox.length ? `Not saved: ${body.error}. ${held()}` : `Not connected: ${body.error}`);
  show(() => `${left()}. This page is of ${site.place}: start punctum label on it again`);
}
/** Say why an answer is none. */
function refused(status) {
  if (status !== 403 && status !== 421) return;
  const left = () => (outbox.length ? "Not saved" : "Not connected");
  show(() => `${left()}: open the new address that punctum label printed for ${site.place}.${outbox.length ? ` ${held()}` : ""}`);
}

/** Send one change. Returns whether it has to be sent again. */
async function post(entry) {
  let answer;
  try {
    answer = await call("api/change", {
      method: "POST", headers: { "content-type": "application/json", "x-page": page }, body: JSON.stringify(sent(entry.change)),
      signal: AbortSignal.timeout(WAIT_MS),
    });
  } catch {
    show(() => `Not saved: the server does not answer. ${held()}`);
    return true;
  }
  if (answer.status === 403 || answer.status === 421) {
    refused(answer.status);
    return true;
  }
  const body = await answer.json().catch(() => ({}));
  if (body.code === "label-folder") {
    elsewhere(body);
    return true;
  }
  if (answer.status >= 500) {
    show(() => `Not saved: ${body.error || "the server has failed"}. ${held()}`);
    return true;
  }
  forget(entry);
  if (answer.ok) {
    learn(entry.change.key, body.restore);
    receive(body);
  } else {
    drop(entry.change.key);
    for (const other of outbox.filter((e) => e.change.of === entry.change.key)) forget(other);
    if (answer.status === 409) conflict(entry.change, body);
    else {
      if (entry.change.op === "add" && waiting.putAside(entry, body.error || "")) asides();
      say(body.error || "The server refused the change", "bad");
      state.refused = entry.change;
      notify("refused");
      await load().catch(() => {});
    }
  }
  if (body.reload) await load().catch(() => {});
  show(null);
  return false;
}

function conflict(change, body) {
  if (body.click) {
    receive({ click: body.click, force: true });
    say(`Another page changed this click: it is ${body.click.label} at ${body.click.time_s.toFixed(2)} s now`, "bad");
  } else {
    receive({ deleted: change.plain?.id ?? change.id });
    say("Another page deleted this click", "bad");
  }
}

/** Load everything, then show the changes on top that are still on their way. */
export async function load() {
  const answer = await call("api/state", { signal: AbortSignal.timeout(30000) });
  const record = await answer.json().catch(() => ({}));
  if (record.code === "label-folder") elsewhere(record);
  else refused(answer.status);
  if (!answer.ok || !record.folder) throw new Error(record.error || "open the address that punctum label printed");
  site.folder ||= record.folder;
  site.place = record.place;
  site.origin = record.origin;
  replace(record);
  for (const text of record.notices) notice(text, text);
  if (record.gone) notice("gone", `Changes are not saved at present: ${record.gone}`, ["Hide", () => {}]);
  else close("gone");
  for (const { change } of outbox) display(change.plain || change, change.annotator);
  return record;
}

/** Say which changes of other folders wait in this browser. */
function others() {
  const { here, move, discard, places } = waiting.ofOthers();
  if (here) {
    notice("others", `Not saved: ${counted(here, "change")} of a folder that was at ${site.place} before, or of this one at another place`,
      ["Save in this folder", () => { move(); adopt().then(shown).then(pump); }], ["Discard", discard]);
  }
  if (!places.size) return;
  const counts = [...places].map(([place, count]) => `${counted(count, "change")} of ${place}`).join(", ");
  say(`Not saved yet: ${counts}. Start punctum label there, with the same port`, "bad");
}

/** Say which clicks the server has refused. */
function asides() {
  const all = waiting.putAsides();
  if (!all.length) return close("refused");
  const each = all.map(({ change, why }) => `${change.label} at ${Number(change.time_s).toFixed(2)} s in ${change.video} (${why})`);
  notice("refused", `Not saved: ${counted(all.length, "click")}, refused by the server: ${each.slice(0, 3).join("; ")}${each.length > 3 ? "; …" : ""}`,
    ["Try again", () => { all.forEach((a) => a.again()); adopt().then(shown).then(pump); }], ["Discard", () => all.forEach((a) => a.discard())]);
}
function shown() {
  for (const { change } of outbox) display(change.plain || change, change.annotator);
  notify("clicks", "videos", "background");
  show();
}

let source = null, version = -1;
/** Follow what other pages do. The browser reconnects by itself; after a gap everything is loaded again. */
export async function follow(onOverview) {
  await adopt();
  shown();
  pump();
  others();
  asides();
  setInterval(() => adopt().then(pump), ADOPT_MS); // of pages that have been closed meanwhile
  listenTo(onOverview);
  // A browser opens few connections to one server, so a page in the background gives up its own.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) source.close();
    else if (source.readyState === EventSource.CLOSED) listenTo(onOverview);
  });
}
function listenTo(onOverview) {
  source = new EventSource(address("api/events"));
  source.onmessage = async (message) => {
    const event = parse(message.data);
    if (event.hello) {
      closed = false;
      if (event.hello !== state.boot || (version >= 0 && event.version !== version)) await load().catch(() => {});
      version = event.version;
      show(null);
      pump();
      call("api/learning").then((a) => (a.ok ? a.json() : null)).then((learning) => {
        if (learning) receive({ learning, round: true });
      }).catch(() => {});
      return;
    }
    if ("version" in event) version = event.version;
    if (event.overview) onOverview(event.overview);
    else if (event.reload) await load().catch(() => {});
    else if (event.from !== page) receive(event);
  };
  source.onerror = () => {
    closed = true;
    if (!outbox.length) show(unconnected);
    const failed = source;
    if (failed.readyState === EventSource.CLOSED) {
      if (!document.hidden) load().catch(() => {}); // says why
      setTimeout(() => { if (failed === source && !document.hidden) listenTo(onOverview); }, 3000);
    }
  };
}
addEventListener("beforeunload", (e) => { if (outbox.length) e.preventDefault(); });
