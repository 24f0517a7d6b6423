// The explorer's bars: a row for each token, with a lane for each model and the truth as a mark. When a
// dial turns, each token's row and bars glide from where they were; when the text changes the rows are
// about other tokens, and nothing moves.

import { fill, isCalm, mark, put } from "./changes.js";
import { DRAWN, MODEL, TRUTH, WHOLE } from "./explorer_core.js";
import { make } from "./page.js";

const STAGES = ["base", "sft", "rlhf"]; // models with a colour and a pattern of their own
const ENDS = [0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 1]; // where the axis of the bars may end
const LEAST = 0.004; // of a track's width: what reaches less far has no bar that could glide

const span = (className) => make("span", { className });

/** 0.4512 is "45%", small shares keep a digit more, and of nothing nothing is said. */
export function percent(p) {
  if (p < 0.0005) return "";
  return p < 0.0995 ? `${(100 * p).toFixed(1)}%` : `${Math.floor(100 * p + 0.5)}%`;
}

/** The class of a series: it has the colour and the pattern. */
export function kindOf({ name, kind }, i) {
  if (kind !== MODEL) return { [WHOLE]: "exp-whole", [DRAWN]: "exp-drawn", [TRUTH]: "exp-truth" }[kind];
  const stage = STAGES.includes(name.toLowerCase()) ? name.toLowerCase() : STAGES[i % 3];
  return `exp-${stage}`;
}

/** Where the axis ends, a share: the next round one after the longest bar. */
export function endOf(rows) {
  const largest = Math.max(...rows.flatMap(({ p, removed }) => [...p, removed]));
  return ENDS.find((one) => largest <= one + 1e-9) ?? 1;
}

/** A row: a token, a lane for each bar, the truth as a mark on them, and the numbers. Its `show` brings
    it up to date, and says whether this token gets nothing. */
export function barRow(tag, properties) {
  const name = span("exp-name"), lanes = span("exp-lanes"), truth = span("exp-mark");
  const numbers = span("exp-numbers"), true_ = span("exp-true");
  const row = make(tag, { className: "exp-row", ...properties }, name,
    make("span", { className: "exp-track" }, lanes, truth), numbers, true_);
  row.show = (text, data, series, kinds, end, isNews = true) => {
    const gone = data.removed > 0 && data.removed >= data.tempered - 1e-9; // but for rounding
    mark(row, "exp-cut", gone);
    put(name, "textContent", text);
    const drawn = [...series.keys()].filter((i) => series[i].kind !== TRUTH);
    const reach = (share) => Math.min(1, share / end);
    const t = series.findIndex(({ kind }) => kind === TRUTH);
    row.reaches = { lanes: drawn.map((i) => reach(data.p[i])), truth: reach(data.p[t]) }; // to glide from
    fill(lanes, drawn, () => make("span", { className: "exp-lane" }, span(), span("exp-gone")),
      (lane, i) => {
        put(lane.firstChild, "className", `exp-bar ${kinds[i]}`);
        put(lane.firstChild, "--reach", reach(data.p[i]));
        put(lane.lastChild, "--reach", i === 0 ? reach(data.removed) : 0);
        mark(lane, "exp-torn", data.p[i] > end); // all others together may be more
        put(lane, "title", series[i].name);
      });
    const told = drawn.map((i) => (i === 0 && gone ? "cut" : percent(data.p[i])));
    const nothing = told.every((text) => !text);
    // of many tokens that get nothing the first one says it for all
    fill(numbers, nothing ? [isNews ? "<0.1%" : ""] : told, () => span("exp-number"),
      (one, text) => put(one, "textContent", text));
    const isMarked = t >= 0 && percent(data.p[t]) !== "" && data.p[t] <= end;
    put(truth, "hidden", !isMarked);
    if (isMarked) put(truth, "--reach", reach(data.p[t]));
    put(true_, "textContent", t < 0 ? "" : percent(data.p[t]));
    mark(row, "exp-nothing", nothing && !isMarked);
    return nothing;
  };
  return row;
}

/** Where the token of each row stands and its bars end, by its id: what `glide` begins with. */
export const standing = (rows, ids) =>
  new Map([...rows.children].map((row, i) => [ids[i], { top: row.offsetTop, reaches: row.reaches }]));

/** Lets each token's row and bars come from where they stood `before` to where they are. */
export function glide(rows, ids, before, duration) {
  if (isCalm()) return;
  const width = rows.querySelector(".exp-track")?.clientWidth;
  const moves = [...rows.children].map((row, i) => [row, before.get(ids[i]), row.offsetTop]);
  const move = (element, from) => // only what a browser can do without a new layout
    element.animate([from, {}], { duration, easing: "ease-out" });
  for (const [row, old, top] of moves) {
    if (!old) {
      move(row, { opacity: 0 });
      continue;
    }
    if (old.top !== top) move(row, { transform: `translateY(${old.top - top}px)` });
    row.querySelectorAll(".exp-bar").forEach((bar, lane) => {
      const from = old.reaches.lanes[lane], to = row.reaches.lanes[lane];
      if (from === undefined || from === to || to < LEAST) return;
      move(bar, { transform: `scaleX(${from / to})` });
    });
    const away = (old.reaches.truth - row.reaches.truth) * width; // NaN where there is none
    if (away) move(row.querySelector(".exp-mark"), { transform: `translateX(${away}px)` });
  }
}
