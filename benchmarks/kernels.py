"""Kernels that share two cores: what a full hub does, or a table with one poor laptop.

    python -m benchmarks.kernels                    # notebook 03 in 1, 2 and 4 kernels at once
    python -m benchmarks.kernels 4 --turns 1        # they train one after the other

Each kernel runs the notebook from its top to the end of its live training, on one thread, as a
class does that starts at the same moment and types nothing. With `--turns N` at most N train at a
time. Memory is that of the kernel processes added up, at its peak: PSS counts a page that they
share once, USS leaves it out.
"""

import argparse
import asyncio
import os
import re
import time
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import nbformat
import psutil
from nbclient import NotebookClient
from nbformat import NotebookNode

from tools.freeze_notebooks import CELL_SECONDS

NOTEBOOK = Path("notebooks/03_pretraining.ipynb")
# A thread for each, and none that spins while it waits: what TEACHING.md advises for a hub.
SETTINGS = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "COURSE_GUESS": "skip"}
LOOK = 1.0  # seconds between two looks at the memory
COLUMNS = "kernels,train at a time,until training,waiting,training,all done,PSS,USS"


class Run(NamedTuple):
    """Seconds that a kernel took until its training, waited for its turn, and trained."""

    before: float
    waited: float
    trained: float


def training(notebook: NotebookNode) -> tuple[int, int]:
    """The cell that starts the notebook's first live training, and the one that awaits its end."""
    code = [(i, cell.source) for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    for end, source in code:
        if awaited := re.search(r"^await (\w+)\.job", source, re.M):
            starts = [i for i, s in code if i <= end and re.search(rf"^{awaited[1]} = ", s, re.M)]
            return starts[-1], end
    raise ValueError("expected a notebook with a live training: no cell has a line `await X.job`")


async def learn(client: NotebookClient, turn: asyncio.Semaphore) -> Run:
    """Runs the notebook in its kernel, which is ready, and takes its turn for the training."""
    first, last = training(client.nb)
    code = [(i, cell) for i, cell in enumerate(client.nb.cells) if cell.cell_type == "code"]
    clock = [time.perf_counter()]
    for i, cell in code[: [i for i, _ in code].index(first)]:
        await client.async_execute_cell(cell, i)
    clock.append(time.perf_counter())
    async with turn:
        clock.append(time.perf_counter())
        for i, cell in code:
            if first <= i <= last:
                await client.async_execute_cell(cell, i)
    clock.append(time.perf_counter())
    return Run(*(late - early for early, late in pairwise(clock)))


async def watch(kernels: list[psutil.Process], most: dict[str, int]) -> None:
    """Looks again and again, and keeps in `most` what all kernels had at their peaks, in bytes."""
    while True:
        looks = [kernel.memory_full_info() for kernel in kernels]
        for kind in most:
            most[kind] = max(most[kind], sum(getattr(look, kind) for look in looks))
        await asyncio.sleep(LOOK)


async def measure(path: Path, kernels: int, turns: int) -> tuple[list[Run], dict[str, int]]:
    """What becomes of so many kernels, of which `turns` may train at a time, and their memory."""
    most, clients = {"pss": 0, "uss": 0}, []
    async with AsyncExitStack() as stack:
        for _ in range(kernels):
            own = stack.enter_context(TemporaryDirectory())  # nobody's guesses and models
            client = NotebookClient(
                nbformat.read(path, as_version=4),
                kernel_name="python3",
                timeout=CELL_SECONDS,
                resources={"metadata": {"path": str(path.parent)}},
            )
            env = {**os.environ, **SETTINGS, "COURSE_ARTIFACTS": own}
            await stack.enter_async_context(client.async_setup_kernel(env=env))
            clients.append(client)
        processes = [psutil.Process(client.km.provisioner.pid) for client in clients]
        watching = asyncio.create_task(watch(processes, most))
        turn = asyncio.Semaphore(turns)
        runs = await asyncio.gather(*(learn(client, turn) for client in clients))
        watching.cancel()
    return runs, most


def row(runs: list[Run], most: dict[str, int], turns: int) -> str:
    """A line of the table: seconds from the quickest to the slowest kernel, and MB."""
    spans = [f"{min(column):.0f} to {max(column):.0f}" for column in zip(*runs, strict=True)]
    memory = [f"{most[kind] / 1e6:,.0f}" for kind in ("pss", "uss")]
    return _line([f"{len(runs)}", f"{turns}", *spans, f"{max(map(sum, runs)):.0f}", *memory])


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kernels", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--turns", type=int, help="so many train at a time; all, if not given")
    parser.add_argument("--notebook", type=Path, default=NOTEBOOK)
    options = parser.parse_args()
    print(_line(COLUMNS.split(",")), _line(["---"] * len(COLUMNS.split(","))), sep="\n")
    for kernels in options.kernels:
        turns = min(options.turns or kernels, kernels)
        print(row(*asyncio.run(measure(options.notebook, kernels, turns)), turns), flush=True)


if __name__ == "__main__":
    main()
