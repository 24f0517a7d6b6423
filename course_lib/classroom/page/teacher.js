// The teacher's page: rounds are made, opened, closed, voted again, shown. Each press is a request;
// what the page shows afterwards is what the room says.
import { again, ask, count, frame, Refused } from "./room.js";
import { button, labelled, make } from "./page.js";

const LOOK_MS = 1500;
const STATES = { draft: "not asked yet", open: "open", closed: "closed" };

const main = frame("teacher");
const problem = make("p", { className: "course-problem", role: "alert" });
const status = make("p", { role: "status", className: "course-soft" });
const list = make("section", { "aria-label": "Rounds" });
const practice = make("section", { "aria-label": "Practice" });
const head = make("p", {});
let drawn = "", state = null, isAway = false;

const look = again(async () => {
  try {
    state = await ask("GET", "teacher/state");
    if (isAway) problem.textContent = ""; // what an action was told stays until the next one
    isAway = false;
    if (!main.hasChildNodes()) await begin();
    show();
  } catch (error) {
    if (error instanceof Refused && error.status === 403) return enter(error);
    isAway = true;
    problem.textContent = error instanceof Refused ? error.message : "The room doesn't answer.";
  }
}, LOOK_MS);

/** With the secret out of the address; it is taken from there, so that nobody reads it on the wall. */
async function enter() {
  const secret = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  main.replaceChildren(make("h1", { textContent: "The teacher's page" }),
    make("p", { textContent: "Open the link that the terminal showed when the room was made." }), problem);
  if (!secret) return;
  try {
    await ask("POST", "teacher/enter", { secret });
    main.replaceChildren();
    look();
  } catch (error) {
    problem.textContent = error.message;
  }
}

window.addEventListener("hashchange", () => location.hash && enter());

async function act(what, path = "teacher/do") {
  try {
    const told = await ask("POST", path, what);
    problem.textContent = "";
    return told;
  } catch (error) {
    problem.textContent = error.message;
  } finally {
    look();
  }
}

async function begin() {
  const { kinds, guesses, words, pairs, plans } = await ask("GET", "teacher/catalog");
  const option = (value, text) => make("option", { value, textContent: text });
  const [guess, guessLabel] = labelled("Guess", "select", {});
  for (const [id, notebook, kind, text] of guesses) {
    guess.append(option(id, `${notebook.split("_")[0]}${kind === "quiz" ? " quiz" : ""}: ${text.slice(0, 90)}`));
  }
  const [word, wordLabel] = labelled(kinds.word, "select", {}, ...words.map((text) => option(text, `${text} …`)));
  const [n, nLabel] = labelled(`${kinds.pairs} Pairs:`, "input", { type: "number", min: 1, max: 30, value: 12 });
  const row = (label, what) => make("p", { className: "room-line" }, label, button("Add", () => act({ do: "add", ...what() })));
  const [plan, planLabel] = labelled("The votes of a plan", "select", {},
    ...plans.map(({ title, votes }, i) => option(i, `${title} (${votes.length})`)));
  const addPlan = button("Add them all", async () => {
    // the last first: the list has the latest on top, and then that is the plan's first
    for (const about of [...plans[plan.value].votes].reverse()) await act({ do: "add", kind: "guess", about });
  });
  const [file, fileLabel] = labelled("Votes of another room (votes.jsonl)", "input", { type: "file", accept: ".jsonl",
    onchange: async () => {
      try {
        const told = await ask("POST", "teacher/import", file.files[0]);
        problem.textContent = "";
        status.textContent = `Taken in: ${count(told.votes, "vote", "votes")}. Our own in the file: ${told.own}.`;
      } catch (error) {
        status.textContent = "";
        problem.textContent = error.message;
      }
      file.value = "";
      look();
    } });
  const link = (name) => make("a", { href: `teacher/export/${name}`, download: name, textContent: name });
  main.replaceChildren(
    make("h1", { textContent: "The teacher's page" }), head, problem, status,
    make("section", {}, make("h2", { textContent: "Ask something" }),
      row(guessLabel, () => ({ kind: "guess", about: guess.value })),
      row(wordLabel, () => ({ kind: "word", about: word.value })),
      row(nLabel, () => ({ kind: "pairs", n: Math.round(n.valueAsNumber) || 0 })),
      row(make("span", { textContent: kinds.stuck }), () => ({ kind: "stuck" })),
      ...(plans.length ? [make("p", { className: "room-line" }, planLabel, addPlan)] : []),
      make("p", { className: "course-soft", textContent: `${pairs} pairs in all; a round takes those that no other has.` })),
    list, practice, make("section", {}, make("h2", { textContent: "Take the votes with you" }),
      make("p", { className: "course-soft", textContent: "Closed rounds only. Lesson 05 and other rooms read votes.jsonl; preferences.jsonl is for TRL and datasets." }),
      make("p", { className: "room-line" }, link("votes.jsonl"), link("votes.csv"), link("preferences.jsonl")),
      make("p", { className: "room-line" }, fileLabel)));
}

function show() {
  const { code, links, devices, rounds } = state;
  showPractice(state);
  const now = JSON.stringify([code, links, devices, rounds]);
  if (now === drawn) return;
  drawn = now;
  head.replaceChildren(make("a", { href: "board", target: "_blank", textContent: "Open the board" }),
    ` for the projector. Phones go to ${links.join(" or ")} and type ${code}. ${count(devices, "phone is", "phones are")} in.`);
  const held = document.activeElement?.dataset.held; // whoever pressed a button finds it again
  const opened = new Set([...list.querySelectorAll("details[open]")].map((one) => one.dataset.round));
  const typed = new Map([...list.querySelectorAll("input")].map((one) => [one.dataset.held, one.value]));
  list.replaceChildren(...(rounds.length ? rounds.map(drawRound).reverse()
    : [make("p", { textContent: "No round yet: add one above." })]));
  for (const one of list.querySelectorAll("details")) one.open = opened.has(one.dataset.round);
  for (const one of list.querySelectorAll("input")) one.value = typed.get(one.dataset.held) ?? one.value;
  if (held) (list.querySelector(`[data-held="${held}"]`) ?? list.querySelector("button"))?.focus();
}

/** The votes train a reward model, and the assistant practises against it. */
function showPractice({ practice: isOnBoard, practising: { votes, state: at, step, steps, pairs, why } }) {
  const runs = ["starting", "learning", "practising", "asking"].includes(at);
  const told = {
    starting: "It is starting.",
    learning: "The reward model is learning.",
    practising: `Step ${step} of ${steps}.`,
    asking: "It is being asked.",
    done: pairs ? `Done, with ${count(pairs, "vote", "votes")}.` : "Done, in your notebook.",
    stopped: "Stopped.",
    failed: `It broke off. ${why ?? ""}`.trim(),
  };
  const can = [runs ? ["stop", "Stop"] : ["start", at ? "Practise again" : "Practise on these votes"]];
  if (at && !isOnBoard) can.push(["show", "Put it on the board"]);
  const words = [
    `${count(votes, "vote", "votes")} of closed rounds prefer one answer of a pair. A reward model learns from them, the ` +
      "assistant practises against it for half a minute, and the board asks it the same six questions before and after.",
    at ? told[at] : "", isOnBoard ? "On the board." : ""];
  const now = JSON.stringify([words, can, votes]);
  if (practice.dataset.drawn === now) return;
  practice.dataset.drawn = now;
  const held = practice.contains(document.activeElement);
  practice.replaceChildren(make("h2", { textContent: "Let the votes change the assistant" }),
    make("p", { className: "course-soft", textContent: words[0] }),
    make("p", { className: "room-line" }, ...can.map(([name, text]) =>
      button(text, () => act({ do: name }, "teacher/practice"), "")),
    make("span", { role: "status", textContent: words.slice(1).join(" ").trim() })));
  if (held) practice.querySelector("button")?.focus();
}

function drawRound(round) {
  const press = (name, text, main = false) => {
    const one = button(text, () => act({ do: name, round: round.id }), main ? "course-main" : "");
    one.dataset.held = `${round.id} ${name}`;
    return one;
  };
  const { state: at, ballot, shown, kind } = round, twice = ["guess", "word"].includes(kind);
  const can = [];
  if (at === "draft") can.push(press("open", "Open the vote", true));
  if (at === "open") can.push(press("close", "Close the vote", true));
  if (twice && ballot === 1 && at !== "draft" && !shown) can.push(press("again", "Convince your neighbour, vote again"));
  if (at === "closed" && !shown && kind !== "stuck") can.push(press("show", "Show the answer", true));
  if (at === "closed" && !shown) can.push(press("open", "Open it again"));
  if (at === "closed" && !round.current) can.push(press("put", "Put it on the board"));
  if (at !== "draft") can.push(sure(round, "reset", "Reset", "Delete its votes"));
  else can.push(sure(round, "remove", "Remove", "Remove it"));
  const votes = Object.entries(round.turnout).map(([n, votes]) => `${Number(n) === 2 ? "second vote: " : ""}${votes}`);
  const told = `${round.title} · ${STATES[at]}${shown ? ", answer shown" : ""} · votes: ${votes.join(", ") || 0}`;
  const box = make("article", { className: "teacher-round", "aria-label": `${round.title} ${round.name}` },
    make("p", { className: "course-soft", textContent: `${told}${round.current ? " · on the board" : ""}` }),
    make("p", { className: "course-lead", textContent: round.name }),
    make("p", { className: "room-line" }, ...can));
  box.dataset.state = at;
  if (at !== "draft") box.append(hands(round));
  return box;
}

/** A button that deletes, and asks once more. */
function sure(round, name, text, really) {
  let isAsked = false;
  const one = button(text, () => {
    if (isAsked) return act({ do: name, round: round.id });
    isAsked = true;
    one.textContent = `${really}: sure?`;
  });
  one.dataset.held = `${round.id} ${name}`;
  one.addEventListener("blur", () => {
    isAsked = false;
    one.textContent = text;
  });
  return one;
}

/** Counts of hands, for who has no phone. */
function hands(round) {
  const fields = [];
  const field = (item, value, text) => {
    const [input, label] = labelled(text, "input", { type: "number", min: 0, max: 1000 });
    input.dataset.held = `${round.id} ${item} ${value}`;
    fields.push(() => [item, value, Math.round(input.valueAsNumber) || 0]);
    return label;
  };
  const legend = (i) => {
    if (!round.pairs) return "Hands";
    const [prompt, a, b] = round.pairs[i];
    return `${i + 1}. ${prompt} A: ${a} B: ${b}`;
  };
  const groups = round.items.map((item, i) => make("fieldset", {}, make("legend", { textContent: legend(i) }),
    ...round.choices.map(([value, text]) => field(item, value, text))));
  const form = make("form", { className: "teacher-hands", onsubmit: (event) => {
    event.preventDefault();
    act({ do: "hands", round: round.id, counts: numbers ? typed() : fields.map((read) => read()) });
  } });
  let numbers = null;
  if (!round.choices.length) {
    const [input, label] = labelled("Numbers that were called, with spaces between", "input", { type: "text" });
    input.dataset.held = `${round.id} numbers`;
    numbers = input;
    form.append(label);
  } else form.append(...groups);
  const typed = () => {
    const counts = {};
    for (const value of numbers.value.split(/[\s;]+/).filter(Boolean)) counts[value] = (counts[value] ?? 0) + 1;
    return Object.entries(counts).map(([value, n]) => ["", value, n]);
  };
  form.append(make("button", { textContent: "Count them", type: "submit" }));
  const box = make("details", {}, make("summary", { textContent: "Hands, counted in the room" }), form);
  box.dataset.round = String(round.id);
  return box;
}
