"""The models that come with the course are those that the code would train today."""

import hashlib
import json
from pathlib import Path

import pytest

from course_lib import stages
from course_lib.gguf import read_gguf_summary
from course_lib.run_file import released

MANIFEST = json.loads((Path(stages.__file__).parent / "released" / "manifest.json").read_text())


@pytest.mark.parametrize("name", ["model.gguf", "base.gguf"])
def test_a_released_file_is_the_one_of_the_manifest(name):
    assert hashlib.sha256(released(name).read_bytes()).hexdigest() == MANIFEST["metrics"][name]


def test_the_release_was_made_by_todays_recipe():
    made_by = MANIFEST["recipe"]
    today = stages.recipe("nano", made_by["seed"], made_by["base"]["precision"])

    assert made_by == json.loads(json.dumps(today.to_dict())), "make release"


def test_the_release_has_the_shape_that_its_recipe_says():
    config = stages.recipe("nano").model
    summary = read_gguf_summary(released())

    assert summary.values["llama.block_count"] == config.n_layers
    assert sum(t.n_bytes for t in summary.tensors) == 4 * config.n_parameters


def test_the_base_model_is_within_ten_percent_of_the_floor():
    assert 0 < MANIFEST["metrics"]["gap_to_floor"] < 0.10


def test_what_is_not_released_is_refused():
    with pytest.raises(ValueError, match="make release"):
        released("gpt5.gguf")
