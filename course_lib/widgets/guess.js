// The page's side of guess.py: a field or buttons for one question. What counts as an answer is for
// the kernel to say.

import { button, make, newId, inItsCell, sender } from "./page.js";

export function render({ model, el }) {
  const { ask, options, unit } = model.get("view");
  const [asked, said] = [newId(), newId()];
  const status = make("p", { className: "guess-said", id: said, role: "status" });
  const send = sender(model, (words) => (status.textContent = words));
  const guess = (answer) => send({ guess: answer });

  const buttons = options.map(([letter, text], i) => make(
    "button",
    { type: "button", className: "guess-option", onclick: () => guess(letter), "aria-keyshortcuts": `${letter} ${i + 1}` },
    make("span", { className: "guess-letter", textContent: letter }),
    make("span", { className: "guess-text", textContent: text }),
    make("span", { className: "guess-mine", textContent: "your guess", hidden: true }),
  ));
  const field = make("input", {
    type: "text",
    inputMode: "decimal",
    autocomplete: "off",
    className: "guess-number",
    id: newId(),
    "aria-describedby": said,
    onkeydown: (event) => {
      if (event.key === "Enter" && !event.isComposing) guess(field.value);
    },
  });
  const row = make("div", { className: "guess-row" },
    make("label", { htmlFor: field.id, textContent: unit && unit !== "%" ? `Your guess, in ${unit}` : "Your guess" }),
    field,
    make("span", { textContent: unit === "%" ? "%" : "" }),
    button("Keep my guess", () => guess(field.value), "course-main"));
  const root = make("div",
    { className: "course-page course-quiet course-guess", role: "group", "aria-labelledby": asked },
    make("p", { className: "course-lead", id: asked, textContent: ask }),
    options.length ? make("div", { className: "guess-options" }, ...buttons) : row,
    status);
  // JupyterLab's own key for "done" goes on to the next cell, and mustn't leave the guess behind
  root.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !event.shiftKey || event.target !== field) return;
    if (field.value.trim()) guess(field.value);
  }, { capture: true });
  if (options.length) {
    root.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const chosen = options.find(([letter], i) => [letter, String(i + 1)].includes(event.key.toLowerCase()));
      if (!chosen) return;
      event.preventDefault();
      guess(chosen[0]);
    });
  }

  function draw() {
    const view = model.get("view");
    status.textContent = view.problem || view.said;
    status.classList.toggle("course-problem", Boolean(view.problem));
    if (view.kept && !view.problem) field.value = view.kept;
    field.setAttribute("aria-invalid", String(Boolean(view.problem)));
    buttons.forEach((one, i) => {
      const mine = options[i][0] === view.kept;
      one.setAttribute("aria-pressed", String(mine));
      one.querySelector(".guess-mine").hidden = !mine;
    });
  }

  model.on("change:view", draw);
  draw();
  el.append(root);
  inItsCell(root);
  return () => model.off("change:view", draw);
}
