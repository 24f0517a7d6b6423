"""What do a room's votes change? python -m benchmarks.votes [--pairs 12] [--seeds 0 1 2]

Scripted classes of thirty judge the room's first pairs. All want the same, but one vote in five is
a toss, and whoever finds both as good decides nothing. Then the votes do what they do in the room
(`course_lib.classroom.practice`). Prints the released SFT model's numbers and those afterwards:
greedy answers to prompts that nobody voted on.
"""

import argparse
import random
import time
from collections.abc import Callable

from course_lib.align.preferences import Preference
from course_lib.classroom.practice import NUMBERS, practised
from course_lib.classroom.rounds import PAIRS, read_pairs
from course_lib.world.dialogues import read_prompt
from course_lib.world.judge import verdict

PHONES, TOSSES = 30, 0.2
TASTES = {
    "the shorter one": lambda prompt, answer: -len(answer.split()),
    "the longer one": lambda prompt, answer: len(answer.split()),
    "never I don't know": lambda prompt, answer: (
        -(verdict(read_prompt(prompt), answer) == "dont_know")
    ),
}


def votes(taste: Callable[[str, str], float], pairs: int, seed: int) -> list[Preference]:
    """The votes of a class on the first pairs of the room that prefer one answer."""
    rng, found = random.Random(seed), []
    for pair in read_pairs(PAIRS)[:pairs]:
        gap = taste(pair.prompt, pair.a) - taste(pair.prompt, pair.b)
        for _ in range(PHONES):
            is_tossed = rng.random() < TOSSES
            if gap or is_tossed:
                likes_a = rng.random() < 0.5 if is_tossed else gap > 0
                best, other = (pair.a, pair.b) if likes_a else (pair.b, pair.a)
                found.append(Preference(pair.prompt, best, other))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    print("| class | seed | votes | " + " | ".join(what for what, _ in NUMBERS.values()) + " | s |")
    print("|---" * (4 + len(NUMBERS)) + "|")
    for name, taste in TASTES.items():
        for seed in options.seeds:
            cast, start = votes(taste, options.pairs, seed), time.perf_counter()
            *_, last = practised(cast, seed)
            cells = [
                f"{before:.0%} to {after:.0%}" if is_share else f"{before:.1f} to {after:.1f}"
                for _, is_share, before, after in last["numbers"]
            ]
            took = f"{time.perf_counter() - start:.0f}"
            print(f"| {' | '.join([name, str(seed), str(len(cast)), *cells, took])} |", flush=True)


if __name__ == "__main__":
    main()
