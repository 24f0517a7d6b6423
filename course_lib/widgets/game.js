// The page's side of game.py: it draws the round that the kernel tells, and sends clicks.

const WHO = { you: "you", model: "model", truth: "the truth" };
const percent = (p) => `${Math.round(100 * p)}%`;

function render({ model, el }) {
  const send = sender(model, (words) => (said.textContent = words));
  const title = make("p", { className: "course-soft" });
  const rule = make("p", { className: "course-soft" });
  const text = make("span");
  const prefix = make("p", { className: "game-text" }, text,
    make("span", { className: "game-slot", role: "img", "aria-label": "what comes next?" }));
  const key = make("p", { className: "game-key course-soft" },
    ...Object.entries(WHO).map(([who, name]) => make("span", { className: `course-key game-${who}`, textContent: name })));
  const rows = make("div", { className: "game-rows", role: "group", "aria-label": "Options" });
  const main = button("Bet", () => {
    const view = model.get("view");
    send({ do: view.again ? "again" : view.told ? "next" : "bet" });
  }, "course-main");
  const said = make("p", { role: "status", "aria-live": "polite" });
  const bits = make("div", { className: "game-bits" });
  const root = make("div", { className: "course-page course-quiet course-game", role: "group", "aria-label": "Guessing game" },
    title, rule, prefix, key, rows, make("div", { className: "game-foot" }, main, said), bits);

  let shown = "";
  let drawn = new Map(); // option -> its parts, in the round that is shown

  function row({ word }) {
    const put = button("", () => send({ do: "place", option: word, chips: 1 }), "game-put");
    const bar = (who) => make("span", { className: `game-bar game-${who}` });
    const parts = {
      put,
      you: bar("you"), model: bar("model"), truth: bar("truth"),
      number: make("span", { className: "game-number" }),
      fewer: button("−", () => send({ do: "place", option: word, chips: -1 })),
      more: button("+", () => send({ do: "place", option: word, chips: 1 })),
    };
    parts.fewer.setAttribute("aria-label", `One chip less on ${word}`);
    parts.more.setAttribute("aria-label", `One chip more on ${word}`);
    put.append(make("span", { className: "game-word", textContent: word }),
      make("span", { className: "game-track", "aria-hidden": "true" }, parts.you, parts.model, parts.truth),
      parts.number);
    parts.row = make("div", { className: "game-row" }, put,
      make("span", { className: "game-dial" }, parts.fewer, parts.more));
    return parts;
  }

  function draw() {
    const view = model.get("view");
    title.textContent = `${view.title}: what comes next?`;
    rule.textContent = view.rule;
    rule.hidden = !view.rule;
    text.textContent = view.prefix;
    key.hidden = !view.told;
    if (shown !== String(view.key)) { // another round: other rows
      shown = String(view.key);
      drawn = new Map(view.options.map((option) => [option.word, row(option)]));
      rows.replaceChildren(...[...drawn.values()].map((parts) => parts.row));
    }
    for (const option of view.options) {
      const parts = drawn.get(option.word);
      const mine = view.told ? option.you : option.chips / view.chips;
      parts.you.style.setProperty("--p", mine);
      parts.model.style.setProperty("--p", option.model ?? 0);
      parts.truth.style.setProperty("--p", option.truth ?? 0);
      for (const who of ["model", "truth"]) parts[who].hidden = !view.told;
      parts.row.classList.toggle("game-told", view.told);
      parts.row.classList.toggle("game-came", option.came);
      const shares = Object.keys(WHO).map((who) =>
        make("span", { className: `game-share game-${who}`, textContent: Math.round(100 * option[who]) }));
      parts.number.replaceChildren(...(view.told ? [...shares, "%"] : [option.chips || ""]));
      const chips = `${option.chips} ${option.chips === 1 ? "chip" : "chips"}`;
      parts.put.setAttribute("aria-label", view.told
        ? `${option.word}${option.came ? " (came)" : ""}: you ${percent(option.you)}, model ${percent(option.model)}, truth ${percent(option.truth)}`
        : `${option.word}: ${chips}, put one more`);
      enable(parts.put, !view.told && view.left > 0);
      enable(parts.more, !view.told && view.left > 0);
      enable(parts.fewer, !view.told && option.chips > 0);
    }
    main.textContent = view.over ? "New game" : view.told ? "Next round" : "Bet";
    main.hidden = view.over && !view.again;
    said.textContent = view.said;
    const most = Math.max(...Object.values(view.bits), 0.01);
    bits.hidden = !Object.keys(view.bits).length;
    bits.replaceChildren(make("p", { className: "course-soft", textContent: "Bits of surprise per round so far: the fewer, the better" }),
      ...Object.entries(view.bits).map(([who, value]) => {
        const bar = make("span", { className: `game-bar game-${who}` });
        bar.style.setProperty("--p", value / most);
        return make("p", { className: "game-total" }, make("span", { textContent: WHO[who] }),
          make("span", { className: "game-track" }, bar), make("strong", { textContent: value.toFixed(2) }));
      }));
  }

  const soon = onceAFrame(draw);
  model.on("change:view", soon);
  draw();
  el.append(root);
  inItsCell(root);
  return () => model.off("change:view", soon);
}

export default { render };
