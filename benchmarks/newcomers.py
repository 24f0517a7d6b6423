"""What newcomers type, and how often a model answers or honestly declines.

    python -m benchmarks.newcomers                       # the released model
    python -m benchmarks.newcomers artifacts/nano --all
    python -m benchmarks.newcomers --list third

The questions in `tests/measure/newcomers.jsonl` were written by language models that were told what
the course's model knows and nothing of the world's wordings. Five lists: "read" was read while the
world was made, "sealed" only when it was done. Later came "third" and "hasty", for people on phones
who type two words or a choice of two: "hasty" was read while the chatty dialogues were made, of
"third" nothing but the shares of some twenty models was looked at. "fourth" was written after the
dialogues, and asked of the released models and of those before them. A question counts as one that
the world can answer if a fact in `course_lib/world/facts.toml` does: its subject and answer decide
that, nobody's hand.
"""

import argparse
import json
import re
from collections.abc import Iterable
from pathlib import Path

from course_lib.files.run_file import RELEASED
from course_lib.measure.answers import chat_answers
from course_lib.pipeline.release import load_language_model
from course_lib.world.facts import FACTS, plural_of
from course_lib.world.prompts import Prompt
from course_lib.world.requests import DONT_KNOW, IDLE, REFUSALS, REPLIES

QUESTIONS = Path(__file__).parents[1] / "tests" / "measure" / "newcomers.jsonl"
_RELATIONS = {"sum": ("sum", "digits"), "made_by": ("made_by",), "open": ("made_by", "record")}
_REPLIES = (*DONT_KNOW, *REFUSALS, *(reply for replies in REPLIES.values() for reply in replies))


def read_questions(path: Path = QUESTIONS) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _holds(text: str, words: str) -> bool:
    """Whether the words stand in the text as whole words."""
    return re.search(rf"(?<!\w){re.escape(words.lower())}(?!\w)", text.lower()) is not None


def can_be_answered(question: dict) -> bool:
    """Whether some fact of the world answers it: about its subject, with an accepted answer."""
    asked = f"{question['text']} {question['subject']}".replace("+", " + ")
    asked = " ".join(asked.split())
    if re.search(r"\b(three|3)\b", question["text"]) and len(question["answer"]) > 3:
        return True
    for fact in FACTS:
        if fact.relation.name not in _RELATIONS.get(question["topic"], (question["topic"],)):
            continue
        subject = re.sub(r"^(an?|the) ", "", fact.subject.replace(" | ", " in "))
        names = {subject, plural_of(fact.subject), subject.replace("biggest", "largest")} - {""}
        answer = re.sub(r"^(an?|the) ", "", fact.answer).lower()
        if answer in question["answer"] and any(_holds(asked, name) for name in names):
            return True
    return False


def outcome(question: dict, answer: str) -> str:
    """right, declined, or made up."""
    said = answer
    for idle in IDLE:
        said = said.replace(idle, "")
    said = said.strip()
    if said in _REPLIES or not said:
        return "declined"
    if re.search(r"\b(three|3)\b", question["text"]) and len(question["answer"]) > 3:
        return "right" if sum(_holds(said, name) for name in question["answer"]) >= 3 else "made up"
    return "right" if any(_holds(said, each) for each in question["answer"]) else "made up"


def asked(model, tokenizer, questions: Iterable[dict]) -> list[dict]:
    """The questions, each with the model's greedy answer and what it comes to."""
    questions = list(questions)
    answers = chat_answers(model, tokenizer, [Prompt(q["text"], "chat") for q in questions])
    return [
        q | {"said": a, "known": can_be_answered(q), "outcome": outcome(q, a)}
        for q, a in zip(questions, answers, strict=True)
    ]


def shares(found: list[dict]) -> dict[str, float]:
    known = [each for each in found if each["known"]]
    others = [each for each in found if not each["known"]]

    def share(part: list[dict], *outcomes: str) -> float:
        return sum(each["outcome"] in outcomes for each in part) / len(part)

    return {
        "questions": len(found),
        "known": len(known),
        "known_right": share(known, "right"),
        "known_declined": share(known, "declined"),
        "others_declined": share(others, "declined"),
        "made_up": share(found, "made up"),
        "others_made_up": share(others, "made up"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("root", nargs="?", default=RELEASED)
    parser.add_argument("--stage", default="rlhf")
    lists = ("read", "sealed", "third", "hasty", "fourth")
    parser.add_argument("--list", choices=lists, default=None)
    parser.add_argument("--questions", type=Path, default=QUESTIONS)
    parser.add_argument(
        "--all", action="store_true", help="print every answer, not only the misses"
    )
    options = parser.parse_args()
    model, tokenizer = load_language_model(options.root, options.stage)
    questions = read_questions(options.questions)
    if options.list:
        questions = [q for q in questions if q["list"] == options.list]
    found = asked(model, tokenizer, questions)
    for each in found:
        missed = each["outcome"] != ("right" if each["known"] else "declined")
        if missed or options.all:
            kind = "known" if each["known"] else "other"
            print(f"{kind}  {each['outcome']:<9} {each['text']!r} -> {each['said']!r}")
    print({name: round(value, 3) for name, value in shares(found).items()})


if __name__ == "__main__":
    main()
