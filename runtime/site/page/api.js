// Requests to the API. Addresses are relative to the page, so that a proxy may put it anywhere.
const BASE = "api/v1/";
let onLogin = () => {};
/** Called when the service wants a token. */
export const whenLoggedOut = (call) => { onLogin = call; };

export class Problem extends Error {
  constructor(status, body) {
    super(body.given ? `${body.given}${body.next_step ? ". Next: " + body.next_step : ""}` : `The service answered ${status}`);
    this.status = status;
    this.code = body.code || "";
  }
}

export const url = (path) => BASE + path;
export const eventPath = (e) => `events/${encodeURIComponent(e.camera)}/${encodeURIComponent(e.key)}`;

async function send(path, options) {
  const answer = await fetch(BASE + path, { credentials: "same-origin", ...options });
  if (answer.status === 401 && !path.startsWith("session")) onLogin();
  if (answer.status === 204) return null;
  if (!answer.ok) throw new Problem(answer.status, await answer.json().catch(() => ({})));
  return answer.json();
}
export const get = (path) => send(path, { cache: "no-cache" });
export function change(path, body, method = "POST") {
  const headers = body === undefined ? {} : { "Content-Type": "application/json" };
  return send(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
}

/** A picture as { address, tag }, or null if there is none. The address is to be revoked. */
export async function picture(path, tag) {
  const answer = await fetch(BASE + path, { cache: "no-cache", credentials: "same-origin" });
  if (answer.status === 401) onLogin();
  if (answer.status !== 200) return null;
  const now = answer.headers.get("ETag");
  if (now && now === tag) { await answer.body?.cancel(); return { address: "", tag }; }
  return { address: URL.createObjectURL(await answer.blob()), tag: now };
}
