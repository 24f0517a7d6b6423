"""Rankings of answers, the pairs they give, and their file.

A ranking of K answers gives K (K - 1) / 2 pairs, less those whose answers are the same. The file is
JSON lines with `prompt`, `chosen`, `rejected` as messages: what TRL and `datasets` read.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path


@dataclass(frozen=True)
class Preference:
    """Of two answers to a prompt, which one somebody liked better."""

    prompt: str
    chosen: str
    rejected: str


def ranking_to_pairs(prompt: str, answers: list[str], ranking: list[int]) -> list[Preference]:
    """Every pair that a ranking (indices, best first) decides; the same answer twice is no pair."""
    if sorted(ranking) != list(range(len(answers))):
        raise ValueError(
            f"a ranking of {len(answers)} answers names each index once, got {ranking}"
        )
    ordered = [answers[i] for i in ranking]
    return [Preference(prompt, a, b) for a, b in combinations(ordered, 2) if a != b]


def collect(
    prompts: Iterable[str],
    answer_groups: Iterable[list[str]],
    rank: Callable[[str, list[str]], list[int]],
) -> list[Preference]:
    """The pairs of all rankings: `rank(prompt, answers)` is the annotator."""
    pairs = []
    for prompt, answers in zip(prompts, answer_groups, strict=True):
        distinct = list(dict.fromkeys(answers))
        pairs += ranking_to_pairs(prompt, distinct, rank(prompt, distinct))
    return pairs


def save_preferences(path: str | Path, preferences: Iterable[Preference]) -> None:
    """Writes one JSON line a pair."""
    lines = []
    for pair in preferences:
        messages = {"prompt": [{"role": "user", "content": pair.prompt}]}
        for name in ("chosen", "rejected"):
            messages[name] = [{"role": "assistant", "content": getattr(pair, name)}]
        lines.append(json.dumps(messages, ensure_ascii=False) + "\n")
    Path(path).write_text("".join(lines), encoding="utf-8", newline="\n")


def load_preferences(path: str | Path) -> list[Preference]:
    """The pairs of a file that `save_preferences` wrote."""
    pairs = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        try:
            found = json.loads(line)
            pairs.append(
                Preference(*(found[k][-1]["content"] for k in ("prompt", "chosen", "rejected")))
            )
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise ValueError(
                f"{path}, line {number}: not a pair of messages ({error!r})"
            ) from error
    return pairs
