// A copy of pending changes on the disk. The other storage of a browser reaches the disk up to a minute later, and a
// browser that is killed before loses it.
const NAME = "punctum-label", STORE = "changes";
let opening = null;

/** The database; null where the browser has none. */
function database() {
  opening ||= new Promise((done) => {
    try {
      const request = indexedDB.open(NAME, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE);
      request.onsuccess = () => done(request.result);
      request.onerror = request.onblocked = () => done(null);
    } catch { done(null); } // private mode
  });
  return opening;
}
/** Resolves when it is on the disk, to the result of the request; null if that is not possible. */
async function act(mode, ask) {
  const base = await database();
  if (!base) return null;
  return new Promise((done) => {
    try {
      const transaction = base.transaction(STORE, mode, { durability: "strict" });
      const request = ask(transaction.objectStore(STORE));
      transaction.oncomplete = () => done(request.result === undefined ? true : request.result);
      transaction.onabort = transaction.onerror = () => done(null);
    } catch { done(null); }
  });
}
export const put = (key, text) => act("readwrite", (store) => store.put(text, key)).then(Boolean);
export const drop = (key) => act("readwrite", (store) => store.delete(key));
export const keys = () => act("readonly", (store) => store.getAllKeys()).then((found) => found || []);
export const get = (key) => act("readonly", (store) => store.get(key)).then((found) => (typeof found === "string" ? found : null));
