// Changes that wait for the server, in the storage of the browser: what one page could not send, the next one does.
import { parse, site } from "./api.js";
import * as durable from "./durable.js";

const ALL = "punctum-change-", ASIDE = "punctum-refused-", ORDER = "punctum-order", DIGITS = 21;
const prefix = () => `${ALL}${site.folder}-`;
const aside = () => `${ASIDE}${site.folder}-`;
const found = new Map(); // what only the disk has: the browser was killed, or its storage is full
function keysOf(start) {
  let keys = [];
  try { keys = Object.keys(localStorage); } catch { /* private mode */ }
  return [...new Set([...keys, ...found.keys()])].filter((k) => k.startsWith(start)).sort();
}
function read(key) {
  try { return parse(localStorage.getItem(key) ?? found.get(key) ?? "null"); } catch { return null; }
}
function write(key, value) {
  try { localStorage.setItem(key, JSON.stringify(value)); return true; } catch { return false; } // private mode, or full
}
function remove(key) {
  found.delete(key);
  try { localStorage.removeItem(key); } catch { /* private mode */ }
}
/** Read what only the disk has, of pages that are gone. */
export async function restore(isAlive) {
  const here = new Set(keysOf(ALL));
  for (const key of await durable.keys()) {
    if (here.has(key) || isAlive(key.slice(key.search(/\d{21}/) + DIGITS))) continue;
    const text = await durable.get(key);
    if (text) found.set(key, text);
  }
}

let last = 0;
/** A number for the order of changes. It only grows, whatever is done to the clock. */
function next() {
  for (const key of last ? [] : keysOf(ALL)) last = Math.max(last, Number(key.match(/-(\d{15})\d{6}/)?.[1]) || 0);
  const stored = Number(read(ORDER));
  last = Math.max(last + 1, Number.isSafeInteger(stored) ? stored + 1 : 0, Date.now());
  write(ORDER, last);
  return String(last).padStart(15, "0") + "000000";
}
export const newKey = (page) => prefix() + next() + page;

/** Keep a change. Its entry says whether the browser has it: if not, it is lost with this window. */
export function keep(entry) { entry.kept = write(entry.key, entry.change) || entry.sure; }
/** Bring a change that waits to the disk. Its entry says whether it is there. */
export async function secure(entry) {
  if (entry.sure || !(await durable.put(entry.key, JSON.stringify(entry.change)))) return;
  entry.sure = entry.kept = true;
  if (entry.gone) durable.drop(entry.key); // it was saved meanwhile
}
export function forget(entry) {
  entry.gone = true;
  remove(entry.key);
  if (entry.sure) durable.drop(entry.key);
}

/** Changes of pages that are gone, in their order. */
export function left(known, isAlive) {
  const entries = [];
  for (const key of keysOf(prefix())) {
    if (known.has(key) || isAlive(key.slice(prefix().length + DIGITS))) continue;
    const change = read(key);
    if (change) entries.push({ key, change, kept: true, sure: found.has(key) });
    else remove(key);
  }
  return entries;
}

/** Put aside a change that the server refused: a click is discarded only by the person. */
export function putAside(entry, why) { return write(aside() + entry.key.slice(prefix().length), { change: entry.change, why }); }
/** What was put aside: each with its reason, and functions that send it again or discard it. */
export function putAsides() {
  return keysOf(aside()).map((key) => ({ key, ...read(key) })).filter((a) => a.change).map(({ key, change, why }) => ({
    change, why, discard: () => remove(key), again: () => { if (write(newKey("again"), change)) remove(key); },
  }));
}

/** Changes of other folders that wait here: those of a folder that was at this place, and the number of each other place. */
export function ofOthers() {
  const here = [], places = new Map();
  for (const key of keysOf(ALL)) {
    if (key.startsWith(prefix())) continue;
    const change = read(key), place = change?.place || "another folder";
    if (change && (change.place === site.place || (change.origin && change.origin === site.origin))) here.push([key, change]);
    else places.set(place, (places.get(place) || 0) + 1);
  }
  const away = (key) => { remove(key); durable.drop(key); };
  const move = () => here.forEach(([key, change]) => {
    if (write(newKey("moved"), { ...change, folder: site.folder, origin: site.origin, place: site.place })) away(key);
  });
  return { here: here.length, move, discard: () => here.forEach(([key]) => away(key)), places };
}
