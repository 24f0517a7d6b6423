// What the site adds where scripts run: explorers and chats come to life in their place, questions
// get buttons and open what waits behind them. Without it all of that are links and folded results.

const ROOT = document.documentElement.dataset.content_root ?? "";
const NAMES = { explorer: "The probability explorer, live", chat: "The chat, live" };

const make = (tag, className, text = "") =>
  Object.assign(document.createElement(tag), { className, textContent: text });

/** The play page's address: from a disk a browser fetches nothing, so there it is the one in one file. */
const play = (state) =>
  `${ROOT}play/${location.protocol === "file:" ? "inside-an-llm.html" : "index.html"}${state}`;

/** Gives a frame our theme and the height of what it shows, where the browser lets us look inside. */
function fitted(frame) {
  frame.addEventListener("load", () => {
    const inside = frame.contentDocument?.documentElement;
    if (!inside) return; // from a disk every file is a stranger: then the frame scrolls
    const dress = () => {
      inside.dataset.jpThemeLight = String(document.documentElement.dataset.theme !== "dark");
    };
    dress();
    new MutationObserver(dress).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    const fit = () => {
      const height = Math.ceil(inside.ownerDocument.body.getBoundingClientRect().height) + 4; // our border
      if (height > 200) frame.style.height = `${height}px`;
    };
    new frame.contentWindow.ResizeObserver(fit).observe(inside.ownerDocument.body);
    fit();
  });
}

/** Puts the page in the place of its picture; a button brings the picture back. */
function open(link) {
  const figure = link.closest("figure"), caption = link.parentElement;
  const picture = figure.querySelector(".course-scroll");
  const frame = make("iframe", "course-frame");
  frame.title = NAMES[link.dataset.kind];
  fitted(frame);
  frame.src = play(link.dataset.state);
  picture.replaceWith(frame);
  if (figure.classList.contains("course-now")) return;
  const back = make("button", "course-back", "Back to the picture");
  back.type = "button";
  back.onclick = () => {
    frame.replaceWith(picture);
    back.replaceWith(link);
    link.focus();
  };
  link.replaceWith(back);
  frame.focus();
}

for (const link of document.querySelectorAll("a.course-live")) {
  link.href = play(link.dataset.state);
  if (link.closest(".course-now")) open(link);
  else link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a page of its own, as asked for
    event.preventDefault();
    open(link);
  });
}

/** Opens what waits behind a question. */
function reveal(id) {
  for (const one of document.querySelectorAll("details.course-behind")) {
    if (one.dataset.guess !== id) continue;
    one.open = true;
    one.querySelector("summary").textContent = "The result";
  }
}

for (const box of document.querySelectorAll(".course-guess")) {
  const id = box.dataset.guess, said = box.querySelector(".course-said"), list = box.querySelector("ol");
  said.setAttribute("role", "status");
  const isQuiz = said.nextElementSibling !== null; // which has its answer with it
  const tell = (words) => {
    said.textContent = isQuiz ? words : `${words} The result is open below.`;
    reveal(id);
  };
  if (list) {
    const options = [...list.children].map((item) => {
      const choice = make("button", "course-choice", item.textContent);
      choice.type = "button";
      choice.setAttribute("aria-pressed", "false");
      choice.onclick = () => {
        options.forEach((other) => other.setAttribute("aria-pressed", String(other === choice)));
        const sign = item.dataset.right === "true" ? "✓ So it is." : "✗ Not so.";
        tell(`${sign} ${item.dataset.why}`);
      };
      item.replaceChildren(choice);
      return choice;
    });
  } else {
    const form = make("form", "course-answer"), label = make("label", "", "Your guess");
    const input = make("input", "");
    input.type = "text";
    input.inputMode = "decimal";
    input.id = `guess-${id}`;
    label.htmlFor = input.id;
    const keep = make("button", "course-choice", "Guess");
    form.append(label, input, ...(box.dataset.unit ? [make("span", "course-soft", box.dataset.unit)] : []), keep);
    form.onsubmit = (event) => {
      event.preventDefault();
      const value = input.value.trim();
      if (/\d/.test(value)) tell(`You say ${value}.`);
      else said.textContent = "Type a number first.";
    };
    said.before(form);
  }
}

/** Boxes that scroll sideways can be reached by keyboard, and only those. */
function reachable() {
  for (const box of document.querySelectorAll(".bd-article :is(pre, .course-html, .course-scroll, .pst-scrollable-table-container)")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}
addEventListener("resize", reachable);
for (const one of document.querySelectorAll("details")) one.addEventListener("toggle", reachable);
reachable();
