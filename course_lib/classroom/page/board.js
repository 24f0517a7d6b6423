// The board: what is asked, how many have voted, and, once the vote is closed, how. It is read from
// the last row, and it is told nothing of an open vote that it would have to keep to itself.
import { again, ask, asked, count, frame, percent, Refused } from "./room.js";
import { make } from "./page.js";

const LOOK_MS = 1000;
const NARROW = 760; // where one scrolls after all
const FEWEST_BITS = 0.005; // what rounds to no bits at all

const main = frame("board");
const body = make("section", { className: "board-main" });
const join = make("aside", { className: "board-join", "aria-label": "How to join" });
const problem = make("p", { className: "course-problem", role: "alert" });
main.append(body, join);
body.append(problem);
let drawn = "", joined = "";

again(async () => {
  try {
    const { rounds: _, ...told } = await ask("GET", "teacher/state");
    problem.textContent = "";
    showJoin(told);
    const { turnout, ...rest } = told.round ?? {};
    const now = JSON.stringify([rest, turnout, told.devices, told.practice && told.practising]);
    if (now !== drawn) draw(told);
    drawn = now;
    fit();
  } catch (error) {
    problem.textContent = error instanceof Refused ? error.message
      : "The room doesn't answer. This page goes on as soon as it does.";
  }
}, LOOK_MS);

/** Smaller until all of it is on the screen: nobody scrolls a wall. */
function fit() {
  for (let k = 1; k > 0.45; k -= 0.1) {
    main.style.setProperty("--k", k);
    if (document.documentElement.scrollHeight <= innerHeight + 1 || innerWidth < NARROW) return;
  }
}
window.addEventListener("resize", fit);

/** How to come in: always there, since people come late; large as long as nothing is asked. */
function showJoin({ code, links, round, practice }) {
  const isIdle = !round && !practice;
  const now = JSON.stringify([code, links, isIdle]);
  if (now === joined) return;
  joined = now;
  join.dataset.large = String(isIdle);
  const [link] = links;
  join.replaceChildren(
    make("img", { src: `teacher/qr.svg?of=${encodeURIComponent(link)}`, alt: `QR code of ${link}` }),
    make("p", { className: "board-link", textContent: link.replace(/^http:\/\/|\/$/g, "") }),
    make("p", { className: "board-code", textContent: code, "aria-label": `Code ${[...code].join(" ")}` }),
    make("p", { className: "board-call", textContent: `from course_lib.classroom import join\njoin("${code}", "${link}")` }),
  );
}

function draw({ round, devices, practice, practising }) {
  if (practice) return void body.replaceChildren(problem, ...changes(practising));
  const phones = count(devices, "phone is", "phones are");
  if (!round) {
    body.replaceChildren(problem, make("h1", { textContent: "Join the room" }),
      say("Scan the code, or type address and code into your phone. No name, no account."),
      say(`${phones} in.`, "board-turnout"));
    return;
  }
  const title = round.kind === "pairs"
    ? make("h1", { textContent: "Which answer is better?" }) : asked(round.kind, round.ask);
  const n = round.turnout[round.ballot] ?? 0;
  const votes = `${count(n, "vote", "votes")}, ${count(devices, "phone", "phones")}`;
  const parts = [problem, title];
  const { result } = round;
  if (round.state === "open") {
    if (round.ballot === 2) parts.push(say("Convince your neighbour, then vote again.", "board-turnout"));
    if (!result) parts.push(...options(round));
    parts.push(say(votes, "board-turnout"));
  }
  if (result) parts.push(...shown(round, result));
  if (round.state === "closed") parts.push(say(`Closed: ${votes}.`));
  body.replaceChildren(...parts);
}

const say = (text, className = "course-soft") => make("p", { textContent: text, className });

function options(round) {
  if (round.kind === "pairs") {
    return [say(`${round.items.length} pairs of answers stand on your phone, in an order of your own.`)];
  }
  if (!round.choices.length) return [say(round.unit ? `A number: ${round.unit}` : "A number.")];
  if (round.kind === "word") return [say(round.choices.map(([, text]) => text).join(" · "), "board-options")];
  return [make("div", { className: "board-options" }, ...round.choices.map(([value, text]) =>
    make("p", {}, make("b", { textContent: value.toUpperCase() }), make("span", { textContent: text }))))];
}

function shown(round, result) {
  if (result.pairs) return ofPairs(result);
  const found = result.bars ? ofChoices(round, result) : ofNumbers(round, result);
  const note = result.note ? [say(result.note)] : [];
  return [...found, ...scores(result), ...note];
}

// ---- The votes change the assistant -----------------------------------------------------------------

/** Six questions that nobody voted on, and what the assistant says to them before and after. */
function changes({ state, pairs, step = 0, steps = 0, rows = [], numbers = [], why = "" }) {
  const under = {
    starting: "The assistant is being woken up.",
    learning: "The reward model is learning what you like.",
    practising: `The assistant is practising: step ${step} of ${steps}.`,
    asking: "The assistant has practised. Now it is asked more questions.",
    stopped: "The practice was stopped.",
    failed: `The practice broke off. ${why}`.trim(),
  };
  const changed = rows.filter(([, before, after]) => after && after[0] !== before[0]).length;
  const lead = rows[0]?.length > 2 ? `${changed} of its ${rows.length} answers have changed.` : "What will your votes change?";
  const from = pairs ? `It learns from ${count(pairs, "vote", "votes")}. Nobody voted on these questions.` : "";
  const said = ([answer, verdict] = ["", ""]) => make("td", {}, answer,
    ...(verdict ? [make("small", { textContent: ` ${verdict}` })] : []));
  const head = ["", "before", "after your votes"].map((text) => make("th", { scope: "col", textContent: text }));
  const table = make("table", { className: "board-changes" }, make("thead", {}, make("tr", {}, ...head)),
    make("tbody", {}, ...rows.map(([asked, before, after]) => {
      const row = make("tr", {}, make("th", { scope: "row", textContent: asked }), said(before), said(after));
      row.dataset.changed = String(Boolean(after) && after[0] !== before[0]);
      return row;
    })));
  const amount = (value, isShare) => (isShare ? percent(value) : value.toFixed(1));
  const scores = make("ul", { className: "board-scores" }, ...numbers.map(([what, isShare, before, after]) =>
    make("li", {}, make("b", { textContent: `${amount(before, isShare)} → ${amount(after, isShare)}` }), what)));
  return [make("h1", { textContent: lead }), ...(under[state] ? [say(under[state], "board-turnout")] : []),
    ...(from ? [say(from)] : []), ...(rows.length ? [table] : []), ...(numbers.length ? [scores] : [])];
}

// ---- Choices --------------------------------------------------------------------------------------

function ofChoices(round, { ballots, bars }) {
  const totals = ballots.map((_, i) => bars.reduce((sum, { votes }) => sum + votes[i], 0) || 1);
  const hasTruth = bars.some(({ truth }) => truth !== undefined);
  const shares = bars.flatMap(({ votes, truth = 0, model = 0 }) =>
    [...votes.map((n, i) => n / totals[i]), truth, model]);
  const top = Math.max(...shares, 0.01);
  const rows = bars.map(({ text, votes, truth, model, right }) => {
    const track = make("div", { className: "board-track", role: "img", "aria-label": words(votes, truth, model) },
      ...votes.map((n, i) => bar(n / totals[i] / top, votes.length > 1 && i === 0 ? "first" : "class")));
    if (model !== undefined) track.append(bar(model / top, "model"));
    if (truth !== undefined) track.append(mark(truth / top));
    const told = votes.map((n, i) => percent(n / totals[i])).join(" → ");
    const row = make("div", { className: "board-row" }, make("p", { className: "board-text", textContent: text }),
      track, make("p", { className: "board-n" }, told, make("small", {}, ` ${votes.at(-1) ?? 0}`)));
    row.dataset.right = String(Boolean(right));
    return row;
  });
  return [...finding(round, bars, totals), key(ballots, hasTruth), make("div", { className: "board-rows" }, ...rows)];

  function words(votes, truth, model) {
    const told = votes.map((n, i) => `${votes.length > 1 ? `vote ${i + 1}: ` : ""}${percent(n / totals[i])}`);
    if (model !== undefined) told.push(`the model: ${percent(model)}`, `the truth: ${percent(truth)}`);
    return told.join(", ");
  }
}

/** What the eye should see first, as a sentence. */
function finding(round, bars, totals) {
  const right = bars.find((bar) => bar.right);
  if (right) {
    const [first, again] = right.votes.map((n, i) => percent(n / totals[i]));
    const text = again === undefined ? `${first} of you are right.` : `Right: ${first}, and ${again} after you talked.`;
    return [make("h2", { textContent: text, className: "board-turnout" })];
  }
  if (bars[0]?.truth === undefined) return [];
  const most = bars.reduce((a, b) => (b.votes.at(-1) > a.votes.at(-1) ? b : a));
  const share = percent(most.votes.at(-1) / totals.at(-1));
  const text = `${share} of you say “${most.text}”. In truth it comes ${percent(most.truth)} of the time.`;
  return [make("h2", { textContent: text, className: "board-turnout" })];
}

function bar(share, who) {
  const one = make("div", { className: "board-bar" });
  one.dataset.who = who;
  one.style.setProperty("--p", share);
  return one;
}

function mark(share) {
  const one = make("div", { className: "board-truth" });
  one.style.setProperty("--p", share);
  return one;
}

function key(ballots, hasTruth) {
  const named = (text, colour, who) => {
    const one = make("span", { textContent: text });
    one.style.setProperty("--c", `var(--course-${colour})`);
    if (who) one.dataset.who = who;
    return one;
  };
  const line = make("p", { className: "board-key" });
  if (ballots.length > 1) line.append(named("first vote", "people", "first"), named("after talking", "people"));
  else line.append(named("you", "people"));
  if (hasTruth) {
    line.append(named("the base model", "base"));
    line.append(make("span", { className: "board-ink", textContent: "the truth" }));
  }
  return line;
}

function scores({ bits }) {
  if (!bits) return [];
  return [make("ul", { className: "board-scores" }, ...bits.map(({ who, bits: n }) =>
    make("li", {}, make("b", { textContent: `${n < FEWEST_BITS ? 0 : n.toFixed(2)} bits` }), who)))];
}

// ---- Numbers --------------------------------------------------------------------------------------

function ofNumbers(round, { ballots, bins, middle, answer, found, close, unit }) {
  if (!bins.length) return [say("Nobody has voted.")];
  const top = Math.max(...bins.flatMap(({ votes }) => votes), 1);
  const hist = make("div", { className: "board-hist", role: "img", "aria-label": bins.map(({ low, high, votes }) =>
    `${low} to ${high}: ${votes.join(" and ")}`).join("; ") }, ...bins.map(({ votes }) =>
    make("div", {}, ...votes.map((n, i) => bar(n / top, votes.length > 1 && i === 0 ? "first" : "class")))));
  const parts = [key(ballots, false), hist,
    make("div", { className: "board-axis", "aria-hidden": "true" }, ...bins.map(({ text }) => make("span", {}, text)))];
  if (answer) {
    const [low, high] = [bins[0].low, bins.at(-1).high];
    hist.append(mark(Math.min(Math.max((answer.value - low) / (high - low), 0), 1)));
    parts.unshift(make("h2", { className: "board-turnout",
      textContent: `It is ${answer.text}. Close enough: ${found.join(", and after talking ")}.` }), say(`${close}.`));
  }
  const halves = middle.map((value, i) => `${ballots.length > 1 ? `vote ${i + 1}: ` : ""}${value}${unit === "%" ? "%" : ""}`);
  parts.push(say(`Half of you say less than this, half more: ${halves.join(", ")}`));
  return parts;
}

// ---- Pairs ----------------------------------------------------------------------------------------

function ofPairs({ pairs, agree, note }) {
  const told = agree.map(({ who, share }) =>
    make("li", {}, make("b", { textContent: share === null ? "no votes" : percent(share) }), `with ${who}`));
  const lead = agree[0].share === null ? "Too few votes to agree or differ."
    : `Two of you, drawn by lot, agree in ${percent(agree[0].share)} of the pairs.`;
  // those that split the room most are worth a word
  const split = ({ votes: { a, b } }) => (a + b ? Math.abs(a - b) / (a + b) : 2);
  const isSplit = pairs.some(({ votes: { a, b } }) => a && b);
  const rows = [...pairs].sort((one, other) => split(one) - split(other)).slice(0, 3).map(({ part, votes, gold }) => {
    const side = (name, i) => {
      const one = make("div", {}, make("b", { textContent: votes[name] }), part.answers[i]);
      one.dataset.gold = String(gold === name);
      return one;
    };
    return make("div", { className: "board-pair" }, make("p", { textContent: part.ask }), side("a", 0), side("b", 1));
  });
  const frame = pairs[0]?.gold ? [say(`${note} A frame marks what the gold reward prefers.`)] : [];
  return [make("h2", { className: "board-turnout", textContent: lead }),
    ...(agree.length > 1 ? [make("ul", { className: "board-scores" }, ...told)] : []), ...frame,
    say(isSplit ? "These split you most:" : "Nobody disagreed with anybody. Three of the pairs:"), ...rows];
}
