// The page's side of chat.py: it draws what the kernel tells and sends what is clicked and typed.
// Where no kernel is, talk.js in `play` tells and hears the same.

import {
  button, enable, labelled, make, NO_WORD, SILENT_MS, inItsCell, sent,
} from "./page.js";

const BUSY = "Still writing: press Stop or Esc first.";
const STAGES = [["base", /^base\b/i], ["sft", /^sft\b/i], ["rlhf", /^(rlhf|ppo|dpo)\b/i]];

/** The colour that a model has in every picture; one that is no stage of the course has none. */
const stageOf = (name) => STAGES.find(([, known]) => known.test(name))?.[0] ?? "other";

/** What stands beside an answer: "12 tokens", "40 tokens, cut off". */
function tally({ n_tokens, state }) {
  const tokens = `${n_tokens} ${n_tokens === 1 ? "token" : "tokens"}`;
  return state === "ended" ? tokens : `${tokens}, ${state}`;
}

function column(speaker, answer) {
  const silent = answer.state !== "writing" && !answer.text;
  return make(
    "div",
    { className: `chat-column chat-${stageOf(speaker.name)}` },
    make("p", { className: "chat-head" },
      make("span", { className: "chat-name course-key", textContent: speaker.name }),
      make("span", { className: "course-soft chat-tally", textContent: tally(answer) })),
    make("p", { className: "chat-answer", textContent: silent ? "(no text)" : answer.text }),
  );
}

function turnView(turn, speakers, number) {
  const how = turn.temperature ? `temperature ${turn.temperature}, seed ${turn.seed}` : "greedy";
  const columns = turn.answers.map((answer, i) => column(speakers[i], answer));
  return make(
    "section",
    { className: "chat-turn", "aria-label": `Question ${number}` },
    make(
      "p",
      { className: "chat-question" },
      make("span", { className: "course-soft", textContent: turn.follows ? "Follow-up: " : "Question: " }),
      make("span", { className: "course-lead", textContent: turn.question }),
      make("span", { className: "course-soft", textContent: ` (${how})` }),
    ),
    ...(turn.note ? [make("p", { className: "course-soft chat-note", textContent: turn.note })] : []),
    make("div", { className: "chat-columns" }, ...columns),
  );
}

/** Who gets what, in one line for each kind: "base gets the bare text ...". */
function notes(speakers) {
  const named = (raw) => speakers.filter((one) => Boolean(one.raw) === raw).map((one) => one.name);
  const [raw, asked] = [named(true), named(false)];
  const s = (names) => (names.length === 1 ? "s" : "");
  return [
    raw.length && `${raw.join(", ")} get${s(raw)} the bare text and continue${s(raw)} it: never trained on a chat.`,
    asked.length && `${asked.join(", ")} get${s(asked)} the question in the chat template.`,
  ].filter(Boolean).join(" ");
}

export function render({ model, el }) {
  let waiting; // the timer that watches for a silent kernel
  let speakers = model.get("speakers");

  const [input, inputLabel] = labelled("Your question", "input", {
    type: "text",
    autocomplete: "off",
    placeholder: "Type a question and press Enter",
  });
  const [followUp, followUpLabel] = labelled("Follow-up", "input", {
    type: "checkbox", title: "The conversation so far goes to the models with the question" });
  const [temperature, temperatureLabel] = labelled("Temperature", "input", {
    type: "number", min: 0, max: 5, step: 0.1 });
  const [seed, seedLabel] = labelled("Seed", "input", {
    type: "number", min: 0, max: 1e9, step: 1 });
  const [large, largeLabel] = labelled("Large text", "input", {
    type: "checkbox",
    onchange: () => {
      model.set("size", large.checked ? "large" : "normal");
      model.save_changes();
    },
  });

  const ask = button("Ask", () => send(input.value), "course-main");
  const stop = button("Stop", () => reaches({ do: "stop" }));
  const surprise = button("Surprise me", () => {
    if (model.get("busy")) return say(BUSY);
    const dials = { temperature: numberIn(temperature), seed: Math.trunc(numberIn(seed)) };
    if (reaches({ do: "surprise", ...dials })) listen();
  });
  const again = button("Another seed", () => {
    // the last question once more, with the next seed; a follow-up takes its own place again
    const talk = model.get("talk");
    if (!talk.length) return say("Ask something first.");
    if (!numberIn(temperature)) return say("At temperature 0 a seed changes nothing: raise it.");
    send(talk.at(-1).question, talk.length - 1, 1);
  });
  const newTalk = button("New conversation", () => {
    if (model.get("busy")) return say(BUSY);
    if (!reaches({ do: "new" })) return;
    followUp.checked = false;
    input.value = "";
    input.focus();
  });
  const examples = model.get("examples").map((text) =>
    button(text, () => {
      send(text);
    }, "chat-example"));

  const contrasts = (model.get("contrasts") ?? []).map(([text, look]) => make("button",
    { type: "button", className: "chat-example", onclick: () => send(text) },
    text, make("span", { className: "course-soft chat-look", textContent: look })));
  const differ = make("div", { className: "chat-row chat-differ", role: "group",
    "aria-label": "What RLHF changed, in picked questions" },
    make("span", { className: "course-soft", textContent: "What did RLHF change? (Picked questions: most answers stay the same.)" }),
    ...contrasts);

  const status = make("p", { className: "course-soft chat-status", role: "status" });
  const problem = make("p", { className: "course-problem", role: "alert" });
  const heard = make("p", { className: "course-heard", "aria-live": "polite" });
  const turns = make("div", { className: "chat-turns", role: "log", "aria-label": "Conversation", tabIndex: 0 });
  turns.dataset.lmSuppressShortcuts = "true"; // arrows scroll it, and don't leave the cell
  const who = make("p", { className: "course-soft" });
  const root = make(
    "div",
    { className: "course-page course-quiet course-chat", role: "group" },
    who,
    turns,
    make("div", { className: "chat-row" }, inputLabel, ask, stop, newTalk),
    status, problem, // beside the field, so that a phone shows them too
    make("div", { className: "chat-row", role: "group", "aria-label": "Example questions" }, ...examples, surprise),
    ...(contrasts.length ? [differ] : []),
    make("div", { className: "course-controls" },
      followUpLabel, temperatureLabel, seedLabel, again, largeLabel),
    heard,
  );

  /** What a field holds, between its ends; one may type more, and is told and shown what counts. */
  function numberIn(field) {
    const typed = Number(field.value) || 0;
    const held = Math.min(Math.max(typed, 0), Number(field.max));
    if (String(held) !== field.value) field.value = held;
    return held;
  }
  const say = (text) => (status.textContent = text || model.get("hint"));

  /** Send to the kernel; where it is gone, say so, and answer false. */
  function reaches(message) {
    const isSent = sent(model, message);
    if (!isSent) say(NO_WORD);
    return isSent;
  }

  function tellEnds({ target }) {
    const typed = Number(target.value);
    if (typed !== numberIn(target)) say(`${target.labels[0].textContent} goes from 0 to ${target.max}.`);
  }
  for (const field of [temperature, seed]) field.addEventListener("change", tellEnds);

  function listen() {
    clearTimeout(waiting);
    waiting = setTimeout(() => say(NO_WORD), SILENT_MS);
  }

  let asked = ""; // the question on its way
  /** A question that was refused comes back into the field: whoever typed it can shorten it. */
  function giveBack() {
    if (!model.get("error") || !asked) return;
    input.value ||= asked;
    asked = "";
    problem.scrollIntoView({ block: "nearest" }); // on a phone it may lie below the edge
  }

  /** Ask after the first `keep` turns of the talk. */
  function send(question, keep = followUp.checked ? model.get("talk").length : 0, seedStep = 0) {
    if (model.get("busy")) return say(BUSY);
    if (!question.trim()) {
      input.focus();
      return say("There is no question: type one, or press one of the examples.");
    }
    follows = true;
    const typed = input.value;
    asked = question;
    input.value = ""; // it stands above now
    const isSent = reaches({
      do: "ask",
      question,
      keep,
      temperature: numberIn(temperature),
      seed: Math.trunc(numberIn(seed)) + seedStep,
    });
    if (!isSent) {
      input.value = typed;
      return;
    }
    listen();
  }

  let old = []; // views of the turns before, drawn once
  function drawEarlier() {
    old = model.get("earlier").map((turn, i) => turnView(turn, speakers, i + 1));
    for (const view of old) view.classList.add("chat-earlier");
    drawTalk();
  }

  let follows = true; // whether the newest turn is to stay in sight; not while somebody reads above
  turns.addEventListener("scroll", () => {
    follows = turns.scrollTop + turns.clientHeight > turns.scrollHeight - 24;
  });

  /** The newest turn whole, or from its question on. */
  function showNewest() {
    const newest = turns.lastElementChild;
    const top = (one) => one.getBoundingClientRect().top;
    if (newest?.offsetHeight > turns.clientHeight) turns.scrollTop += top(newest) - top(turns);
    else turns.scrollTop = turns.scrollHeight;
  }

  function drawTalk() {
    clearTimeout(waiting);
    const talk = model.get("talk");
    const views = talk.map((turn, i) => turnView(turn, speakers, old.length + i + 1));
    turns.replaceChildren(...old, ...views);
    turns.hidden = !talk.length;
    if (follows) showNewest();
    if (!talk.length) say("Nothing is asked yet: type a question, or press one of the examples.");
  }

  function drawState() {
    clearTimeout(waiting);
    const busy = model.get("busy");
    enable(stop, busy);
    for (const one of [ask, again, newTalk, surprise, ...examples, ...contrasts]) enable(one, !busy);
    problem.textContent = model.get("error");
    const talk = model.get("talk");
    if (busy) asked = ""; // taken
    if (busy) say("Writing ... (Esc stops)");
    else if (talk.length) say("");
  }

  /** Whole answers for a screen reader, when they are finished. */
  function announce() {
    const talk = model.get("talk");
    if (model.get("busy") || !talk.length) return;
    const answers = talk.at(-1).answers.map((a, i) => `${speakers[i].name}: ${a.text}`);
    heard.textContent = answers.join("\n");
  }

  function drawSpeakers() {
    speakers = model.get("speakers"); // where there is no kernel, they come one by one
    who.textContent = notes(speakers);
    const has = (stage) => speakers.some(({ name }) => stageOf(name) === stage);
    differ.hidden = !has("sft") || !has("rlhf");
    root.setAttribute("aria-label", `Chat with ${speakers.map(({ name }) => name).join(", ")}`);
  }

  function drawSize() {
    root.dataset.size = model.get("size");
    large.checked = model.get("size") === "large";
  }

  function drawDials() {
    temperature.value = model.get("temperature");
    seed.value = model.get("seed");
  }

  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing) return;
    send(input.value);
  });
  root.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !model.get("busy")) return;
    event.preventDefault(); // whoever stops an answer stays here
    reaches({ do: "stop" });
  });

  // a narrower page makes longer answers
  const sized = new ResizeObserver(() => follows && showNewest());
  sized.observe(turns);

  const listeners = [
    ["change:speakers", drawSpeakers],
    ["change:earlier", drawEarlier],
    ["change:talk", drawTalk],
    ["change:busy change:error", drawState],
    ["change:error", giveBack],
    ["change:busy", announce],
    ["change:temperature change:seed", drawDials],
    ["change:size", drawSize],
  ];
  for (const [events, listener] of listeners) model.on(events, listener);
  drawSpeakers();
  drawState();
  drawDials();
  drawSize();
  el.append(root);
  drawEarlier();
  inItsCell(root);
  return () => {
    clearTimeout(waiting);
    sized.disconnect();
    for (const [events, listener] of listeners) model.off(events, listener);
  };
}
