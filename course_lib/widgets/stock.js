// The page's side of shell.py's `Look`: what a box of stock ipywidgets lacks.

/** A slider's handle takes the keys, but stock ones have no name there: it gets its label's. */
function nameSliders(root) {
  for (const slider of root.querySelectorAll(".widget-slider")) {
    const label = slider.querySelector(".widget-label")?.textContent;
    const value = slider.querySelector(".widget-readout")?.textContent;
    const handle = slider.querySelector(".noUi-handle");
    if (!label || !handle) continue;
    if (handle.getAttribute("aria-label") !== label) handle.setAttribute("aria-label", label);
    if (handle.getAttribute("aria-valuetext") !== value) handle.setAttribute("aria-valuetext", value);
  }
}

const AGAIN_MS = 50, MOST_TRIES = 100;

function render({ el }) {
  let waiting, watcher;
  let tries = 0;
  function begin() {
    const root = el.closest(".course-page");
    if (!root?.isConnected) { // a box comes into the page when all of its children are drawn
      if (tries++ < MOST_TRIES) waiting = setTimeout(begin, AGAIN_MS);
      return;
    }
    inItsCell(root);
    const name = onceAFrame(() => nameSliders(root));
    watcher = new MutationObserver(name);
    watcher.observe(root, { subtree: true, childList: true, characterData: true });
    name();
  }
  begin();
  return () => {
    clearTimeout(waiting);
    watcher?.disconnect();
  };
}

export default { render };
