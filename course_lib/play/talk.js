// Python's part of the chat, for a page without Python: what chat.py does, over an engine. To chat.js
// a `Talk` is what anywidget's model is in a notebook, so the drawing stands once, there.

import { textOf } from "../widgets/explorer_core.js";
import { continuation } from "./sampler.js";

const WRITING = "writing", ENDED = "ended", CUT = "cut off", STOPPED = "stopped";
const PACE_MS = 15; // at least, for a token of each model: an answer is to be seen growing
const MOST_EARLIER = 60; // turns that the page keeps
const MOST_TOKENS = 40; // of an answer
const ROOM = 40; // tokens that an answer to a follow-up finds free, as in chat.py

/** The sentence under a question with which the oldest turns did not go to the models. */
function forgottenInWords(gone, T) {
  if (!gone) return "";
  const turns = gone === 1 ? "turn doesn't" : `${gone} turns don't`;
  return `The conversation has grown too long for a context of ${T} tokens: its first ${turns} reach the models ` +
    'any more. "New conversation" begins afresh.';
}

export class Talk {
  #engine;
  #values;
  #surprises;
  #listeners = new Map();
  #writing = null; // a promise while answers are being prepared or written
  #stopped = false;

  /** `speakers` are [{name, raw}] as in chat.py. `surprises` are the questions of "Surprise me",
      `contrasts` those that SFT and RLHF answer differently, [question, what to look for]. */
  constructor(engine, { speakers, questions: examples, hint, surprises, contrasts = [] }) {
    this.#engine = engine;
    this.#surprises = surprises;
    this.#values = { speakers, examples, hint, contrasts, talk: [], earlier: [], busy: false, error: "",
      temperature: 0, seed: 0, size: "normal" };
  }

  // ---- What chat.js knows of anywidget's model --------------------------------------------------

  get(name) {
    return this.#values[name];
  }

  set(name, value) {
    this.#change({ [name]: value });
  }

  save_changes() {} // there is nobody else to be told

  on(events, listener) {
    for (const event of events.split(" ")) {
      this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener]);
    }
  }

  off(events, listener) {
    for (const event of events.split(" ")) {
      const left = (this.#listeners.get(event) ?? []).filter((one) => one !== listener);
      this.#listeners.set(event, left);
    }
  }

  send({ do: what, ...asked }) {
    if (what === "stop") this.#stopped = true;
    if (what === "new" && !this.#writing) this.#change({ talk: [], earlier: [], error: "" });
    if (what === "ask") this.ask(asked);
    if (what === "surprise") {
      const any = Math.floor(Math.random() * this.#surprises.length);
      this.ask({ ...asked, question: this.#surprises[any], keep: 0 });
    }
  }

  /** Sets all, then tells of what has changed: a listener never sees the half of it. */
  #change(values) {
    const changed = Object.keys(values).filter((name) => this.#values[name] !== values[name]);
    Object.assign(this.#values, values);
    for (const name of changed) {
      for (const listener of this.#listeners.get(`change:${name}`) ?? []) listener();
    }
  }

  // ---- The talk ---------------------------------------------------------------------------------

  /** Who speaks from now on. What was said stays on the page, but no follow-up goes on from it: one of
      them was not there. */
  async invite(speakers) {
    while (this.#writing) await this.#writing;
    const { earlier, talk } = this.#values;
    this.#change({ speakers, earlier: [...earlier, ...talk].slice(-MOST_EARLIER), talk: [] });
  }

  /** Asks after the first `keep` turns of the talk. The promise is kept when all have answered. */
  ask({ question, keep = 0, temperature = 0, seed = 0 }) {
    // one job at a time: chat.js may not have heard of it yet
    this.#writing ??= this.#answer(question, this.get("talk").slice(0, keep), temperature, seed)
      .catch(({ message }) => {
        this.#change({ error: "" }); // else the page would not hear of the same error again
        this.#change({ error: message });
      })
      .finally(() => (this.#writing = null));
    return this.#writing;
  }

  async #answer(question, before, temperature, seed) {
    const { speakers } = this.#values;
    this.#change({ temperature, seed });
    if (!question.trim()) {
      throw new Error("there is no question: type one, or press one of the examples");
    }
    const { prompts, gone, note } = await this.#prompts(before, question);
    const answers = speakers.map(() => ({ text: "", n_tokens: 0, state: WRITING }));
    const turn = { question, temperature, seed, answers, follows: before.length > gone, note };
    const { earlier, talk } = this.#values;
    const left = before.length ? [] : talk; // what isn't gone on with stays on the page
    this.#stopped = false;
    this.#change({ earlier: [...earlier, ...left].slice(-MOST_EARLIER), talk: [...before, turn],
      busy: true, error: "" });
    let said = answers, error = "";
    try {
      for await (said of this.#written(prompts, turn)) {
        this.#change({ talk: [...before, { ...turn, answers: said }] });
        await new Promise((passed) => setTimeout(passed, PACE_MS)); // the browser draws, hears clicks
      }
    } catch ({ message }) {
      error = message;
    }
    // whatever went wrong, nobody writes any more
    said = said.map((one) => (one.state === WRITING ? { ...one, state: STOPPED } : one));
    this.#change({ talk: [...before, { ...turn, answers: said }], error, busy: false });
  }

  /** The ids that each model goes on from. Where the talk has grown too long for an answer, `gone` of
      its oldest turns are left out, and a note says so. */
  async #prompts(before, question) {
    const { speakers } = this.#values, { T } = await this.#engine.info();
    for (let gone = 0; ; gone++) {
      const prompts = await Promise.all(speakers.map((one, i) => this.#ids(one, [
        ...before.slice(gone).flatMap((turn) => [
          { role: "user", content: turn.question },
          { role: "assistant", content: turn.answers[i].text },
        ]),
        { role: "user", content: question },
      ])));
      if (gone < before.length && prompts.some((ids) => ids.length + ROOM > T)) continue;
      const long = prompts.findIndex((ids) => ids.length >= T);
      if (long < 0) return { prompts, gone, note: forgottenInWords(gone, T) };
      throw new Error(
        `this is too long for ${speakers[long].name}: ${prompts[long].length} tokens, where question, ` +
        `conversation so far and answer together may have ${T}. Ask something shorter, or press New conversation.`);
    }
  }

  async #ids({ raw }, messages) {
    if (!raw) return this.#engine.prompt(messages);
    const text = messages.map(({ content }) => content).join("\n");
    return [...(await this.#engine.info()).startIds, ...(await this.#engine.encode(text))];
  }

  /** The answers so far, each time that every model still writing has said one token more. */
  async *#written(prompts, { temperature, seed }) {
    const engine = this.#engine, { speakers } = this.#values, tokens = await engine.tokens();
    // the same dice for everyone: what differs between the columns is the models, not luck
    const writers = speakers.map(({ name }, i) =>
      continuation(engine, name, prompts[i], { temperature }, { seed, most: MOST_TOKENS }));
    const ids = speakers.map(() => []), states = speakers.map(() => WRITING);
    const answers = () => states.map((state, i) => {
      const text = textOf({ tokens }, ids[i]).trim();
      return { state, n_tokens: ids[i].length,
        text: state === WRITING ? text.replace(/\ufffd+$/, "") : text }; // more of a letter will come
    });
    while (states.includes(WRITING) && !this.#stopped) {
      for (const [i, writer] of writers.entries()) {
        if (states[i] !== WRITING) continue;
        const { done, value } = await writer.next();
        if (done) states[i] = CUT;
        else if (tokens.control.has(value)) states[i] = ENDED; // whichever it is
        else ids[i].push(value);
      }
      yield answers();
    }
  }
}
