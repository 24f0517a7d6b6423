// The explorer's page without its drawing, driven by explorer_page.py: lines of JSON in and out.
//
// In: {traits}, what anywidget's model holds; then {act: [actions at once]}, {hear: message, data} or
// {play: {seed, sequences, wasm, truth, models}}. Out: {send: message}, {view}, {done}, {played}.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { WasmEngine } from "../../course_lib/play/engine_wasm.js";
import { Truth } from "../../course_lib/play/truth.js";
import { KernelEngine } from "../../course_lib/widgets/engine_kernel.js";
import { Explorer, told as inWords } from "../../course_lib/widgets/explorer_core.js";

const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
const view = (base64) => {
  const bytes = Buffer.from(base64, "base64");
  // as it arrives in a browser: a view into a larger buffer, not at a multiple of four
  const odd = new Uint8Array(bytes.length + 3);
  odd.set(bytes, 3);
  return new DataView(odd.buffer, 3);
};
const unpacked = (value) => {
  if (Array.isArray(value)) return value.map(unpacked);
  if (value === null || typeof value !== "object") return value;
  if (value.base64 !== undefined) return view(value.base64);
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, unpacked(one)]));
};

const whole = (seen) => (seen.state ? { ...seen, ...inWords(seen) } : seen);

let traits, listener, explorer;
const model = {
  get: (name) => traits[name],
  send: (message) => say({ send: message }),
  on: (_, heard) => (listener = heard),
  off: () => {},
};

/** Answers as `engine` has answered before, but each after a while of its own. */
function recorded(engine) {
  const answers = new Map();
  const again = { info: () => engine.info(), tokens: () => engine.tokens() };
  for (const method of ["encode", "prompt", "logits", "attention", "lens", "truth"]) {
    const ask = engine[method];
    engine[method] = (...of) => {
      const answer = ask(...of);
      answers.set(JSON.stringify([method, ...of]), answer);
      return answer;
    };
    again[method] = async (...of) => {
      await new Promise((waited) => setTimeout(waited, answers.size % 3));
      return answers.get(JSON.stringify([method, ...of])) ?? engine[method](...of);
    };
  }
  return again;
}

const TEXTS = ["", "The cat", "In that match Virat Kohli hit a", "né <b>", "a\nb", ">>> max(7, 5)\n",
  "👋", "Once upon a time", "word ".repeat(40)];

/** The engine of a page without Python, over the same models. */
async function withoutPython({ wasm, truth, models }) {
  const world = new Truth(JSON.parse(readFileSync(truth, "utf8")));
  const engine = new WasmEngine(readFileSync(wasm), world);
  for (const [name, path] of Object.entries(models)) await engine.load(name, readFileSync(path));
  return engine;
}

const DERIVED = ["words", "table", "steps"]; // from numbers that are compared
/** Where two views differ by more than rounding, as a path; "" where they don't. Of tokens that are
    as likely as one another, rounding may decide which one comes first. */
function far(a, b, path = "") {
  if (typeof a === "number" && typeof b === "number") {
    return Math.abs(a - b) < (path.endsWith("logit") ? 1e-3 : 1e-4) ? "" : path;
  }
  if (a === null || typeof a !== "object") return a === b ? "" : path;
  if (Object.keys(a).length !== Object.keys(b ?? {}).length) return path;
  const isTie = a.id !== b.id && "logit" in a;
  for (const name of Object.keys(a)) {
    if (DERIVED.includes(name) || (isTie && ["id", "name", "p"].includes(name))) continue;
    const found = far(a[name], b[name], `${path}.${name}`);
    if (found) return found;
  }
  return "";
}

/** An action that a person might choose, from what there is to see; without `dice` none that a last
    digit decides. */
function chosen(random, seen, dice) {
  const one = (all) => all[Math.floor(random() * all.length)];
  const whole = (n) => Math.floor(random() * n);
  return one([
    () => ({ do: "type", text: one(TEXTS) }),
    () => ({ do: "pick", id: one(seen.rows).id }),
    () => ({ do: "pick", id: whole(260) }),
    () => (dice ? { do: "draw" } : { do: "pick", id: one(seen.rows).id }),
    () => (dice ? { do: "draw many", samples: one([1, 10, 100]) } : { do: "undo" }),
    () => ({ do: "rewind", keep: whole(seen.cut + seen.chips.length + 1) }),
    () => ({ do: "chat", chat: random() < 0.3 }),
    () => ({ do: "undo" }),
    () => ({ do: "branch" }),
    () => ({ do: "return", branch: whole(3) }),
    () => ({ do: "reset" }),
    () => ({ do: "set", temperature: one([0, 0.3, 0.7, 1, 1.6]) }),
    () => ({ do: "set", top_k: one([null, 1, 3, 40]) }),
    () => ({ do: "set", top_p: dice ? one([null, 0.3, 0.8, 1]) : null }),
    () => ({ do: "set", bars: dice ? one([1, 4, 50]) : one([1, 4]) }),
    () => ({ do: "set", model: one(["a", "b", "c"]) }),
    () => ({ do: "set", compare: random() < 0.5, truth: random() < 0.5 }),
    () => ({ do: "set", token: whole(seen.cut + seen.chips.length), layer: one([null, 0, 1, 7]) }),
    () => ({ do: "set", off: one([[], [[0, 1]], [[0, 0], [1, 1]], [[5, 0]]]) }),
    () => ({ do: "set", lens: random() < 0.5, steps: random() < 0.5 }),
  ])();
}

/** Random sequences of actions: over the kernel's engine one by one, over another in bursts, as they
    come. Over its own answers the views must be the same to the last digit and letter, over those of
    WebAssembly but for rounding. */
async function play({ seed, sequences, wasm, ...files }) {
  let state = seed;
  const random = () => { // mulberry32
    let z = (state = (state + 0x6d2b79f5) | 0);
    z = Math.imul(z ^ (z >>> 15), z | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  };
  const engine = new KernelEngine(model);
  const other = wasm ? await withoutPython({ wasm, ...files }) : recorded(engine);
  const played = { actions: 0, errors: 0, states: 0, different: [] };
  const states = new Set();
  for (let i = 0; i < sequences; i++) {
    let steady, hasty;
    const careful = new Explorer(engine, traits.now, (seen) => (steady = seen));
    await careful.act({ do: "look again" });
    const quick = new Explorer(other, traits.now, (seen) => (hasty = seen));
    const actions = [];
    for (let burst = 0; burst < 3; burst++) {
      let all;
      for (let n = Math.floor(random() * 4); n >= 0; n--) {
        const action = chosen(random, steady, !wasm);
        actions.push(action);
        played.actions++;
        await careful.act(action);
        if (steady.error) {
          played.errors++; // of a burst only the last one would tell of it
          await all;
          await quick.act(action);
        } else all = quick.act(action);
      }
      await all;
      const seen = [steady, hasty].map((one) => JSON.stringify({ ...whole(one), said: "", error: "" }));
      const where = wasm ? far(...seen.map((one) => JSON.parse(one))) : seen[0] !== seen[1] && "text";
      if (where) played.different.push({ actions, where, seen });
      states.add(seen[0]);
    }
  }
  return { ...played, states: states.size };
}

for await (const line of createInterface({ input: process.stdin })) {
  const { hear, data, act, ...told } = JSON.parse(line);
  if (hear) listener(hear, data.map(view));
  if (told.traits) {
    traits = unpacked(told.traits);
    const engine = new KernelEngine(model, () => explorer.refresh());
    explorer = new Explorer(engine, traits.now, (seen) => say({ view: whole(seen) }));
    explorer.act({ do: "look again" }).then(() => say({ done: true }));
  }
  if (act) Promise.all(act.map((action) => explorer.act(action))).then(() => say({ done: true }));
  if (told.play) play(told.play).then((played) => say({ played }));
}
