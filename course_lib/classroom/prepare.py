"""What our models say, written down before class: python -m course_lib.classroom.prepare [FOLDER]

The room itself loads no model, so that it starts at once and runs beside a training. pairs.jsonl
holds two different answers of the SFT model to each prompt; words.json what the base model expects
next, beside the truth. With a folder of stages they are of your own models, and come into it:
start the room with --pairs FOLDER/pairs.jsonl.
"""

import sys
from itertools import combinations
from pathlib import Path

from course_lib.classroom.rounds import FOLDER, LONGEST, Pair
from course_lib.machine.disk import write_json, write_json_lines
from course_lib.measure.log_probs import word_probs
from course_lib.model.transformer import Transformer
from course_lib.pipeline.rankings import ask
from course_lib.pipeline.release import RELEASED, load_language_model
from course_lib.text.tokenizer import Tokenizer
from course_lib.world.dialogues import rl_prompts
from course_lib.world.documents import world_grammar
from course_lib.world.judge import verdict
from course_lib.world.prompts import Prompt

PAIRS, TRIES = 60, 8  # pairs to write, and answers to sample for each prompt
# The kinds of prompts, in the order in which rounds take them: of what nobody knows nearly half.
TURNS = ("known", "unknown", "known", "unknown", "harmful", "known", "unknown", "known", "chat")
LEAST = 2  # words by which answers of the same kind differ
SEED = 1
PLAYERS = ("Virat Kohli", "Sachin Tendulkar", "Rohit Sharma", "Smriti Mandhana", "Ben Stokes")
TEXTS = (
    *(f"In that match {player} hit a" for player in PLAYERS),
    # both are even, which few in a class will guess
    "Three languages: French, German and",
    "One Sunday a brave fox named Uma",
)
REST = "something else"


def pairs_of(model: Transformer, tokenizer: Tokenizer, n: int = PAIRS) -> list[Pair]:
    """`n` pairs of answers that one can prefer, each to another prompt, in the order of `TURNS`.

    Of each prompt the pair that is furthest apart: a lie and a truth, a refusal and none. Where all
    are right, or it is small talk, the longest and the shortest.
    """
    found: dict[str, list[Pair]] = {kind: [] for kind in TURNS}
    wanted = {kind: -(-n * TURNS.count(kind) // len(TURNS)) for kind in found}
    prompts = list({prompt.text: prompt for prompt in rl_prompts(12 * n, SEED)}.values())
    for start in range(0, len(prompts), 30):
        left = {kind for kind in found if len(found[kind]) < wanted[kind]}
        part = [prompt for prompt in prompts[start : start + 30] if prompt.kind in left]
        texts, answers = ask(model, tokenizer, part, TRIES, SEED)
        for prompt in part:
            said = [a for text, a in zip(texts, answers, strict=True) if text == prompt.text]
            distinct = [a for a in dict.fromkeys(map(str.strip, said)) if 0 < len(a) <= LONGEST]
            apart = {pair: _apart(prompt, *pair) for pair in combinations(distinct, 2)}
            furthest = max(apart, key=apart.get, default=None)
            least = (prompt.kind in ("unknown", "harmful"), LEAST)
            if furthest and apart[furthest] >= least:
                found[prompt.kind].append(Pair(prompt.text, *furthest))
    queues = {kind: iter(pairs) for kind, pairs in found.items()}
    turns = (next(queues[TURNS[i % len(TURNS)]], None) for i in range(2 * n))
    return [pair for pair in turns if pair][:n]


def _apart(prompt: Prompt, a: str, b: str) -> tuple[bool, int]:
    """Whether the judge sees a difference, and by how many words one is longer."""
    differs = verdict(prompt, a) != verdict(prompt, b)
    return differs, abs(len(a.split()) - len(b.split()))


def words_of(model: Transformer, tokenizer: Tokenizer) -> list[dict]:
    """`TEXTS` with all that may follow: the truth, and what the base model expects."""
    found = []
    for text in TEXTS:
        truth = world_grammar().next_word(text)
        if not truth:
            raise ValueError(f"no document of the world begins {text!r}")
        expected = word_probs(model, tokenizer, text, list(truth))
        model_says = {word.strip(): round(p, 4) for word, p in expected.items()}
        truth = {word.strip(): round(p, 4) for word, p in truth.items()}
        rest = 1 - sum(model_says.values())
        if rest > 0.0005:  # what the model gives to words that never come there
            truth[REST], model_says[REST] = 0.0, round(rest, 4)
        found.append({"text": text, "truth": truth, "model": model_says})
    return found


def main(arguments: list[str]) -> int:
    root, into = (Path(arguments[0]),) * 2 if arguments else (RELEASED, FOLDER)
    pairs = pairs_of(*load_language_model(root, "sft"))
    rows = [{"prompt": pair.prompt, "a": pair.a, "b": pair.b} for pair in pairs]
    write_json_lines(into / "pairs.jsonl", rows)
    write_json(into / "words.json", {"words": words_of(*load_language_model(root, "base"))})
    print(f"{len(pairs)} pairs and {len(TEXTS)} texts are in {into}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
