// The engine of a page that needs no Python: run.c and inside.c as WebAssembly, and in it the models
// of GGUF files. Each model has an instance of the module, and so a memory, of its own: a damaged
// file ends its instance and not the page, and a model that is freed leaves nothing behind.
//
//     const engine = new WasmEngine(bytesOfInsideWasm, new Truth(json));
//     await engine.load("base", bytesOfBaseGguf);
//     const logits = await engine.logits("base", await engine.encode("The capital of"), []);
//
// All methods answer with promises, as those of the kernel's engine do. One that is rejected has a
// sentence for the person as its message.

const MOST_BYTES = 200e6; // of a file, as unpacked it takes up to four times that
const MOST_TEXT = 100e3; // in bytes; a model reads the last few hundred
const LONGEST = 512; // tokens of context: what inside.c notes grows with its square
const BAD_FILE = 8; // WASI's number for it
const UNUSED = /^<\|unused_\d+\|>$/; // as `gguf.py` calls a row without a token

const utf8 = new TextEncoder();
const decoder = new TextDecoder();
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** "3 MB", above a limit never that limit itself. */
const rounded = (n, unit) => `${Math.ceil(n / unit).toLocaleString("en")} ${unit > 1e5 ? "MB" : "kB"}`;

/** What the module asks of its system. It has no file open, and writes only to say why it ends. */
function system(memory) {
  const none = () => BAD_FILE;
  let text = "";
  return {
    said: () => text.trim().replace(/^run: /, ""),
    wasi_snapshot_preview1: {
      fd_write(_, vectors, n, written) {
        const view = new DataView(memory());
        let size = 0;
        for (let at = vectors; at < vectors + 8 * n; at += 8) {
          const start = view.getUint32(at, true), length = view.getUint32(at + 4, true);
          text += decoder.decode(new Uint8Array(memory(), start, length));
          size += length;
        }
        view.setUint32(written, size, true);
        return 0;
      },
      proc_exit() {
        throw new Error("the module ends"); // there is no other way out of WebAssembly
      },
      fd_close: none, fd_fdstat_get: none, fd_read: none, fd_seek: none,
    },
  };
}

/** A model in an instance of the module. */
class Model {
  static async open(module, file) {
    const model = new Model();
    model.system = system(() => model.memory);
    model.exports = (await WebAssembly.instantiate(module, model.system)).exports;
    model.call("_initialize");
    model.at = model.lend(file, (at) => model.call("open_model", at, file.length, LONGEST));
    [model.V, model.T, model.L, model.H, , model.bos, model.eos, model.imStart, model.imEnd] =
      Array.from({ length: 9 }, (_, i) => model.call("shape", model.at, i));
    model.off = new Set();
    return model;
  }

  /** All that the instance holds. It moves when it grows, so nobody may keep it. */
  get memory() {
    return this.exports.memory.buffer;
  }

  /** What a function of the module returns. If the module ends there, so has this model. */
  call(name, ...values) {
    if (this.ended) throw new Error(this.ended);
    try {
      return this.exports[name](...values);
    } catch {
      this.ended = this.system.said() || "the file is damaged, computing with it went wrong";
      // run.c would go on to name an option of its own
      if (this.ended.startsWith("not enough memory")) this.ended = "not enough memory for it";
      throw new Error(this.ended);
    }
  }

  /** What `use` makes of the address at which the module finds these bytes meanwhile. */
  lend(bytes, use) {
    const at = this.call("room", bytes.length) >>> 0;
    new Uint8Array(this.memory).set(bytes, at);
    const result = use(at);
    this.call("give_back", at);
    return result;
  }

  floats(at, n) {
    return new Float32Array(this.memory, at >>> 0, n);
  }

  encode(text) {
    const bytes = utf8.encode(text), n = bytes.length;
    if (n > MOST_TEXT) {
      throw new Error(
        `This text has ${rounded(n, 1e3)}, and ${rounded(MOST_TEXT, 1e3)} are the most: take less.`);
    }
    const room = new Uint8Array(9 * n); // for the ids, of which a byte gives two at most; then text
    room.set(bytes, 8 * n);
    return this.lend(room, (at) => {
      const found = this.call("encode_text", this.at, at + 8 * n, n, at);
      return [...new Int32Array(this.memory, at, found)];
    });
  }

  /** The bytes of all tokens, by id. */
  spelled() {
    return Array.from({ length: this.V }, (_, id) => {
      const at = this.call("token_bytes", this.at, id) >>> 0;
      return new Uint8Array(this.memory, at, this.call("token_size", this.at, id)).slice();
    });
  }

  tokens() {
    const bytes = this.spelled();
    const control = [...bytes.keys()].filter((id) => this.call("is_control", this.at, id));
    const names = bytes.map(nameOf);
    // a model's table may have more rows than there are tokens; such a row stands for nothing
    const unused = control.filter((id) => UNUSED.test(names[id]));
    for (const id of unused) [bytes[id], names[id]] = [new Uint8Array(0), `(unused ${id})`];
    return { bytes, control: new Set(control), names };
  }

  /** Reads the last T of these ids with some heads switched off; returns how many they are. */
  look(ids, off) {
    const read = ids.slice(-this.T);
    if (!read.length) throw new Error("There is nothing to go on from: type something.");
    const isBelow = (limit) => (n) => Number.isInteger(n) && 0 <= n && n < limit;
    const odd = read.find((id) => !isBelow(this.V)(id));
    if (odd !== undefined) throw new Error(`There is no token ${odd}: ids end at ${this.V - 1}.`);
    const gone = off.find(([layer, head]) => !isBelow(this.L)(layer) || !isBelow(this.H)(head));
    if (gone) {
      const all = `${this.L} layers with ${this.H} heads each, counted from 0`;
      throw new Error(`There is no head ${gone[1]} in layer ${gone[0]}, but ${all}.`);
    }
    const wanted = new Set(off.map(([layer, head]) => layer * this.H + head));
    for (let i = 0; i < this.L * this.H; i++) {
      if (wanted.has(i) === this.off.has(i)) continue; // a switch makes it forget what it has read
      this.call("switch_head", this.at, Math.floor(i / this.H), i % this.H, Number(wanted.has(i)));
    }
    this.off = wanted;
    const bytes = new Uint8Array(Int32Array.from(read).buffer);
    this.lend(bytes, (at) => this.call("look", this.at, at, read.length));
    return read.length;
  }

  /** (V): the logits at a place after so many layers. */
  logits(place, layers) {
    return this.floats(this.call("logits_after", this.at, place, layers), this.V);
  }

  hasTokensOf(other) {
    const sizes = (model) => [model.V, model.T, model.L, model.H, model.bos, model.eos].join();
    if (sizes(this) !== sizes(other)) return false;
    const same = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);
    const others = other.spelled();
    return this.spelled().every((each, id) => same(each, others[id]));
  }
}

/** A token as a person reads it, a sign for each character that can't be seen: `token_text` in
    Python gives the same. */
function nameOf(bytes) {
  let name = "";
  for (let at = 0, n; at < bytes.length; at += n) {
    if (bytes[at] < 0x80) { // most are, and to find that no letter begins here takes long
      [name, n] = [name + visible(String.fromCharCode(bytes[at])), 1];
      continue;
    }
    for (n = Math.min(4, bytes.length - at); n > 1; n--) {
      try {
        name += Array.from(strict.decode(bytes.subarray(at, at + n)), visible).join("");
        break;
      } catch {
        continue; // no whole letters; fewer bytes may be
      }
    }
    if (n === 1) name += `\\x${hex(bytes[at], 2)}`;
  }
  return name;
}

const hex = (number, size) => number.toString(16).padStart(size, "0");

function visible(letter) {
  const sign = { " ": "␣", "\n": "↵", "\t": "⇥", "\r": "\\r" }[letter];
  if (sign) return sign;
  if (!/[\p{C}\p{Z}]/u.test(letter)) return letter;
  const code = letter.codePointAt(0);
  if (code < 0x100) return `\\x${hex(code, 2)}`;
  return code < 0x10000 ? `\\u${hex(code, 4)}` : `\\U${hex(code, 8)}`;
}

export class WasmEngine {
  #module;
  #truth; // undefined while it is on its way, null where there is none
  #isOfWorld; // are its texts cut into tokens as the truth takes it?
  #tokens;
  #models = new Map();

  /** `wasm` are the bytes of inside.wasm; without a `truth` there is none to tell, and one that will
      `come` is given later. */
  constructor(wasm, truth = null, { comes = false } = {}) {
    this.#module = WebAssembly.compile(wasm);
    this.#module.catch(() => {}); // who loads a model is told
    this.#truth = comes ? undefined : truth;
  }

  /** The truth that was on its way. */
  give(truth) {
    this.#truth = truth;
    const [model] = this.#models.values();
    this.#isOfWorld = Boolean(model) && truth.fits((text) => model.encode(text));
  }

  /** Turns a model's 16 bits into 32, once: else every token pays for it, but the first bars come
      sooner without. */
  async unpack(name) {
    this.#with((model) => model.call("unpack", model.at), name);
  }

  /** Loads a GGUF, from its bytes or a File, under a name. A model of that name is kept until all
      has gone well. The models of an engine have the same tokens and sizes. One that is `learning`
      is the first one when it was younger; one that stays `packed` is there sooner. */
  async load(name, file, { learning = false, packed = false } = {}) {
    let model, tokens;
    try {
      const size = file.size ?? file.byteLength;
      if (!size) throw new Error("it is empty");
      if (size > MOST_BYTES) {
        throw new Error(`it has ${rounded(size, 1e6)}, ${rounded(MOST_BYTES, 1e6)} are the most`);
      }
      const bytes = new Uint8Array(file.arrayBuffer ? await file.arrayBuffer() : file);
      model = await Model.open(await this.#module, bytes);
      const other = [...this.#models].find(([each]) => each !== name);
      if (other && !model.hasTokensOf(other[1])) {
        throw new Error(`its tokens or sizes are not those of ${other[0]}, free that first`);
      }
      if (!packed) model.call("unpack", model.at);
      tokens = other ? this.#tokens : model.tokens();
      model.learning = learning;
      this.#isOfWorld = this.#truth?.fits((text) => model.encode(text)) ?? false;
    } catch (error) {
      throw new Error(
        `Can't load ${name}: ${error.message}. What runs here is a language model in GGUF version ` +
        "3, of architecture llama, with numbers in F32, F16 or Q8_0.");
    }
    this.#models.set(name, model);
    this.#tokens = tokens;
  }

  /** Forgets a model; the garbage collector takes its memory. */
  async free(name) {
    this.#models.delete(name);
  }

  /** What `use` makes of a model, by default of any. */
  #with(use, name = [...this.#models.keys()][0]) {
    const model = this.#models.get(name), names = [...this.#models.keys()].join(", ");
    if (!names) throw new Error("No model is loaded: load one first.");
    if (!model) throw new Error(`There is no model ${name}, only ${names}.`);
    try {
      return use(model);
    } catch (error) {
      if (error.message !== model.ended) throw error;
      throw new Error(`${name} has stopped: ${model.ended}. Load it again, or another file.`);
    }
  }

  async info() {
    const named = (learning) =>
      [...this.#models].filter(([, model]) => model.learning === learning).map(([name]) => name);
    return this.#with(({ V, T, L, H, bos, eos, imStart, imEnd }) => ({
      models: named(false),
      learning: named(true),
      V, T, L, H,
      startIds: [bos].filter((id) => id >= 0),
      endIds: [eos, imEnd].filter((id) => id >= 0), // a document's last, an answer's last
      chat: imStart >= 0 && imEnd >= 0,
      truth: this.#isOfWorld || this.#truth === undefined,
    }));
  }

  async tokens() {
    return this.#with(() => this.#tokens);
  }

  async encode(text) {
    return this.#with((model) => model.encode(text));
  }

  /** A dialogue in ChatML, up to where the answer begins. */
  async prompt(messages) {
    return this.#with((model) => {
      const { imStart, imEnd, bos } = model;
      if (imStart < 0 || imEnd < 0) throw new Error("This model doesn't chat: it goes on with texts.");
      const first = messages[0]?.role === "system" ? 1 : 0;
      const inTurn = ({ role }, i) => role === (i < first ? "system" : ["user", "assistant"][(i - first) % 2]);
      if ((messages.length - first) % 2 === 0 || !messages.every(inTurn)) {
        throw new Error("A conversation has user and assistant in turn, and ends with the user.");
      }
      const newline = model.encode("\n");
      const turn = ({ role, content }) => role === "assistant"
        ? [...model.encode("assistant\n"), ...model.encode(content.trim())]
        : model.encode(`${role}\n${content}`); // the newline may be part of a longer token
      const said = messages.flatMap((each) => [imStart, ...turn(each), imEnd, ...newline]);
      return [...(bos < 0 ? [] : [bos]), ...said, imStart, ...model.encode("assistant\n")];
    });
  }

  async logits(name, ids, off = []) {
    return this.#with((model) => model.logits(model.look(ids, off) - 1, model.L).slice(), name);
  }

  async attention(name, ids, off = []) {
    return this.#with((model) => {
      const n = model.look(ids, off), { L, H, T } = model;
      const all = model.floats(model.call("attention_of", model.at), n * L * H * T); // (n, L, H, T)
      const weights = new Float32Array(L * H * n * n); // beyond a place all stays 0
      for (let i = 0; i < n; i++) {
        for (let head = 0; head < L * H; head++) {
          const from = (i * L * H + head) * T;
          weights.set(all.subarray(from, from + i + 1), (head * n + i) * n);
        }
      }
      return { layers: L, heads: H, length: n, weights };
    }, name);
  }

  async lens(name, ids, off = []) {
    return this.#with((model) => {
      const place = model.look(ids, off) - 1, { L, V } = model;
      const logits = new Float32Array((L + 1) * V);
      for (let i = 0; i <= L; i++) logits.set(model.logits(place, i), i * V);
      return { layers: L + 1, logits };
    }, name);
  }

  async truth(text) {
    if (this.#truth === undefined) return { shares: new Map(), note: "" };
    if (!this.#isOfWorld) {
      const note = this.#truth ? "This model cuts the world's texts in another way, so there is no truth to show."
        : "This page came without the world's truth.";
      return { shares: new Map(), note };
    }
    return this.#with((model) =>
      this.#truth.nextTokens(text, (word) => model.encode(word), model.eos));
  }
}
