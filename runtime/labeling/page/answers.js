// What the server is told about answers, one after the other, and what it is asked for.
import { call } from "./api.js";
import { isSaving } from "./connection.js";

let told = Promise.resolve();
export async function get(path) {
  const answer = await call(path).catch(() => null);
  return answer?.ok ? answer.json() : null;
}
/** Everything that was answered has to be known to the server before it is asked for more. */
export const saved = () => new Promise((done) => {
  const look = () => (isSaving() ? setTimeout(look, 60) : done());
  look();
});
function post(path, record) {
  const send = () => call(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(record) });
  told = told.then(send).catch(() => {});
}
export const tell = (key, value) => post("api/skip", { key, value });
/** Which moment is settled; null: none any more. */
export const note = (key, moment) => post("api/answer", { key, moment });
/** Resolves when the server knows of all answers. */
export const known = () => told;
