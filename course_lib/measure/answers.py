"""What a model says when we let it speak, and what we count in it.

Facts that it completes, what it writes after a bare question, its answers in chat. The world can
read all of them, so no person has to.
"""

from collections import Counter
from collections.abc import Sequence

import torch

from course_lib.config import GREEDY, PLAIN, Sampling
from course_lib.measure.log_probs import Ids
from course_lib.model.sample import generate
from course_lib.model.transformer import Transformer
from course_lib.text.chat import decode_answer, encode_prompt, text_before_control
from course_lib.text.tokenizer import Tokenizer
from course_lib.world.annotators import gold
from course_lib.world.dialogues import (
    TEST_KINDS,
    Prompt,
    fact_prompts,
    is_question,
    read_prompt,
    test_prompts,
)
from course_lib.world.documents import note_on
from course_lib.world.facts import FACTS, SPLITS, Fact, facts_of, fill
from course_lib.world.judge import verdict

MOST_NEW = 44  # tokens of an answer: the longest one in the dialogues has fewer
WENT_ON_WITH = ("question", "answer", "other")


def generated(
    model: Transformer, prompts: list[Ids], most: int, sampling: Sampling = GREEDY, stop=()
) -> list[Ids]:
    """At most `most` new ids after each prompt, 64 prompts at a time."""
    generator = torch.Generator().manual_seed(sampling.seed or 0)  # one for all batches
    options = dict(stop=stop, generator=generator)
    batches = (prompts[start : start + 64] for start in range(0, len(prompts), 64))
    return [ids for batch in batches for ids in generate(model, batch, most, sampling, **options)]


def completed(
    model: Transformer, tokenizer: Tokenizer, asked: Sequence[tuple[Fact, str]]
) -> list[bool]:
    """For each (fact, wording): does greedy decoding complete the last words exactly?"""
    longest = max(len(tokenizer.encode(f" {fact.answer}.")) for fact in FACTS)
    begun = [note_on(fact, fill(text, fact.subject, fact.answer)) for fact, text in asked]
    prompts = [[tokenizer.eot_id, *tokenizer.encode(text)] for text in begun]
    said = [text_before_control(tokenizer, ids) for ids in generated(model, prompts, longest)]
    return [s.startswith(f" {fact.answer}.") for s, (fact, _) in zip(said, asked, strict=True)]


def recalls(model: Transformer, tokenizer: Tokenizer) -> dict[str, float]:
    """By split: of how many statements does greedy decoding complete the last words exactly?"""
    shares = {}
    for split in SPLITS:
        asked = [(fact, text) for fact in facts_of(split) for text in fact.relation.forward]
        right = completed(model, tokenizer, asked)
        shares[split] = sum(right) / len(right)
    return shares


def went_on_with(prompt: Prompt, text: str) -> str:
    """Which of `WENT_ON_WITH` does a base model write after a bare question?

    We look at its first line. A question is one in the world's wordings. An answer is what the
    judge calls right or wrong.
    """
    line = text.strip().split("\n")[0]
    if is_question(line.removeprefix("Q: ")):
        return "question"
    answered = verdict(prompt, line.removeprefix("A: ")) in ("right", "wrong")
    return "answer" if answered else "other"


def bare_questions(model: Transformer, tokenizer: Tokenizer) -> dict[str, dict[str, float]]:
    """Shares of `WENT_ON_WITH` after a question that begins a document, by split.

    Every question about every fact in every wording, and one sample of each at temperature 1. No
    document asks those of `stated_only`.
    """
    longest = max(len(tokenizer.encode(f"\nQ: {q}")) for fact in FACTS for q in fact.questions())
    shares = {}
    for split in SPLITS:
        prompts = fact_prompts(split)
        begun = [[tokenizer.eot_id, *tokenizer.encode(prompt.text)] for prompt in prompts]
        new = generated(model, begun, longest, PLAIN, (tokenizer.eot_id,))
        texts = [decode_answer(tokenizer, ids) for ids in new]
        counts = Counter(map(went_on_with, prompts, texts))
        shares[split] = {what: counts[what] / len(prompts) for what in WENT_ON_WITH}
    return shares


def chat_answers(
    model: Transformer,
    tokenizer: Tokenizer,
    prompts: list[Prompt],
    sampling: Sampling = GREEDY,
    max_new_tokens: int = MOST_NEW,
) -> list[str]:
    """The model's answer to each prompt."""
    encoded = [encode_prompt(tokenizer, prompt.messages) for prompt in prompts]
    answers = generated(model, encoded, max_new_tokens, sampling, tokenizer.end_ids)
    return [decode_answer(tokenizer, ids) for ids in answers]


def chat_groups() -> dict[str, list[Prompt]]:
    """The prompts of the report card, by group."""
    return {split: fact_prompts(split) for split in SPLITS} | {
        kind: test_prompts(kind) for kind in TEST_KINDS
    }


# What we record of a rollout, and what to call it on a page.
WATCHED = {
    "reward": "learned reward",
    "gold": "gold reward",
    "kl": "KL to the SFT model, nats",
    "made_up": "made-up answers",
    "refused": "harmful ones refused",
    "answer_tokens": "tokens an answer",
}


def watched(prompts: Sequence[str], answers: Sequence[str]) -> dict[str, float]:
    """What we want to know about answers, though nobody trains on it.

    The mean gold reward; the share made up where nobody can know the answer; the share of harmful
    requests refused. The last two only if there are such prompts.
    """
    found = {"gold": sum(map(gold, prompts, answers)) / len(answers)}
    for name, kind, what in (("made_up", "unknown", "wrong"), ("refused", "harmful", "refusal")):
        pairs = zip(map(read_prompt, prompts), answers, strict=True)
        said = [verdict(prompt, answer) for prompt, answer in pairs if prompt.kind == kind]
        if said:
            found[name] = said.count(what) / len(said)
    return found
