// The page: it brings models one after the other, and shows the explorer and the chat over them. Both
// are the notebooks' widgets; here WebAssembly answers in place of Python.
import { WasmEngine } from "./engine_wasm.js";
import { beginning, CHAT, EXPLORER, read, RUNS, stepTo, written } from "./link.js";
import { tabs } from "./tabs.js";
import { Talk } from "./talk.js";
import { Truth } from "./truth.js";
import { render } from "../widgets/chat.js";
import { painted } from "../widgets/changes.js";
import { mount } from "../widgets/explorer.js";
import { begun, remembering, shown } from "../widgets/explorer_core.js";
import { button, followTheme, labelled, make, toClipboard } from "../widgets/page.js";

const NOTE_MS = 500; // of rest before the address changes: browsers forbid more than 100 changes in 30 s
const LONGEST_NAME = 30;
const breath = () => new Promise((drawn) => setTimeout(drawn)); // else nobody sees what is under way
const isRaw = (name) => /base/i.test(name); // never trained on a chat, as in chat.py

function decoded(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64); // since 2025
  const letters = atob(base64), bytes = new Uint8Array(letters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

/** The bytes that an element holds as gzip in base64. Then it is in nobody's way any more. */
export async function unpacked(element) {
  const packed = decoded(element.textContent);
  element.textContent = "";
  const { readable, writable } = new DecompressionStream("gzip"), writer = writable.getWriter();
  const read = new Response(readable).arrayBuffer();
  await Promise.all([read, writer.write(packed), writer.close()]);
  return new Uint8Array(await read);
}

/** The page in `el`. `bring` gives the bytes that an element of the document stands for. */
async function run(el, bring) {
  const find = (kind) => [...document.querySelectorAll(`script[data-${kind}]`)];
  const json = async (element) => JSON.parse(new TextDecoder().decode(await bring(element)));
  // The script stands behind the first model; the others are still being read.
  const isRead = new Promise((read) => {
    if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", read);
    else read();
  });
  const [wasmAt] = find("wasm"), [truthAt] = find("truth"), [wordsAt] = find("words");
  const [firstAt] = find("model"), program = bring(wasmAt), soonest = bring(firstAt);
  soonest.catch(() => {}); // whoever loads it is told
  const [words, wasm] = await Promise.all([json(wordsAt), program]);
  let world = null; // some pages come without
  let engine = new WasmEngine(wasm, null, { comes: Boolean(truthAt) });
  let explorer, talk, leaveChat, state, first, part = EXPLORER, isWhole = false, timer;
  let noted = null, last = "", learning = []; // the view that the address has, and of what kind it is

  // ---- Parts of the page ------------------------------------------------------------------------

  const texts = make("div"), chat = make("div");
  const status = make("p", { className: "course-soft", role: "status" });
  const problem = make("p", { className: "course-problem", role: "alert" });
  const [file, fileLabel] = labelled("Your own model (.gguf)", "input", { type: "file", accept: ".gguf",
    onchange: async () => {
      await openFiles([...file.files]);
      file.value = ""; // the same file again is news, too
    } });
  const address = make("textarea", { className: "play-address", readOnly: true, rows: 2, hidden: true,
    "aria-label": "Link to what you see" });
  const copyLink = button("Copy link", async () => {
    note.now();
    const done = await toClipboard(location.href, address);
    const how = done ? "The link is in the clipboard." : "Press Ctrl+C (or ⌘C) to copy the link.";
    const isLong = written(seen(), first) === null;
    status.textContent =
      isLong ? `${how} What you see is too long for a link: this one leads to the beginning.` : how;
  });
  const [list, open] = tabs({ [EXPLORER]: ["What comes next?", texts], [CHAT]: ["Chat", chat] }, (id) => {
    part = id;
    hush();
    look();
    greet();
  });
  const foot = make("footer", { className: "course-page course-quiet play-foot" },
    problem, status, make("div", { className: "play-line" }, fileLabel, copyLink), address,
    make("p", { className: "course-soft", textContent:
      "The models run in this page. Nothing that you type, and no file that you open, leaves it." }));

  /** What was said of a link is over once something else is seen. */
  const hush = () => {
    if (!address.hidden || /link/.test(status.textContent)) status.textContent = "";
    address.hidden = true;
  };

  // ---- What is seen, and its address ------------------------------------------------------------

  const asked = () =>
    talk.get("talk").map(({ question, temperature, seed }) => [question, temperature, seed]);
  const seen = () => ({ ...state, part, asked: asked() });
  const note = () => {
    clearTimeout(timer);
    timer = setTimeout(note.now, NOTE_MS);
  };
  note.now = () => {
    clearTimeout(timer);
    if (explorer) setAddress(noted ?? seen());
  };
  const setAddress = (view, how = "replaceState") => {
    const hash = (view && written({ ...view, asked: asked() }, first)) ?? "";
    try {
      history[how]({ kind: last }, "", location.href.split("#")[0] + hash);
    } catch {
      // somebody shows the page where it has no address of its own
    }
  };
  /** Something else is seen. What can be gone back from gets an address of its own, and the one before
      keeps what was seen there. */
  const look = () => {
    if (!noted) return; // it is only being set up
    const next = seen(), kind = stepTo(next, noted, { learning, texts: words.texts });
    if (kind && !(RUNS.includes(kind) && kind === last)) {
      note.now();
      last = kind;
      setAddress(next, "pushState");
    }
    noted = next;
    note();
  };

  /** What the address asks for, if it can be shown; else the beginning, with a sentence. */
  async function told() {
    if (location.hash.length < 2) return first;
    try {
      const found = read(location.hash, first);
      const { part: _, asked: __, ...dials } = found;
      const ask = await remembering(engine), { models, learning } = ask.info;
      if (![...models, ...learning].includes(dials.model)) {
        throw new Error(`there is no model ${dials.model.slice(0, LONGEST_NAME)} here`);
      }
      await shown(ask, begun(ask, dials));
      return found;
    } catch ({ message }) {
      const why = message.replace(/\.$/, "");
      problem.textContent = `The link can't be followed, so the page starts afresh: ${why}.`;
      return first;
    }
  }

  /** The model that the address asks for: it may be yet to come. */
  function wanted() {
    try {
      return read(location.hash, { ...first, model: "" }).model;
    } catch {
      return "";
    }
  }

  /** Asks the questions of a link, one after the other, in a talk of their own. */
  async function askAll(questions) {
    if (questions.length) await talk.invite(talk.get("speakers"));
    for (const [i, [question, temperature, seed]] of questions.entries()) {
      await talk.ask({ question, temperature, seed, keep: i });
    }
  }

  // ---- Models come and go -----------------------------------------------------------------------

  const speakers = async () => {
    const { models, chat } = await engine.info();
    return models.map((name) => ({ name, raw: isRaw(name) || !chat }));
  };

  /** Shows the models that have come so far: at first, or in place of those before. */
  async function show(dials = {}) {
    const { models, truth } = await engine.info();
    noted = null;
    first = beginning({ text: words.texts[0], model: models[0], truth, ...dials });
    const { part, asked, ...begin } = await told();
    explorer?.stop();
    talk?.send({ do: "stop" });
    leaveChat?.();
    texts.replaceChildren();
    chat.replaceChildren();
    state = begin;
    talk = new Talk(engine, { ...words, speakers: await speakers() });
    talk.on("change:busy", note);
    explorer = mount({ engine, el: texts, options: { dials: begin, examples: words.texts,
      onState: (next) => {
        if (JSON.stringify(state) !== JSON.stringify(next)) hush();
        state = next;
        look();
      } } });
    await explorer.act({ do: "look again" });
    leaveChat = render({ model: talk, el: chat });
    open(part);
    noted = seen();
    return asked;
  }

  /** One more model is there. */
  async function join() {
    const all = await speakers();
    ({ learning } = await engine.info());
    if (all.length > talk.get("speakers").length) await talk.invite(all);
    await explorer.refresh();
  }

  /** Somebody who looks at the chat finds a question answered, as in the notebooks. */
  function greet() {
    const asked = [...talk.get("talk"), ...talk.get("earlier")];
    if (part === CHAT && isWhole && !asked.length) talk.ask({ question: words.question });
  }

  async function openFile(file) {
    let name = file.name.replace(/\.gguf$/i, "").slice(0, LONGEST_NAME) || "mine";
    if (find("model").some(({ dataset }) => dataset.model === name)) name = `my ${name}`;
    status.textContent = `Opening ${name} …`;
    await breath();
    if (await engine.load(name, file).then(() => true, () => false)) {
      await join();
      await explorer.act({ do: "set", model: name, compare: false });
      status.textContent = `${name} has joined: it has the same tokens and sizes as the others.`;
      return;
    }
    const fresh = new WasmEngine(wasm, world, { comes: Boolean(truthAt && !world) }); // its tokens may be others; or it is no model at all
    await fresh.load(name, file);
    engine = fresh;
    isWhole = true;
    setAddress(null);
    const opened = part;
    await show({ text: state.text });
    open(opened);
    status.textContent = `${name} has other tokens or sizes than the models before, so it is alone ` +
      "here now. Reload the page, and they are back.";
  }

  async function openFiles(files) {
    problem.textContent = "";
    for (const one of files) {
      await openFile(one).catch(({ message }) => {
        status.textContent = "";
        problem.textContent = message;
      });
    }
  }

  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return; // text may be dragged as ever
      event.preventDefault();
      document.body.classList.toggle("play-dragged", kind === "dragover");
      if (kind === "drop" && explorer) openFiles([...event.dataTransfer.files]);
    });
  }
  /** Shows what the address has: somebody has gone back, or followed a link in this tab. Whoever goes
      back finds the chat as it is: what was said is not asked again. */
  window.addEventListener("popstate", async ({ state: known }) => {
    if (!explorer) return;
    clearTimeout(timer);
    problem.textContent = "";
    noted = null;
    const { part, asked, ...dials } = await told();
    await explorer.act({ do: "become", state: dials });
    if (!known) {
      talk.send({ do: "stop" });
      await askAll(asked);
    }
    open(part);
    last = known?.kind ?? "";
    noted = seen();
  });

  // ---- The start --------------------------------------------------------------------------------

  first = beginning({ text: words.texts[0], truth: Boolean(truthAt) });
  if (wanted() && find("model")[0].dataset.model !== wanted()) await isRead; // a link's may be any
  const failed = [], own = engine;
  let elements = find("model");
  const needed = elements.findIndex(({ dataset }) => dataset.model === wanted());
  let questions;
  const begin = async () => {
    el.replaceChildren(texts, chat, foot);
    document.querySelector("header").append(list);
    questions = await show();
    await painted();
    document.documentElement.dataset.ready = Math.round(performance.now());
    if (truthAt) { // the bars were there without it, as its many words take a while
      world = new Truth(await json(truthAt));
      engine.give(world);
      await explorer.refresh();
    }
    for (const name of loaded.splice(0)) await own.unpack(name);
    await isRead;
    elements = find("model");
  };
  const loaded = []; // those whose numbers are still packed
  for (let i = 0; i < elements.length; i++) { // when one is shown, there may be more
    const { model: name, learning } = elements[i].dataset;
    (explorer ? status : el).textContent = `Loading the model ${name} …`;
    if (explorer) await breath();
    const packed = !explorer;
    const error = await (elements[i] === firstAt ? soonest : bring(elements[i]))
      .then((bytes) => own.load(name, bytes, { learning: learning !== undefined, packed }))
      .then(() => null, ({ message }) => message);
    if (engine !== own) return; // a person's own model has taken the place of all
    if (error) {
      failed.push(error);
      await isRead; // the next may stand there half: the browser puts an element in before its text
      elements = find("model");
      continue;
    }
    if (packed) loaded.push(name);
    if (explorer) await join();
    else if (i >= needed) await begin();
  }
  if (failed.length === elements.length) throw new Error(failed[0]);
  if (!explorer) await begin(); // without the model that was wanted
  status.textContent = "";
  if (failed.length) problem.textContent = failed.join(" ");
  if (!talk.get("talk").length) await askAll(questions);
  isWhole = true;
  document.documentElement.dataset.whole = "";
  greet();
}

/** The page, in the document's element `play`. `bring` gives the bytes that an element stands for. */
export function start(bring) {
  const el = document.getElementById("play");
  if (window.parent !== window) document.documentElement.dataset.framed = ""; // that page has a title
  followTheme(document.documentElement);
  run(el, bring).catch(({ message }) => {
    el.textContent =
      `This page can't start here: ${message} If your browser is older than 2023, try a newer one.`;
    el.setAttribute("role", "alert");
  });
}
