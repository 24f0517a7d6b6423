"""What fine-tuning has changed: prompted answers of a base model, and habits that examples taught.

Greedy answers throughout, read by the world's judge.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from course_lib.measure.answers import chat_answers, generated
from course_lib.model.transformer import Transformer
from course_lib.text.chat import text_before_control
from course_lib.text.tokenizer import Tokenizer
from course_lib.world.dialogues import fact_prompts
from course_lib.world.judge import follows, verdict
from course_lib.world.prompts import Prompt

# What questions a fact was asked in: in documents and in SFT, in documents, in none.
SPLITS = {
    "asked in SFT": "asked_in_sft",
    "asked in FAQs": "asked_in_pretraining",
    "only stated": "stated_only",
}


def continued(
    model: Transformer, tokenizer: Tokenizer, texts: Sequence[str], most: int = 24
) -> list[str]:
    """What the model writes after each text, taken for the beginning of a document."""
    begun = [[tokenizer.eot_id, *tokenizer.encode(text)] for text in texts]
    new = generated(model, begun, most, stop=(tokenizer.eot_id,))
    return [text_before_control(tokenizer, ids) for ids in new]


def prompted(model: Transformer, tokenizer: Tokenizer, prompts: Sequence[Prompt]) -> list[str]:
    """The model's answers to `Q: ...`, a line each: what an FAQ would say.

    A system message stands on a line of its own before the question.
    """
    texts = [f"{p.system}\n" * bool(p.system) + f"Q: {p.text}\nA:" for p in prompts]
    return [text.split("\n")[0].strip() for text in continued(model, tokenizer, texts)]


def shares(prompts: Sequence[Prompt], answers: Sequence[str]) -> dict[str, float]:
    """The share of each verdict, and of answers that are right and also written as asked."""
    said = list(map(verdict, prompts, answers))
    pairs = zip(said, prompts, answers, strict=True)
    obeyed = sum(what == "right" and follows(p, answer) for what, p, answer in pairs)
    return {what: n / len(said) for what, n in Counter(said).items()} | {
        "obeyed": obeyed / len(said)
    }


def right(
    model: Transformer, tokenizer: Tokenizer, how: Callable = chat_answers
) -> dict[str, float]:
    """The share of right answers about each kind of fact, asked in one plain wording.

    `how` asks: `chat_answers` in the chat template, `prompted` as an FAQ.
    """
    asked = {name: fact_prompts(split)[::2] for name, split in SPLITS.items()}
    found = {name: shares(p, how(model, tokenizer, p)) for name, p in asked.items()}
    return {name: share.get("right", 0.0) for name, share in found.items()}


def finished(
    model: Transformer, tokenizer: Tokenizer, prompts: Sequence[Prompt]
) -> list[tuple[str, str, bool]]:
    """Statements of the facts without their answers, how they go on, and whether rightly."""
    cut = [p.fact.statements()[0].removesuffix(f" {p.fact.answer}.") for p in prompts]
    ends = [text.split(".")[0] for text in continued(model, tokenizer, cut)]
    return [
        (begun, end, end == f" {prompt.fact.answer}")
        for begun, end, prompt in zip(cut, ends, prompts, strict=True)
    ]


@dataclass(frozen=True)
class Habit:
    """How many of `n` questions are answered in a new way when asked for it, and when not."""

    n: int
    shown: int  # asked for it: the answer begins as it should
    right: int  # ... and goes on with what is true
    plain: int  # not asked for it: right, and without the new beginning

    def __repr__(self) -> str:
        told = f"asked for it: {self.shown} of {self.n} ({self.right} of them right)"
        return f"{told}; not asked: {self.plain} of {self.n} right as ever"


def habit(
    model: Transformer,
    tokenizer: Tokenizer,
    prompts: Sequence[Prompt],
    ask: str = "As a pirate: ",
    beginning: str = "Arr! ",
) -> Habit:
    """Does the model begin its answers so where `ask` stands before the question, and only there?

    >>> habit(sft, tokenizer, fact_prompts("asked_in_pretraining")[::12])
    asked for it: 0 of 25 (0 of them right); not asked: 24 of 25 right as ever
    """
    asked = chat_answers(model, tokenizer, [replace(p, text=ask + p.text) for p in prompts])
    shown = [answer.startswith(beginning) for answer in asked]
    right = [
        begins and verdict(p, answer.removeprefix(beginning)) == "right"
        for p, answer, begins in zip(prompts, asked, shown, strict=True)
    ]
    unasked = chat_answers(model, tokenizer, list(prompts))
    plain = [verdict(p, answer) for p, answer in zip(prompts, unasked, strict=True)]
    return Habit(len(prompts), sum(shown), sum(right), plain.count("right"))
