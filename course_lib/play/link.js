// What somebody sees on the page, in its address: after # stands what differs from the beginning, as
// JSON. A link may come from anybody, so what can't be shown is refused in a sentence.

import { checked, DEFAULTS } from "../widgets/explorer_core.js";

const LONGEST = 8000; // letters of an address; more is cut off by some who pass it on
const MOST_ASKED = 20; // questions, asked again when the link is opened
const DAMAGED = "it is damaged, or was cut off on its way";

export const EXPLORER = "explorer"; // the two parts of the page
export const CHAT = "chat";

/** What is seen at first: the explorer's state, the part that is open, and of the chat the questions
    of the present talk, as [question, temperature, seed]. `dials` are the explorer's. */
export const beginning = (dials) => ({ ...DEFAULTS, ...dials, part: EXPLORER, asked: [] });

/** What kind of view `next` is after `before`, for the Back button: "" where only a dial has turned or
    something has closed, which is no view to go back from. Letters and tokens that follow one another
    are one view, as are a model's ages; whatever is opened is one of its own, and so is each of the
    `texts` to try. */
export function stepTo(next, before, { learning = [], texts = [] } = {}) {
  const differs = (name) => JSON.stringify(next[name]) !== JSON.stringify(before[name]);
  const isAge = (model) => learning.includes(model);
  if (next.part !== before.part) return "part";
  if (differs("text") || differs("picked")) {
    return texts.includes(next.text) && !next.picked.length ? "taken" : "text";
  }
  if (differs("model")) return isAge(next.model) || isAge(before.model) ? "age" : "model";
  const opens = (name) => differs(name) && next[name] !== false && next[name] !== null;
  return ["compare", "chat", "steps", "lens"].find(opens) ??
    (opens("token") && before.token === null ? "token" : "");
}

/** The kinds of view of which several in a row are one. */
export const RUNS = ["text", "age"];

/** The address's part from # on, for what is `seen`; "" for the beginning, null for more than fits. */
export function written(seen, first) {
  const differs = (name) => JSON.stringify(seen[name]) !== JSON.stringify(first[name]);
  const told = Object.keys(first).filter(differs).map((name) => [name, seen[name]]);
  if (!told.length) return "";
  const text = encodeURIComponent(JSON.stringify(Object.fromEntries(told)));
  // where somebody finds a link in a text, it ends before these
  const hash = `#${text.replace(/['()]/g, (sign) => `%${sign.charCodeAt(0).toString(16)}`)}`;
  return hash.length <= LONGEST ? hash : null;
}

/** What such an address tells; an error where it can't be told. */
export function read(hash, first) {
  if (hash.length < 2) return first;
  if (hash.length > LONGEST) throw new Error(`it has ${hash.length} letters, ${LONGEST} are the most`);
  let told;
  try {
    told = Object.entries(JSON.parse(decodeURIComponent(hash.slice(1))));
  } catch {
    throw new Error(DAMAGED);
  }
  const odd = told.some(([name, value]) => !Object.hasOwn(first, name) ||
    (typeof first[name] === "boolean") !== (typeof value === "boolean"));
  if (odd) throw new Error(DAMAGED);
  const { part, asked, ...state } = { ...first, ...Object.fromEntries(told) };
  const isAsked = (one) => Array.isArray(one) && one.length === 3 && typeof one[0] === "string" &&
    one[1] >= 0 && one[1] <= 5 && Number.isFinite(one[1]) && one[2] >= 0 && Number.isSafeInteger(one[2]);
  if (![EXPLORER, CHAT].includes(part) || !Array.isArray(asked) || asked.length > MOST_ASKED ||
    !asked.every(isAsked)) throw new Error(DAMAGED);
  return { ...checked(state), part, asked };
}
