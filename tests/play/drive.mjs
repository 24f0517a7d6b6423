// Calls the page's scripts as a test in Python asks: JSON in, JSON out, one process for a test file.
//
// In: {wasm, truth (the path of its JSON, or null), calls: [[name, argument, ...], ...]}
// Out: for each call {result} or {error}, the message of what it threw; and milliseconds.
import { readFileSync } from "node:fs";
import { WasmEngine } from "../../course_lib/play/engine_wasm.js";
import { beginning, read, stepTo, written } from "../../course_lib/play/link.js";
import { continuation, dice, draw, nextTokens } from "../../course_lib/play/sampler.js";
import { Talk } from "../../course_lib/play/talk.js";
import { Truth } from "../../course_lib/play/truth.js";
import { Explorer, told as inWords } from "../../course_lib/widgets/explorer_core.js";

const { wasm, truth, calls } = JSON.parse(readFileSync(0, "utf8"));
const world = truth && new Truth(JSON.parse(readFileSync(truth, "utf8")));
const engine = new WasmEngine(readFileSync(wasm), world);

const own = {
  load: (name, path, options) => engine.load(name, readFileSync(path), options),
  loadBytes: (name, base64) => engine.load(name, Buffer.from(base64, "base64")),
  loadZeros: (name, n) => engine.load(name, new Uint8Array(n)),
  loadFile: (name, path) => engine.load(name, new File([readFileSync(path)], "mine.gguf")),
  forget: () => world.forget(),
  throws(seed, n) {
    const next = dice(seed);
    return Array.from({ length: n }, next);
  },
  nextTokens: (logits, dials) => nextTokens(Float32Array.from(logits), dials),
  draw: (found, thrown) => draw(found, thrown),
  async continuation(...all) {
    const ids = [];
    for await (const id of continuation(engine, ...all)) ids.push(id);
    return ids;
  },
  /** What there is to see of an explorer at first, and after each action; {load: [...]} lets a model
      join. */
  async explore(dials, actions) {
    let seen;
    const explorer = new Explorer(engine, dials, (view) => (seen = view)), views = [];
    for (const action of [{ do: "look again" }, ...actions]) {
      if (action.load) await own.load(...action.load).then(() => explorer.refresh());
      else await explorer.act(action);
      views.push(seen.state ? { ...seen, ...inWords(seen) } : seen);
    }
    return views;
  },
  /** The turns of a talk after each step: {ask: ...}, {send: ...} or {invite: speakers}, with all that
      was told of meanwhile. {late: message} is sent when the next answer has grown a little. */
  async talk(speakers, steps, slowly = 0) {
    const slow = Object.create(engine);
    for (const name of ["info", "tokens", "encode", "prompt"]) slow[name] = (...of) => engine[name](...of);
    slow.logits = async (...of) => {
      if (slowly) await new Promise((waited) => setTimeout(waited, slowly));
      return engine.logits(...of);
    };
    const talk = new Talk(slow, { speakers, questions: [], hint: "", surprises: ["Surprise?"] });
    const seen = [];
    let told = [], late = null;
    for (const name of ["talk", "earlier", "busy", "error", "temperature", "seed", "speakers"]) {
      talk.on(`change:${name}`, () => {
        told.push(name);
        if (late && talk.get("talk").at(-1)?.answers[0].n_tokens > 2) [late, told] = [talk.send(late), told];
      });
    }
    for (const step of steps) {
      if (step.late) late = step.late;
      if (step.ask) await talk.ask(step.ask);
      if (step.invite) await talk.invite(step.invite);
      if (step.send) talk.send(step.send);
      if (step.send?.do === "surprise") await talk.ask({ question: "not now" });
      const values = ["talk", "earlier", "busy", "error", "temperature", "seed"];
      seen.push({ told, ...Object.fromEntries(values.map((name) => [name, talk.get(name)])) });
      told = [];
    }
    return seen;
  },
  step: (next, before, known) => stepTo(...[next, before].map((one) => ({ ...beginning({}), ...one })), known),
  read: (hash, dials) => read(hash, beginning(dials)),
  written: (seen, dials) => written({ ...beginning(dials), ...seen }, beginning(dials)),
};

function shown(_, value) {
  if (value instanceof Float32Array) {
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    return { float32: bytes.toString("base64") };
  }
  if (value instanceof Uint8Array) return [...value];
  return value instanceof Map || value instanceof Set ? [...value] : value;
}

const answers = [];
for (const [name, ...all] of calls) {
  const start = performance.now();
  const answer = {};
  try {
    answer.result = (await (own[name] ?? engine[name].bind(engine))(...all)) ?? null;
  } catch (error) {
    answer.error = error.message;
  }
  answers.push({ ...answer, milliseconds: performance.now() - start });
}
process.stdout.write(JSON.stringify(answers, shown));
