// What the pages of all widgets share; page.py joins it with each widget's own file. All text goes
// through textContent, so that nothing that is typed or generated becomes HTML.

const CONTROLS = ["button", "input", "select", "textarea"];
const SILENT_MS = 5000; // of silence after a message, before the page wonders about the kernel
const NO_WORD = "No word from the kernel: it is busy, or was restarted. Then run this cell again.";

/** An element with properties, attributes (a dash or "role" in their name) and children. */
function make(tag, properties = {}, ...children) {
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

const button = (text, onclick, className = "") =>
  make("button", { type: "button", textContent: text, onclick, className });

/** Grey a button or not. It isn't disabled: a disabled one would lose the keyboard's focus. */
const enable = (one, can) => one.setAttribute("aria-disabled", String(!can));

/** An id for a label to point at. It is random, since each widget on a page loads this module anew:
    two that counted would both begin with 1. */
const newId = () => `course-${Math.random().toString(36).slice(2)}`;

/** A control with its label, in one span. */
function labelled(text, tag, properties, ...children) {
  const control = make(tag, { id: newId(), ...properties }, ...children);
  const label = make("label", { htmlFor: control.id, textContent: text });
  const order = control.type === "checkbox" ? [control, label] : [label, control];
  return [control, make("span", { className: "course-pair" }, ...order)];
}

/** `draw`, once a frame at most: where many traits change together, one drawing serves them all. */
function onceAFrame(draw) {
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
