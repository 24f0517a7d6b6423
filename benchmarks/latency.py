"""How long a key takes to move the bars in a browser, and how long the page takes to start.

    python -m benchmarks.latency                   # an idle machine, or the numbers say little
    python -m benchmarks.latency --keys 20 --starts 2
    python -m benchmarks.latency --beside OLD      # in turn with an older build of the pages

Real keys in headless Chromium, one every 300 ms, so that each has its own answer. Both times of a
key begin when the browser got it (`timeStamp` of its keydown): until the bars have changed, and
until they are painted. Painted is the first task after the frame that draws them, a message sent
from that frame's requestAnimationFrame: style, layout and paint are behind it. The browser's own
word is beside it, Event Timing's `duration`, which ends when the frame is on the screen and comes
in steps of 8 ms. It knows only of what a key does at once, so it says nothing of JupyterLab, where
the kernel answers. The page is that with the base model, from the disk; throttled six times it is
what a phone has. A start is a fresh visit over this machine's own network, from the navigation to
the first bars. Prints what `benchmarks/RESULTS.md` holds.
"""

import argparse
import functools
import http.server
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser, Page, expect

from tests.browser import opened_notebook, real_browser
from tools.build_page import build

EVERY_MS = 300
IN_TURN = 10  # keys in one page, before another has its turn
KEYS = " six. The crowd cheered for him, and the next ball was wide of the stumps again. "
CELL = """from course_lib.pipeline.release import load_released
from course_lib.widgets import explorer
explorer(load_released("base"))"""
WATCH = """root => {
  const times = window.latencies = [], shown = window.shown = [];
  let start;
  addEventListener("keydown", event => start = event.timeStamp, true);
  new MutationObserver(() => {
    if (start === undefined) return;
    const from = start, time = [performance.now() - from, null];
    start = undefined;
    times.push(time);
    requestAnimationFrame(() => {
      const {port1, port2} = new MessageChannel();
      port1.onmessage = () => time[1] = performance.now() - from;
      port2.postMessage(null);
    });
  }).observe(root.querySelector(".exp-rows"),
    {subtree: true, childList: true, characterData: true, attributes: true});
  new PerformanceObserver(list => list.getEntries().forEach(({name, duration}) => {
    if (name === "keydown") shown.push(duration);
  })).observe({type: "event", durationThreshold: 16});
}"""

STARTED = """[performance.getEntriesByType("navigation")[0].responseEnd,
  Number(document.documentElement.dataset.ready)]"""


def watch(page: Page) -> Page:
    """The page, once its bars are there and its keys will be timed."""
    root = page.locator(".course-explorer")
    expect(root.locator("button.exp-row").first).to_be_visible(timeout=60_000)
    root.evaluate(WATCH)
    return page


def press_keys(pages: list[Page], n: int) -> None:
    """`n` keys in each of the pages, ten at a time in turn."""
    for start in range(0, n, IN_TURN):
        for page in pages:
            page.bring_to_front()
            page.locator(".exp-input").focus()
            page.keyboard.press("Control+End")
            page.wait_for_timeout(500)
            for i in range(start, min(n, start + IN_TURN)):
                page.keyboard.type(KEYS[i % len(KEYS)])
                page.wait_for_timeout(EVERY_MS)
            page.wait_for_timeout(500)


def show_keys(where: str, page: Page, bar: int, is_at_once: bool = True) -> None:
    times = [time for time in page.evaluate("latencies") if time[1] is not None]
    changed, painted = (sorted(column) for column in zip(*times, strict=True))
    ninth = painted[int(0.9 * (len(painted) - 1))]
    # an entry that is missing was faster than the 16 ms from which the browser keeps one
    shown = [0] * len(times) + page.evaluate("shown")
    told = f"{median(sorted(shown)[-len(times) :]):.0f}" if is_at_once else ""
    print(
        f"| {where} | {len(times)} | {median(changed):.1f} | {median(painted):.1f} | {ninth:.1f} "
        f"| {told} | {bar} |",
        flush=True,
    )


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of `folder` on a server of this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_) -> None:
            pass

    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def start_time(browser: Browser, address: str) -> list[float]:
    """[until the page has come, until its first bars] of a visit without a cache."""
    page = browser.new_context().new_page()
    page.goto(address)
    page.wait_for_selector("html[data-whole]")
    time = page.evaluate(STARTED)
    page.context.close()
    return time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keys", type=int, default=60)
    parser.add_argument("--starts", type=int, default=7)
    parser.add_argument("--beside", type=Path, help="a folder with the pages of an older build")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        builds = {"": build(folder / "play")}
        if options.beside:
            builds["before: "] = [options.beside / path.name for path in builds[""]]
        print("| from the key on, ms | keys | bars changed | painted | nine in ten | shown | aim |")
        print("|---|---|---|---|---|---|---|")
        with real_browser() as browser:
            for where, throttle, bar in (("the page", 1, 20), ("six times throttled", 6, 100)):
                opened = {}
                for label, pages in builds.items():
                    page = browser.new_context().new_page()
                    page.goto(pages[1].as_uri())
                    page.wait_for_selector("html[data-whole]")
                    devtools = page.context.new_cdp_session(page)
                    devtools.send("Emulation.setCPUThrottlingRate", {"rate": throttle})
                    opened[label + where] = watch(page)
                press_keys(list(opened.values()), options.keys)
                for label, page in opened.items():
                    show_keys(label, page, bar)
                    page.context.close()
        with opened_notebook(folder, [CELL], 1000) as page:
            press_keys([watch(page)], options.keys)
            show_keys("the explorer in JupyterLab", page, 50, is_at_once=False)
        print("\n| start, ms | MB | visits | page there | first bars | slowest | aim |")
        print("|---|---|---|---|---|---|---|")
        with real_browser() as browser, ExitStack() as open_servers:
            paths = [(label, path) for label, pages in builds.items() for path in pages]
            at = [open_servers.enter_context(served(path.parent)) for _, path in paths]
            times: list[list] = [[] for _ in paths]
            for _ in range(options.starts):  # in turn, too
                for (_, path), address, its in zip(paths, at, times, strict=True):
                    its.append(start_time(browser, f"{address}/{path.name}"))
            for (label, path), its in zip(paths, times, strict=True):
                there, ready = zip(*its, strict=True)
                print(
                    f"| {label}{path.name} | {path.stat().st_size / 1e6:.1f} | {len(its)} "
                    f"| {median(there):.0f} | {median(ready):.0f} | {max(ready)} | 500 |"
                )


if __name__ == "__main__":
    main()
