// The explorer's drawing: the sentence, the dials, the tables; explorer_bars.js has the bars. What is
// shown and what becomes of a click is explorer_core.js's; who is asked about the models, Python or
// WebAssembly, is the engine's. A key should move the bars at once, so a drawing writes only what has
// changed, and what stands below the bars comes after the frame that paints them.

import { fill, isCalm, mark, painted, put } from "./changes.js";
import { KernelEngine } from "./engine_kernel.js";
import { barRow, endOf, glide, kindOf, percent, standing } from "./explorer_bars.js";
import { Explorer, told, TRUTH } from "./explorer_core.js";
import {
  button, enable, followTheme, labelled, make, newId, inItsCell, toClipboard,
} from "./page.js";

const CALM_MS = 800; // without a change, before the bars are read out
const GLIDE_MS = 150; // of whatever moves; explorer.css has the same
const KEEP_MS = 1000; // of rest, longer than between two keys, before Python is told what is shown
const TOP_K = [1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 40, 100, null];
const FINISHED = "finished"; // what the slider of a model's training says at its end
const WATCH = "Watch it learn", WATCH_MS = 900; // for each of its places, when all are passed in turn
const WATCH_GLIDE_MS = 450; // long enough to see which token overtakes which
const TOP_P = [...Array.from({ length: 19 }, (_, i) => (i + 1) / 20), null];

const span = (className, text = "") => make("span", { className, textContent: text });
const line = (className, ...children) => make("div", { className }, ...children);

const spoken = (text) =>
  text.replaceAll("␣", " space ").replaceAll("↵", " new line ").replaceAll("⇥", " tab ").trim();

/** What `selector` finds in `box` is one stop of the Tab key; two arrow keys, Home and End move among
    them. Call what it returns after they have changed. */
function roving(box, selector, back, forward) {
  let at = 0;
  const all = () => [...box.querySelectorAll(selector)];
  const settle = () => {
    const found = all();
    at = Math.max(0, Math.min(at, found.length - 1));
    found.forEach((one, i) => put(one, "tabIndex", i === at ? 0 : -1));
  };
  box.addEventListener("focusin", (event) => {
    at = Math.max(0, all().indexOf(event.target.closest(selector)));
    settle();
  });
  box.addEventListener("keydown", (event) => {
    const found = all();
    const to = { [back]: at - 1, [forward]: at + 1, Home: 0, End: found.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    found[Math.max(0, Math.min(to, found.length - 1))]?.focus();
  });
  return settle;
}

/** A slider whose places are `values`; null, the last one, is "all". What shows a value may also give
    it other places. */
function slider(text, values, onchange) {
  const [control, pair] = labelled(text, "input", { type: "range", min: 0, step: 1 });
  const said = span("exp-value");
  pair.append(said);
  let places = values;
  const tell = (value) => {
    const text = value === null ? "all" : String(value);
    put(said, "textContent", text);
    put(control, "aria-valuetext", text);
  };
  control.oninput = () => {
    const value = places[control.value];
    tell(value);
    onchange(value);
  };
  const show = (value, all = values) => {
    places = all;
    if (!all.includes(value)) { // what the code asked for lies between
      places = [...all, value].sort((a, b) => (a ?? Infinity) - (b ?? Infinity));
    }
    put(control, "max", places.length - 1);
    const place = String(places.indexOf(value));
    if (control.value !== place) control.value = place; // a hand may have moved it
    tell(value);
  };
  return [show, pair];
}

/** A token flies from where it was chosen to where it goes. */
function fly(text, from, to, root) {
  if (!from || !to || isCalm()) return;
  const home = root.getBoundingClientRect();
  const ghost = span("exp-ghost", text);
  ghost.setAttribute("aria-hidden", "true");
  root.append(ghost);
  const at = ({ left, top }) => `translate(${left - home.left}px, ${top - home.top}px)`;
  ghost.animate([{ transform: at(from) }, { transform: at(to), opacity: 0.4 }],
    { duration: GLIDE_MS, easing: "ease-out" }).finished.finally(() => ghost.remove());
}

/** Do two views go on from the same tokens? */
const areAlike = (a, b) => a.state.chat === b.state.chat && a.text === b.text &&
  a.chips.length === b.chips.length && a.chips.every(({ id }, i) => id === b.chips[i].id);

/** The explorer in `el`, over any engine. `options`: dials to begin with, examples to try, and
    onState(state), called with each state that is shown. Gives {act, refresh, stop}. */
export function mount({ engine, el, options = {} }) {
  const { dials = {}, examples = [], onState = () => {} } = options;
  let view, calm, typed = null, chosen = false, watched = null, choices = [], settleChips, settleBars, settleHeads;

  // ---- Parts of the page ------------------------------------------------------------------------

  const act = (action) => {
    if (action.do !== "type") typed = null;
    chosen = ["pick", "draw"].includes(action.do);
    watched = null; // somebody does something else
    showWatch();
    return core.act(action);
  };
  const set = (changed) => act({ do: "set", ...changed });
  const toggle = (text, name, className = "") =>
    button(text, () => set({ [name]: !view.state[name] }), `exp-toggle ${className}`);

  const input = make("textarea", {
    id: newId(), className: "exp-input", rows: 1, spellcheck: false, autocomplete: "off",
    placeholder: "Type anything …",
    oninput: () => {
      typed = input.value.replace(/\p{Cs}/gu, "\ufffd"); // half an emoji
      grow();
      act({ do: "type", text: typed });
    },
    onkeydown: (event) => {
      if (event.key === "Escape") input.blur();
    },
  });
  const inputLabel = make("label", { htmlFor: input.id, className: "course-heard" });
  const slot = span("exp-slot", "?");
  slot.setAttribute("aria-hidden", "true");
  const tokens = span("exp-tokens");
  const chips = make("div", { className: "exp-chips", role: "group", "aria-label": "Tokens" },
    tokens, slot);
  const growsItself = CSS.supports("field-sizing", "content"); // Chromium's and Safari's do
  const grow = () => {
    if (growsItself) return;
    input.style.height = "auto";
    input.style.height = `${input.scrollHeight}px`;
  };
  const own = button("Your own …", () => {
    typed = null;
    act({ do: "type", text: "" });
    input.focus();
  }, "exp-try exp-own");
  const tries = examples.map((text) => button(text.replaceAll("\n", "↵") || "(an empty page)", () => {
    typed = null;
    act({ do: "type", text });
  }, "exp-try"));

  const looks = span("exp-looks");
  const heads = make("div", { className: "exp-heads", role: "group", "aria-label": "Heads" });
  const silence = button("", () => {
    const { layer, head, off } = view.state;
    const rest = off.filter(([l, h]) => l !== layer || h !== head);
    set({ off: rest.length < off.length ? rest : [...off, [layer, head]] });
  });
  const allOn = button("All heads on", () => set({ off: [] }));
  const look = make("section", { className: "exp-panel exp-look", "aria-label": "Where it looks" },
    line("exp-line", looks,
      button("Go back to here", () => {
        const { token } = view.state;
        act({ do: "rewind", keep: token + 1 }).then(() => tokens.lastChild?.focus());
      }),
      button("Close", () => {
        tokens.children[view.state.token - view.cut]?.focus();
        set({ token: null });
      })),
    heads, line("exp-line", silence, allOn));

  const key = line("exp-key");
  const truth = button("", () => set({ truth: !view.state.truth }), "exp-truth-switch");
  const off = button("", () => set({ off: [] }), "exp-off-switch");
  const legend = line("exp-legend", key, truth, off);
  const axis = line("exp-axis", span(), line("exp-ticks", span(), span(), span()), span());
  axis.setAttribute("aria-hidden", "true");
  const rows = make("div", { className: "exp-rows", role: "group",
    "aria-label": "Next tokens: press one to append it" });
  const rest = barRow("div", {});
  rest.classList.add("exp-rest");
  const notes = ["exp-cut-note", "exp-steps-note", "exp-truth-note"].map((name) =>
    make("p", { className: `exp-note ${name}` }));
  const status = make("p", { className: "exp-status", role: "status" });
  const hint = make("p", { className: "exp-hint", textContent:
    "Press a bar to add its token, a word to see where the model looks, or the gap to type." });
  const problem = make("p", { className: "course-problem", role: "alert" });
  const heard = make("p", { className: "course-heard", "aria-live": "polite" });

  const which = make("span", { className: "exp-seg", role: "group", "aria-label": "Model" });
  const heats = Array.from({ length: 41 }, (_, i) => i / 20);
  const [showHeat, heat] = slider("Temperature", heats, (temperature) => set({ temperature }));
  const [showK, topK] = slider("Top-k", TOP_K, (top_k) => set({ top_k }));
  const [showP, topP] = slider("Top-p", TOP_P, (top_p) => set({ top_p }));
  const counts = Array.from({ length: 50 }, (_, i) => i + 1);
  const [showBars, bars] = slider("Bars", counts, (n) => set({ bars: n }));
  const ages = () => [...view.learning, FINISHED];
  const modelOf = (age) => (age === FINISHED ? view.models[0] : age);
  const [showAge, age] = slider("Training", [], (one) => set({ model: modelOf(one) }));
  const watch = button(WATCH, () => {
    if (!watched?.runs) return goOn(watched?.next ?? 0);
    watched.runs = false;
    showWatch();
  });
  const showWatch = () => put(watch, "textContent", watched?.runs ? "Pause" : watched ? "Go on" : WATCH);
  async function goOn(next) {
    const mine = (watched = { next, runs: true });
    showWatch();
    while (watched === mine && mine.runs) {
      await core.act({ do: "set", model: modelOf(ages()[mine.next]), compare: false });
      if (++mine.next === ages().length && watched === mine) watched = null; // it is finished
      else await new Promise((passed) => setTimeout(passed, WATCH_MS));
    }
    showWatch();
  }
  const learning = line("exp-line exp-learning", age, watch);
  const undo = button("Undo", () => act({ do: "undo" }));
  const more = button("More", () => {
    panel.hidden = !panel.hidden;
    more.setAttribute("aria-expanded", String(!panel.hidden));
  }, "exp-more");
  more.setAttribute("aria-expanded", "false");
  more.setAttribute("aria-label", "More"); // without its arrow
  const controls = line("exp-controls", which, learning, heat, topK, topP, line("exp-line",
    button("Sample one", () => act({ do: "draw" }), "course-main"), undo, more));
  const chat = button("Chat template",
    () => act({ do: "chat", chat: !view.state.chat }), "exp-toggle");
  const steps = toggle("Show the steps", "steps");
  const lens = toggle("Layer by layer", "lens");
  const attend = button("Where it looks", async () => {
    await set({ token: view.state.token === null ? view.cut + view.chips.length - 1 : null });
    look.scrollIntoView({ block: "nearest" }); // it opens above
  }, "exp-toggle");
  const large = button("Large text", () =>
    set({ size: view.state.size === "large" ? "normal" : "large" }), "exp-toggle");
  const copied = make("textarea", {
    className: "exp-copied", readOnly: true, hidden: true, "aria-label": "What was copied" });
  const panel = make("section", { className: "exp-panel", hidden: true, "aria-label": "More" },
    line("exp-line", chat, steps, attend, lens, large),
    line("exp-line", bars,
      button("Sample 100", () => act({ do: "draw many", samples: 100 })),
      button("Branch", () => act({ do: "branch" })),
      button("Reset", () => act({ do: "reset" })),
      button("Copy table", () => copy(told(view).table, "The table")),
      button("Code", () => copy(told(view).code, "The call that shows this state"))),
    copied);
  const branches = make("div", { className: "exp-line", role: "group", "aria-label": "Kept texts" });
  const stepTable = make("table", { className: "exp-table exp-steps" });
  const lensTable = make("table", { className: "exp-table exp-lens" });

  const root = make("div",
    { className: "course-page course-explorer", role: "group", "aria-label": "Probability explorer" },
    inputLabel, line("exp-stack", input, chips),
    ...(tries.length ? [make("div", { className: "exp-tries", role: "group",
      "aria-label": "Example texts" }, own, ...tries)] : []),
    look, legend, axis, rows, rest, ...notes, status, hint, problem,
    controls, branches, panel, stepTable, lensTable, heard);

  // ---- Drawing ----------------------------------------------------------------------------------

  const say = (text) => put(status, "textContent", text);
  const press = (one, on) => put(one, "aria-pressed", String(on));

  function drawSentence() {
    const { state, cut, fixed } = view;
    const weights = view.attention?.weights;
    const isPlain = !state.chat && !state.picked.length && !cut &&
      view.chips.every(({ letters }, i) => letters !== null || i < fixed);
    mark(chips, "exp-aligned", isPlain); // each letter lies on that in the text field
    const length = view.text.length + (state.chat ? 71 : 0); // with the template's own words
    const before = root.dataset.length;
    put(root, "data-length", length > 300 ? "huge" : length > 70 ? "long" : "short");
    // the browser has scrolled to the end of what was pasted, which was larger before
    if (before !== root.dataset.length && input.matches(":focus")) {
      input.parentElement.scrollIntoView({ block: "nearest" });
    }
    const select = (i) => set({ token: view.state.token === view.cut + i ? null : view.cut + i });
    fill(tokens, view.chips, (i) => {
      const chip = make("span", { className: "exp-chip", role: "button",
        onclick: () => select(i),
        ondblclick: () => input.focus(),
        onkeydown: (event) => {
          if (event.key !== "Enter" && event.key !== " ") return;
          event.preventDefault();
          select(i);
        } });
      chip.dataset.lmSuppressShortcuts = "true"; // see page.js
      return chip;
    }, (chip, { id, name, letters }, i) => {
      const isStart = i < fixed && !cut && !state.chat;
      const newLine = state.chat && i < fixed ? "↵" : "↵\n"; // the template goes on in its line
      const text = isStart ? "▸" : letters?.replaceAll("\n", newLine) ?? name;
      put(chip, "textContent", text);
      mark(chip, "exp-sign", letters === null);
      mark(chip, "exp-start", isStart);
      put(chip, "--weight", weights?.[i] ?? 0);
      put(chip, "title", `${name}, id ${id}`);
      press(chip, state.token === cut + i);
      const look = weights?.[i] === undefined ? "" : `, looked at ${percent(weights[i]) || "0%"}`;
      put(chip, "aria-label", `token ${cut + i + 1}: ${spoken(name)}, id ${id}${look}`);
    });
    settleChips();
    put(slot, "textContent", "?");
  }

  function drawLook() {
    const { attention: map, state, cut } = view;
    put(look, "hidden", !map);
    if (!map) return;
    const { token, layer, head } = state;
    const most = [...map.weights.keys()].sort((a, b) => map.weights[b] - map.weights[a]).slice(0, 4);
    const told = most.filter((i) => map.weights[i] >= 0.005).map((i) =>
      `${view.chips[i].name} ${percent(map.weights[i])}`);
    looks.replaceChildren(span("exp-token", view.chips[token - cut].name), " looks at ",
      span("exp-token", told.join(", ")));
    const shape = `${map.layers} x ${map.heads}`;
    if (heads.dataset.shape !== shape) heads.replaceChildren(); // another model
    heads.dataset.shape = shape;
    const isOff = (l, h) => state.off.some(([one, other]) => one === l && other === h);
    fill(heads, [null, ...Array(map.layers).keys()], (i) => line("exp-layer",
      button(i ? `Layer ${i - 1}` : "Mean of all", () => set({ layer: i ? i - 1 : null, head: null }),
        "exp-whole-layer"),
      ...(i ? [...Array(map.heads).keys()].map((h) => button(String(h), () => {
        const { layer, head } = view.state;
        set(layer === i - 1 && head === h ? { head: null } : { layer: i - 1, head: h });
      }, "exp-head")) : [])),
    (group, l) => {
      const [all, ...each] = group.children;
      press(all, layer === l && head === null);
      each.forEach((one, h) => {
        const isGone = isOff(l, h);
        press(one, layer === l && head === h);
        one.classList.toggle("exp-off", isGone);
        one.setAttribute("aria-label", `layer ${l}, head ${h}${isGone ? ", off" : ""}`);
      });
    });
    settleHeads();
    allOn.hidden = !state.off.length;
    enable(silence, layer !== null && head !== null);
    silence.textContent = head === null || layer === null ? "Choose a head to switch it off"
      : `Switch head ${head} of layer ${layer} ${isOff(layer, head) ? "on" : "off"}`;
  }

  function drawBars(before) {
    const { series, state } = view, kinds = series.map(kindOf), end = endOf(view.rows);
    const ids = ({ rows }) => rows.map(({ id }) => id);
    // the same text: a dial has turned, and each token has a place that it comes from
    const stands = before?.rows && areAlike(before, view) ? standing(rows, ids(before)) : null;
    const lanes = series.filter(({ kind }) => kind !== TRUTH).length;
    put(root, "data-lanes", String(lanes));
    put(root, "data-true", String(lanes > 1 && lanes < series.length));
    axis.querySelectorAll(".exp-ticks > span").forEach((tick, i) =>
      put(tick, "textContent", i ? `${+(50 * end * i).toFixed(2)}%` : "0"));
    fill(key, series.map((one, i) => [one, kinds[i]]).filter(([{ kind }]) => kind !== TRUTH),
      () => make("span", { className: "course-pair" }, span(""), span("")),
      (one, [{ name }, kind]) => {
        put(one.firstChild, "className", `exp-swatch ${kind}`);
        put(one.lastChild, "textContent", name);
      });
    put(truth, "hidden", !view.can.truth && !state.truth);
    put(truth, "textContent", state.truth ? "the truth" : "show the truth");
    press(truth, state.truth);
    put(off, "hidden", !state.off.length);
    put(off, "textContent", `${state.off.length} ${state.off.length === 1 ? "head is" : "heads are"} off: switch on`);
    let isSaid = false; // that a token gets nothing
    fill(rows, view.rows, (i) => {
      const row = barRow("button", { type: "button",
        onclick: () => act({ do: "pick", id: view.rows[i].id }) });
      row.dataset.lmSuppressShortcuts = "true";
      const offer = (text) => () => put(slot, "textContent", text ?? view.rows[i]?.name ?? "?");
      row.onpointerenter = row.onfocus = offer();
      row.onpointerleave = row.onblur = offer("?");
      return row;
    }, (row, data) => {
      isSaid = row.show(data.name, data, series, kinds, end, !isSaid) || isSaid;
      const told = data.p.map((p, i) =>
        `${series.length > 1 ? `${series[i].name} ` : ""}${percent(p) || "less than 0.1%"}`);
      const gone = row.classList.contains("exp-cut") ? ", cut" : "";
      put(row, "aria-label", `${spoken(data.name)}, id ${data.id}: ${told.join(", ")}${gone}; append`);
      put(row, "title", `id ${data.id}: ${told.join(", ")}${gone}`);
    });
    settleBars();
    rest.show("all others", view.rest, series, kinds, end, true);
    put(rest, "title", `${view.rest.count.toLocaleString("en")} other tokens`);
    if (stands) glide(rows, ids(view), stands, watched?.runs ? WATCH_GLIDE_MS : GLIDE_MS);
  }

  /** A cell whose ground is a bar. */
  const cell = (text, share, className = "") => {
    const one = make("td", { className: `exp-cell ${className}`, textContent: text });
    one.style.setProperty("--share", Math.max(0, Math.min(1, share)));
    return one;
  };
  const table = (box, shown, titles, lines) => {
    if (!shown && box.hidden) return;
    box.hidden = !shown;
    box.replaceChildren(...(!shown ? [] : [
      make("tr", {}, ...titles.map((text) => make("th", { scope: "col", textContent: text }))),
      ...lines().map(([first, ...cells]) =>
        make("tr", {}, make("th", { scope: "row", textContent: first }), ...cells)),
    ]));
  };

  function drawTables() {
    const { state, rows: all } = view;
    const logits = all.map(({ logit }) => logit), low = Math.min(...logits) - 1;
    const high = Math.max(...logits) - low;
    table(stepTable, state.steps,
      ["", "scores", `÷ temperature ${state.temperature}`, "top-k, top-p", "back to 100%"],
      () => all.map(({ name, logit, tempered, removed, p }) => {
        const gone = removed > 0 && removed >= tempered - 1e-9;
        return [name, cell(logit.toFixed(2), (logit - low) / high), cell(percent(tempered), tempered),
          gone ? cell("cut", removed, "exp-cell-gone") : cell(percent(tempered - removed), tempered - removed),
          cell(percent(p[0]), p[0])];
      }));
    if (view.lens === undefined) return; // it is on its way, and the last one stays so long
    const ids = all.slice(0, 5);
    table(lensTable, Boolean(view.lens),
      ["layer", "would say", ...ids.map(({ name }) => name)],
      () => view.lens.map(({ name, share, p }, i) => [i ? String(i - 1) : "start",
        cell(`${name} ${percent(share)}`, share), ...ids.map((_, j) => cell(percent(p[j]), p[j]))]));
  }

  function drawControls() {
    const { state, models } = view;
    put(root, "data-size", state.size);
    put(inputLabel, "textContent", state.chat ? "Question (as user message)" : "Text");
    put(which, "hidden", models.length < 2);
    choices = models.length < 2 ? [] : [...models.map((name) => [name, { model: name, compare: false }]),
      ["side by side", { compare: true }]];
    fill(which, choices, (i) => button("", () => set(choices[i][1])), (one, [name, { compare }]) => {
      put(one, "textContent", name);
      press(one, compare ? state.compare : !state.compare && state.model === name);
    });
    put(learning, "hidden", !view.learning.length);
    showAge(view.learning.includes(state.model) ? state.model : FINISHED, ages());
    showHeat(state.temperature);
    showK(state.top_k);
    showP(state.top_p);
    showBars(state.bars);
    put(chat, "hidden", !view.can.chat && !state.chat);
    press(chat, state.chat);
    press(steps, state.steps);
    press(lens, state.lens);
    press(attend, state.token !== null);
    press(large, state.size === "large");
    put(undo, "aria-disabled", String(!view.undo));
    fill(branches, view.branches,
      (i) => button("", () => act({ do: "return", branch: i }), "exp-try"),
      (one, text) => put(one, "textContent", `Back to: ${text}`));
  }

  function draw(next) {
    const before = view;
    put(problem, "textContent", next.error);
    say(next.said ?? "");
    if (!next.state) return; // there is nothing yet but a problem
    view = next;
    drawControls();
    if (next.error) return; // the rest is as before, and the text is still being typed
    if (typed === null || typed === view.text) {
      typed = null;
      if (input.value !== view.text) {
        input.value = view.text;
        grow();
      }
    }
    const last = view.chips.at(-1);
    const from = chosen && before?.rows.findIndex(({ id }) => id === last?.id);
    const place = rows.children[from]?.firstChild.getBoundingClientRect();
    drawBars(before);
    drawSentence();
    drawLook();
    if (place) fly(last.name, place, tokens.lastChild.getBoundingClientRect(), root);
    chosen = false;
    const isCut = view.cut
      ? `The text is longer than the model's context: it does not see the first ${view.cut} tokens.` : "";
    [isCut, view.steps, view.note].forEach((text, i) => put(notes[i], "textContent", text));
    clearTimeout(calm);
    calm = setTimeout(() => (heard.textContent = spoken(told(view).words)), CALM_MS);
    onState(view.state);
    const hasTables = view.state.steps || view.state.lens || !stepTable.hidden || !lensTable.hidden;
    if (hasTables) return painted().then(drawTables);
  }

  /** To the clipboard, and into a field to copy from where that is forbidden. */
  async function copy(text, what) {
    copied.rows = Math.min(8, text.split("\n").length + 1);
    const done = await toClipboard(text, copied);
    say(done ? `${what} is in the clipboard.` : "Press Ctrl+C (or ⌘C) to copy the marked text.");
  }

  look.hidden = stepTable.hidden = lensTable.hidden = true;
  settleChips = roving(tokens, ".exp-chip", "ArrowLeft", "ArrowRight");
  settleBars = roving(rows, "button", "ArrowUp", "ArrowDown");
  settleHeads = roving(heads, "button", "ArrowLeft", "ArrowRight");
  followTheme(el);
  el.append(root);
  const core = new Explorer(engine, dials, draw);
  const stop = () => {
    clearTimeout(calm);
    watched = null;
  };
  return { act, refresh: () => core.refresh(), stop, root };
}

/** anywidget's door: the kernel is the engine, and Python is told the state. */
export function render({ model, el }) {
  let told = JSON.stringify(model.get("now")), untold = null, timer;
  const engine = new KernelEngine(model, () => page.refresh());
  // A message for each key would keep the kernel from the next one's bars: it is told when the hand
  // rests, and at once when it leaves, so that the next cell finds what is seen.
  const tell = () => {
    clearTimeout(timer);
    if (untold) {
      model.set("now", untold);
      model.save_changes();
    }
    untold = null;
  };
  const page = mount({
    engine, el,
    options: {
      dials: model.get("now"),
      examples: model.get("examples"),
      onState: (state) => {
        told = JSON.stringify(state);
        untold = told === JSON.stringify(model.get("now")) ? null : state;
        clearTimeout(timer);
        timer = setTimeout(tell, KEEP_MS);
      },
    },
  });
  page.root.addEventListener("focusout", tell);
  document.addEventListener("visibilitychange", tell);
  window.addEventListener("pagehide", tell);
  const follow = () => { // another window on the widget, or Python
    const now = model.get("now");
    if (JSON.stringify(now) !== told) page.act({ do: "become", state: now });
  };
  model.on("change:now", follow);
  inItsCell(page.root);
  return () => {
    tell();
    document.removeEventListener("visibilitychange", tell);
    window.removeEventListener("pagehide", tell);
    page.stop();
    engine.stop();
    model.off("change:now", follow);
  };
}
