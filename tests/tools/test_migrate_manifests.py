"""Stages that were trained before the recipe had its present shape stay finished."""

import json
from dataclasses import asdict

import pytest

from course_lib.config import settings
from course_lib.pipeline.recipe import STAGES, recipe
from course_lib.pipeline.release import read_manifest
from tools import migrate_manifests


def as_before(plan) -> dict:
    """The recipe as a manifest used to hold it: flat, and silent about what nobody changes."""
    method = asdict(plan.rlhf.method)
    if method["algorithm"] == "dpo":
        del method["algorithm"]  # which was then told from the other two by its fields
    else:
        method |= {"divide_by_std": False, "gae_lambda": 0.95, "value_weight": 0.5}
    return {
        "model": asdict(plan.model),
        "base": settings(plan.base.train),
        "sft": settings(plan.sft.train),
        "reward": settings(plan.reward.train),
        "rl_train": settings(plan.rlhf.train),
        "rl": method,
        "tokenizer_documents": plan.tokenizer.documents,
        "n_dialogues": plan.sft.dialogues,
        "text_share": plan.sft.text_share,
        "preference_prompts": plan.reward.prompts,
        "preference_answers": plan.reward.answers,
        "strangers": plan.reward.strangers,
        "ranking_noise": plan.reward.noise,
        "length_bias": plan.reward.length_bias,
        "seed": plan.seed,
    }


@pytest.mark.parametrize("align", ["grpo", "ppo", "iterative-dpo"])
def test_an_old_manifest_becomes_that_of_the_same_recipe_once(tmp_path, align, capsys):
    plan = recipe("nano", seed=3, align=align)
    manifest = {"stage": "rlhf", "recipe": as_before(plan), "metrics": {"pairs": 7}}
    (tmp_path / "rlhf").mkdir()
    (tmp_path / "rlhf" / "manifest.json").write_text(json.dumps(manifest))

    for _ in range(2):  # what has today's shape stays as it is
        migrate_manifests.main([str(tmp_path)])

    found = read_manifest(tmp_path / "rlhf")
    assert found["recipe"] == json.loads(json.dumps(plan.behind("rlhf")))
    assert found["metrics"] == {"pairs": 7} and "rlhf" in capsys.readouterr().out


def test_a_stage_keeps_the_part_of_the_recipe_that_decided_it():
    plan = recipe("nano")
    old = as_before(plan)
    base = {name: old[name] for name in ("model", "base", "tokenizer_documents", "seed")}

    assert migrate_manifests.migrated(base) == json.loads(json.dumps(plan.behind("base")))
    assert STAGES.index("base") == 1
