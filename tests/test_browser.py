"""A learner's first minute, in a real browser: open the course in JupyterLab and run every cell."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import expect, sync_playwright

ROOT = Path(__file__).parent.parent
NOTEBOOK = "01_two_files.ipynb"
MINUTES = 4  # for a whole notebook, on a machine whose other core is busy with other tests
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
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    # every cell stays in the page, so that the test sees those that are scrolled away
    "notebook-extension/tracker": {"windowingMode": "none"},
}


@pytest.fixture
def browser_path() -> str:
    found = [path for name in COMMANDS.split() if (path := shutil.which(name))]
    found += [path for path in APPLICATIONS if Path(path).exists()]
    if not found and os.environ.get("CI") == "true":
        pytest.fail("there is no browser, and under CI this test may not be skipped")
    if not found:
        pytest.skip("there is no Chromium, Chrome or Edge on this machine")
    return found[0]


@pytest.fixture
def course(tmp_path) -> Path:
    """A copy of what a learner opens, without outputs: what is seen later was made in the test."""
    folder = tmp_path / "course"
    for part in ("notebooks", "diagrams"):
        shutil.copytree(ROOT / part, folder / part)
    path = folder / "notebooks" / NOTEBOOK
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, path)
    return folder


@pytest.fixture
def lab_url(course, tmp_path):
    """The address of a JupyterLab of our own, on fresh settings, stopped after the test."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    kinds = "CONFIG DATA RUNTIME".split()
    folders = {f"JUPYTER_{kind}_DIR": tmp_path / f"jupyter-{kind.lower()}" for kind in kinds}
    folders["JUPYTERLAB_SETTINGS_DIR"] = tmp_path / "settings"
    folders["JUPYTERLAB_WORKSPACES_DIR"] = tmp_path / "workspaces"
    folders["IPYTHONDIR"] = tmp_path / "ipython"
    for name, settings in SETTINGS.items():
        path = folders["JUPYTERLAB_SETTINGS_DIR"] / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings))
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += ["--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"]
    command += [f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={course}"]
    log = tmp_path / "server.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            command,
            env={**os.environ, **{name: str(path) for name, path in folders.items()}},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/api?token={TOKEN}", server, log)
        yield f"http://127.0.0.1:{port}/lab/tree/notebooks/{NOTEBOOK}?token={TOKEN}&reset"
    finally:
        server.terminate()  # it ends its kernels itself
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def wait_for(url: str, server: subprocess.Popen, log: Path, seconds: float = 60) -> None:
    """Return when the server answers; fail with its log when it ends or takes too long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


@pytest.mark.browser
@pytest.mark.slow
def test_the_first_notebook_runs_in_jupyterlab(browser_path, lab_url, tmp_path):
    notebook = nbformat.read(ROOT / "notebooks" / NOTEBOOK, as_version=4)
    title = notebook.cells[0].source.splitlines()[0].lstrip("# ")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    requests = []
    expect.set_options(timeout=30_000)  # 5 s is too short beside other tests

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("request", lambda request: requests.append(request.url))
        page.goto(lab_url)
        idle = page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]')
        expect(idle).to_be_attached(timeout=60_000)
        cells = page.locator(".jp-Notebook .jp-CodeCell")
        expect(cells).to_have_count(len(code))
        expect(page.locator(".jp-Notebook .jp-OutputArea-output")).to_have_count(0)

        page.locator(".jp-Notebook h1").first.click()  # menus act on what has the focus
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        finished = cells.last.locator(".jp-InputPrompt", has_text=f"[{len(code)}]:")
        page.locator(ERRORS).or_(finished).first.wait_for(
            state="attached", timeout=MINUTES * 60_000
        )
        expect(idle).to_be_attached(timeout=60_000)
        page.screenshot(path=tmp_path / "end.png")
        page.locator(".jp-Notebook h1").first.scroll_into_view_if_needed()
        page.screenshot(path=tmp_path / "start.png")

        heading = page.locator(".jp-Notebook h1").first.inner_text()
        errors = page.locator(ERRORS).all_inner_texts()
        has_output = [cell.locator(".jp-OutputArea-output").count() > 0 for cell in cells.all()]
        broken_images = page.locator(".jp-Notebook img").evaluate_all(
            "images => images.filter(i => !(i.complete && i.naturalWidth)).map(i => i.alt || i.src)"
        )
        browser.close()

    assert errors == []
    assert title in heading
    assert has_output == [len(cell.outputs) > 0 for cell in code]
    assert broken_images == []
    assert [url for url in requests if not url.startswith(HERE)] == []
