"""What holds for every test: no network, one thread, and `gpu` tests only where there is a GPU.

Tests marked `long` run only where `-m` asks for them.

Set when pytest loads this file, before torch starts its threads, and inherited by every process
that a test starts.
"""

import os
import runpy
import tempfile
from pathlib import Path

import hypothesis
import pytest

os.environ["HF_HUB_OFFLINE"] = "1"  # or from_pretrained tries for 46 s before it gives up
os.environ["OMP_NUM_THREADS"] = "1"  # two test processes with two threads each slow each other down
os.environ["TOKENIZERS_PARALLELISM"] = "false"  # it warns after a fork

# no test sees a learner's guesses, or leaves one; the folder goes when the tests end
_artifacts = tempfile.TemporaryDirectory(prefix="course-artifacts-")
os.environ["COURSE_ARTIFACTS"] = _artifacts.name

os.environ["COURSE_GUESS"] = "skip"  # nobody is here to guess, but nbval compares every result

NO_NETWORK = Path(__file__).parent / "no_network"
search_path = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
if str(NO_NETWORK) not in search_path:  # else this process inherited it and is blocked already
    os.environ["PYTHONPATH"] = os.pathsep.join([str(NO_NETWORK), *search_path])
    runpy.run_path(str(NO_NETWORK / "sitecustomize.py"))

# the same examples in every run, however slow the machine
hypothesis.settings.register_profile("course", derandomize=True, deadline=None)
hypothesis.settings.load_profile("course")


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    """A folder with all stages of `tests.tiny.PLAN`, run once for all tests: read it only."""
    from filelock import FileLock

    from tests.tiny import PLAN, run_all

    folder = _of_the_session(tmp_path_factory)
    with FileLock(folder / "finished_run.lock"):
        list(run_all(folder / "finished_run", PLAN))  # whoever comes second finds it finished
    return folder / "finished_run"


@pytest.fixture(scope="session")
def wasm(tmp_path_factory):
    """inside.wasm, built once for all tests: zig's first build takes most of a minute."""
    from filelock import FileLock

    from tools.build_wasm import build

    folder = _of_the_session(tmp_path_factory)
    with FileLock(folder / "wasm.lock"):
        module = folder / "wasm" / "inside.wasm"
        return module if module.exists() else build(module.parent)


def _of_the_session(tmp_path_factory) -> Path:
    """A folder that all processes of a test run share."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


def pytest_collection_modifyitems(config, items):
    if "long" in config.option.markexpr:
        return
    long = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]


def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu"):
        import torch

        if not (torch.cuda.is_available() or torch.backends.mps.is_available()):
            pytest.skip("torch sees no CUDA or Apple GPU on this machine")
