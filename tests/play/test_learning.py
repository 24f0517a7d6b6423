"""Models that join while the explorer is shown, and checkpoints: a model when it was younger."""

import numpy as np
import torch

from course_lib.config import Sampling
from course_lib.files import gguf, run_file
from course_lib.model.sample import sampling_probs
from tests.files.test_run_c import CONFIG, TOKENIZER, loud
from tests.play.drive import drive, results, write_truth
from tools.build_page import CHECKPOINTS, LEARNING, MODELS

BASE = ("load", "base", run_file.released(MODELS["base"]))
SFT = ("load", "sft", run_file.released(MODELS["sft"]))
CHOSEN = "after 150 steps"
YOUNG = ["load", CHOSEN, run_file.released(LEARNING[CHOSEN]), {"learning": True}]
DIALS = {"text": "In that match Virat Kohli hit a", "truth": True}


def p_of(view, series=0):
    return {row["id"]: row["p"][series] for row in view["rows"]}


def test_a_checkpoint_is_chosen_like_a_model_and_stands_beside_none(wasm, tmp_path):
    choose = [{"do": "set", "model": name} for name in (CHOSEN, "base", "sft", "gone")]
    compare = {"do": "set", "compare": True}
    calls = [
        ("info",),
        ("explore", DIALS, [*choose[:2], compare, choose[3]]),
        ("logits", CHOSEN, [1], []),
    ]

    _, _, _, info, views, logits = results(
        wasm, BASE, tuple(YOUNG), SFT, *calls, truth=write_truth(tmp_path)
    )

    assert info["models"] == ["base", "sft"] and info["learning"] == [CHOSEN]
    first, young, again, both, odd = views
    assert {tuple(view["learning"]) for view in views} == {(CHOSEN,)}
    assert young["series"][0]["name"] == CHOSEN and p_of(young) != p_of(first)
    assert young["series"][1]["kind"] == first["series"][1]["kind"] == "the truth"
    assert p_of(again) == p_of(first)
    assert [one["name"] for one in both["series"]] == ["base", "sft", "the truth"]
    assert odd["error"] == "model must be one of base, sft, got gone"
    assert f"model='{CHOSEN}'" in young["code"]
    assert np.isfinite(logits).all()


def test_a_models_bars_are_those_of_its_checkpoint(wasm):
    *_, [view, young] = results(
        wasm, BASE, tuple(YOUNG), ("explore", DIALS, [{"do": "set", "model": CHOSEN}])
    )
    _, ids = results(wasm, BASE, ("encode", DIALS["text"]))
    weights = run_file.released(LEARNING[CHOSEN])
    *_, logits = results(
        wasm, ("load", "base", weights), ("logits", "base", [view["chips"][0]["id"], *ids], [])
    )

    expected = sampling_probs(torch.tensor(logits), Sampling())
    for id, p in p_of(young).items():
        assert abs(expected[id].item() - p) < 1e-6


def test_a_model_joins_and_all_that_was_typed_stays(wasm):
    actions = [
        {"do": "type", "text": "The cat"},
        {"do": "set", "temperature": 0.5},
        {"load": list(SFT[1:])},
        {"do": "set", "model": "sft"},
        {"do": "undo"},
    ]

    _, [first, *_, typed, joined, other, undone] = results(wasm, BASE, ("explore", DIALS, actions))

    assert first["models"] == ["base"] and joined["models"] == ["base", "sft"]
    assert joined["state"] == typed["state"] and p_of(joined) == p_of(typed)
    assert other["state"]["model"] == "sft" and p_of(other) != p_of(joined)
    assert undone["state"]["text"] == DIALS["text"] and undone["state"]["temperature"] == 0.5


def test_the_checkpoints_are_named_by_their_steps():
    assert list(LEARNING) == [f"after {n} steps" for n in ("10", "40", "150", "500", "1,500")]
    assert len(CHECKPOINTS) == len(LEARNING) + 1


def test_the_truth_is_told_in_the_tokens_of_any_model_that_cuts_word_by_word(wasm, tmp_path):
    gguf.write_gguf(tmp_path / "own.gguf", loud(CONFIG, 1), TOKENIZER)
    load = ("load", "own", tmp_path / "own.gguf")
    text = "In that match Virat Kohli hit a"

    _, info, truth = results(wasm, load, ("info",), ("truth", text), truth=write_truth(tmp_path))
    _, without = results(wasm, load, ("info",))

    assert info["truth"] and dict(truth["shares"]) and truth["note"] == ""
    assert not without["truth"]
    [_, refused] = drive(wasm, BASE, load)
    assert "its tokens or sizes are not those of base" in refused["error"]
