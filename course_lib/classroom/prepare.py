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
from course_lib.world.annotators import gold
from course_lib.world.dialogues import rl_prompts
from course_lib.world.documents import world_grammar

PAIRS, TRIES = 60, 8  # pairs to write, and answers to sample for each prompt
ALIKE = 3  # of the prompts whose answers are all worth the same, one in so many is asked, too
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
    """`n` pairs of different answers, each to another prompt.

    Most differ in their gold reward: of two ways to say "I don't know" there is little to say.
    """
    found: dict[str, Pair] = {}
    alike = 0
    prompts = list({prompt.text: prompt for prompt in rl_prompts(6 * n, SEED)}.values())
    for start in range(0, len(prompts), 30):
        if len(found) >= n:
            break
        part = prompts[start : start + 30]
        texts, answers = ask(model, tokenizer, part, TRIES, SEED)
        for prompt in part:
            said = [a for text, a in zip(texts, answers, strict=True) if text == prompt.text]
            distinct = [a for a in dict.fromkeys(map(str.strip, said)) if 0 < len(a) <= LONGEST]
            pairs = [Pair(prompt.text, a, b) for a, b in combinations(distinct, 2)]
            apart = [p for p in pairs if gold(p.prompt, p.a) != gold(p.prompt, p.b)]
            alike += bool(pairs and not apart)
            if apart or (pairs and alike % ALIKE == 0):
                found[prompt.text] = (apart or pairs)[0]
    return list(found.values())[:n]


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
