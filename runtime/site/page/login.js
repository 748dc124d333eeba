// Log in with a token. The service answers with a cookie that scripts cannot read.
import { change, get, whenLoggedOut } from "./api.js";
import { byId } from "./dom.js";
import { stopFollowing } from "./live.js";
import { state } from "./model.js";

const dialog = byId("login"), field = byId("token"), wrong = byId("login-wrong");
let done = null;

/** Resolves when this browser has a role. */
export function ask() {
  if (!dialog.open) { wrong.textContent = ""; dialog.showModal(); field.focus(); }
  return new Promise((resolve) => { done = resolve; });
}
export async function ensure() {
  const session = await get("session");
  byId("b-logout").hidden = !session.tokens;
  if (session.role === null) await ask();
  else state.role = session.role;
}
byId("login-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  wrong.textContent = "";
  try {
    const session = await change("session", { token: field.value.trim() });
    state.role = session.role;
    field.value = "";
    dialog.close();
    done?.();
  } catch (error) {
    wrong.textContent = String(error.message || error).slice(0, 200);
    field.select();
  }
});
dialog.addEventListener("cancel", (event) => event.preventDefault());
byId("b-logout").onclick = async () => { await change("session", undefined, "DELETE").catch(() => {}); location.reload(); };
whenLoggedOut(() => {
  if (dialog.open) return;
  stopFollowing();
  ask().then(() => location.reload());
});
