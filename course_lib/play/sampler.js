// The sampler of run.c, number for number: the same seed gives the same text here and there. What
// run.c holds in 32 bits is rounded to 32 bits here, too.

/** A function that throws numbers in [0, 1): the same seed, the same numbers. It is splitmix64. */
export function dice(seed) {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new Error(`a seed is a whole number, zero or more; this one is ${seed}`);
  }
  let state = BigInt(seed);
  const word = (number) => BigInt.asUintN(64, number);
  return () => {
    state = word(state + 0x9e3779b97f4a7c15n);
    let z = state;
    z = word((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
    z = word((z ^ (z >> 27n)) * 0x94d049bb133111ebn);
    return Number((z ^ (z >> 31n)) >> 11n) / 2 ** 53;
  };
}

/** What may come next after these logits: `ids`, likeliest first, and the `shares` that the dials
    leave to each. Temperature 0 leaves one token; topK and topP of null leave all. */
export function nextTokens(logits, { temperature = 1, topK = null, topP = null } = {}) {
  const { fround } = Math;
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i] > logits[best]) best = i;
  if (temperature < 1e-3) return { ids: [best], shares: [1] };
  const p = Float32Array.from(logits, (x) => x / temperature);
  const max = p[best];
  let sum = 0;
  for (let i = 0; i < p.length; i++) sum = fround(sum + (p[i] = Math.exp(fround(p[i] - max))));
  for (let i = 0; i < p.length; i++) p[i] /= sum;
  let ids = [...p.keys()].sort((a, b) => p[b] - p[a] || a - b);
  // Top-k keeps what is as likely as the last of the k; top-p the fewest that reach p together.
  let k = 0, n = 0, all = 0, kept = 0;
  while (k < ids.length && (!k || topK === null || k < topK || p[ids[k]] === p[ids[k - 1]])) {
    all = fround(all + p[ids[k++]]);
  }
  while (n < k && (!n || topP === null || topP >= 1 || kept < topP * all)) {
    kept = fround(kept + p[ids[n++]]);
  }
  ids = ids.slice(0, n);
  return { ids, shares: ids.map((id) => fround(p[id] / kept)) };
}

/** One of what `nextTokens` found; `thrown` is a number in [0, 1). */
export function draw({ ids, shares }, thrown) {
  let i = 0;
  while (i < ids.length - 1 && (thrown -= shares[i]) >= 0) i++;
  return ids[i];
}

/** The ids that a model says after `ids`, one by one, until it ends, or the context or `most` does.
    An engine's `logits` and `info` is all that it needs. */
export async function* continuation(engine, model, ids, dials = {}, { seed = 0, most = 256 } = {}) {
  const { T, endIds } = await engine.info();
  const next = dice(seed), all = [...ids];
  for (let n = 0; n < most && all.length < T; n++) {
    all.push(draw(nextTokens(await engine.logits(model, all, []), dials), next()));
    yield all.at(-1);
    if (endIds.includes(all.at(-1))) return;
  }
}
