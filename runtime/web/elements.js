// Elements of a document, for all pages. Text from files, cameras and people is inserted with textContent and
// setAttribute only.
export const byId = (id) => document.getElementById(id);
export const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
export const counted = (n, one, many = one + "s") => `${n} ${n === 1 ? one : many}`;

/** A new element with attributes ("text": its text; "onclick" and the like: a listener) and children. */
export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "text") node.textContent = value;
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children) if (child) node.append(child);
  return node;
}
