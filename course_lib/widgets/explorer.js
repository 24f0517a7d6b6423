// The page's side of explorer.py: it draws the kernel's `view` and sends what is typed and clicked.

const CALM_MS = 800; // without a change, before the bars are read out
const N_PATTERNS = 5; // of bars, in explorer.css

const span = (className, text = "") => make("span", { className, textContent: text });

/** 0.4512 is "45 %", small shares keep a digit more. */
function percent(p) {
  if (p === 0) return "0 %";
  if (p < 0.0005) return "<0.1 %";
  return `${(100 * p).toFixed(p < 0.0995 ? 1 : 0)} %`;
}

const spoken = (text) =>
  text.replaceAll("␣", " space ").replaceAll("↵", " new line ").replaceAll("⇥", " tab ").trim();

/** As many elements of `create(i)` in `box` as there are items, each brought up to date: an element
    that stays keeps the keyboard's focus. */
function fill(box, items, create, update) {
  while (box.children.length > items.length) box.lastChild.remove();
  items.forEach((item, i) => {
    if (i === box.children.length) box.append(create(i));
    update(box.children[i], item, i);
  });
}

/** The buttons in `box` are one stop of the Tab key; two arrow keys, Home and End move among them.
    Call what it returns after the buttons have changed. */
function roving(box, back, forward) {
  let at = 0;
  const all = () => [...box.querySelectorAll("button")];
  const settle = () => {
    const buttons = all();
    at = Math.max(0, Math.min(at, buttons.length - 1));
    buttons.forEach((one, i) => (one.tabIndex = i === at ? 0 : -1));
  };
  box.addEventListener("focusin", (event) => {
    at = all().indexOf(event.target.closest("button"));
    settle();
  });
  box.addEventListener("keydown", (event) => {
    const buttons = all();
    const to = { [back]: at - 1, [forward]: at + 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    buttons[Math.max(0, Math.min(to, buttons.length - 1))]?.focus();
  });
  return settle;
}

/** Messages to the kernel, one under way at a time. Of those that wait, a newer text or dial takes
    the place of an older one, so that only the newest is computed; nothing else is dropped. */
function outbox(model, onSilence) {
  const page = Math.random().toString(36); // two windows on one kernel both get every answer
  let waiting = [], underWay = false, newest = 0, timer;
  const kind = (message) => (message.do === "type" || message.do === "set"
    ? Object.keys(message).filter((name) => name !== "number").sort().join() + message.do
    : null);
  function next() {
    clearTimeout(timer);
    underWay = waiting.length > 0;
    if (!underWay) return;
    model.send({ ...waiting.shift(), page });
    timer = setTimeout(() => { // an answer that is lost must not hold up the next message for ever
      onSilence();
      next();
    }, SILENT_MS);
  }
  return {
    send(message) {
      const last = waiting.at(-1);
      if (last && kind(last) && kind(last) === kind(message)) waiting.pop();
      waiting.push({ ...message, number: ++newest });
      if (!underWay) next();
    },
    /** Whether a view is to be drawn: it answers our newest message, or another page's. */
    isNews(view) {
      if (view.page !== page) return true;
      next();
      return view.number === newest;
    },
    stop: () => clearTimeout(timer),
  };
}

/** A bar for one share; `removed` is the part that was cut. */
function track(pattern) {
  const bar = span(`exp-bar exp-pattern-${pattern % N_PATTERNS}`);
  const gone = span("exp-bar exp-gone");
  const text = span("exp-percent");
  const box = make("span", { className: "exp-track" }, bar, gone, text);
  box.show = (p, removed, words) => {
    bar.style.setProperty("--share", p);
    gone.style.setProperty("--share", removed);
    text.textContent = words;
  };
  return box;
}

/** A row: token, id, and for the steps the logit, the tempered and the cut share. */
function row(tag, properties) {
  const [token, id, logit] = [span("exp-token"), span("exp-id"), span("exp-logit exp-step")];
  const [tempered, cut] = [track(0), track(0)];
  tempered.classList.add("exp-step");
  cut.classList.add("exp-step");
  const tracks = span("exp-tracks");
  const element = make(tag, { className: "exp-row", ...properties },
    make("span", { className: "exp-name" }, token, id), logit, tempered, cut, tracks);
  element.show = (text, idText, data, series) => {
    // cut as a whole, but for what float32 rounds
    const gone = data.removed > 0 && data.removed >= data.tempered - 1e-9;
    element.classList.toggle("exp-cut", gone);
    token.textContent = text;
    id.textContent = idText;
    logit.textContent = data.logit === undefined ? "" : data.logit.toFixed(2);
    const kept = data.tempered - data.removed;
    tempered.show(data.tempered, 0, percent(data.tempered));
    cut.show(Math.max(0, kept), data.removed, gone ? "cut" : percent(Math.max(0, kept)));
    fill(tracks, data.p, track, (one, p, i) => {
      const removed = i === 0 ? data.removed : 0;
      one.show(p, removed, i === 0 && gone ? `cut (${percent(removed)})` : percent(p));
      one.title = series[i];
    });
  };
  return element;
}

function render({ model, el }) {
  const names = model.get("names");
  let view, calm, settleChips, settleBars;

  // ---- Parts of the page ------------------------------------------------------------------------

  const box = outbox(model, () => say(NO_WORD));
  const send = (message) => box.send(message);
  const set = (dials) => send({ do: "set", ...dials });

  const check = (text, onchange) => labelled(text, "input", { type: "checkbox", onchange });
  const options = (texts) =>
    texts.map(([value, text]) => make("option", { value, textContent: text }));
  const orNull = (text) => (text === "" ? null : Number(text));

  const input = make("textarea", {
    id: newId(), className: "exp-input", rows: 2, spellcheck: false, autocomplete: "off",
    oninput: () => send({ do: "type", text: input.value }),
  });
  const inputLabel = make("label", { htmlFor: input.id });
  const examples = model.get("examples").map((text) =>
    button(text.replaceAll("\n", "↵") || "(empty: a document's start)", () => send({ do: "type", text }), "exp-round"));

  const cutNote = make("p", { className: "exp-note" });
  const chips = make("div", { className: "exp-chips", role: "group", "aria-label": "Tokens" });
  const [layer, layerPair] = labelled("Layer", "select", {
    onchange: () => set({ layer: orNull(layer.value) }) });
  const [head, headPair] = labelled("Head", "select", {
    onchange: () => set({ head: orNull(head.value) }) });
  const looks = span("exp-looks");
  const rewind = button("Rewind to here", () => {
    const { token } = view.state;
    send({ do: "rewind", keep: token + 1 });
    chips.children[token - view.cut]?.focus(); // this button goes away
  });
  const attention = make("div", { className: "exp-row-of exp-attention", hidden: true },
    looks, layerPair, headPair, rewind,
    button("Close", () => {
      chips.children[view.state.token - view.cut]?.focus();
      set({ token: null });
    }));

  const [which, whichPair] = labelled("Model", "select",
    { onchange: () => set({ model: which.value }) }, ...options(names.map((name) => [name, name])));
  const [compare, comparePair] = check("side by side", () => set({ compare: compare.checked }));
  const [chat, chatPair] = check("chat template", () => send({ do: "chat", chat: chat.checked }));
  const [truth, truthPair] = check("the world's truth", () => set({ truth: truth.checked }));
  const [steps, stepsPair] = check("show the steps", () => set({ steps: steps.checked }));
  const [large, largePair] = check("large text", () =>
    set({ size: large.checked ? "large" : "normal" }));
  const unsent = new Set(); // fields in which a number is being typed: no answer overwrites it
  function number(text, properties, name) {
    const found = labelled(text, "input", { type: "number", ...properties });
    const [field] = found;
    const commit = () => {
      if (unsent.delete(field)) set({ [name]: orNull(field.value) });
    };
    field.oninput = () => unsent.add(field);
    field.onchange = commit;
    field.onkeydown = (event) => {
      if (event.key === "Enter") commit(); // JupyterLab keeps the browser from telling the change
    };
    return found;
  }
  const temperatureValue = span("exp-value"); // the slider itself tells it to a screen reader
  const [temperature, temperaturePair] = labelled("Temperature", "input", {
    type: "range", min: 0, max: 2, step: 0.05,
    oninput: () => {
      temperatureValue.textContent = temperature.value;
      set({ temperature: Number(temperature.value) });
    },
  });
  temperaturePair.append(temperatureValue);
  const [topK, topKPair] = number("Top-k", { min: 1, step: 1, placeholder: "all" }, "top_k");
  const [topP, topPPair] = number(
    "Top-p", { min: 0.05, max: 1, step: 0.05, placeholder: "all" }, "top_p");
  const [bars, barsPair] = number("Bars", { min: 1, max: 50, step: 1 }, "bars");

  const undo = button("Undo", () => send({ do: "undo" }));
  const copied = make("textarea", {
    className: "exp-copied", readOnly: true, hidden: true, "aria-label": "What was copied" });
  const actions = [
    button("Sample one", () => send({ do: "draw" }), "course-main"),
    button("Sample 100", () => send({ do: "draw many", samples: 100 })),
    undo,
    button("Branch", () => send({ do: "branch" })),
    button("Reset", () => send({ do: "reset" })),
  ];
  const copies = [
    button("Copy table", () => copy(view.table, "The table")),
    button("Code", () => copy(view.code, "The call that shows this state")),
  ];
  const branches = make("div", { className: "exp-row-of", role: "group", "aria-label": "Kept texts" });
  const legend = make("div", { className: "exp-legend" });
  const heads = make("div", { className: "exp-row exp-heads", "aria-hidden": "true" },
    ...["token, id", "logit", "tempered", "cut", "drawn from"].map((text) => span("", text)));
  const rows = make("div", { className: "exp-rows", role: "group",
    "aria-label": "Next tokens: press one to append it" });
  const rest = row("div", {});
  const stepsNote = make("p", { className: "exp-note exp-steps-note" });
  const note = make("p", { className: "exp-note exp-truth-note" });
  const status = make("p", { className: "exp-status", role: "status" });
  const problem = make("p", { className: "course-problem", role: "alert" });
  const heard = make("p", { className: "course-heard", "aria-live": "polite" });

  const root = make("div",
    { className: "course-page course-explorer", role: "group", "aria-label": "Probability explorer" },
    inputLabel, input,
    make("div", { className: "exp-row-of", role: "group", "aria-label": "Example texts" },
      span("exp-note", "Examples:"), ...examples),
    cutNote, chips, attention,
    make("div", { className: "exp-row-of" },
      ...(names.length > 1 ? [whichPair, comparePair] : []), chatPair, truthPair, stepsPair,
      largePair),
    make("div", { className: "exp-row-of" }, temperaturePair, topKPair, topPPair, barsPair),
    make("div", { className: "exp-row-of" }, ...actions), branches, status, problem,
    stepsNote, note, legend, heads, rows, rest,
    make("div", { className: "exp-row-of" }, ...copies), copied, heard);

  // ---- Drawing ----------------------------------------------------------------------------------

  const say = (text) => (status.textContent = text);

  function drawChips() {
    const { token } = view.state;
    const weights = view.attention?.weights;
    fill(chips, view.chips,
      (i) => make("button", { type: "button", className: "exp-chip",
        onclick: () => set({ token: view.state.token === view.cut + i ? null : view.cut + i }) },
        span("exp-chip-text"), span("exp-chip-share")),
      (chip, [tokenId, text], i) => {
        const weight = weights?.[i];
        const chosen = token === view.cut + i;
        chip.firstChild.textContent = text;
        chip.lastChild.textContent = weight === undefined ? "" : percent(weight);
        chip.style.setProperty("--weight", weight ?? 0);
        chip.title = `id ${tokenId}`;
        chip.setAttribute("aria-pressed", String(chosen));
        const look = weight === undefined ? "" : `, looked at ${percent(weight)}`;
        chip.setAttribute("aria-label",
          `token ${view.cut + i + 1}: ${spoken(text)}, id ${tokenId}${look}`);
      });
    settleChips();
    cutNote.textContent = view.cut
      ? `The text is longer than the model's context: it does not see the first ${view.cut} tokens.`
      : "";
    attention.hidden = !view.attention;
    if (!view.attention) return;
    looks.textContent = `Where ${view.chips[token - view.cut][1]} looks:`;
    for (const [select, n, name] of [[layer, view.attention.layers, "layer"],
      [head, view.attention.heads, "head"]]) {
      const all = [["", `mean of ${n}`], ...Array.from({ length: n }, (_, i) => [i, `${i}`])];
      if (select.length !== all.length) select.replaceChildren(...options(all));
      select.value = view.state[name] ?? "";
    }
  }

  function drawBars() {
    const { series } = view;
    root.classList.toggle("exp-with-steps", view.state.steps);
    fill(legend, series.length > 1 ? series : [],
      (i) => make("span", { className: "course-pair" },
        span(`exp-swatch exp-pattern-${i % N_PATTERNS}`), span("")),
      (one, name) => (one.lastChild.textContent = name));
    fill(rows, view.rows,
      (i) => row("button", { type: "button",
        onclick: () => send({ do: "pick", id: view.rows[i].id }) }),
      (one, data) => {
        one.show(data.text, `${data.id}`, data, series);
        const shares = data.p.map((p, i) => (series.length > 1 ? `${series[i]} ` : "") + percent(p));
        const gone = one.classList.contains("exp-cut") ? ", cut" : "";
        one.setAttribute("aria-label",
          `${spoken(data.text)}, id ${data.id}: ${shares.join(", ")}${gone}; append`);
      });
    settleBars();
    rest.show("all other tokens", view.rest.count.toLocaleString("en"), view.rest, series);
  }

  function drawControls() {
    const { state } = view;
    root.dataset.size = state.size;
    inputLabel.textContent = state.chat ? "Question (as user message)" : "Text";
    which.value = state.model;
    for (const [control, on] of [[compare, state.compare], [chat, state.chat],
      [truth, state.truth], [steps, state.steps], [large, state.size === "large"]]) {
      control.checked = on;
    }
    temperature.max = Math.max(2, state.temperature);
    temperature.value = state.temperature;
    temperatureValue.textContent = state.temperature;
    for (const [field, value] of [[topK, state.top_k], [topP, state.top_p], [bars, state.bars]]) {
      if (!unsent.has(field)) field.value = value ?? "";
    }
    enable(undo, view.undo);
    fill(branches, view.branches,
      (i) => button("", () => send({ do: "return", branch: i }), "exp-round"),
      (one, text) => (one.textContent = `Back to: ${text}`));
  }

  function draw() {
    view = model.get("view");
    if (!box.isNews(view)) return;
    problem.textContent = view.error;
    say(view.said);
    drawControls();
    if (view.error) return; // the rest is as before, and the text is still being typed
    if (input.value !== view.text) input.value = view.text;
    drawChips();
    drawBars();
    stepsNote.textContent = view.steps;
    note.textContent = view.note;
    clearTimeout(calm);
    calm = setTimeout(() => (heard.textContent = spoken(view.words)), CALM_MS);
  }

  /** To the clipboard, and into a field to copy from where that is forbidden. */
  async function copy(text, what) {
    copied.hidden = false;
    copied.value = text;
    copied.rows = Math.min(14, text.split("\n").length + 1);
    try {
      await navigator.clipboard.writeText(text);
      say(`${what} is in the clipboard.`);
    } catch {
      copied.focus();
      copied.select();
      const done = document.execCommand("copy");
      say(done ? `${what} is in the clipboard.` : "Press Ctrl+C (or ⌘C) to copy the marked text.");
    }
  }

  settleChips = roving(chips, "ArrowLeft", "ArrowRight");
  settleBars = roving(rows, "ArrowUp", "ArrowDown");
  model.on("change:view", draw);
  draw();
  el.append(root);
  return () => {
    clearTimeout(calm);
    box.stop();
    model.off("change:view", draw);
  };
}

export default { render };
