// Two views of a page, of which one is open.
import { button, make } from "../widgets/page.js";

/** Tabs over `parts`, {id: [title, element]}; the arrow keys move among them. Gives their list, and a
    function that opens one. `onOpen(id)` is called with each that is opened. */
export function tabs(parts, onOpen) {
  const ids = Object.keys(parts);
  const list = make("div", { className: "play-tabs", role: "tablist", "aria-label": "Parts of this page" });
  let at = 0;
  const open = (id) => {
    at = ids.indexOf(id);
    ids.forEach((one, i) => {
      list.children[i].setAttribute("aria-selected", String(i === at));
      list.children[i].tabIndex = i === at ? 0 : -1;
      parts[one][1].hidden = i !== at;
    });
    onOpen(id);
  };
  const set = (element, attributes) =>
    Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
  for (const [id, [title, panel]] of Object.entries(parts)) {
    const tab = button(title, () => open(id), "play-tab");
    set(tab, { role: "tab", id: `tab-${id}`, "aria-controls": `part-${id}` });
    set(panel, { role: "tabpanel", id: `part-${id}`, "aria-labelledby": `tab-${id}` });
    list.append(tab);
  }
  list.addEventListener("keydown", (event) => {
    const last = ids.length - 1;
    const to = { ArrowLeft: at ? at - 1 : last, ArrowRight: at < last ? at + 1 : 0, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    open(ids[to]);
    list.children[to].focus();
  });
  return [list, open];
}
