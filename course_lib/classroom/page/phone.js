// The phone: it joins by a code, shows what is asked, and sends what is pressed until the room says
// that it has it. What couldn't be sent is kept in the browser, so that nothing is lost to a tunnel,
// a pocket, or a server that was started anew.
import { again, ask, asked, count, frame, Refused } from "./room.js";
import { button, labelled, make } from "./page.js";

const LOOK_MS = 2000;
const NEXT_MS = 350; // so that one sees what was pressed before the next pair comes
const KEPT = `room ${location.pathname}`;

const main = frame("phone");
const body = make("section", { className: "room-body" });
const status = make("p", { className: "room-status", role: "status" });
const problem = make("p", { className: "course-problem", role: "alert" });
const play = make("a", { href: "play/", textContent: "Play with the models" });
const forget = button("Delete my votes", () => askToForget());
const foot = make("footer", {}, play, forget, make("p", { className: "course-soft", textContent:
  "No name and no address is kept. Your votes are known by a random number that this phone holds." }));
main.append(body, problem, status, foot);

let drawn = ""; // what the page shows, as text: it is drawn anew only when that changes
let round = null, isIn = false, at = 0;
let waiting = kept(); // item -> {opening, item, value, rev}: not yet acknowledged
let own = {}; // item -> [value, rev]

function kept() {
  try {
    return JSON.parse(localStorage.getItem(KEPT)) ?? {};
  } catch {
    return {}; // a browser that keeps nothing still votes
  }
}

function keep() {
  try {
    localStorage.setItem(KEPT, JSON.stringify(waiting));
  } catch {
    // then it lasts as long as the page
  }
}

// ---- Asking and sending ---------------------------------------------------------------------------

const look = again(async () => {
  try {
    await send();
    const told = await ask("GET", "state");
    isIn = true;
    show(told);
    problem.textContent = "";
  } catch (error) {
    if (error instanceof Refused && error.status === 401) return outside();
    problem.textContent = error instanceof Refused ? error.message
      : "No connection to the room. What you press is kept, and sent as soon as it answers.";
  }
}, LOOK_MS);

/** Sends what waits; the room may have it already, or have closed the vote meanwhile. */
async function send() {
  for (const vote of Object.values(waiting)) {
    try {
      const stands = await ask("PUT", "vote", vote);
      if (round?.opening === vote.opening) own[vote.item] = [stands.value, stands.rev];
      done(vote);
      status.textContent = said("The room has it.");
    } catch (error) {
      if (!(error instanceof Refused) || [401, 429].includes(error.status)) throw error;
      done(vote);
      status.textContent = error.message;
    }
  }
}

function done(vote) {
  if (waiting[vote.item]?.rev === vote.rev) delete waiting[vote.item];
  keep();
  mark();
}

function vote(item, value) {
  // grows with every press, and over a page that is loaded anew
  const rev = Math.max(Date.now(), (own[item]?.[1] ?? 0) + 1, (waiting[item]?.rev ?? 0) + 1);
  waiting[item] = { opening: round.opening, item, value, rev };
  keep();
  mark();
  status.textContent = "Sending …";
  look();
}

const mine = (item) => (waiting[item]?.opening === round.opening ? waiting[item].value : own[item]?.[0]);

const said = (words) => `${words} You can change it until the vote closes.`;

// ---- What is seen ---------------------------------------------------------------------------------

function show(told) {
  play.hidden = !told.play;
  foot.hidden = false;
  const { mine: votes = {}, ...rest } = told.round ?? {};
  if (round?.opening !== rest.opening) at = 0;
  round = told.round ? rest : null;
  own = votes;
  for (const vote of Object.values(waiting)) {
    if (round?.opening !== vote.opening) delete waiting[vote.item]; // of a vote that is over
  }
  const now = JSON.stringify(rest);
  if (now !== drawn) {
    const isNew = drawn !== "";
    drawn = now;
    draw();
    if (isNew) body.querySelector("h1")?.focus({ preventScroll: true });
    status.textContent = "";
  }
  mark();
}

function draw() {
  if (!round) {
    body.replaceChildren(title("You are in."), line("Look at the board: the first question comes soon."));
  } else if (round.state === "closed") {
    body.replaceChildren(...closed());
  } else if (round.kind === "pairs") {
    body.replaceChildren(...pair());
  } else {
    const [part] = round.parts;
    const second = round.ballot === 2 ? [line("Second vote: what do you say now?")] : [];
    body.replaceChildren(asked(round.kind, part.ask), ...second,
      part.choices.length ? choices(part) : number(part));
  }
}

const title = (text) => make("h1", { textContent: text, tabIndex: -1 });
const line = (text, className = "course-soft") => make("p", { textContent: text, className });

function closed() {
  const question = round.kind === "pairs" ? [] : [line(round.parts[0].ask)];
  const so = round.outcome ? line(round.outcome, "room-outcome") : line("The board shows how you all voted.");
  return [title("The vote is closed."), ...question, ...ownWords(), so];
}

function ownWords() {
  if (round.kind === "pairs") {
    return [line(`You judged ${count(Object.keys(own).length, "pair", "pairs")}.`)];
  }
  const [part] = round.parts, value = own[part.id]?.[0];
  if (value === undefined) return [line("You didn't vote in it.")];
  const text = part.choices.find(([each]) => each === value)?.[1] ?? `${value} ${part.unit}`;
  return [line(`You said: ${text.trim()}`, "room-mine")];
}

function choices(part) {
  // with the letters that the board has, where it has some
  const letter = (value) => (round.kind === "guess" ? `${value.toUpperCase()}  ` : "");
  return group(part.choices.map(([value, text]) => choice(part.id, value, letter(value) + text)), part.ask);
}

function group(buttons, name) {
  return make("div", { className: `room-choices room-${round.kind}`, role: "group", "aria-label": name },
    ...buttons);
}

/** A button for one answer; `mark` presses it. */
function choice(item, value, text, after = () => {}) {
  const one = button(text, () => {
    vote(item, value);
    after();
  }, "room-choice");
  Object.assign(one.dataset, { item, value });
  return one;
}

function number(part) {
  const name = part.unit ? `Your number (${part.unit})` : "Your number";
  const [field, label] = labelled(name, "input", { type: "text", inputMode: "decimal",
    autocomplete: "off", className: "room-number", maxLength: 40 });
  field.dataset.item = part.id;
  field.value = mine(part.id) ?? "";
  const form = make("form", { className: "room-form", onsubmit: (event) => {
    event.preventDefault();
    if (field.value.trim()) vote(part.id, field.value);
  } }, label, make("button", { className: "course-main", textContent: "Send" }));
  return form;
}

/** One pair of answers, blind: which model, and which side, nobody knows here. */
function pair() {
  const part = round.parts[at], [left, right] = part.answers, n = round.parts.length;
  const go = (step) => {
    at = Math.min(Math.max(at + step, 0), n - 1);
    draw();
    mark();
    body.querySelector("h1").focus({ preventScroll: true });
  };
  const next = () => {
    const here = at;
    setTimeout(() => {
      const open = round?.parts.findIndex(({ id }, i) => i > here && mine(id) === undefined) ?? -1;
      if (at === here && round?.state === "open" && open > 0) go(open - here);
    }, NEXT_MS);
  };
  const card = (value, name, text) => {
    const one = choice(part.id, value, "", next);
    one.append(make("span", { className: "course-soft", textContent: `${name} ` }), text);
    one.classList.add("room-answer");
    return one;
  };
  const back = button("Back", () => go(-1)), forth = button("Next", () => go(1));
  back.hidden = at === 0;
  forth.hidden = at === n - 1;
  return [
    line(`Which answer is better? ${at + 1} of ${n}`), asked("pairs", part.ask),
    group([card("left", "First", left), card("right", "Second", right),
      choice(part.id, "tie", "As good as each other", next), choice(part.id, "bad", "Both bad", next)],
    "Which answer is better?"),
    make("p", { className: "room-steps" }, back, forth),
  ];
}

/** Presses the buttons of what was voted. */
function mark() {
  for (const one of body.querySelectorAll(".room-choice")) {
    one.setAttribute("aria-pressed", String(mine(one.dataset.item) === one.dataset.value));
  }
}

// ---- In and out -----------------------------------------------------------------------------------

/** The form for the code; a code in the address is tried at once, and once only. */
async function outside() {
  const code = decodeURIComponent(location.hash.slice(1));
  if (code) {
    history.replaceState(null, "", location.pathname);
    if (await join(code)) return;
  }
  if (drawn === "outside") return;
  [drawn, round, isIn, waiting, own] = ["outside", null, false, {}, {}];
  keep();
  foot.hidden = true;
  const [field, label] = labelled("Code on the board", "input", { type: "text", autocomplete: "off",
    autocapitalize: "characters", spellcheck: false, className: "room-code", maxLength: 12 });
  body.replaceChildren(title("Join the room"), make("form", { className: "room-form",
    onsubmit: (event) => {
      event.preventDefault();
      join(field.value);
    } }, label, make("button", { className: "course-main", textContent: "Join" })));
}

async function join(code) {
  try {
    await ask("POST", "join", { code });
    problem.textContent = "";
    look();
    return true;
  } catch (error) {
    problem.textContent = error instanceof Refused ? error.message : "No connection to the room.";
    return false;
  }
}

/** Asks once more before all is deleted. */
function askToForget() {
  const sure = make("p", { className: "room-sure" },
    button("Yes, delete them and leave", async () => {
      try {
        const { deleted } = await ask("DELETE", "me");
        await outside();
        sure.remove();
        status.textContent = `Deleted: ${count(deleted, "vote", "votes")}. This phone is forgotten.`;
      } catch (error) {
        problem.textContent = error.message;
      }
    }), button("No", () => {
      sure.remove();
      forget.hidden = false;
      forget.focus();
    }));
  forget.hidden = true;
  forget.after(sure);
  sure.firstChild.focus();
}

window.addEventListener("hashchange", () => isIn || outside());
