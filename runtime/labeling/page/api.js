// Requests to the server. Each names the folder of this page: the server of another folder may have taken the port, and
// refuses them then.
export const site = { folder: "", place: "" };

export const call = (path, options = {}) => fetch(path, { ...options, headers: { ...options.headers, "x-folder": site.folder } });
/** An address for the browser itself: of a picture, a video or a stream of events. */
export const address = (path) => `${path}${path.includes("?") ? "&" : "?"}folder=${site.folder}`;
