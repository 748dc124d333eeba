// Sorting and search in the list of recordings.
const list = document.getElementById("recordings"), items = [...list.children], find = document.getElementById("find");
const orders = {
  wrong: (a, b) => Number(b.dataset.missed) + Number(b.dataset.false) - Number(a.dataset.missed) - Number(a.dataset.false),
  missed: (a, b) => b.dataset.missed - a.dataset.missed,
  false: (a, b) => b.dataset.false - a.dataset.false,
  name: () => 0,
};
let by = "wrong";
function arrange() {
  const text = find.value.trim().toLowerCase();
  const matching = items.filter((item) => item.dataset.name.toLowerCase().includes(text));
  matching.sort((a, b) => orders[by](a, b) || a.dataset.name.localeCompare(b.dataset.name));
  list.replaceChildren(...matching);
  document.getElementById("count").textContent = text ? `${matching.length} of ${items.length} recordings` : "";
}
const buttons = document.querySelectorAll("button[data-by]");
for (const button of buttons) button.addEventListener("click", () => {
  by = button.dataset.by;
  for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
  arrange();
});
find.addEventListener("input", arrange);
