// The page's side of live.py: it draws what the worker tells.

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 300;
const EDGE = { left: 52, top: 12, bottom: 40 };
const LETTER = 7; // pixels of width, about

function draw(tag, attributes, text = "") {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

const short = (n) => (n >= 1e6 ? `${+(n / 1e6).toFixed(1)}M` : n >= 1e3 ? `${Math.round(n / 1e3)}k` : `${n}`);

/** Places values on a line of pixels, straight or by their logarithm. */
function scale(low, high, from, to, logarithmic) {
  const place = logarithmic ? Math.log : (v) => v;
  const span = place(high) - place(low) || 1;
  return (v) => from + ((place(Math.max(v, low)) - place(low)) / span) * (to - from);
}

/** Round values from 0 to `high`, four or so. */
function ticks(high) {
  const rough = 10 ** Math.floor(Math.log10(high / 4));
  const step = [1, 2, 5, 10].map((n) => n * rough).find((size) => high / size < 6);
  return Array.from({ length: Math.floor(high / step) + 1 }, (_, i) => i * step);
}

/** Draws as wide as the page lets it: letters keep their size where there is little room. */
function chart(svg, width, points, lines, logarithmic) {
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  const level = Object.values(lines);
  const all = [...points.flatMap((p) => [p[1], p[2]]), ...level].filter(Number.isFinite);
  if (all.length === 0) return;
  const high = Math.max(...all) * 1.05;
  // a logarithm has no zero: that axis begins a little below the lowest value
  const low = logarithmic ? Math.max(Math.min(...all) * 0.9, 1e-3) : 0;
  const y = scale(low, high, HEIGHT - EDGE.bottom, EDGE.top, logarithmic);
  const last = points.length ? points[points.length - 1][0] : 1;
  // the labels stand right of the lines: the longest one says how much room they take
  const named = Object.entries(lines)
    .map(([name, value]) => [`${name} ${value.toFixed(2)}`, value])
    .sort((a, b) => a[1] - b[1]);
  const right = width - Math.max(20, ...named.map(([label]) => 12 + LETTER * label.length));
  const x = scale(0, last, EDGE.left, right, false);

  const heights = logarithmic ? [0, 1, 2, 3, 4].map((i) => low * (high / low) ** (i / 4)) : ticks(high);
  for (const value of heights) {
    svg.append(
      draw("line", { x1: EDGE.left, x2: right, y1: y(value), y2: y(value), class: "live-grid" }),
      draw("text", { x: EDGE.left - 6, y: y(value) + 4, "text-anchor": "end" }, `${+value.toPrecision(2)}`),
    );
  }
  for (const count of points.length ? ticks(last) : []) {
    svg.append(draw("text", { x: x(count), y: HEIGHT - EDGE.bottom + 18, "text-anchor": "middle" }, short(count)));
  }
  svg.append(
    draw("text", { x: (EDGE.left + right) / 2, y: HEIGHT - 4, "text-anchor": "middle" }, "tokens read"),
    draw("text", { x: 14, y: HEIGHT / 2, transform: `rotate(-90 14 ${HEIGHT / 2})`, "text-anchor": "middle" }, "loss, bits a token"),
  );
  const path = (column) => points.map((p) => `${x(p[0]).toFixed(1)},${y(p[column]).toFixed(1)}`).join(" ");
  svg.append(
    draw("polyline", { points: path(1), class: "live-raw" }),
    draw("polyline", { points: path(2), class: "live-smooth" }),
  );
  // Labels of lines that lie close together are moved apart. They come from the lowest line up, and
  // `free` is the lowest place that is still free.
  let free = Infinity;
  for (const [i, [label, value]] of named.entries()) {
    const place = Math.min(y(value) + 4, free);
    free = place - 14;
    svg.append(
      draw("line", { x1: EDGE.left, x2: right, y1: y(value), y2: y(value), class: `live-line live-line-${i % 4}` }),
      draw("text", { x: right + 6, y: place }, label),
    );
  }
}

const SMALL = { width: 300, height: 150, left: 44, right: 12, top: 10, bottom: 22 };

/** A small curve with its title and its last value: what is recorded beside the loss. */
function panel(title, points) {
  const last = points.at(-1);
  const now = last ? last[2].toFixed(2) : "–";
  const { width, height, left, right, top, bottom } = SMALL;
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${title}: ${now}` });
  const values = points.flatMap((p) => [p[1], p[2]]);
  const low = Math.min(0, ...values);
  const high = Math.max(low + 0.01, 0, ...values);
  const x = scale(0, last ? last[0] : 1, left, width - right, false);
  const y = (v) => height - bottom - ((v - low) / (high - low)) * (height - top - bottom);
  for (const value of points.length ? [low, (low + high) / 2, high] : []) {
    svg.append(
      draw("line", { x1: left, x2: width - right, y1: y(value), y2: y(value), class: "live-grid" }),
      draw("text", { x: left - 5, y: y(value) + 4, "text-anchor": "end" }, `${Number(value.toPrecision(2))}`),
    );
  }
  if (low < 0) svg.append(draw("line", { x1: left, x2: width - right, y1: y(0), y2: y(0), class: "live-zero" }));
  const path = (column) => points.map((p) => `${x(p[0]).toFixed(1)},${y(p[column]).toFixed(1)}`).join(" ");
  svg.append(
    draw("polyline", { points: path(1), class: "live-raw" }),
    draw("polyline", { points: path(2), class: "live-smooth" }),
    draw("text", { x: width - right, y: height - 5, "text-anchor": "end" }, last ? `step ${last[0]}` : "step"),
  );
  return make("figure", { className: "live-panel" },
    make("figcaption", {}, make("span", { textContent: `${title}: ` }), make("strong", { textContent: now })), svg);
}

/** The running means of all panels in one line. */
const told = (panels) =>
  Object.entries(panels).map(([title, p]) => `${title} ${p.length ? p.at(-1)[2].toFixed(2) : "–"}`).join(", ");

function render({ model, el }) {
  let logarithmic = false;
  const panels = make("div", { className: "live-panels" });
  const svg = draw("svg", { role: "img", "aria-label": "" });
  const stop = button("Stop", () => {
    stop.disabled = true;
    status.textContent = "stopping after this step ...";
    model.send({ do: "stop" });
  });
  const axis = button("Logarithmic axis", () => {
    logarithmic = !logarithmic;
    axis.setAttribute("aria-pressed", String(logarithmic));
    show();
  });
  axis.setAttribute("aria-pressed", "false");
  const status = make("p", { className: "live-status" });
  const spoken = make("p", { className: "course-heard", role: "status", "aria-live": "polite" });
  const error = make("p", { className: "live-error", role: "alert" });
  const samples = make("ul", { className: "live-samples", "aria-label": "Samples from the model, the newest first" });
  const key = make(
    "p",
    { className: "live-key" },
    make("span", { textContent: "thin: each step; thick: their running mean; dashed: what does not move" }),
  );
  el.classList.add("course-page", "live");
  const watching = Object.keys(model.get("panels")).length > 0;
  if (watching) {
    svg.style.display = "none";
    axis.hidden = true;
    key.textContent = "thin: each step; thick: its running mean, told beside the title";
  }
  el.append(svg, panels, key, make("div", { className: "live-buttons" }, stop, axis), status, spoken, error, samples);

  let saidState = "";
  function show() {
    const points = model.get("points");
    const state = model.get("state");
    chart(svg, Math.max(280, svg.clientWidth || 640), points, model.get("lines"), logarithmic);
    if (watching) {
      const drawn = Object.entries(model.get("panels")).map(([title, found]) => panel(title, found));
      panels.replaceChildren(...drawn);
    }
    const now = watching ? told(model.get("panels")) : points.length ? `${points[points.length - 1][2].toFixed(2)} bits a token` : "no loss yet";
    svg.setAttribute("aria-label", `Loss curve: ${now}. ${model.get("status")}`);
    status.textContent = watching ? model.get("status") : `${model.get("status")}; ${now}`;
    error.textContent = model.get("error");
    stop.disabled = state !== "running";
    if (state !== saidState) { // a screen reader would never come to an end with every step
      spoken.textContent = `Training: ${state}; ${now}`;
      saidState = state;
    }
    const texts = model.get("samples").slice(-4).reverse();
    samples.replaceChildren(
      ...texts.map(([tokens, text]) =>
        make("li", {}, make("strong", { textContent: `after ${short(tokens)} tokens: ` }), make("span", { textContent: text.trim() || "(nothing)" })),
      ),
    );
  }
  const soon = onceAFrame(show);
  model.on("change", soon);
  const sized = new ResizeObserver(soon);
  sized.observe(svg);
  show();
  return () => {
    model.off("change", soon);
    sized.disconnect();
  };
}

export default { render };
