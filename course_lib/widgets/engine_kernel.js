// The engine of a notebook: Python answers, over the messages of anywidget. One question is under way
// at a time. What the first view asks has come with the widget (explorer.py puts it there), so that
// it is drawn while the kernel runs the cells below. Whoever types asks for ids and then for their
// logits: the answer to the first question brings the second one's along, since each way to the
// kernel and back takes longer than computing.

import { NO_WORD, sent, SILENT_MS } from "./page.js";

const floats = (data) => {
  // a view into a message may lie at any byte, numbers must lie at every fourth
  const { buffer, byteOffset, byteLength } = ArrayBuffer.isView(data) ? data : new DataView(data);
  return new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
};
const READ = {
  encode: ({ ids }) => ids,
  prompt: ({ ids }) => ids,
  logits: (_, data) => floats(data),
  attention: (shape, data) => ({ ...shape, weights: floats(data) }),
  lens: (shape, data) => ({ ...shape, logits: floats(data) }),
  truth: ({ shares, note }) => ({ shares: new Map(shares), note }),
};

export class KernelEngine {
  #model;
  #page = Math.random().toString(36); // two windows on one kernel both get every answer
  #known = new Map(); // what came with the widget
  #waiting = []; // questions; the first is under way
  #wanted = []; // [model, heads off] of the logits that were asked for since the latest text
  #ahead = new Map(); // logits that came along with the latest text's ids
  #timer;
  #number = 0;
  #version;
  #listener = (message, buffers) => this.#hear(message, buffers);

  /** `model` is anywidget's. `onNews` is called when what was said before has become doubtful: a
      model has been trained meanwhile, or the kernel speaks again. */
  constructor(model, onNews = () => {}) {
    this.#model = model;
    this.onNews = onNews;
    for (const { ask, of, data, ...said } of model.get("known")) {
      this.#known.set(JSON.stringify([ask, ...of]), READ[ask](said, data));
    }
    for (const ask of Object.keys(READ)) this[ask] = (...of) => this.#ask(ask, of);
    model.on("msg:custom", this.#listener);
  }

  async info() {
    return this.#model.get("info");
  }

  async tokens() {
    const { names, sizes, bytes, control } = this.#model.get("tokens");
    const all = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let end = 0;
    return {
      names, bytes: sizes.map((size) => all.subarray(end, (end += size))), control: new Set(control) };
  }

  stop() {
    clearTimeout(this.#timer);
    this.#model.off("msg:custom", this.#listener);
  }

  async #ask(ask, of) {
    const key = JSON.stringify([ask, ...of]);
    const known = this.#known.get(key) ?? this.#ahead.get(key);
    const answer = known ?? await new Promise((resolve, reject) => {
      this.#waiting.push({ question: { ask, of, number: ++this.#number }, resolve, reject });
      if (this.#waiting.length === 1) this.#send();
    });
    if (ask === "logits") this.#wanted.push([of[0], of[2]]); // there are such heads
    return answer;
  }

  #send() {
    if (!this.#waiting.length) return;
    const { question } = this.#waiting[0];
    const ahead = question.ask === "encode" ? { ahead: this.#wanted.splice(0) } : {};
    const giveUp = (problem) => {
      for (const { reject } of this.#waiting.splice(0)) reject(problem);
    };
    const isSent = sent(this.#model, { ...question, ...ahead, page: this.#page });
    if (!isSent) return giveUp(new Error(NO_WORD));
    const silent = Object.assign(new Error(NO_WORD), { silent: true });
    this.#timer = setTimeout(() => giveUp(silent), SILENT_MS);
  }

  #hear({ page, number, ask, error, version, ahead = [], ...said }, buffers) {
    if (page !== this.#page) return;
    const isTrained = version !== (this.#version ?? this.#model.get("info").version);
    this.#version = version;
    if (isTrained) this.#known.clear();
    if (isTrained || ahead.length) this.#ahead.clear();
    ahead.forEach((of, i) => this.#ahead.set(JSON.stringify(["logits", ...of]), floats(buffers[i])));
    const first = this.#waiting[0];
    const isAwaited = first?.question.number === number;
    if (isAwaited) {
      clearTimeout(this.#timer);
      this.#waiting.shift();
      if (error) first.reject(new Error(error));
      else first.resolve(READ[ask](said, buffers[0]));
      this.#send();
    }
    if (isTrained || !isAwaited) this.onNews();
  }
}
