// What the phone, the board and the teacher's page share: asking the server, again and again, and
// saying so when it doesn't answer. All addresses are relative, because a hub may move the room.
import { followTheme, make } from "./page.js";

const WAIT_MS = 8000; // for an answer

/** A refusal of the room: what it says, and its status. Any other error is a lost connection. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** What the room answers. `body` goes as JSON unless it is a file. */
export async function ask(method, path, body) {
  const isFile = body instanceof Blob;
  const type = isFile ? "application/jsonl" : "application/json";
  const late = new AbortController(), timer = setTimeout(() => late.abort(), WAIT_MS);
  let answer, told;
  try {
    answer = await fetch(path, {
      method,
      headers: body === undefined ? {} : { "content-type": type },
      body: body === undefined || isFile ? body : JSON.stringify(body),
      signal: late.signal,
    });
    told = await answer.json().catch(() => ({}));
  } finally {
    clearTimeout(timer);
  }
  if (!answer.ok) throw new Refused(answer.status, told.error ?? `The room answers ${answer.status}.`);
  return told;
}

/** Calls `look` every `ms`, and at once when the page is seen or the network is there again. The
    function that comes back calls it now. A look that is late never meets the next one. */
export function again(look, ms) {
  let timer, isLooking = false, isWanted = false;
  const now = async () => {
    clearTimeout(timer);
    if (isLooking) return void (isWanted = true);
    isLooking = true;
    try {
      do {
        isWanted = false;
        await look();
      } while (isWanted);
    } finally {
      isLooking = false;
      clearTimeout(timer);
      timer = setTimeout(now, ms * (0.8 + 0.4 * Math.random())); // so that a class doesn't ask as one
    }
  };
  document.addEventListener("visibilitychange", () => document.hidden || now());
  for (const event of ["online", "focus", "pageshow"]) window.addEventListener(event, now);
  now();
  return now;
}

/** The page's frame, in place of what stood there: a main part, dark where the system is. */
export function frame(name) {
  followTheme(document.documentElement);
  const main = make("main", { className: `course-page course-quiet room-${name}` });
  document.querySelector("#room").replaceWith(main);
  return main;
}

/** A sentence with a verb for one or for many. */
export const count = (n, one, many) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

export const percent = (share) => `${Math.round(100 * share)}%`;

/** The text before the last word is to be guessed, with a slot at its end. */
export function asked(kind, text, tag = "h1") {
  const title = make(tag, { className: "room-ask", tabIndex: -1 }, text);
  if (kind === "word") title.append(make("span", { className: "room-slot" }, "?"));
  return title;
}
