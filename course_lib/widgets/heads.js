// The head browser: all attention maps small, one of them large, any head switched off, and beside
// them what two texts then say next. explorer_core.js remembers what the kernel has answered.

import { KernelEngine } from "./engine_kernel.js";
import { remembering, tempered } from "./explorer_core.js";
import { button, followTheme, make, inItsCell } from "./page.js";

const percent = (share) => `${Math.round(100 * share)}%`;
const points = (share) => `${Math.round(100 * Math.abs(share))} points`;
const same = ([layer, head], [l, h]) => layer === l && head === h;
const span = (className, text = "") => make("span", { className, textContent: text });

/** A square of T x T shades: row i shows how position i shares out its attention. */
function drawMap(canvas, weights, T, at) {
  canvas.width = canvas.height = T;
  const paint = canvas.getContext("2d"), pixels = paint.createImageData(T, T);
  const colour = getComputedStyle(canvas).color.match(/\d+/g).slice(0, 3);
  for (let i = 0; i < T * T; i++) pixels.data.set([...colour, Math.round(255 * weights[at + i])], 4 * i);
  paint.putImageData(pixels, 0, 0);
}

async function start(model, root, say) {
  const ask = await remembering(new KernelEngine(model, () => show()));
  const { L, H } = ask.info, { texts, words } = model.get("about");
  const rows = await Promise.all(texts.map(async ({ text }) => [...ask.info.startIds, ...(await ask.encode(text))]));
  let asked = 0; // of several questions under way, only the latest is shown

  const wall = make("div", { className: "heads-wall", role: "group", "aria-label": "All heads; the arrow keys move, o switches one off or on" });
  wall.style.setProperty("--heads", H);
  const cells = Array.from({ length: L * H }, (_, i) => {
    const [layer, head] = [Math.floor(i / H), i % H];
    const canvas = make("canvas", { "aria-hidden": "true" }), told = span("heads-told");
    const one = button("", () => set({ layer, head }), "heads-one");
    one.append(make("span", { className: "heads-square" }, canvas), told);
    one.onkeydown = (event) => {
      const to = { ArrowLeft: i - 1, ArrowRight: i + 1, ArrowUp: i - H, ArrowDown: i + H }[event.key];
      if (event.key === "o") toggle([layer, head]);
      else if (to === undefined) return;
      else cells[to]?.one.focus();
      event.preventDefault();
    };
    one.onfocus = () => cells.forEach((cell) => (cell.one.tabIndex = cell.one === one ? 0 : -1));
    wall.append(one);
    return { one, canvas, told, layer, head };
  });

  const which = make("div", { className: "heads-which", role: "group", "aria-label": "Whose maps" },
    ...texts.map(({ name }, i) => button(name, () => set({ text: i }))));
  const looks = make("p", { className: "heads-looks" });
  const large = make("table", { className: "heads-large" });
  const silence = button("", () => toggle([now().layer, now().head]), "course-main");
  const allOn = button("Switch all on", () => set({ off: [] }));
  const gap = make("p", { className: "course-lead", role: "status" });
  const bars = make("div", { className: "heads-bars" });
  root.append(
    make("div", { className: "heads-maps" }, wall,
      make("div", { className: "heads-side" }, which, looks, large,
        make("div", { className: "heads-hands" }, silence, allOn))),
    gap, bars);

  const now = () => model.get("now");
  function set(change) {
    model.set("now", { ...now(), ...change });
    model.save_changes();
    show();
  }
  function toggle(one) {
    const { off } = now(), rest = off.filter((other) => !same(one, other));
    set({ layer: one[0], head: one[1], off: rest.length < off.length ? rest : [...off, one] });
  }

  async function show() {
    const mine = ++asked, { layer, head, off, text, column } = now(), name = ask.info.models[0];
    try {
      const [map, ...logits] = await Promise.all([ask.attention(name, rows[text], off),
        ...rows.map((ids) => ask.logits(name, ids, off)), ...rows.map((ids) => ask.logits(name, ids, []))]);
      if (mine !== asked) return;
      say("");
      const shares = logits.map((row) => tempered(row, 1));
      drawMaps(map, layer, head, off, text, column);
      drawBars(shares.slice(0, rows.length), shares.slice(rows.length), off);
    } catch (error) {
      if (mine === asked) say(error.message);
    }
  }

  function drawMaps({ weights, length: T }, layer, head, off, text, column) {
    const names = rows[text].map((id, i) => (i || !ask.info.startIds.length ? ask.tokens.names[id] : "(start)"));
    const from = names[T - 1], to = names[column];
    for (const cell of cells) {
      const at = (cell.layer * H + cell.head) * T * T, share = weights[at + (T - 1) * T + column];
      const isOff = off.some((one) => same(one, [cell.layer, cell.head]));
      const isChosen = same([layer, head], [cell.layer, cell.head]);
      drawMap(cell.canvas, weights, T, at);
      cell.told.textContent = `${cell.layer}.${cell.head} ${isOff ? "off" : percent(share)}`;
      cell.one.classList.toggle("heads-off", isOff);
      cell.one.setAttribute("aria-pressed", String(isChosen));
      cell.one.setAttribute("aria-label",
        `layer ${cell.layer}, head ${cell.head}: ${from} looks at ${to} with ${percent(share)}${isOff ? "; off" : ""}`);
      if (isChosen && !wall.contains(document.activeElement)) cells.forEach((c) => (c.one.tabIndex = c === cell ? 0 : -1));
    }
    [...which.children].forEach((one, i) => one.setAttribute("aria-pressed", String(i === text)));
    const at = (layer * H + head) * T * T, isOff = off.some((one) => same(one, [layer, head]));
    looks.replaceChildren(make("strong", { textContent: `Head ${layer}.${head}` }), ": ",
      span("heads-token", from), ` gives ${percent(weights[at + (T - 1) * T + column])} to `, span("heads-token", to));
    large.replaceChildren(
      make("caption", { className: "course-heard", textContent: `Attention of head ${layer}.${head}: rows look at columns` }),
      make("thead", {}, make("tr", {}, make("td", {}), ...names.map((piece, j) => make("th", { scope: "col" },
        button(piece, () => set({ column: j }), j === column ? "heads-column" : ""))))),
      make("tbody", {}, ...names.map((piece, i) => make("tr", {}, make("th", { scope: "row", textContent: piece }),
        ...names.map((_, j) => {
          const share = weights[at + i * T + j];
          const cell = make("td", { textContent: j > i ? "" : Math.round(100 * share) || "" });
          cell.style.setProperty("--share", share);
          return cell;
        })))));
    silence.textContent = `Switch head ${layer}.${head} ${isOff ? "on" : "off"}`;
    allOn.hidden = !off.length;
  }

  function drawBars(shares, before, off) {
    const of = (all, i, { id }) => all[i][id];
    const [first] = words, apart = of(shares, 0, first) - of(shares, 1, first);
    const was = of(before, 0, first) - of(before, 1, first);
    gap.textContent = `${first.name}: ${points(apart)} apart` +
      (off.length ? `, ${points(was)} with all heads on` : "");
    const rest = (all, i) => 1 - words.reduce((sum, word) => sum + of(all, i, word), 0);
    const lines = [...words.map((word) => [word.name, (all, i) => of(all, i, word)]), ["all others", rest]];
    bars.replaceChildren(...texts.map(({ name }, i) => make("div", { className: "heads-text" },
      make("p", { className: "heads-name", textContent: name }),
      ...lines.map(([word, share]) => {
        const [p, q] = [share(shares, i), share(before, i)];
        const row = make("p", { className: "heads-bar" }, span("heads-word", word),
          make("span", { className: "heads-track", "aria-hidden": "true" }, span("heads-fill"), span("heads-was")),
          make("strong", { textContent: percent(p) }), span("course-soft heads-before", off.length ? `was ${percent(q)}` : ""));
        row.style.setProperty("--p", p);
        row.style.setProperty("--q", q);
        row.classList.toggle("heads-moved", off.length > 0);
        return row;
      }))));
  }

  model.on("change:now", show);
  await show();
  return () => model.off("change:now", show);
}

export function render({ model, el }) {
  const root = make("div", { className: "course-page course-quiet course-heads" });
  const problem = make("p", { className: "course-problem", role: "alert" });
  const box = make("div", {});
  root.append(box, problem);
  el.append(root);
  followTheme(root);
  let stop = () => {};
  start(model, box, (text) => (problem.textContent = text)).then((done) => {
    stop = done;
    inItsCell(root);
  }, (error) => (problem.textContent = error.message));
  return () => stop();
}
