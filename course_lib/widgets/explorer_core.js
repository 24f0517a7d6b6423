// All that the explorer knows and computes; explorer.js draws it. It asks an engine, the kernel's or
// WebAssembly, for what only a model can tell (ENGINE below), and remembers the answers: turning a
// dial asks nobody. Shares are computed in 64 bits, from logits of 32.
//
// A `session` holds the present state and those to go back to; `after` makes the next one of it for
// each action of the person, `shown` makes of it all that there is to see.
//
// ENGINE: an object whose methods return promises, which are rejected with a sentence.
//   info()                     {models: names, T: context, startIds, chat, truth: are there any?,
//                              learning: names of the first model's younger selves, if there are any}
//   tokens()                   {bytes: [Uint8Array], names: [string]}, by id
//   encode(text)               ids; typed text never becomes a control token
//   prompt(messages)           ids of a chat, ready for the answer
//   logits(model, ids, off)    Float32Array (V); `off` are [layer, head] that are switched off
//   attention(model, ids, off) {layers, heads, length, weights: Float32Array (L, H, length, length)}
//   lens(model, ids, off)      {layers: L + 1, logits: Float32Array (L + 1, V)}
//   truth(text)                {shares: Map of id -> p, note: why there are none}

import { dice, draw } from "../play/sampler.js";

export const DEFAULTS = {
  text: "",
  picked: [], // ids after the text; in a chat they begin the answer
  model: null, // a name; null is the first
  compare: false, // all models side by side
  temperature: 1,
  top_k: null,
  top_p: null,
  truth: false,
  chat: false, // the text is a question in the chat template
  steps: false, // the way from logits to what is drawn from
  bars: 6,
  samples: 0, // drawn beside the bars; 0 is none
  seed: 0, // of the latest draw
  token: null, // whose attention is shown, counted from the start
  layer: null, // null is the mean over all
  head: null,
  off: [], // [layer, head] of the heads that are switched off
  lens: false, // what it would say after each layer
  size: "normal", // "large" is for a projector
};
const CONTENT = ["text", "picked", "chat"]; // what undo brings back: the dials stay
const LONGEST_PAST = 100;
const FEW = 64; // fewer than these are picked out of all, more are sorted
// Kinds of series.
export const MODEL = "model";
export const WHOLE = "all heads on";
export const TRUTH = "the truth";
export const DRAWN = "drawn";
const NO_CHAT_TRUTH =
  "The truth is known for raw text only: the world writes documents, not chats.";
const OTHER_TOKENS =
  "No document of the world is cut into tokens like this, so there is no true probability to show.";

const is = (value, low, high = Number.MAX_SAFE_INTEGER) =>
  Number.isSafeInteger(value) && low <= value && value <= high;
const alike = (a, b) => a.length === b.length && a.every((one, i) => one === b[i]);
const sum = (numbers) => {
  let total = 0;
  for (let i = 0; i < numbers.length; i++) total += numbers[i];
  return total;
};

/** `state`, if it can be shown; else an error that says what was expected. */
export function checked(state) {
  const { text, temperature: t, top_k: k, top_p: p, bars, samples, seed, size, off } = state;
  const { picked } = state;
  const isHead = (one) => Array.isArray(one) && one.length === 2 && one.every((n) => is(n, 0));
  for (const [name, good, expected] of [
    ["text", typeof text === "string", "text: the prompt"],
    ["temperature", Number.isFinite(t) && t >= 0, "zero or more"],
    ["top_k", k === null || is(k, 1), "a whole number from 1, or None for every token"],
    ["top_p", p === null || (p > 0 && p <= 1), "above 0, at most 1, or None"],
    ["bars", is(bars, 1, 50), "a whole number from 1 to 50"],
    ["samples", is(samples, 0, 1000), "a whole number from 0 to 1000"],
    ["seed", is(seed, 0), "a whole number from 0"],
    ["size", ["normal", "large"].includes(size), "one of normal, large"],
    ["off", Array.isArray(off) && off.every(isHead), "pairs of a layer and a head"],
    ["picked", Array.isArray(picked) && picked.every((id) => is(id, 0)), "ids of tokens"],
    ["model", typeof state.model === "string", "a model's name"],
    ...["token", "layer", "head"].map((name) =>
      [name, state[name] === null || is(state[name], 0), "a whole number from 0, or None"]),
  ]) {
    if (good) continue;
    const got = String(JSON.stringify(state[name])).slice(0, 200);
    throw new Error(`${name} must be ${expected}, got ${got}`);
  }
  return state;
}

// ---- An engine that remembers -------------------------------------------------------------------

const KEPT = { attention: 4, lens: 8 }; // answers; of all else 64, a few undos back

/** `engine` with its answers remembered, and what follows from them alone. */
export async function remembering(engine) {
  const [info, tokens] = await Promise.all([engine.info(), engine.tokens()]);
  const answers = {}; // method -> key -> promise, the latest last
  const ask = { info, tokens };
  for (const method of ["encode", "prompt", "logits", "attention", "lens", "truth"]) {
    ask[method] = (...question) => {
      const known = (answers[method] ??= new Map());
      const key = JSON.stringify(question);
      const answer = known.get(key) ?? engine[method](...question);
      known.delete(key);
      known.set(key, answer);
      answer.catch(() => known.delete(key)); // the next time it may know
      if (known.size > (KEPT[method] ?? 64)) known.delete(known.keys().next().value);
      return answer;
    };
  }
  return ask;
}

// ---- Tokens and text ----------------------------------------------------------------------------

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The text of `ids`. Half a letter becomes U+FFFD. */
export function textOf(ask, ids) {
  const { bytes } = ask.tokens;
  const all = new Uint8Array(sum(ids.map((id) => bytes[id]?.length ?? 0)));
  let at = 0;
  for (const id of ids) {
    all.set(bytes[id] ?? [], at);
    at += bytes[id]?.length ?? 0;
  }
  return utf8.decode(all);
}

/** Their text; half a letter at its end is left out, as the other half may come. */
const readable = (ask, ids) => textOf(ask, ids).replace(/\ufffd+$/, "");

const nameOf = (ask, id) => ask.tokens.names[id] ?? `(unused ${id})`;

/** A token as a sentence has it: the letters themselves, or null where they are none. */
function lettersOf(ask, id) {
  if (ask.tokens.control?.has(id)) return null;
  try {
    return strict.decode(ask.tokens.bytes[id] ?? Uint8Array.of(255)) || null;
  } catch {
    return null;
  }
}

/** The ids that the model goes on from, and how many at their start no rewind takes away. */
async function promptIds(ask, state) {
  if (state.chat) {
    const ids = await ask.prompt([{ role: "user", content: state.text }]);
    return [[...ids, ...state.picked], ids.length];
  }
  const { startIds } = ask.info;
  const ids = [...startIds, ...(await ask.encode(state.text)), ...state.picked];
  if (!ids.length) {
    throw new Error("this tokenizer has no token for the start of a document: type something");
  }
  return [ids, startIds.length];
}

/** The text that goes on: with the picked tokens, if they don't begin an answer. */
async function wholeText(ask, state) {
  if (state.chat || !state.picked.length) return state.text;
  return readable(ask, [...(await ask.encode(state.text)), ...state.picked]);
}

// ---- From logits to shares ----------------------------------------------------------------------

/** softmax(logits / temperature); at 0 its limit: all for the best token. */
export function tempered(logits, temperature) {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i] > logits[best]) best = i;
  const shares = new Float64Array(logits.length);
  if (temperature === 0) {
    shares[best] = 1;
    return shares;
  }
  for (let i = 0; i < shares.length; i++) {
    shares[i] = Math.exp((logits[i] - logits[best]) / temperature);
  }
  return scaled(shares);
}

function scaled(shares) {
  const total = sum(shares);
  return shares.map((p) => p / total);
}

/** The n ids with the most, the largest first; of equals the smaller id comes first. */
export function best(shares, n) {
  if (n <= FEW) return few(shares, n); // with every key, and so without sorting all
  const least = n < shares.length ? Float64Array.from(shares).sort()[shares.length - n] : -1;
  const ids = [];
  shares.forEach((p, id) => {
    if (p >= least) ids.push(id);
  });
  return ids.sort((a, b) => shares[b] - shares[a] || a - b).slice(0, n);
}

function few(shares, n) {
  const ids = [];
  for (let id = 0; id < shares.length; id++) {
    const p = shares[id];
    if (ids.length === n && p <= shares[ids[n - 1]]) continue;
    let at = ids.length;
    while (at > 0 && shares[ids[at - 1]] < p) at--;
    ids.splice(at, 0, id);
    if (ids.length > n) ids.pop();
  }
  return ids;
}

/** What is drawn from: temperature, then top-k, then top-p, each scaled to a sum of 1. */
export const sampled = (logits, dials) => narrowed(tempered(logits, dials.temperature), dials);

function narrowed(shares, { top_k, top_p }) {
  if (top_k !== null && top_k < shares.length) {
    const least = Float64Array.from(shares).sort()[shares.length - top_k]; // equals of it stay
    shares = scaled(shares.map((p) => (p >= least ? p : 0)));
  }
  if (top_p !== null && top_p < 1) {
    const kept = new Float64Array(shares.length);
    let before = 0; // a token stays if the likelier ones have not reached p without it
    for (const id of best(shares, shares.length)) {
      if (before >= top_p) break;
      kept[id] = shares[id];
      before += shares[id];
    }
    shares = scaled(kept);
  }
  return shares;
}

/** `n` ids drawn from `shares`, the same for the same seed; run.c's dice. */
export function drawn(shares, n, seed) {
  const ids = best(shares, shares.length), next = dice(seed);
  const ordered = { ids, shares: ids.map((id) => shares[id]) };
  return Array.from({ length: n }, () => draw(ordered, next()));
}

// ---- From a state to what there is to see -------------------------------------------------------

/** The true share of each next token, and the words for why there is none. */
async function trueShares(ask, state, ids, fixed) {
  if (state.chat) return { shares: new Map(), note: NO_CHAT_TRUTH };
  const text = await wholeText(ask, state);
  // documents are cut into tokens in one way; others that spell the same never occur
  if (state.picked.length && !alike(await ask.encode(text), ids.slice(fixed))) {
    return { shares: new Map(), note: OTHER_TOKENS };
  }
  return ask.truth(text);
}

/** All that there is to see of a session. Each of the `series` is a {name, kind}, and each row has
    its share of each, in `p`. */
export async function shown(ask, session) {
  const { state } = session;
  const [ids, fixed] = await promptIds(ask, state);
  const { models, T } = ask.info;
  const names = [state.model, ...models.filter((name) => state.compare && name !== state.model)];
  const [logits, whole, truth, text, map, labels] = await Promise.all([
    Promise.all(names.map((name) => ask.logits(name, ids, state.off))),
    state.off.length ? ask.logits(state.model, ids, []) : null,
    state.truth ? trueShares(ask, state, ids, fixed) : { shares: new Map(), note: "" },
    wholeText(ask, state),
    state.token === null ? null : ask.attention(state.model, ids, state.off),
    Promise.all(session.branches.map((branch) => label(ask, branch))),
  ]);
  const ranked = logits.map((row) => tempered(row, 1)); // so that no dial changes the order
  const heated = state.temperature === 1 ? [...ranked]
    : logits.map((row) => tempered(row, state.temperature));
  const columns = names.map((name, i) => ({ name, kind: MODEL, p: narrowed(heated[i], state) }));
  const [{ p: shares }] = columns, [warm] = heated;
  const removed = shares === warm ? new Float64Array(warm.length) // what top-k and top-p cut
    : warm.map((p, id) => (shares[id] === 0 ? p : 0));
  if (whole) columns.push({ name: WHOLE, kind: WHOLE, p: sampled(whole, state) });
  if (truth.shares.size) {
    const p = new Float64Array(shares.length);
    for (const [id, share] of truth.shares) p[id] = share;
    columns.push({ name: TRUTH, kind: TRUTH, p });
    ranked.push(p);
  }
  if (state.samples) {
    const p = new Float64Array(shares.length);
    for (const id of drawn(shares, state.samples, state.seed)) p[id] += 1 / state.samples;
    columns.push({ name: `${state.samples} drawn`, kind: DRAWN, p });
  }

  const most = ranked.length > 1 ? shares.slice().fill(0) : ranked[0];
  if (ranked.length > 1) {
    for (const row of ranked) {
      for (let id = 0; id < most.length; id++) if (row[id] > most[id]) most[id] = row[id];
    }
  }
  const top = best(most, state.bars);
  const of = (id) => ({
    tempered: warm[id], removed: removed[id], p: columns.map(({ p }) => p[id] ?? 0) });
  const beyond = (row) => Math.max(0, sum(row) - sum(top.map((id) => row[id] ?? 0)));
  const cut = Math.max(0, ids.length - T);
  return {
    state,
    text,
    chips: ids.slice(cut).map((id) => ({ id, name: nameOf(ask, id), letters: lettersOf(ask, id) })),
    cut, // tokens before the first chip
    fixed,
    attention: map && looks(map, state, ids.length, cut),
    series: columns.map(({ name, kind }) => ({ name, kind })),
    rows: top.map((id) => ({ id, name: nameOf(ask, id), logit: logits[0][id], ...of(id) })),
    rest: { count: shares.length - top.length, tempered: beyond(warm), removed: beyond(removed),
      p: columns.map(({ p }) => beyond(p)) },
    lens: state.lens ? undefined : null, // it comes after the bars
    steps: stepsInWords(state, warm, removed),
    kept: 1 - sum(removed),
    note: truth.note,
    undo: session.past.length > 0,
    branches: labels,
    said: session.said,
    error: "",
    models,
    learning: ask.info.learning ?? [],
    can: { chat: ask.info.chat, truth: ask.info.truth },
  };
}

/** What a view says in words, as a table and as code. */
export const told = (view) => ({ words: inWords(view), table: asTable(view), code: asCode(view) });

/** How much the chosen token looks at each chip up to itself. */
function looks({ layers, heads, length, weights }, { token, layer, head }, n, cut) {
  if (!is(token, cut, n - 1)) return null;
  for (const [name, chosen, count] of [["layer", layer, layers], ["head", head, heads]]) {
    if (chosen !== null && !is(chosen, 0, count - 1)) {
      throw new Error(`${name} must be 0 to ${count - 1}, or None for the mean, got ${chosen}`);
    }
  }
  const at = token - cut, mean = new Float64Array(at + 1);
  const some = (chosen, count) => (chosen === null ? [...Array(count).keys()] : [chosen]);
  const maps = some(layer, layers).flatMap((l) => some(head, heads).map((h) => l * heads + h));
  for (const map of maps) {
    for (let i = 0; i <= at; i++) mean[i] += weights[(map * length + at) * length + i] / maps.length;
  }
  return { weights: [...mean], layers, heads };
}

/** What it would say after each layer: its best token, and the shares of the view's tokens. */
export async function depths(ask, { state, rows }) {
  const [[seen], ids] = [await promptIds(ask, state), rows.map(({ id }) => id)];
  const { layers, logits } = await ask.lens(state.model, seen, state.off);
  const V = logits.length / layers;
  return Array.from({ length: layers }, (_, i) => {
    const p = tempered(logits.subarray(i * V, (i + 1) * V), 1);
    const [id] = best(p, 1);
    return { id, name: nameOf(ask, id), share: p[id], p: ids.map((one) => p[one]) };
  });
}

// ---- In words, as a table, as code --------------------------------------------------------------

const short = (number) => String(+number.toPrecision(6));
const counted = (n) => n.toLocaleString("en");
export const percent = (p) => `${Math.floor(100 * p + 0.5)}%`; // as Python's first words round it

function stepsInWords({ temperature, top_k, top_p }, warm, removed) {
  const words = [];
  if (temperature === 0) {
    words.push("Temperature 0 gives everything to the best token.");
  } else if (temperature !== 1) {
    const effect = temperature < 1 ? "sharpens" : "flattens";
    words.push(`Temperature ${short(temperature)} ${effect} the distribution.`);
  }
  let n = 0;
  for (const p of removed) n += p > 0;
  if (n) {
    const lost = sum(removed);
    const dials = [["top-k", top_k], ["top-p", top_p]].filter(([, value]) => value !== null);
    const which = dials.map(([name, value]) => `${name} ${short(value)}`).join(" and ");
    words.push(`${which[0].toUpperCase()}${which.slice(1)} cut ${counted(n)} of ${counted(warm.length)} ` +
      `tokens, which had ${(100 * lost).toFixed(1)}% together; the others are scaled by ` +
      `${(1 / (1 - lost)).toFixed(2)}.`);
  }
  return words.join(" ");
}

/** The most probable tokens with whole percents, which are the same on every machine. */
function inWords(view) {
  const first = view.rows.slice(0, 5);
  const others = view.series.map((_, i) => Math.max(0, 1 - sum(first.map((row) => row.p[i]))));
  // one that nobody gives anything says nothing
  const told = first.filter((row, i) => !i || row.p.some((p) => percent(p) !== "0%"));
  const words = told.map((row) => `${row.name} ${percents(view, row.p)}`);
  if (others.some((p) => percent(p) !== "0%")) words.push(`all others ${percents(view, others)}`);
  return `Next token after ${title(view)}: ${words.join("; ")}.`;
}

function percents({ series }, p) {
  if (p.length === 1) return percent(p[0]);
  return p.map((share, i) => `${series[i].name} ${percent(share)}`).join(", ");
}

function title({ state, text, chips }) {
  if (!state.chat) return text ? `“${end(text)}”` : "the start of a document";
  const { picked } = state;
  const answer = chips.slice(Math.max(0, chips.length - picked.length)).map(({ name }) => name);
  return `the question “${end(text)}”` +
    (picked.length ? ` and the answer's begin “${end(answer.join(""))}”` : "");
}

function end(text, longest = 48) {
  const letters = [...text.replaceAll("\n", "↵")];
  return letters.length <= longest ? letters.join("") : `…${letters.slice(1 - longest).join("")}`;
}

async function label(ask, state) {
  const answer = state.chat ? readable(ask, state.picked) : "";
  return end([await wholeText(ask, state), answer].filter(Boolean).join(" → "), 32) || "(empty)";
}

/** The bars as lines of tab-separated columns, for a spreadsheet. */
function asTable({ series, rows, rest }) {
  const digits = ({ tempered, removed, p }) => [tempered, removed, ...p].map((x) => x.toFixed(5));
  const lines = [
    ["token", "id", "logit", "after temperature", "cut", ...series.map(({ name }) => name)],
    ...rows.map((row) => [row.name, row.id, row.logit.toFixed(3), ...digits(row)]),
    [`all other ${rest.count} tokens`, "", "", ...digits(rest)],
  ];
  return lines.map((line) => line.join("\t")).join("\n");
}

/** `value` as Python writes it. */
export function python(value) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) {
    return `(${value.map(python).join(", ")}${value.length === 1 ? "," : ""})`;
  }
  if (typeof value !== "string") return String(value);
  const quote = value.includes("'") && !value.includes('"') ? '"' : "'";
  const signs = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", [quote]: `\\${quote}`, " ": " " };
  const letters = Array.from(value, (letter) => {
    if (signs[letter]) return signs[letter];
    if (!/[\p{C}\p{Z}]/u.test(letter)) return letter;
    const code = letter.codePointAt(0);
    const [mark, size] = code < 0x100 ? ["x", 2] : code < 0x10000 ? ["u", 4] : ["U", 8];
    return `\\${mark}${code.toString(16).padStart(size, "0")}`;
  });
  return `${quote}${letters.join("")}${quote}`;
}

/** The call that shows this state. */
function asCode({ state, models }) {
  const usual = { ...DEFAULTS, model: models[0] };
  const changed = Object.keys(DEFAULTS).slice(1)
    .filter((name) => python(state[name]) !== python(usual[name]))
    .map((name) => `${name}=${python(state[name])}`);
  return `explorer(${["models", python(state.text), ...changed].join(", ")})`;
}

// ---- From what is typed and clicked to the next state -------------------------------------------

/** The session in which all begins. */
export function begun(ask, dials = {}) {
  const state = checked({ ...DEFAULTS, ...dials, model: dials.model ?? ask.info.models[0] });
  return { state, first: state, past: [], branches: [], typing: false, said: "" };
}

/** The session at another text, from which `undo` leads back here. Letters that are typed one after
    the other are undone together. */
function to(session, state, said = "", typing = false) {
  const goesOn = typing && session.typing;
  const past = goesOn ? session.past : [...session.past, session.state].slice(-LONGEST_PAST);
  return { ...session, state: checked({ ...state, token: null, samples: 0 }), past, said, typing };
}

const contentOf = (state) => Object.fromEntries(CONTENT.map((name) => [name, state[name]]));
const withContent = (state, other) => ({ ...state, ...contentOf(other), token: null, samples: 0 });

/** The session after an action {do, ...}; an error where it asks what can't be. */
export async function after(ask, session, action) {
  const { state } = session;
  switch (action.do) {
    case "type": {
      const text = String(action.text).replace(/\p{Cs}/gu, "\ufffd"); // half an emoji
      return to(session, { ...state, text, picked: [] }, "", true);
    }
    case "pick":
      return to(session, await withToken(ask, state, action.id));
    case "draw": {
      const seed = state.seed + 1, [ids] = await promptIds(ask, state);
      const shares = sampled(await ask.logits(state.model, ids, state.off), state);
      const [id] = drawn(shares, 1, seed);
      const from = state.compare ? ` from ${state.model}` : "";
      const said = `Drawn${from}: ${nameOf(ask, id)}, which had ${(100 * shares[id]).toFixed(1)}%.`;
      return to(session, await withToken(ask, { ...state, seed }, id), said);
    }
    case "draw many": {
      const next = checked({ ...state, samples: action.samples, seed: state.seed + 1 });
      const said = `${next.samples} tokens drawn; none of them is appended.`;
      return { ...session, state: next, said, typing: false };
    }
    case "rewind": {
      const [ids, fixed] = await promptIds(ask, state);
      const said = action.keep >= fixed ? "Rewound." : "Rewound; the question stays.";
      const kept = ids.slice(fixed, Math.max(fixed, action.keep));
      const next = state.chat ? { ...state, picked: kept } : await atIds(ask, state, kept);
      return to(session, next, said);
    }
    case "chat": { // the answer doesn't belong to the text, what was picked before it does
      const text = await wholeText(ask, state);
      return to(session, { ...state, text, picked: [], chat: action.chat });
    }
    case "undo": {
      if (!session.past.length) return { ...session, said: "There is nothing to undo." };
      const last = withContent(state, session.past.at(-1)), past = session.past.slice(0, -1);
      return { ...session, state: last, past, typing: false, said: "Undone." };
    }
    case "branch": { // the same text is kept once
      const same = JSON.stringify(contentOf(state));
      const others = session.branches.filter((one) => JSON.stringify(contentOf(one)) !== same);
      const said = "Kept: go on here, come back with its button.";
      return { ...session, branches: [...others, state], said };
    }
    case "return": {
      const branch = session.branches[action.branch];
      if (!branch) throw new Error(`there is no kept text number ${action.branch}`);
      return to(session, withContent(state, branch));
    }
    case "become": // what another window on the same widget has come to
      return { ...to(session, state), state: checked({ ...DEFAULTS, ...action.state }) };
    case "reset":
      return { ...to(session, session.first, "As in the beginning."), state: session.first };
    case "set": {
      const { do: _, ...dials } = action;
      const odd = Object.keys(dials).find((name) => !(name in DEFAULTS) || CONTENT.includes(name));
      if (odd) throw new Error(`the explorer has no dial ${odd}`);
      if ("model" in dials) {
        const { models, learning = [] } = ask.info;
        if (![...models, ...learning].includes(dials.model)) {
          throw new Error(`model must be one of ${models.join(", ")}, got ${dials.model}`);
        }
        Object.assign(dials, { layer: null, head: null }); // the other model may have fewer
      }
      return { ...session, state: checked({ ...state, ...dials }), said: "", typing: false };
    }
    default:
      throw new Error(`the page asks for ${action.do}, which the explorer doesn't know`);
  }
}

/** `state` with a token more. */
async function withToken(ask, state, id) {
  const last = ask.tokens.names.length - 1;
  if (!is(id, 0, last)) throw new Error(`there is no token ${id}: ids run from 0 to ${last}`);
  if (state.chat) return { ...state, picked: [...state.picked, id] };
  const [ids, fixed] = await promptIds(ask, state);
  return atIds(ask, state, [...ids.slice(fixed), id]);
}

/** `state` at these ids of raw text: as text where that is cut into the same ids again. */
async function atIds(ask, state, ids) {
  const text = textOf(ask, ids);
  if (alike(await ask.encode(text), ids)) return { ...state, text, picked: [] };
  // Half a character, say, or a word cut in an unusual way: as text it would become other ids. So
  // the ids themselves are kept, after the present text where they still begin with it.
  const before = await ask.encode(state.text);
  if (alike(before, ids.slice(0, before.length))) {
    return { ...state, picked: ids.slice(before.length) };
  }
  return { ...state, text: "", picked: ids };
}

// ---- The explorer itself ------------------------------------------------------------------------

/** Does one action after the other and shows what comes of them. While one view is being computed
    more actions may come: they wait, and of all that they lead to only the newest is computed. */
export class Explorer {
  #engine;
  #dials;
  #show;
  #ask;
  #session;
  #seen; // the session of the last view that could be computed
  #view;
  #waiting = [];
  #running = null;

  /** `show(view)` is called with each new view; the first one comes by itself. What follows waits for
      the promise that it may return: that the bars are painted. */
  constructor(engine, dials, show) {
    [this.#engine, this.#dials, this.#show] = [engine, dials, show];
    this.act({ do: "look again" });
  }

  /** Do an action; the promise is kept when what came of it is shown. */
  act(action) {
    this.#waiting.push(action);
    return (this.#running ??= this.#run());
  }

  /** Forget what the engine has said, and ask anew: a model may have joined, or learned. */
  refresh() {
    return this.act({ do: "ask anew" });
  }

  async #run() {
    try {
      while (this.#waiting.length) await this.#round();
    } finally {
      this.#running = null; // at once: after an await the next action would find it running
    }
  }

  async #round() {
    let error = "";
    while (this.#waiting.length) {
      await this.#next(this.#waiting.shift()).catch(({ message }) => (error = message));
    }
    if (this.#session) {
      try {
        this.#view = await shown(this.#ask, this.#session);
        this.#seen = this.#session;
      } catch (problem) {
        // It stays as it was. But who is silent may yet answer what the person has come to.
        if (!problem.silent) this.#session = this.#seen ?? this.#session;
        error ||= problem.message;
      }
    }
    const last = { ...this.#view, error, ...(error ? { said: "" } : {}) };
    await this.#show(last);
    if (last.lens !== undefined || !last.state || this.#waiting.length) return;
    try {
      this.#view = { ...this.#view, lens: await depths(this.#ask, last) };
      await this.#show({ ...last, lens: this.#view.lens });
    } catch ({ message }) {
      await this.#show({ ...last, error: message, said: "" });
    }
  }

  async #next(action) {
    if (!this.#ask || action.do === "ask anew") this.#ask = await remembering(this.#engine);
    this.#session ??= begun(this.#ask, this.#dials);
    if (["look again", "ask anew"].includes(action.do)) return;
    this.#session = await after(this.#ask, this.#session, action);
  }
}
