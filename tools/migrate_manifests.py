"""Gives old manifests of finished stages today's shape: python -m tools.migrate_manifests FOLDER

A stage that was trained before the recipe had one record for each stage says the same in another
shape, and would be refused as made by another recipe. Nothing is trained anew, and no weight is
touched: what the old recipe left to the code (how many documents a loss is measured on, say) was
then what the records' defaults say now.
"""

import argparse
import json
from dataclasses import MISSING, fields
from pathlib import Path

from course_lib.config import DPOConfig, GRPOConfig, PPOConfig
from course_lib.machine.disk import read_json, write_json
from course_lib.pipeline.recipe import BaseStage, RewardStage, RLHFStage, SFTStage, TokenizerStage
from course_lib.pipeline.release import MANIFEST

METHODS = {"grpo": GRPOConfig, "ppo": PPOConfig, "dpo": DPOConfig}


def record(kind: type, **said) -> dict:
    """A stage's record as a dictionary: what was said of it, and the defaults for the rest."""
    defaults = {each.name: each.default for each in fields(kind) if each.default is not MISSING}
    return defaults | {name: value for name, value in said.items() if value is not None}


def migrated(old: dict) -> dict:
    """The recipe of a manifest in today's shape; a recipe that has it already is given back."""
    if "tokenizer" in old:
        return old
    found = {name: old[name] for name in ("model", "seed", "data") if name in old}
    found["tokenizer"] = record(TokenizerStage, documents=old["tokenizer_documents"])
    if "base" in old:
        found["base"] = record(BaseStage, train=old["base"])
    if "sft" in old:
        found["sft"] = record(
            SFTStage,
            train=old["sft"],
            dialogues=old["n_dialogues"],
            text_share=old["text_share"],
        )
    if "reward" in old:
        found["reward"] = record(
            RewardStage,
            train=old["reward"],
            prompts=old["preference_prompts"],
            answers=old["preference_answers"],
            strangers=old["strangers"],
            noise=old["ranking_noise"],
            length_bias=old["length_bias"],
        )
    if "rl" in old:
        name = old["rl"].get("algorithm", "dpo")
        known = {each.name for each in fields(METHODS[name])}
        method = {key: value for key, value in old["rl"].items() if key in known}
        found["rlhf"] = record(RLHFStage, train=old["rl_train"], method=method)
        found["rlhf"]["method"]["algorithm"] = name
    return found


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="of the stages, for example artifacts/nano")
    for path in sorted(parser.parse_args(arguments).folder.rglob(MANIFEST)):
        manifest = read_json(path)
        if "recipe" not in manifest:
            continue  # that of shards
        manifest["recipe"] = migrated(manifest["recipe"])
        write_json(path, manifest, indent=1)
        print(f"{path}: {json.dumps(manifest['recipe'])[:60]}...")


if __name__ == "__main__":
    main()
