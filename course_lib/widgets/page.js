// What the pages of all widgets share; page.py joins it with each widget's own file. All text goes
// through textContent, so that nothing that is typed or generated becomes HTML.

const CONTROLS = ["button", "input", "select", "textarea"];
export const SILENT_MS = 5000; // of silence after a message, before the page wonders about the kernel
export const NO_WORD = "No word from the kernel: it is busy, or was restarted. Then run this cell again.";

/** An element with properties, attributes (a dash or "role" in their name) and children. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  // JupyterLab takes keys for itself (d d deletes a cell, Enter and Escape change its mode). It
  // looks for this mark on the focused element only, so a mark on a box around it would not help.
  // A line of text keeps its letters without it, and Ctrl+S should save the notebook from there too.
  if (CONTROLS.includes(tag) && properties.type !== "text") {
    element.dataset.lmSuppressShortcuts = "true";
  }
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

export const button = (text, onclick, className = "") =>
  make("button", { type: "button", textContent: text, onclick, className });

/** Grey a button or not. It isn't disabled: a disabled one would lose the keyboard's focus. */
export const enable = (one, can) => one.setAttribute("aria-disabled", String(!can));

/** An id for a label to point at. It is random, since each widget on a page loads this module anew:
    two that counted would both begin with 1. */
export const newId = () => `course-${Math.random().toString(36).slice(2)}`;

/** A control with its label, in one span. */
export function labelled(text, tag, properties, ...children) {
  const control = make(tag, { id: newId(), ...properties }, ...children);
  const label = make("label", { htmlFor: control.id, textContent: text });
  const order = control.type === "checkbox" ? [control, label] : [label, control];
  return [control, make("span", { className: "course-pair" }, ...order)];
}

/** `draw`, once a frame at most: where many traits change together, one drawing serves them all. */
export function onceAFrame(draw) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw();
    });
  };
}

/** Puts `text` into the clipboard, and into `field`, to be copied by hand where that is forbidden.
    Whether it is in the clipboard. */
export async function toClipboard(text, field) {
  field.hidden = false;
  field.value = text;
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    field.focus();
    field.select();
    return document.execCommand("copy");
  }
}

const SETTLED_MS = 300; // after which a fresh output has its height, and JupyterLab has scrolled

let seen = false; // by this widget: every one loads this module anew

/** Show `el` from its top, once, if it has just come out of a cell that was run by hand.

    Shift+Enter scrolls to the cell after, so that a tall output loses its head. Where many cells run
    in a row, or somebody has gone on already, the place on the page isn't ours to choose. */
function seenFromTop(el) {
  if (seen) return;
  seen = true;
  setTimeout(() => {
    const cell = el.closest(".jp-Cell");
    if (!cell) return;
    const active = (one) => one?.classList.contains("jp-mod-active");
    if (!active(cell) && !active(cell.nextElementSibling)) return;
    let pane = cell.parentElement;
    const scrolls = (one) => /auto|scroll/.test(getComputedStyle(one).overflowY);
    while (pane && !scrolls(pane)) pane = pane.parentElement;
    if (!pane) return;
    const { top, height } = el.getBoundingClientRect();
    const room = pane.getBoundingClientRect();
    // what is lower than the pane needs no more than to come in whole
    const block = top < room.top || height > room.height ? "start" : "nearest";
    el.scrollIntoView({ block });
  }, SETTLED_MS);
}

/** What a widget does as the output of a cell: it is seen from its top, and keys lead out of it.

    JupyterLab's own keys rest inside a widget, and Shift+Enter would press the button that has the
    focus. So Shift+Enter goes on to the next cell, and Escape back to the widget's own. */
export function inItsCell(root) {
  seenFromTop(root);
  const leave = (event, to) => {
    if (!to) return;
    event.preventDefault();
    event.stopPropagation();
    to.focus();
  };
  root.addEventListener("keydown", (event) => {
    const cell = root.closest(".jp-Cell");
    if (event.key === "Enter" && event.shiftKey) leave(event, cell?.nextElementSibling ?? cell);
  }, { capture: true }); // before a button or a field takes it for its own
  root.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.defaultPrevented) leave(event, root.closest(".jp-Cell"));
  });
}

/** Sends to the kernel, and says whether that was possible: once the kernel was restarted, the widgets
    of its notebook throw an error for each message. */
export function sent(model, message) {
  try {
    model.send(message);
  } catch {
    return false;
  }
  return true;
}

/** A function that sends to the kernel, and has `say` wonder where the page doesn't change then: in a
    notebook that was opened again the widget still shows, but nobody answers. */
export function sender(model, say) {
  let waiting;
  model.on("change", () => clearTimeout(waiting));
  return (message) => {
    clearTimeout(waiting);
    if (!sent(model, message)) return say(NO_WORD);
    waiting = setTimeout(() => say(NO_WORD), SILENT_MS);
  };
}

/** Where no JupyterLab says whether it is light or dark, `el` says it as the system does. */
export function followTheme(el) {
  if (document.querySelector("[data-jp-theme-light]")) return;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const tell = () => (el.dataset.jpThemeLight = String(!dark.matches));
  dark.addEventListener("change", tell);
  tell();
}
