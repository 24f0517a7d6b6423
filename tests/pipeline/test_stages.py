"""The whole line, from nothing to a chat in C, with a model of a few thousand weights."""

import dataclasses
import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from course_lib.align.preferences import Preference, load_preferences
from course_lib.align.reward import RewardModel
from course_lib.config import GREEDY, MODELS, DPOConfig, GRPOConfig, RLConfig, TrainConfig
from course_lib.files.run_file import run_chat, run_probs
from course_lib.model.sample import next_token_probs
from course_lib.pipeline import stages
from course_lib.pipeline.rankings import pair_metrics
from course_lib.pipeline.recipe import (
    ALIGNMENTS,
    BUDGETS,
    STAGES,
    BaseStage,
    Recipe,
    RLHFStage,
    real_text_recipe,
    recipe,
)
from course_lib.pipeline.release import load_language_model, publish, read_manifest
from course_lib.pipeline.stages import PREFERENCES, run_stage
from course_lib.text.shards import Shards
from course_lib.text.tokenizer import Tokenizer
from course_lib.world.annotators import gold
from tests.tiny import PLAN, run_all


def with_method(method, train: TrainConfig) -> Recipe:
    """`PLAN` with another way from SFT to RLHF."""
    return dataclasses.replace(PLAN, rlhf=RLHFStage(train, method))


@pytest.fixture(scope="module")
def root(finished_run):
    return finished_run


def test_one_call_goes_from_nothing_to_the_two_files(root):
    for stage in STAGES:
        manifest = read_manifest(root / stage)
        assert manifest["stage"] == stage and manifest["seconds"] >= 0
        assert manifest["recipe"] == json.loads(json.dumps(PLAN.behind(stage)))
    assert 0 < read_manifest(root / "base")["metrics"]["gap_to_floor"] < 10
    assert (root / "export" / "model.gguf").read_bytes()[:4] == b"GGUF"


def test_a_finished_stage_is_left_alone(root):
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}

    assert list(run_all(root, PLAN)) == []

    assert before == {p: p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file()}


def test_another_recipe_is_refused_not_mixed_in(root):
    other = dataclasses.replace(PLAN, seed=1)

    with pytest.raises(ValueError, match="another recipe"):
        list(run_stage("base", root, other))


def test_a_stage_is_kept_when_only_later_ones_change(root):
    other = with_method(GRPOConfig(prompts=3, answers=3, kl=0.1), PLAN.rlhf.train)

    assert list(run_stage("reward", root, other)) == []
    with pytest.raises(ValueError, match="another recipe"):
        list(run_stage("rlhf", root, other))
    everything = asdict(with_muon(PLAN))
    assert everything.pop("data") is everything.pop("text") is None
    assert with_muon(PLAN).behind("export") == everything  # no field decides nothing


def with_muon(plan):
    """The plan, all of whose stages train with Muon."""
    stages = {}
    for name in ("base", "sft", "reward", "rlhf"):
        stage = getattr(plan, name)
        if stage is not None:
            stages[name] = replace(stage, train=replace(stage.train, optimizer="muon"))
    return replace(plan, **stages)


def test_muons_settings_decide_a_stage_only_where_it_trains():
    adam, other = (replace(PLAN.base.train, matrix_rate=rate) for rate in (0.5, 0.7))
    muon = replace(adam, optimizer="muon")
    plans = {
        name: replace(PLAN, base=replace(PLAN.base, train=train)).behind("base")
        for name, train in (("adam", adam), ("other", other), ("muon", muon))
    }

    assert plans["adam"] == plans["other"] != plans["muon"]
    assert plans["adam"]["base"]["train"].keys() == plans["muon"]["base"]["train"].keys() - {
        "optimizer",
        "matrix_rate",
    }


def test_a_chatty_plan_is_chatty_in_all_its_stages(root, tmp_path, monkeypatch):
    plan, asked = replace(PLAN, sft=replace(PLAN.sft, chatty=True)), []
    for name in ("dialogues", "rl_prompts"):
        original = getattr(stages, name)

        def recorded(n, seed, chatty, name=name, original=original):
            asked.append((name, seed, chatty))
            return original(n, seed, chatty)

        monkeypatch.setattr(stages, name, recorded)
    for stage in ("tokenizer", "base"):
        shutil.copytree(root / stage, tmp_path / stage)

    list(run_all(tmp_path, plan))

    assert asked == [("dialogues", 0, True), ("rl_prompts", 0, True), ("rl_prompts", 1, True)]
    with pytest.raises(ValueError, match="another recipe"):
        list(run_stage("sft", tmp_path, PLAN))


def test_a_stage_needs_the_ones_before_it(tmp_path):
    with pytest.raises(ValueError, match="needs 'tokenizer' first"):
        list(run_stage("base", tmp_path, PLAN))
    with pytest.raises(ValueError, match="a stage is one of"):
        list(run_stage("poetry", tmp_path, PLAN))
    with pytest.raises(ValueError, match="no finished stage"):
        load_language_model(tmp_path, "base")


def test_a_stage_that_was_stopped_goes_on_to_the_same_model(root, tmp_path):
    whole = load_language_model(root, "base")[0].state_dict()
    list(run_stage("tokenizer", tmp_path, PLAN))

    for progress in (run := run_stage("base", tmp_path, PLAN)):
        if progress.step == 17:
            run.close()
            break
    assert read_manifest(tmp_path / "base") is None
    steps = [p.step for p in run_stage("base", tmp_path, PLAN) if p.record]

    assert steps[0] == 18
    again = load_language_model(tmp_path, "base")[0].state_dict()
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_the_stages_differ_and_the_last_one_talks_through_the_run_file(root):
    models = {name: load_language_model(root, name)[0] for name in ("base", "sft", "rlhf")}
    weights = {name: model.layers[0].mlp.up_proj.weight for name, model in models.items()}
    assert not torch.equal(weights["base"], weights["sft"])
    assert not torch.equal(weights["sft"], weights["rlhf"])

    binary, gguf = next((root / "export").glob("run*")), root / "export" / "model.gguf"
    assert isinstance(run_chat(binary, gguf, "Hello", GREEDY), str)
    model, tokenizer = load_language_model(root, "rlhf")
    text = "In that match"
    expected = next_token_probs(model, [tokenizer.eot_id, *tokenizer.encode(text)])
    for entry in run_probs(binary, gguf, text, 5):
        assert entry.probability == pytest.approx(expected[entry.id].item(), abs=1e-4)


def test_a_run_file_that_does_not_compile_costs_nobody_the_model(root, tmp_path, monkeypatch):
    def fail(directory):
        raise ValueError("no C compiler works here")

    shutil.copytree(root, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "export")
    monkeypatch.setattr("course_lib.pipeline.stages.compile_run_file", fail)

    list(run_stage("export", tmp_path / "run", PLAN))

    assert read_manifest(tmp_path / "run" / "export")["metrics"]["compiled"] is False
    assert (tmp_path / "run" / "export" / "model.gguf").is_file()


@pytest.mark.parametrize("budget", BUDGETS)
def test_a_chatty_recipe_takes_longer_and_reads_no_row_of_the_old_text_twice(budget):
    plain, chatty = (recipe("nano", budget=budget, chatty=chatty).sft for chatty in (False, True))

    in_a_batch = round(chatty.text_share * chatty.train.batch_rows)
    assert chatty.text_rows == in_a_batch * chatty.train.steps > 1.5 * plain.text_rows
    assert chatty.train.steps > 1.5 * plain.train.steps
    assert (plain.chatty, chatty.chatty) == (False, True)


@pytest.mark.parametrize("preset", MODELS)
def test_every_preset_has_a_recipe(preset):
    plan = recipe(preset, seed=3)

    assert plan.model == MODELS[preset] and plan.base.train.seed == plan.seed == 3
    tokens = plan.base.train.steps * plan.base.train.batch_rows * plan.model.context_length
    assert tokens > 2e6


@pytest.mark.parametrize("align", ALIGNMENTS)
def test_every_way_from_sft_to_rlhf_runs_from_the_same_pairs(root, tmp_path, align):
    for stage in ("tokenizer", "base", "sft", "reward"):
        (tmp_path / stage).symlink_to(root / stage)
    rl = ALIGNMENTS[align]
    if isinstance(rl, RLConfig):
        rl = dataclasses.replace(rl, prompts=4, answers=2, max_new_tokens=6)
    training = TrainConfig(steps=4, batch_rows=4, learning_rate=1e-3)
    plan = with_method(rl, training)

    records = [p.record for p in run_stage("rlhf", tmp_path, plan)]

    assert len(records) == 4 and all(record.extra for record in records)
    before, after = (load_language_model(tmp_path, name)[0] for name in ("sft", "rlhf"))
    assert not torch.equal(before.norm.weight, after.norm.weight)


def test_a_further_round_of_dpo_judges_new_answers_and_can_be_left(root, tmp_path):
    rl = DPOConfig(rounds=2)
    plan = with_method(rl, TrainConfig(steps=6, batch_rows=4))
    weights = []
    for name, stop in (("whole", None), ("left", 4)):
        for stage in ("tokenizer", "base", "sft", "reward"):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / stage).symlink_to(root / stage)
        for progress in run_stage("rlhf", tmp_path / name, plan):
            if progress.step == stop:
                break
        list(run_stage("rlhf", tmp_path / name, plan))
        weights.append(load_language_model(tmp_path / name, "rlhf")[0].state_dict())

    pairs = load_preferences(tmp_path / "left" / "rlhf" / "round-2.jsonl")
    judge = RewardModel.load(root / "reward")
    chosen, rejected = (
        judge.score([p.prompt for p in pairs], [getattr(p, which) for p in pairs])
        for which in ("chosen", "rejected")
    )
    assert len(pairs) > 20
    assert all(better > worse - 1e-4 for better, worse in zip(chosen, rejected, strict=True))
    asked = load_preferences(root / "reward" / PREFERENCES)
    assert not {p.chosen for p in pairs} <= {p.chosen for p in asked}
    for name, weight in weights[0].items():
        assert torch.equal(weight, weights[1][name]), name
    with pytest.raises(ValueError, match="rounds"):
        DPOConfig(rounds=0)


def test_a_release_holds_the_stages_in_16_bits(root, tmp_path):
    publish(root, tmp_path)

    for stage in ("base", "sft", "rlhf"):
        whole, rounded = (load_language_model(folder, stage)[0] for folder in (root, tmp_path))
        for name, weight in whole.state_dict().items():
            torch.testing.assert_close(weight.half().float(), rounded.state_dict()[name])
        size = (tmp_path / stage / "model.safetensors").stat().st_size
        assert size < 2.5 * PLAN.model.n_parameters
    reward = RewardModel.load(tmp_path / "reward")
    assert reward(["Hello"], ["Hi"]).isfinite().all()
    manifest = read_manifest(tmp_path)
    digest = hashlib.sha256((tmp_path / "model.gguf").read_bytes()).hexdigest()
    assert manifest["metrics"]["model.gguf"] == digest
    with pytest.raises(ValueError, match="no finished run"):
        publish(tmp_path / "nothing", tmp_path)


def test_a_reward_model_is_judged_beside_its_ceilings():
    def oracle(prompts, answers):
        return torch.tensor([gold(p, a) for p, a in zip(prompts, answers, strict=True)])

    question, right = "What is the capital of France?", "The capital of France is Paris."
    pairs = [
        Preference(question, right, "I don't know."),  # gold 1.0 and -0.3
        Preference(question, "I am not sure about that.", "I don't know."),  # equally good
        Preference(question, "The capital of France is Rome.", right),  # a slip: -1.0 and 1.0
    ]

    found = pair_metrics(oracle, pairs, noise=0.5)

    assert found["pair_accuracy"] == pytest.approx(1 / 3)
    assert found["gold_accuracy"] == pytest.approx(1.5 / 3)
    ceiling = (1 / (1 + math.exp(-1.3 / 0.5)) + 0.5 + 1 / (1 + math.exp(-2.0 / 0.5))) / 3
    assert found["noise_ceiling"] == pytest.approx(ceiling)
    assert found["gold_order"] == 1.0


# ---- Real text ----------------------------------------------------------------------------------

KILLED = """
import sys
import torch

from tests.tiny import run_all
from tests.pipeline.test_stages import real_text

if __name__ == "__main__":
    torch.set_num_threads(1)
    for progress in run_all(sys.argv[1], real_text(sys.argv[2])):
        print(progress.stage, progress.step, flush=True)
"""


def real_text(folder) -> Recipe:
    """A tiny model; 560 steps, of which `train` saves the 500th."""
    model = replace(PLAN.model, vocab_size=300, context_length=16)
    plan = dataclasses.replace(
        PLAN, model=model, base=BaseStage(TrainConfig(steps=560, batch_rows=2))
    )
    return real_text_recipe(plan, str(folder))


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """A folder with text of one's own."""
    folder = tmp_path_factory.mktemp("book")
    for n in range(30):
        text = "".join(f"{n} bottles and {m} glasses stood on the wall.\n" for m in range(20))
        (folder / f"{n}.txt").write_text(text)
    return folder


def test_real_text_goes_as_far_as_the_base_model(book, tmp_path):
    plan = real_text_recipe(real_text(book), str(book), tokens=1000, vocab_size=280)

    steps = [p.step for p in run_all(tmp_path, plan) if p.record]

    assert len(steps) == math.ceil(1000 / 32)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", "shards", "tokenizer"]
    metrics = read_manifest(tmp_path / "base")["metrics"]
    assert 0 < metrics["bits_per_byte"] < 8 and metrics["epochs"] <= 1
    model, tokenizer = load_language_model(tmp_path, "base")
    assert tokenizer.vocab_size == model.config.vocab_size == 280
    with pytest.raises(ValueError, match="no stage 'sft' on real text: it needs dialogues"):
        list(run_stage("sft", tmp_path, plan))


def test_another_text_is_another_recipe_and_the_world_has_none(book, tmp_path):
    plan = real_text_recipe(real_text(book), str(book), tokens=1)
    list(run_all(tmp_path, plan))

    with pytest.raises(ValueError, match="another recipe"):
        list(run_all(tmp_path, dataclasses.replace(plan, data="python")))
    assert with_muon(plan).behind("export") == asdict(with_muon(plan))
    assert plan.behind("tokenizer")["data"] == str(book)
    assert "data" not in PLAN.behind("export")
    with pytest.raises(ValueError, match="must be 1 or more, got 0"):
        real_text_recipe(PLAN, "python", tokens=0)


def short_plan(folder):
    return real_text_recipe(real_text(folder), str(folder), tokens=100)


@pytest.fixture
def own_text(book, tmp_path):
    """A copy of the book that a test may change."""
    shutil.copytree(book, tmp_path / "text")
    return tmp_path / "text"


@pytest.mark.parametrize("steps", [None, 2, 4], ids=["tokenizer", "shards", "base"])
def test_a_text_that_was_edited_is_noticed_at_every_stage(own_text, tmp_path, steps):
    root, plan = tmp_path / "run", short_plan(own_text)
    list(run_stage("tokenizer", root, plan))
    if steps is not None:
        for progress in (run := run_stage("base", root, plan)):
            if progress.step == steps < 4:
                run.close()
                break

    page = own_text / "7.txt"
    page.write_text(page.read_text().replace("bottles", "bottle5"))  # as long as before

    for stage in ("tokenizer", "base"):
        with pytest.raises(ValueError, match=r"tokenizer was made of .*text before it changed"):
            list(run_stage(stage, root, short_plan(own_text)))
    page.write_text(page.read_text().replace("bottle5", "bottles"))
    list(run_stage("base", root, short_plan(own_text)))  # as before: nothing is in its way


def test_shards_of_another_text_are_not_trained_on(own_text, tmp_path):
    root = tmp_path / "run"
    list(run_all(root, short_plan(own_text)))
    (own_text / "30.txt").write_text("One more.\n")
    for stage in ("tokenizer", "base"):  # but not the shards
        shutil.rmtree(root / stage)

    list(run_stage("tokenizer", root, short_plan(own_text)))

    # So small an edit leaves the merges as they were: the tokenizer's hash wouldn't tell.
    assert Shards(root / "shards", Tokenizer.load(root / "tokenizer" / "tokenizer.json"))
    with pytest.raises(ValueError, match=r"shards was made of another text: delete it"):
        list(run_stage("base", root, short_plan(own_text)))


def test_a_stage_is_not_built_on_those_of_another_recipe(root, tmp_path):
    for stage in ("tokenizer", "base"):
        shutil.copytree(root / stage, tmp_path / stage)
    for other in (
        dataclasses.replace(PLAN, seed=1),
        dataclasses.replace(PLAN, tokenizer=dataclasses.replace(PLAN.tokenizer, documents=5)),
        dataclasses.replace(PLAN, base=dataclasses.replace(PLAN.base, held_out_documents=5)),
    ):
        with pytest.raises(ValueError, match=r"(tokenizer|base) was made by another recipe"):
            list(run_stage("sft", tmp_path, other))
    assert not (tmp_path / "sft").exists()


def test_a_run_on_real_text_that_was_killed_goes_on_to_the_same_weights(book, tmp_path):
    (tmp_path / "killed.py").write_text(KILLED)
    command = [sys.executable, str(tmp_path / "killed.py"), str(tmp_path / "a"), str(book)]
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ["PYTHONPATH"]])
    environment = os.environ | {"PYTHONPATH": path}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as run:
        assert any(line == "base 520\n" for line in run.stdout)
        run.kill()
    assert run.returncode != 0 and read_manifest(tmp_path / "a" / "base") is None
    plan, before = real_text(book), torch.get_num_threads()

    torch.set_num_threads(1)
    steps = [p.step for p in run_all(tmp_path / "a", plan) if p.record]
    list(run_all(tmp_path / "b", plan))
    torch.set_num_threads(before)

    assert steps == list(range(501, 561))
    killed, whole = (load_language_model(tmp_path / name, "base")[0] for name in "ab")
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, killed.state_dict()[name])
