// What wllama.py measures in a browser: from nothing to the first token, and greedy tokens a second.
// Both go on from the same prompt with the same GGUF until the document ends, on one thread.

const TIMES = 10; // that the document is written

const bytesOf = async (path) => new Uint8Array(await (await fetch(path)).arrayBuffer());

/** {first: ms from the start of the visit to the first token, speed: tokens a second once there is a
    first one, text}. `write` yields the document in pieces, a token each. */
async function measured(write) {
  let first, text, tokens = 0, milliseconds = 0;
  for (let i = 0; i < TIMES; i++) {
    const times = [];
    text = "";
    for await (const piece of write()) {
      times.push(performance.now());
      text += piece;
    }
    first ??= times[0];
    tokens += times.length - 1;
    milliseconds += times.at(-1) - times[0];
  }
  return { first, speed: (1000 * tokens) / milliseconds, text };
}

export async function ours(prompt, most) {
  const { WasmEngine } = await import("/play/engine_wasm.js");
  const { continuation } = await import("/play/sampler.js");
  const engine = new WasmEngine(await bytesOf("/inside.wasm"));
  await engine.load("base", await bytesOf("/base.gguf"));
  const { startIds, endIds } = await engine.info(), { bytes } = await engine.tokens();
  const ids = [...startIds, ...(await engine.encode(prompt))];
  return measured(async function* () {
    const decoder = new TextDecoder();
    for await (const id of continuation(engine, "base", ids, { temperature: 0 }, { most })) {
      if (!endIds.includes(id)) yield decoder.decode(bytes[id], { stream: true });
    }
  });
}

export async function theirs(prompt, most) {
  const { LoggerWithoutDebug, Wllama } = await import("/package/esm/index.min.js");
  const wllama = new Wllama({ default: "/package/esm/wasm/wllama.wasm" },
    { logger: LoggerWithoutDebug, suppressNativeLog: true });
  const file = await (await fetch("/base.gguf")).blob();
  await wllama.loadModel([file], { n_ctx: 128, n_threads: 1, n_gpu_layers: 0, warmup: false });
  let own; // what llama.cpp says itself, without the messages between its worker and the page
  const found = await measured(async function* () {
    const wanted = { prompt, max_tokens: most, temperature: 0, stream: true };
    for await (const { choices, timings } of await wllama.createCompletion(wanted)) {
      own = timings?.predicted_per_second ?? own;
      if (choices[0]?.text) yield choices[0].text;
    }
  });
  return { ...found, own };
}
