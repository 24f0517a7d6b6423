// The page's side of quiz.py. A choice is checked when the button is pressed, not when it is made:
// the arrow keys go through all options, and would give them all away.

import { button, enable, make, newId, NO_WORD, inItsCell, sent } from "./page.js";

function block(question, number, answered) {
  const name = newId();
  const feedback = make("p", { className: "quiz-feedback", role: "status" });
  const chosen = () => question.options.find((_, i) => radios[i].checked);
  const radios = question.options.map(({ letter }) => make("input", {
    type: "radio",
    id: newId(),
    name,
    value: letter,
    checked: letter === question.kept,
    onchange: () => show(null),
    onkeydown: (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      check();
    },
  }));
  const rows = question.options.map(({ letter, text }, i) => make("div", { className: "quiz-option" },
    radios[i],
    make("label", { htmlFor: radios[i].id },
      make("span", { className: "quiz-letter course-soft", textContent: letter }), text)));
  const press = button("Check", () => check());

  function show(option) {
    feedback.textContent = option ? option.feedback : "";
    feedback.classList.toggle("quiz-right", Boolean(option?.right));
    rows.forEach((row, i) => row.classList.toggle("quiz-checked", question.options[i] === option));
    enable(press, Boolean(chosen()));
  }

  function check() {
    const option = chosen();
    if (!option) {
      feedback.textContent = "Choose an answer first.";
      return;
    }
    show(option);
    answered(question.id, option.letter);
  }

  show(chosen() ?? null);
  return make("fieldset", { className: "quiz-question" },
    make("legend", { className: "course-lead", textContent: number ? `${number}. ${question.ask}` : question.ask }),
    ...rows,
    make("div", { className: "quiz-foot" }, press, feedback));
}

export function render({ model, el }) {
  const questions = model.get("questions");
  const problem = make("p", { className: "course-problem", role: "status" });
  const blocks = questions.map((question, i) => block(
    question,
    questions.length > 1 ? i + 1 : 0,
    (id, letter) => sent(model, { id, letter }) || (problem.textContent = NO_WORD),
  ));
  const root = make("div", { className: "course-page course-quiet course-quiz", role: "group", "aria-label": "Quiz" },
    ...blocks, problem);

  const tell = () => (problem.textContent = model.get("problem"));
  model.on("change:problem", tell);
  tell();
  el.append(root);
  inItsCell(root);
  return () => model.off("change:problem", tell);
}
