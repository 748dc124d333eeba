// Requests to the server. Each names the folder of this page: the server of another folder may have taken the port, and
// refuses them then.
export const site = { folder: "", origin: "", place: "" };

/** JSON as objects without a prototype: people, videos and classes may be called "constructor" or "__proto__". */
export const parse = (text) => JSON.parse(text, (key, value) => (
  value && typeof value === "object" && !Array.isArray(value) ? Object.setPrototypeOf(value, null) : value));

export async function call(path, options = {}) {
  const answer = await fetch(path, { ...options, headers: { ...options.headers, "x-folder": site.folder } });
  answer.json = () => answer.text().then(parse);
  return answer;
}
/** An address for the browser itself: of a picture, a video or a stream of events. */
export const address = (path) => `${path}${path.includes("?") ? "&" : "?"}folder=${site.folder}`;
