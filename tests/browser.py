"""A JupyterLab of our own and a real browser, for the tests that use them."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

TOKEN = "only-for-this-test"

COMMANDS = "chromium chromium-browser google-chrome google-chrome-stable chrome msedge"
APPLICATIONS = [  # where macOS and Windows keep browsers, away from the PATH
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
    "C:/Program Files (x86)/Microsoft/Edge/Application/msedge.exe",
]
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update"
).split()
ERRORS = ", ".join(
    f'[data-mime-type="application/vnd.jupyter.{kind}"]' for kind in ("error", "stderr")
)
HERE = ("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:")

SETTINGS = {
    # no news pop-up over the page, no question to the network
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    # every cell stays in the page, so that the test sees those that are scrolled away
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
}


def write_notebook(folder: Path, name: str, cells: list[str]) -> Path:
    """A notebook of code cells below a heading, in `folder`, which is made; the folder."""
    heading = nbformat.v4.new_markdown_cell("# Test")
    code = [nbformat.v4.new_code_cell(cell) for cell in cells]
    notebook = nbformat.v4.new_notebook(cells=[heading, *code])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    folder.mkdir()
    nbformat.write(notebook, folder / name)
    return folder


@contextmanager
def real_browser() -> Iterator[Browser]:
    """The browser of this machine, closed at the end; without one the test is skipped."""
    found = [path for name in COMMANDS.split() if (path := shutil.which(name))]
    found += [path for path in APPLICATIONS if Path(path).exists()]
    if not found and os.environ.get("CI") == "true":
        pytest.fail("there is no browser, and under CI this test may not be skipped")
    if not found:
        pytest.skip("there is no Chromium, Chrome or Edge on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found[0], args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def jupyter_lab(folder: Path, tmp_path: Path, notebook: str | None) -> Iterator[str]:
    """The address of `notebook` in a JupyterLab on `folder`, with fresh settings; then stopped.

    With None it is the course's own command that starts it, in `folder`, and says what to open.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    kinds = "CONFIG DATA RUNTIME".split()
    folders = {f"JUPYTER_{kind}_DIR": tmp_path / f"jupyter-{kind.lower()}" for kind in kinds}
    folders["JUPYTERLAB_SETTINGS_DIR"] = tmp_path / "settings"
    folders["JUPYTERLAB_WORKSPACES_DIR"] = tmp_path / "workspaces"
    folders["IPYTHONDIR"] = tmp_path / "ipython"
    for name, settings in SETTINGS.items():
        path = folders["JUPYTERLAB_SETTINGS_DIR"] / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings))
    flags = ["--no-browser", "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"]
    flags.append(f"--IdentityProvider.token={TOKEN}")
    if notebook is None:
        command, opens = ["course_lib", "lab", "--", *flags], "?"
    else:
        command = ["jupyterlab", "--allow-root", f"--ServerApp.root_dir={folder}", *flags]
        opens = f"lab/tree/{notebook}?reset&"
    log = tmp_path / "server.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            env={**os.environ, **{name: str(path) for name, path in folders.items()}},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/api?token={TOKEN}", server, log)
        yield f"http://127.0.0.1:{port}/{opens}token={TOKEN}"
    finally:
        server.terminate()  # it ends its kernels itself
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def wait_for(url: str, server: subprocess.Popen, log: Path, seconds: float = 180) -> None:
    """Return when the server answers; fail with its log when it ends or takes too long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


def run_all_cells(page: Page) -> None:
    """Run the notebook of `page`, once its kernel answers."""
    # the notebook's own sign says "idle" before there is a kernel too
    idle = page.locator("#jp-main-statusbar", has_text="(ipykernel) | Idle")
    expect(idle).to_be_attached(timeout=60_000)
    not_run = page.locator(".jp-CodeCell .jp-InputPrompt", has_text="[ ]:")
    n_cells = not_run.count()
    for _ in range(10):  # a busy machine may lose the first click
        page.locator(".jp-CodeCell .cm-content").first.click()  # menus act on what has the focus
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        page.wait_for_timeout(1000)
        if not_run.count() < n_cells:
            return
    pytest.fail("JupyterLab does not run the cells")


def go_dark(page: Page) -> None:
    """Choose JupyterLab's dark theme, as a person does."""
    page.get_by_role("menuitem", name="Settings", exact=True).click()
    page.locator(".lm-Menu-item", has_text="Theme").first.click()
    page.locator(".lm-Menu-item", has_text="JupyterLab Dark").first.click()
    expect(page.locator('body[data-jp-theme-light="false"]')).to_be_attached()


@contextmanager
def opened_notebook(
    tmp_path: Path, cells: list[str], height: int, requests: list[str] | None = None
) -> Iterator[Page]:
    """A page of 1280 pixels with a notebook of these cells, all of them run.

    The addresses that the page asks for are added to `requests`.
    """
    folder = write_notebook(tmp_path / "course", "test.ipynb", cells)
    with real_browser() as browser, jupyter_lab(folder, tmp_path, "test.ipynb") as lab_url:
        page = browser.new_page(viewport={"width": 1280, "height": height})
        if requests is not None:
            page.on("request", lambda request: requests.append(request.url))
        page.goto(lab_url)
        run_all_cells(page)
        yield page
