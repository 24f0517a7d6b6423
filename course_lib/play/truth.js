// What the world writes next, exactly: grammar.py and truth.py of course_lib/world over again, for a
// page without Python. The grammar comes as JSON, which export.py there writes and explains.

const END = "<|endoftext|>"; // the "word" after a document's last word
const MOST_STATES = 30_000; // kept for the next questions; a good kilobyte each

// GPT-2's pre-tokenizer pattern, written for ASCII.
const WORD = /'(?:[sdmt]|ll|ve|re)| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+/g;
const splitWords = (text) => text.match(WORD) ?? [];

const SAMPLE = "It's 27 cats, 3 dogs.\n\nWho said: \"two  mice\"?\n"; // something of each kind of word

const OUTSIDE =
  "This text is outside the course's world: no document there begins like it, so there is no true " +
  "probability to show.";
const INSIDE_A_TOKEN =
  "Documents of the world begin like this, but there no token ends where your text does: finish the " +
  "word, or take the space off the end, and the truth is back.";

const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);
const add = (map, key, p) => map.set(key, (map.get(key) ?? 0) + p);

/** A map of weights, the largest first, scaled to sum to 1. */
function shared(weights) {
  const total = sum([...weights.values()]);
  return new Map([...weights].map(([key, p]) => [key, p / total]).sort((a, b) => b[1] - a[1]));
}

/** Where a derivation stands: a sequence, the position of its next part, the state after it. The end
    of a document has no sequence. */
class State {
  constructor(sequence, position, rest) {
    Object.assign(this, { sequence, position, rest, arcs: null, before: new Map() });
  }
}

export class Truth {
  constructor({ words, shares, parts }) {
    // A word is a string here, a sequence an array, a choice an object.
    this.parts = [];
    const build = (part, i) => {
      if (typeof part === "number") return part < 0 ? words[-1 - part] : this.parts[i - part];
      if (part[0] !== 0) return part.map((each) => build(each, i));
      const [, number, ...rest] = part, options = rest.map((each) => build(each, i));
      return { options, shares: number ? shares[number - 1] : options.map(() => 1 / options.length) };
    };
    parts.forEach((part, i) => this.parts.push(build(part, i)));
    this.forget();
  }

  /** Starts anew, as states have become too many. */
  forget() {
    this.end = new State(null, 0, null);
    this.start = new State([this.parts.at(-1)], 0, this.end);
    this.count = 0;
  }

  /** The state with this sequence and position before `rest`: the same one at every call. */
  state(sequence, position, rest) {
    if (!rest.before.has(sequence)) rest.before.set(sequence, []);
    const states = rest.before.get(sequence);
    if (!states[position]) {
      states[position] = new State(sequence, position, rest);
      this.count++;
    }
    return states[position];
  }

  /** word -> [[probability, next state], ...] for each word that can follow in `state`. */
  arcs(state) {
    if (state.arcs) return state.arcs;
    const arcs = new Map();
    const note = (word, p, target) => {
      if (!arcs.has(word)) arcs.set(word, []);
      arcs.get(word).push([p, target]);
    };
    const expand = (part, p, rest) => {
      if (typeof part === "string") note(part, p, rest);
      else if (Array.isArray(part)) goOn(part, 0, rest, p);
      else part.options.forEach((option, i) => expand(option, p * part.shares[i], rest));
    };
    const goOn = (sequence, position, rest, p) => {
      if (sequence === null) note(END, p, this.end);
      else if (position === sequence.length) goOn(rest.sequence, rest.position, rest.rest, p);
      else {
        // after the last part nothing of the sequence is left to remember
        const last = position + 1 === sequence.length;
        expand(sequence[position], p, last ? rest : this.state(sequence, position + 1, rest));
      }
    };
    goOn(state.sequence, state.position, state.rest, 1);
    return (state.arcs = arcs);
  }

  /** state -> P(state | a document starts with these words); empty if none does. */
  forward(words) {
    let live = new Map([[this.start, 1]]);
    for (const word of words) {
      const following = new Map();
      for (const [state, p] of live) {
        for (const [q, target] of this.arcs(state).get(word) ?? []) add(following, target, p * q);
      }
      if (!following.size) return following;
      const total = sum([...following.values()]); // rescaled, so that nothing underflows
      live = new Map([...following].map(([state, p]) => [state, p / total]));
    }
    return live;
  }

  /** word, or what is left of one -> P(it comes next | the document starts with `prefix`). */
  nextWords(prefix) {
    if (this.count > MOST_STATES) this.forget();
    // The last word of the prefix may be whole (" six") or the beginning of another (" sixty").
    const words = splitWords(prefix), fragment = words.pop() ?? "";
    const found = new Map(), after = new Map(); // after: where the fragment was a whole word
    for (const [state, p] of this.forward(words)) {
      for (const [word, arcs] of this.arcs(state)) {
        if (fragment && word === fragment) {
          for (const [q, target] of arcs) add(after, target, p * q);
        } else if (word.startsWith(fragment) && !(fragment && word === END)) {
          add(found, word.slice(fragment.length), p * sum(arcs.map(([q]) => q)));
        }
      }
    }
    for (const [state, p] of after) {
      for (const [word, arcs] of this.arcs(state)) add(found, word, p * sum(arcs.map(([q]) => q)));
    }
    return shared(found);
  }

  /** Does a tokenizer cut texts as the world does, word by word? Else no share could be told. */
  fits(encode) {
    return encode(SAMPLE).join() === splitWords(SAMPLE).flatMap(encode).join();
  }

  /** {shares: id -> P(next token | the document starts with `text`), note: why there are none}. A
      tokenizer is its `encode` and the id that ends a document. */
  nextTokens(text, encode, endId) {
    const fragment = splitWords(text).at(-1) ?? "", before = encode(fragment);
    const words = this.nextWords(text), found = new Map();
    for (const [word, p] of words) {
      const ids = word === END ? [endId] : encode(fragment + word);
      if (word === END) add(found, endId, p);
      else if (before.every((id, i) => ids[i] === id)) add(found, ids[before.length], p);
    }
    const note = found.size ? "" : words.size ? INSIDE_A_TOKEN : OUTSIDE;
    return { shares: shared(found), note };
  }
}
