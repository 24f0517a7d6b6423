// The page's side of live.py: it draws what the worker tells. A cell that waits for the end shows its
// board once more, for those who read the notebook without a kernel; where the first one is still on the
// page, one line takes its place.

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 280;
const EDGE = { left: 44, right: 16, top: 12, bottom: 40 };
const LETTER = 6.8; // pixels of width, about
const LINE = 16; // pixels from one label to the next
const MOST_SAMPLES = 5;

function draw(tag, attributes, text = "") {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

const short = (n) =>
  n >= 1e6 ? `${+(n / 1e6).toFixed(2)}M` : n >= 1e3 ? `${+(n / 1e3).toFixed(1)}k` : `${n}`;

/** A number as short as it can be told: 0.5, 1, -0.02. */
const round = (value) => `${+value.toPrecision(6)}`.replace("-", "−");

/** Places values on a line of pixels, straight or by their logarithm. */
function scale(low, high, from, to, logarithmic = false) {
  const place = logarithmic ? Math.log : (v) => v;
  const span = place(high) - place(low) || 1;
  return (v) => from + ((place(Math.max(v, low)) - place(low)) / span) * (to - from);
}

/** Round values from `low` to `high`, about `about` of them; neither end need be among them. */
function ticks(low, high, about = 4) {
  const rough = 10 ** Math.floor(Math.log10((high - low) / about));
  const step = [1, 2, 5, 10].map((n) => n * rough).find((size) => (high - low) / size <= about + 1);
  const first = Math.ceil(low / step - 1e-9);
  const n = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length: n }, (_, i) => (first + i) * step);
}

/** Round values on a logarithmic axis: 1, 2, 5, 10, ... */
function powers(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power++) {
    for (const n of [1, 2, 5]) found.push(n * 10 ** power);
  }
  return found.filter((value) => value >= low && value <= high);
}

/** A line that never moves: the floor is ink, as the truth is everywhere; all others are grey. */
const isFloor = (name) => /floor|ceiling/.test(name);

function curve(points, column, x, y, className) {
  const path = points.map((p) => `${x(p[0]).toFixed(1)},${y(p[column]).toFixed(1)}`).join(" ");
  return draw("polyline", { points: path, class: className });
}

/** A mark where a stopped run went on; its words stand where they cross none of the `taken` heights. */
function resumed(svg, at, top, bottom, room, taken) {
  const end = at > room / 2;
  const away = (y) => Math.min(...taken.map((other) => Math.abs(other - y)), Infinity);
  const places = [0.1, 0.25, 0.4, 0.55, 0.7].map((share) => top + share * (bottom - top));
  const y = places.reduce((best, place) => (away(place) > away(best) ? place : best));
  svg.append(
    draw("line", { x1: at, x2: at, y1: top, y2: bottom, class: "live-resumed" }),
    draw("text", { x: at + (end ? -5 : 5), y, class: "live-soft",
      "text-anchor": end ? "end" : "start" }, "resumed here"),
  );
}

/** The loss. Draws as wide as the page lets it: letters keep their size where there is little room. */
function chart(svg, width, { points, earlier, lines, end, unit }, logarithmic) {
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  const before = earlier.points || [];
  const level = Object.values(lines);
  const all = [...[...before, ...points].flatMap((p) => [p[1], p[2]]), ...level].filter(Number.isFinite);
  if (all.length === 0) return;
  const high = Math.max(...all) * 1.05;
  // a logarithm has no zero: that axis begins a little below the lowest value
  const low = logarithmic ? Math.max(Math.min(...all) * 0.9, 1e-3) : 0;
  const [bottom, right] = [HEIGHT - EDGE.bottom, width - EDGE.right];
  const y = scale(low, high, bottom, EDGE.top, logarithmic);
  const last = Math.max(end, points.length ? points.at(-1)[0] : 0);
  const x = scale(0, last || 1, EDGE.left, right);

  for (const value of logarithmic ? powers(low, high) : ticks(0, high)) {
    svg.append(
      draw("line", { x1: EDGE.left, x2: right, y1: y(value), y2: y(value), class: "live-grid" }),
      draw("text", { x: EDGE.left - 6, y: y(value) + 4, "text-anchor": "end", class: "live-soft" }, round(value)),
    );
  }
  for (const count of last ? ticks(0, last, Math.min(5, width / 90)) : []) {
    svg.append(draw("text", { x: x(count), y: bottom + 17, "text-anchor": "middle", class: "live-soft" }, short(count)));
  }
  svg.append(
    draw("text", { x: right, y: HEIGHT - 4, "text-anchor": "end", class: "live-soft" }, `${unit} read`),
  );
  // Lines that never move, labelled where they end. Labels of lines that lie close together are moved
  // apart, from the lowest line up; `free` is the lowest place that is still free.
  let free = Infinity;
  const taken = [];
  for (const [name, value] of Object.entries(lines).sort((a, b) => a[1] - b[1])) {
    const kind = isFloor(name) ? "live-floor" : "live-level";
    // the curve comes down to the floor: its name stands below it, where there is room
    const below = kind === "live-floor" && y(value) + LINE < bottom;
    const place = below ? y(value) + LINE - 2 : Math.min(y(value) - 5, free);
    if (!below) free = place - LINE;
    taken.push(place);
    svg.append(
      draw("line", { x1: EDGE.left, x2: right, y1: y(value), y2: y(value), class: kind }),
      draw("text", { x: right, y: place, "text-anchor": "end", class: `${kind}-name` }, `${name} ${value.toFixed(2)}`),
    );
  }
  if (earlier.step) {
    const from = before.length ? before.at(-1)[0] : points.length ? points[0][0] : 0;
    resumed(svg, x(from), EDGE.top, bottom, width, taken);
    // the last mean of the old part and the first of the new one meet
    const joined = before.length && points.length ? [...before, points[0]] : before;
    svg.append(curve(joined, 1, x, y, "live-raw live-old"), curve(joined, 2, x, y, "live-mean live-old"));
  }
  svg.append(curve(points, 1, x, y, "live-raw"), curve(points, 2, x, y, "live-smooth"));
  const now = points.at(-1);
  if (now) svg.append(draw("circle", { cx: x(now[0]), cy: y(now[2]), r: 4, class: "live-dot" }));
}

const SMALL = { height: 118, left: 36, right: 8, top: 8, bottom: 20 };

/** A small curve below its title and its last value: what is recorded beside the loss. */
function panel(width, title, points, levels, { earlier, steps }) {
  const last = points.at(-1);
  const now = last ? last[2].toFixed(2).replace("-", "−") : "–";
  const { height, left, right, top, bottom } = SMALL;
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${title}: ${now}` });
  const before = earlier.panels?.[title] ?? [];
  const lines = Object.entries(levels);
  const values = [...[...before, ...points].flatMap((p) => [p[1], p[2]]), ...lines.map(([, value]) => value)];
  // a share is a share of one: an axis of its own for 0.83 would only look exact
  const share = values.length && values.every((v) => v >= 0 && v <= 1) && Math.max(...values) > 0.4;
  const low = Math.min(0, ...values);
  const high = share ? 1 : Math.max(low + 0.01, 0, ...values) * 1.05;
  const x = scale(0, Math.max(steps, last ? last[0] : 1), left, width - right);
  const y = scale(low, high, height - bottom, top);
  for (const value of share ? [0, 0.5, 1] : ticks(low, high, 2)) {
    svg.append(
      draw("line", { x1: left, x2: width - right, y1: y(value), y2: y(value), class: value ? "live-grid" : "live-zero" }),
      draw("text", { x: left - 5, y: y(value) + 4, "text-anchor": "end", class: "live-soft" }, round(value)),
    );
  }
  for (const [name, value] of lines) {
    const kind = isFloor(name) ? "live-floor" : "live-level";
    svg.append(
      draw("line", { x1: left, x2: width - right, y1: y(value), y2: y(value), class: kind }),
      draw("text", { x: width - right, y: y(value) - 4, "text-anchor": "end", class: `${kind}-name` },
        `${name} ${value}`),
    );
  }
  if (earlier.step) {
    const from = x(earlier.step);
    svg.append(draw("line", { x1: from, x2: from, y1: top, y2: height - bottom, class: "live-resumed" }));
    const joined = before.length && points.length ? [...before, points[0]] : before;
    svg.append(curve(joined, 1, x, y, "live-raw live-old"), curve(joined, 2, x, y, "live-mean live-old"));
  }
  svg.append(
    curve(points, 1, x, y, "live-raw"),
    curve(points, 2, x, y, "live-smooth"),
    draw("text", { x: width - right, y: height - 4, "text-anchor": "end", class: "live-soft" }, `step ${steps}`),
  );
  return make("figure", { className: "live-panel" },
    make("figcaption", {}, make("span", { textContent: title }), make("strong", { textContent: now })), svg);
}

/** The last means of all panels in one line. */
const told = (panels) =>
  Object.entries(panels).map(([title, p]) => `${title} ${p.length ? p.at(-1)[2].toFixed(2) : "–"}`).join(", ");

/** What the model writes at a moment of the run, after its prompt. */
function sample([tokens, text], prompt, unit) {
  return make("li", {},
    make("span", { className: "live-when", textContent: tokens ? `after ${short(tokens)} ${unit}` : "before the first step" }),
    make("span", { className: "live-text" },
      make("span", { className: "live-prompt", textContent: prompt }),
      make("span", { textContent: text.trim() ? text.trimEnd() : " (nothing)" })));
}

const boards = new Set(); // of this model: every widget loads this module anew

function render(view) {
  const isSeen = [...boards].some((board) => board.isConnected);
  return isSeen ? again(view) : board(view);
}

/** One line for a board that is on the page already, and a button for who wants it here, too. */
function again({ model, el }) {
  let leave;
  const status = make("span", { className: "course-soft" });
  const show = button("Show it here, too", () => {
    root.remove();
    leave = board({ model, el });
  });
  const root = make("div", { className: "course-page course-quiet live-again" }, status, show);
  const tell = () => (status.textContent = `${model.get("status")}. The board above shows this run.`);
  model.on("change:status", tell);
  tell();
  el.append(root);
  return () => {
    model.off("change:status", tell);
    leave?.();
  };
}

function board({ model, el }) {
  let logarithmic = false;
  const svg = draw("svg", { role: "img", "aria-label": "" });
  const stop = button("Stop", () => {
    if (stop.getAttribute("aria-disabled") === "true") return;
    enable(stop, false);
    const reached = sent(model, { do: "stop" });
    status.textContent = reached ? "stopping after this step ..." : NO_WORD;
  });
  const axis = button("Logarithmic axis", () => {
    logarithmic = !logarithmic;
    axis.setAttribute("aria-pressed", String(logarithmic));
    show();
  });
  axis.setAttribute("aria-pressed", "false");
  const lead = make("p", { className: "course-lead live-lead" });
  const status = make("p", { className: "course-soft live-status" });
  const spoken = make("p", { className: "course-heard", role: "status", "aria-live": "polite" });
  const error = make("p", { className: "course-problem live-error", role: "alert" });
  const samples = make("ol", { className: "live-samples" });
  const written = make("section", { className: "live-written", "aria-label": "What the model writes, the oldest first" },
    make("p", { className: "course-soft", textContent: "What the model writes" }), samples);
  const panels = make("div", { className: "live-panels" });
  const key = make("p", { className: "course-soft live-key" });
  const watching = Object.keys(model.get("panels")).length > 0;
  axis.hidden = watching;
  key.textContent = watching
    ? "Thin: each step. Thick: the mean of the steps around it, told beside the title."
    : "Thin: each step. Thick: the mean of the steps around it.";
  const root = make("div", { className: "course-page course-quiet live", role: "group", "aria-label": "Training" },
    make("div", { className: "live-head" }, lead, make("div", { className: "live-buttons" }, stop, axis)),
    error,
    make("div", { className: "live-body" },
      make("div", { className: "live-drawn" }, watching ? panels : svg, key), written),
    status, spoken);
  el.append(root);
  boards.add(root);
  inItsCell(root);

  let saidState = "";
  function show() {
    const points = model.get("points");
    const state = model.get("state");
    const drawn = { points, unit: model.get("unit") };
    for (const name of ["earlier", "lines", "end", "steps"]) drawn[name] = model.get(name);
    if (watching) {
      const found = Object.entries(model.get("panels"));
      panels.classList.toggle("live-one", found.length === 1);
      const width = Math.max(150, panels.firstElementChild?.clientWidth || 230);
      panels.replaceChildren(...found.map(([title, its]) =>
        panel(width, title, its, model.get("levels")[title] ?? {}, drawn)));
    } else {
      chart(svg, Math.max(240, svg.clientWidth || 480), drawn, logarithmic);
    }
    const last = points.at(-1);
    const now = watching ? told(model.get("panels")) : last ? `${last[2].toFixed(2)} bits a token` : "no loss yet";
    svg.setAttribute("aria-label", `Loss curve: ${now}. ${model.get("status")}`);
    if (watching) lead.textContent = "Training";
    else lead.replaceChildren(
      make("strong", { className: "live-number", textContent: last ? last[2].toFixed(2) : "–" }),
      last ? " bits per token now" : " no loss yet");
    status.textContent = model.get("status");
    error.textContent = model.get("error");
    enable(stop, state === "running");
    if (state !== saidState) { // a screen reader would never come to an end with every step
      spoken.textContent = `Training: ${state}; ${now}`;
      saidState = state;
    }
    const texts = model.get("samples");
    // the noise at the start stays: it is what the others are to be compared with
    const shown = texts.length > MOST_SAMPLES ? [texts[0], ...texts.slice(1 - MOST_SAMPLES)] : texts;
    written.hidden = !texts.length;
    samples.replaceChildren(...shown.map((one) => sample(one, model.get("prompt"), model.get("unit"))));
  }
  const soon = onceAFrame(show);
  model.on("change", soon);
  const sized = new ResizeObserver(soon);
  sized.observe(root);
  show();
  return () => {
    boards.delete(root);
    model.off("change", soon);
    sized.disconnect();
  };
}

export default { render };
