// The page's side of rank.py: it draws the order that the kernel tells, and sends what is dragged,
// pressed and clicked.

function render({ model, el }) {
  const send = sender(model, (words) => (told.textContent = words));

  /** A button that does nothing while it is greyed; a label tells what its sign alone would not. */
  function key(text, label, act, className = "") {
    const made = button(text, () => made.getAttribute("aria-disabled") !== "true" && act(), className);
    if (label) {
      made.setAttribute("aria-label", label);
      made.title = label;
    }
    return made;
  }

  const progress = make("p", { className: "course-soft" });
  const prompt = make("p", { className: "course-lead rank-prompt" });
  const list = make("ol", { className: "rank-list", "aria-label": "Answers, the best first" });
  const store = key("Store and go on", "", () => send({ do: "store" }), "course-main");
  const undo = key("Undo", "", () => send({ do: "undo" }));
  const anew = key("Rank anew", "", () => send({ do: "anew" }));
  const how = make("p", { className: "course-soft", textContent:
    "Best on top: drag an answer, or use its handle and the keys ↑ and ↓. “= tie” says as good as the one above." });
  const agreed = make("p", { className: "rank-agreement" });
  const apart = make("ul", { className: "rank-apart", "aria-label": "Pairs that you and gold decide differently" });
  const told = make("p", { className: "course-soft rank-told", role: "status", "aria-live": "polite" });
  const root = make("div", { className: "course-page course-quiet course-rank", role: "group", "aria-label": "Rank the answers" },
    progress, prompt, how, list,
    make("div", { className: "rank-buttons" }, store, anew, undo, told), agreed, apart);

  const order = () => model.get("answers").map((answer) => answer.id);
  const rows = new Map(); // id of an answer -> its row, for the prompt that is shown
  let shown = null;
  let wanted = null; // [id, class of a button]: has the focus again after the next drawing

  function move(id, place, control) {
    const last = order().length - 1;
    if (place < 0 || place > last || order()[place] === id) return;
    wanted = [id, control];
    send({ do: "move", answer: id, place });
  }

  function rowOf(answer) {
    const { id, letter } = answer;
    const place = () => order().indexOf(id);
    const handle = key("⠿", `Answer ${letter}: drag, or press arrow up or down`, () => {}, "rank-handle");
    handle.addEventListener("keydown", (event) => {
      const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      event.stopPropagation();
      move(id, place() + step, "rank-handle");
    });
    const up = key("↑", `Answer ${letter} one up`, () => move(id, place() - 1, "rank-up"), "rank-up");
    const down = key("↓", `Answer ${letter} one down`, () => move(id, place() + 1, "rank-down"), "rank-down");
    const tie = key("= tie", `Answer ${letter} is as good as the one above`, () => {
      wanted = [id, "rank-tie"];
      send({ do: "tie", answer: id });
    }, "rank-tie");
    const row = make("li", { className: "rank-row" }, handle,
      make("span", { className: "rank-place", "aria-hidden": "true" }),
      make("span", { className: "rank-letter", textContent: letter }),
      make("span", { className: "rank-text", textContent: answer.text || "(it said nothing)" }),
      make("span", { className: "rank-controls" }, up, down, tie));
    drag(handle, row, id);
    return row;
  }

  /** Pointer events, so that a mouse, a pen and a finger can drag. The whole row is to be dragged; a
      finger takes the handle, since elsewhere it scrolls the page. */
  function drag(handle, row, id) {
    let place = null;
    const clear = () => {
      for (const one of list.children) one.classList.remove("rank-before", "rank-after");
    };
    row.addEventListener("pointerdown", (event) => {
      const onHandle = handle.contains(event.target);
      if (event.button !== 0 || (event.target.closest("button") && !onHandle)) return;
      if (event.pointerType === "touch" && !onHandle) return;
      row.setPointerCapture(event.pointerId); // moves outside the row are told to it as well
      place = order().indexOf(id);
      row.classList.add("rank-dragged");
    });
    row.addEventListener("pointermove", (event) => {
      if (place === null) return;
      // the row goes below all others whose middle the pointer has passed
      const others = [...list.children].filter((one) => one !== row);
      const above = others.filter((one) => {
        const box = one.getBoundingClientRect();
        return (box.top + box.bottom) / 2 < event.clientY;
      });
      place = above.length;
      clear();
      if (above.length < others.length) others[above.length].classList.add("rank-before");
      else others.at(-1).classList.add("rank-after");
    });
    const end = (drop) => () => {
      if (place === null) return;
      clear();
      row.classList.remove("rank-dragged");
      const at = place;
      place = null;
      if (drop) move(id, at, "rank-handle");
    };
    row.addEventListener("pointerup", end(true));
    row.addEventListener("pointercancel", end(false));
  }

  function draw() {
    const answers = model.get("answers");
    const done = model.get("done");
    progress.textContent = model.get("progress");
    prompt.textContent = done ? "All prompts are ranked. Thank you!" : model.get("prompt");
    if (prompt.textContent !== shown) { // another prompt: other rows
      const inside = root.contains(document.activeElement);
      shown = prompt.textContent;
      rows.clear();
      list.replaceChildren();
      for (const answer of answers) rows.set(answer.id, rowOf(answer));
      // the keyboard goes on where the next ranking begins
      wanted = inside && answers.length ? [answers[0].id, "rank-handle"] : null;
    }
    // rows that stand right stay where they are: a row that is put in again loses the focus
    const ordered = answers.map((answer) => rows.get(answer.id));
    if (ordered.some((row, i) => list.children[i] !== row)) list.replaceChildren(...ordered);
    let number = 0;
    answers.forEach((answer, i) => {
      const row = ordered[i];
      if (!answer.tied) number = i + 1;
      row.classList.toggle("rank-tied", answer.tied);
      row.querySelector(".rank-place").textContent = answer.tied ? "=" : number;
      row.setAttribute("value", number);
      const tie = row.querySelector(".rank-tie");
      tie.setAttribute("aria-pressed", String(answer.tied));
      enable(tie, i > 0);
      enable(row.querySelector(".rank-up"), i > 0);
      enable(row.querySelector(".rank-down"), i < answers.length - 1);
    });
    for (const part of [list, how, store]) part.hidden = done;
    anew.hidden = !done;
    const differ = model.get("differing");
    apart.hidden = !differ.length;
    apart.replaceChildren(...differ.map(([asked, mine, golds]) => make("li", {},
      make("span", { className: "course-soft", textContent: asked }),
      make("span", { textContent: `you: “${mine}”` }),
      make("span", { textContent: `gold: “${golds}”` }))));
    enable(undo, model.get("can_undo"));
    const verdict = done ? model.get("agreement") : "";
    agreed.textContent = verdict && `${verdict} A pair counts where both of them prefer one answer.`
      + (differ.length ? " Here you and gold differ:" : "");
    told.textContent = model.get("told");
    if (wanted) {
      const row = rows.get(wanted[0]);
      if (row) row.querySelector(`.${wanted[1]}`).focus();
      wanted = null;
    }
  }

  const soon = onceAFrame(draw);
  model.on("change", soon);
  draw();
  el.append(root);
  inItsCell(root);
  return () => model.off("change", soon);
}

export default { render };
