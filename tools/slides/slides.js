// One slide at a time where there is room for it; elsewhere the page scrolls, and only notes, help,
// folds and the live page are left to do. The number of the slide stands in the address.
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  const one = (selector) => document.querySelector(selector);
  const slides = [...document.querySelectorAll(".slide")];
  const wide = matchMedia("screen and (min-width: 701px) and (min-height: 421px)"); // as in slides.css
  const help = one("#help");
  const PLAY_WIDTH = 1000; // at which the play page shows all that it has
  let at = -1;
  let begun = null; // when the first slide was left

  const asked = () => {
    const number = Number(location.hash.slice(1));
    return Number.isInteger(number) && number >= 1 && number <= slides.length ? number - 1 : 0;
  };

  /** What opens with the answer to a guess: the pictures that it held back. */
  const opened = (guess) => {
    for (const fold of document.querySelectorAll("details.behind")) {
      if (fold.dataset.guess === guess) fold.open = true;
    }
  };

  const minutes = (seconds) =>
    `${Math.floor(seconds / 3600)}:${String(Math.floor(seconds / 60) % 60).padStart(2, "0")}`;

  const tick = () => {
    const plan = slides[at].dataset.clock;
    const runs = begun === null ? "" : `running ${minutes((Date.now() - begun) / 1000)}`;
    one("#clock").textContent = [plan && `plan ${plan}`, runs].filter(Boolean).map((part) => ` · ${part}`).join("");
  };

  const show = (next) => {
    if (at === 0 && next > 0 && begun === null) begun = Date.now();
    const moved = next !== at;
    at = next;
    slides.forEach((slide, i) => slide.classList.toggle("now", i === at));
    const place = `${at + 1} of ${slides.length}`;
    one("#place").textContent = place;
    if (moved && wide.matches) {
      const title = slides[at].querySelector("details.behind:not([open])")
        ? "a result" : slides[at].querySelector(".title").textContent;
      one("#heard").textContent = `Slide ${place}: ${title}`;
    }
    fit(); // what was hidden had no width
    one("#do-back").setAttribute("aria-disabled", at === 0);
    one("#do-next").setAttribute("aria-disabled", at === slides.length - 1 && !folded());
    tick();
  };

  const folded = () => slides[at].querySelector("details:not([open])");

  const go = (next) => {
    if (next < 0 || next >= slides.length || next === at) return;
    show(next);
    location.replace(`#${next + 1}`);
  };

  const onward = () => {
    const fold = folded();
    if (fold) {
      fold.open = true;
      one("#heard").textContent = "The answer is open.";
      show(at);
    } else {
      go(at + 1);
    }
  };

  const notes = () => {
    const noted = root.classList.toggle("noted");
    for (const note of document.querySelectorAll(".notes")) note.hidden = !noted;
    one("#do-notes").setAttribute("aria-pressed", noted);
    fit();
  };

  const full = () => {
    const done = document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen?.();
    done?.catch(() => { one("#heard").textContent = "The browser allows no full screen here."; });
  };

  /** The live page is as large as a picture of it would be, so that the last row can read it. */
  const fit = () => {
    for (const screen of document.querySelectorAll(".screen")) {
      const scale = Math.max(1, screen.clientWidth / PLAY_WIDTH || 1);
      screen.style.setProperty("--scale", scale);
    }
  };

  const KEYS = {
    ArrowRight: onward, ArrowDown: onward, PageDown: onward, " ": onward,
    ArrowLeft: () => go(at - 1), ArrowUp: () => go(at - 1), PageUp: () => go(at - 1),
    Home: () => go(0), End: () => go(slides.length - 1),
  };
  const LETTERS = { n: notes, f: full, "?": () => help.showModal() };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || help.open) return;
    const { target, key } = event;
    if (target.closest("input, textarea, select")) return;
    if (key === " " && target.closest("button, a, summary")) return; // it presses what has the focus
    if (target.closest(".notes") && !["ArrowLeft", "ArrowRight"].includes(key) && key in KEYS) return;
    const does = (wide.matches && KEYS[key]) || (one("#letters").checked && LETTERS[key.toLowerCase()]);
    if (!does) return;
    event.preventDefault();
    does();
  });

  const BUTTONS = { back: () => go(at - 1), next: onward, notes, full, keys: LETTERS["?"] };
  for (const [name, does] of Object.entries(BUTTONS)) {
    one(`#do-${name}`).addEventListener("click", (event) => {
      if (event.detail) event.currentTarget.blur(); // after a mouse, space is no button's key
      does();
    });
  }
  one("#do-notes").setAttribute("aria-pressed", false);

  for (const fold of document.querySelectorAll("details.answer")) {
    fold.addEventListener("toggle", () => { if (fold.open) opened(fold.dataset.guess); });
  }

  for (const button of document.querySelectorAll("[data-live]")) {
    button.addEventListener("click", () => {
      const frame = document.createElement("iframe");
      frame.title = `Live: ${button.dataset.title}`;
      frame.src = button.dataset.live;
      const screen = document.createElement("div");
      screen.className = "screen";
      screen.append(frame);
      const live = button.closest(".live");
      live.querySelector(".card")?.remove();
      live.prepend(screen);
      fit();
      button.remove();
      frame.focus();
    });
  }

  let touched = null;
  document.addEventListener("touchstart", (event) => {
    touched = event.touches.length === 1 ? event.touches[0] : null;
  }, { passive: true });
  document.addEventListener("touchend", (event) => {
    if (!touched || !wide.matches || help.open) return;
    const across = event.changedTouches[0].clientX - touched.clientX;
    const down = event.changedTouches[0].clientY - touched.clientY;
    touched = null;
    if (Math.abs(across) < 50 || Math.abs(across) < 2 * Math.abs(down)) return;
    if (across < 0) onward();
    else go(at - 1);
  }, { passive: true });

  addEventListener("hashchange", () => show(asked()));
  wide.addEventListener("change", () => {
    if (!wide.matches) slides[at].scrollIntoView();
  });
  addEventListener("resize", fit);
  setInterval(tick, 5000);
  show(asked());
  root.dataset.ready = "true";
})();
