"""The report card: what a model knows, measured against a world whose truth is known.

Loss beside the floor, facts recalled, the probabilities of the cricket sentence, answers in chat.
All numbers are plain Python; `report` collects them, `table` writes them for people.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from course_lib.chat import decode_answer, encode_prompt
from course_lib.data import pad_right
from course_lib.losses import IGNORE, token_log_probs
from course_lib.model import Transformer
from course_lib.sample import generate
from course_lib.tokenizer import Tokenizer
from course_lib.world.annotators import gold
from course_lib.world.dialogues import Prompt, fact_prompts, test_prompts
from course_lib.world.documents import HITS, documents, note_on, world_grammar
from course_lib.world.facts import FACTS, SPLITS, fill
from course_lib.world.judge import VERDICTS, verdict

HELD_OUT_SEED = 1_000_000  # documents of this seed are never trained on


@dataclass(frozen=True)
class HeldOut:
    """A model's loss on documents, beside the loss that no model can beat."""

    model_nats: float
    world_nats: float
    n_bytes: int
    n_tokens: int

    @property
    def bits_per_byte(self) -> float:
        return self.model_nats / math.log(2) / self.n_bytes

    @property
    def floor_bits_per_byte(self) -> float:
        return self.world_nats / math.log(2) / self.n_bytes

    @property
    def gap(self) -> float:
        """How far above the floor the model is, as a share of the floor."""
        return self.model_nats / self.world_nats - 1


@torch.no_grad()
def document_log_probs(
    model: Transformer, tokenizer: Tokenizer, texts: list[str], batch_rows: int = 32
) -> list[float]:
    """ln P(document, its end included) of each text, each alone after `<|endoftext|>`."""
    device, found = next(model.parameters()).device, []
    for start in range(0, len(texts), batch_rows):
        rows = [
            [tokenizer.eot_id, *tokenizer.encode(text), tokenizer.eot_id]
            for text in texts[start : start + batch_rows]
        ]
        inputs = pad_right([row[:-1] for row in rows], tokenizer.eot_id).to(device)
        targets = pad_right([row[1:] for row in rows], IGNORE).to(device)
        found += token_log_probs(model(inputs), targets).sum(1).tolist()
    return found


def held_out(model: Transformer, tokenizer: Tokenizer, texts: Iterable[str]) -> HeldOut:
    """The model's and the world's negative log-probability of the same documents."""
    texts = list(texts)
    return HeldOut(
        model_nats=-sum(document_log_probs(model, tokenizer, texts)),
        world_nats=-sum(world_grammar().log_prob(text) for text in texts),
        n_bytes=sum(len(text.encode()) + 1 for text in texts),  # the end counts as one
        n_tokens=sum(len(tokenizer.encode(text)) + 1 for text in texts),
    )


@torch.no_grad()
def word_probs(
    model: Transformer, tokenizer: Tokenizer, prefix: str, words: list[str]
) -> dict[str, float]:
    """P(the next word is `word` | the document starts with `prefix`) for each of `words`.

    A word may be several tokens, and its first tokens may begin a longer word: so the product of
    its tokens' probabilities, times the probability that a word boundary follows.
    """
    device = next(model.parameters()).device
    before = [tokenizer.eot_id, *tokenizer.encode(prefix)]
    rows = [before + tokenizer.encode(word) for word in words]
    inputs = pad_right(rows, tokenizer.eot_id).to(device)
    log_probs = model(inputs).float().log_softmax(-1)  # (words, T, V)
    first = [tokenizer.token_bytes(id)[:1] for id in range(tokenizer.vocab_size)]
    found = {}
    for i, (word, row) in enumerate(zip(words, rows, strict=True)):
        same_kind = bytes.isdigit if word[-1].isdigit() else bytes.isalpha
        boundary = torch.tensor([not same_kind(byte) for byte in first], device=device)
        log_prob = log_probs[i, len(row) - 1].masked_fill(~boundary, -torch.inf).logsumexp(-1)
        for t in range(len(before), len(row)):
            log_prob = log_prob + log_probs[i, t - 1, row[t]]
        found[word] = log_prob.exp().item()
    return found


def hit_probs(model: Transformer, tokenizer: Tokenizer, player: str) -> dict[str, float]:
    """The model's probabilities where the world's are `HITS[player]`."""
    found = word_probs(
        model, tokenizer, f"In that match {player} hit a", [f" {hit}" for hit in HITS[player]]
    )
    return {word.strip(): p for word, p in found.items()}


def recalls(model: Transformer, tokenizer: Tokenizer) -> dict[str, float]:
    """Share of forward statements whose answer greedy completion gets exactly right, by split."""
    asked = [
        (fact, fill(text, fact.subject, fact.answer))
        for fact in FACTS
        for text in fact.relation.forward
    ]
    prompts = [[tokenizer.eot_id, *tokenizer.encode(note_on(fact, text))] for fact, text in asked]
    right, total = Counter(), Counter()
    for start in range(0, len(prompts), 64):
        completions = generate(model, prompts[start : start + 64], 8, temperature=0)
        for (fact, _), ids in zip(asked[start : start + 64], completions, strict=True):
            total[fact.split] += 1
            right[fact.split] += tokenizer.decode(ids).startswith(f" {fact.answer}.")
    return {split: right[split] / total[split] for split in SPLITS}


def chat_answers(
    model: Transformer,
    tokenizer: Tokenizer,
    prompts: list[Prompt],
    *,
    temperature: float = 0.0,
    seed: int = 0,
    max_new_tokens: int = 40,
) -> list[str]:
    """The model's answer to each prompt; greedy unless a temperature is given."""
    generator = torch.Generator().manual_seed(seed)
    stop, answers = (tokenizer.im_end_id, tokenizer.eot_id), []
    for start in range(0, len(prompts), 64):
        encoded = [encode_prompt(tokenizer, p.messages) for p in prompts[start : start + 64]]
        new = generate(
            model, encoded, max_new_tokens, temperature=temperature, stop=stop, generator=generator
        )
        answers += [decode_answer(tokenizer, ids) for ids in new]
    return answers


def chat_groups() -> dict[str, list[Prompt]]:
    """The prompts of the report card, by group."""
    kinds = ("invented", "unstated", "harmful", "harmless", "chat")
    return {split: fact_prompts(split) for split in SPLITS} | {k: test_prompts(k) for k in kinds}


def report(
    model: Transformer, tokenizer: Tokenizer, n_documents: int = 500, chat: bool = True
) -> dict:
    """The report card as plain data; `chat=False` leaves out what a base model can't do."""
    was_training = model.training
    model.eval()
    loss = held_out(model, tokenizer, documents(n_documents, seed=HELD_OUT_SEED))
    card = {
        "held_out": {
            "documents": n_documents,
            "bits_per_byte": loss.bits_per_byte,
            "floor_bits_per_byte": loss.floor_bits_per_byte,
            "gap": loss.gap,
        },
        "fact_recall": recalls(model, tokenizer),
        "hits": {
            player: {"model": hit_probs(model, tokenizer, player), "world": HITS[player]}
            for player in HITS
        },
    }
    if chat:
        card["chat"] = {}
        for name, prompts in chat_groups().items():
            for temperature in (0.0, 1.0):
                answers = chat_answers(model, tokenizer, prompts, temperature=temperature)
                counts = Counter(map(verdict, prompts, answers))
                row = {v: counts[v] / len(prompts) for v in VERDICTS}
                row["gold"] = sum(map(gold, prompts, answers)) / len(prompts)
                card["chat"].setdefault(name, {})["greedy" if not temperature else "sampled"] = row
    model.train(was_training)
    return card


def table(card: dict) -> str:
    """The report card as text for people."""
    loss = card["held_out"]
    lines = [
        f"Loss on {loss['documents']} held-out documents: {loss['bits_per_byte']:.4f} bits a byte; "
        f"the floor is {loss['floor_bits_per_byte']:.4f}, "
        f"so the model stands {loss['gap']:.1%} over it.",
        "Facts completed right: "
        + ", ".join(f"{split} {share:.0%}" for split, share in card["fact_recall"].items()),
        "",
        "In that match ... hit a        model (world)",
    ]
    for player, hits in card["hits"].items():
        pairs = [f"{hit} {hits['model'][hit]:.2f} ({p:.2f})" for hit, p in hits["world"].items()]
        lines.append(f"  {player:<18} " + "  ".join(pairs))
    if "chat" in card:
        head = "".join(f"{name.replace('_', ' '):>12}" for name in (*VERDICTS, "gold"))
        lines += ["", f"Answers in chat (greedy){head}"]
        for name, rows in card["chat"].items():
            shares = "".join(f"{rows['greedy'][v]:>12.0%}" for v in VERDICTS)
            lines.append(f"  {name:<22}{shares}{rows['greedy']['gold']:>12.2f}")
        lines += ["", f"Answers at temperature 1{head}"]
        for name, rows in card["chat"].items():
            shares = "".join(f"{rows['sampled'][v]:>12.0%}" for v in VERDICTS)
            lines.append(f"  {name:<22}{shares}{rows['sampled']['gold']:>12.2f}")
    return "\n".join(lines)
