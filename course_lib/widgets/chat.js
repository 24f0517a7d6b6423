// The page's side of chat.py: it draws what the kernel tells and sends what is clicked and typed.

const RAW_NOTE = "gets the bare text and continues it: it has never seen a chat";
const CHAT_NOTE = "gets the question in the chat template";
const BUSY = "Still writing: press Stop or Esc first.";

/** What stands under an answer: "12 tokens", "40 tokens, cut off". */
function tally({ n_tokens, state }) {
  const tokens = `${n_tokens} ${n_tokens === 1 ? "token" : "tokens"}`;
  return state === "ended" ? tokens : `${tokens}, ${state}`;
}

function column(speaker, answer) {
  const silent = answer.state !== "writing" && !answer.text;
  return make(
    "div",
    { className: "chat-column" },
    make("p", { className: "chat-name", textContent: speaker.name }),
    make("p", { className: "chat-note", textContent: speaker.raw ? RAW_NOTE : CHAT_NOTE }),
    make("p", { className: "chat-answer", textContent: silent ? "(no text)" : answer.text }),
    make("p", { className: "chat-note", textContent: tally(answer) }),
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
      make("strong", { textContent: number === 1 ? "Question: " : "Follow-up: " }),
      make("span", { textContent: turn.question }),
      make("span", { className: "chat-note", textContent: ` (${how})` }),
    ),
    make("div", { className: "chat-columns" }, ...columns),
  );
}

function render({ model, el }) {
  let waiting; // the timer that watches for a silent kernel
  const speakers = model.get("speakers");

  const [input, inputLabel] = labelled("Your question", "input", {
    type: "text",
    autocomplete: "off",
    placeholder: "Type a question and press Enter",
  });
  const [followUp, followUpLabel] = labelled("Follow-up: the talk goes with it", "input", {
    type: "checkbox" });
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
  const stop = button("Stop", () => model.send({ do: "stop" }));
  const again = button("Again with another seed", () => {
    // the last question takes its own place again, with the next seed
    const talk = model.get("talk");
    if (!talk.length) return say("Ask something first.");
    if (!numberIn(temperature)) return say("At temperature 0 a seed changes nothing: raise it.");
    send(talk.at(-1).question, talk.length - 1, 1);
  });
  const newTalk = button("New talk", () => {
    if (model.get("busy")) return say(BUSY);
    model.send({ do: "new" });
    followUp.checked = false;
    input.value = "";
    input.focus();
  });
  const examples = model.get("examples").map((text) =>
    button(text, () => {
      input.value = text;
      send(text);
    }, "chat-example"));

  const status = make("p", { className: "chat-status", role: "status" });
  const problem = make("p", { className: "course-problem", role: "alert" });
  const heard = make("p", { className: "course-heard", "aria-live": "polite" });
  const turns = make("div", { className: "chat-turns" });
  const root = make(
    "div",
    { className: "course-page course-chat", role: "group",
      "aria-label": `Chat with ${speakers.map((speaker) => speaker.name).join(", ")}` },
    make("div", { className: "chat-row" }, inputLabel, ask, stop),
    make("div", { className: "chat-row", role: "group", "aria-label": "Example questions" },
      make("span", { className: "chat-note", textContent: "Examples:" }), ...examples),
    make("div", { className: "chat-row" },
      followUpLabel, newTalk, temperatureLabel, seedLabel, again, largeLabel),
    status, problem, turns, heard,
  );

  const numberIn = (field) =>
    Math.min(Math.max(Number(field.value) || 0, 0), Number(field.max)); // one may type more
  const say = (text) => (status.textContent = text);

  /** Ask after the first `keep` turns of the talk. */
  function send(question, keep = followUp.checked ? model.get("talk").length : 0, seedStep = 0) {
    if (model.get("busy")) return say(BUSY);
    if (!question.trim()) {
      input.focus();
      return say("There is no question: type one, or press one of the examples.");
    }
    model.send({
      do: "ask",
      question,
      keep,
      temperature: numberIn(temperature),
      seed: Math.trunc(numberIn(seed)) + seedStep,
    });
    clearTimeout(waiting);
    waiting = setTimeout(() => say(NO_WORD), SILENT_MS);
  }

  function drawTalk() {
    clearTimeout(waiting);
    const talk = model.get("talk");
    turns.replaceChildren(...talk.map((turn, i) => turnView(turn, speakers, i + 1)));
    if (!talk.length) say("Nothing is asked yet: type a question, or press one of the examples.");
  }

  function drawState() {
    clearTimeout(waiting);
    const busy = model.get("busy");
    enable(stop, busy);
    for (const one of [ask, again, newTalk, ...examples]) enable(one, !busy);
    problem.textContent = model.get("error");
    const talk = model.get("talk");
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
    input.select(); // the next question takes its place
  });
  root.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && model.get("busy")) model.send({ do: "stop" });
  });

  const listeners = [
    ["change:talk", drawTalk],
    ["change:busy change:error", drawState],
    ["change:busy", announce],
    ["change:temperature change:seed", drawDials],
    ["change:size", drawSize],
  ];
  for (const [events, listener] of listeners) model.on(events, listener);
  drawTalk();
  drawState();
  drawDials();
  drawSize();
  el.append(root);
  return () => {
    clearTimeout(waiting);
    for (const [events, listener] of listeners) model.off(events, listener);
  };
}

export default { render };
