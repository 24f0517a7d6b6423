// What play.py measures in node. In: {wasm, model, truth, texts}; out: milliseconds, tokens a second
// of processor time.
import { readFileSync } from "node:fs";
import { WasmEngine } from "../course_lib/play/engine_wasm.js";
import { Truth } from "../course_lib/play/truth.js";

const { wasm, model, truth, texts } = JSON.parse(readFileSync(0, "utf8"));
const N = 120, ROUNDS = 10; // tokens of a text, texts of a measurement
const ids = Array.from({ length: N }, (_, i) => (7 * i) % 1000);
const file = readFileSync(model);

async function timed(run) {
  const start = performance.now();
  const result = await run();
  return [performance.now() - start, result];
}

/** Tokens a second of processor time; each token is asked for its logits. */
async function speed(step) {
  const start = process.cpuUsage();
  for (let round = 0; round < ROUNDS; round++) {
    for (let n = 1; n <= N; n++) await step(ids.slice(0, n).map((id) => id + round));
  }
  const { user, system } = process.cpuUsage(start);
  return (N * ROUNDS) / ((user + system) / 1e6);
}

/** inside.c without an engine: F16 stays F16 unless it is unpacked. */
async function bare(unpack) {
  const none = new Proxy({}, { get: () => () => 8 });
  const { instance } = await WebAssembly.instantiate(readFileSync(wasm), {
    wasi_snapshot_preview1: none,
  });
  const run = instance.exports;
  run._initialize();
  const at = run.room(file.length), room = run.room(4 * N);
  new Uint8Array(run.memory.buffer).set(file, at);
  const opened = run.open_model(at, file.length, 512), layers = run.shape(opened, 2);
  if (unpack) run.unpack(opened);
  return (all) => {
    new Int32Array(run.memory.buffer).set(all, room / 4);
    run.look(opened, room, all.length);
    run.logits_after(opened, all.length - 1, layers);
  };
}

const [truthReady, world] = await timed(() => new Truth(JSON.parse(readFileSync(truth, "utf8"))));
const engine = new WasmEngine(readFileSync(wasm), world);
const [load] = await timed(() => engine.load("base", file));
const [packed, unpacked] = [await bare(false), await bare(true)];
const times = { encode: [], truth: [] };
for (const pass of ["cold", "warm"]) {
  for (const text of texts) {
    for (const method of Object.keys(times)) {
      const [milliseconds] = await timed(() => engine[method](text));
      if (pass === "warm") times[method].push(milliseconds);
    }
  }
}
const speeds = { engine: [], unpacked: [], packed: [] };
for (let i = 0; i < 6; i++) {
  const found = {
    engine: await speed((all) => engine.logits("base", all, [])),
    unpacked: await speed(unpacked),
    packed: await speed(packed),
  };
  if (i) for (const name of Object.keys(speeds)) speeds[name].push(found[name]); // the first warms up
}
console.log(JSON.stringify({ truthReady, load, times, speeds }));
