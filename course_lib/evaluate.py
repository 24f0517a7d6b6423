"""The report card: what a model knows, measured against a world whose truth is known.

Loss beside the floor, probabilities beside the true ones, facts recalled, what follows a bare
question, answers in chat, distance to the SFT model. All numbers are plain Python: `report`
collects them, `table` writes them for people, `summary` picks those to average over seeds.
"""

import math
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from functools import cache, lru_cache
from itertools import pairwise

import torch
from torch import Tensor

from course_lib.chat import decode_answer, encode_prompt
from course_lib.data import pad_right
from course_lib.model import Transformer
from course_lib.sample import generate
from course_lib.tokenizer import Tokenizer
from course_lib.world.annotators import gold
from course_lib.world.dialogues import Prompt, fact_prompts, test_prompts
from course_lib.world.documents import HITS, KINDS, documents, kind_grammar, note_on, world_grammar
from course_lib.world.facts import FACTS, RELATIONS, SPLITS, facts_of, fill
from course_lib.world.grammar import END, split_words
from course_lib.world.judge import VERDICTS, sentences, verdict

HELD_OUT_SEED = 1_000_000  # documents of this seed are never trained on
MOST_WORDS = 40  # each word that can follow is a row to compute: wider choice points are left out
WENT_ON_WITH = ("question", "answer", "other")
TEMPERATURES = {"greedy": 0.0, "sampled": 1.0}

Ids = list[int]


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
def _log_probs(
    model: Transformer, rows: list[Ids], batch_rows: int = 32
) -> Iterator[tuple[int, Tensor]]:
    """(index of a row, ln P of every token after each of its positions: (T, V)), short rows first.

    T may count pads at the end.
    """
    device = next(model.parameters()).device
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))  # so that few positions are pads
    for start in range(0, len(rows), batch_rows):
        batch = order[start : start + batch_rows]
        logits = model(pad_right([rows[i] for i in batch], 0).to(device))
        yield from zip(batch, logits.float().log_softmax(-1), strict=True)


def completion_log_probs(
    model: Transformer, prompts: list[Ids], completions: list[Ids], batch_rows: int = 32
) -> list[float]:
    """ln P(completion | prompt) in nats, of each pair."""
    # The last id is only predicted, never read: a document may fill the whole context.
    rows = [[*before, *after[:-1]] for before, after in zip(prompts, completions, strict=True)]
    found = [0.0] * len(rows)
    for i, log_probs in _log_probs(model, rows, batch_rows):
        first = len(prompts[i]) - 1  # the position that predicts the completion's first token
        at = range(first, first + len(completions[i]))
        found[i] = log_probs[list(at), completions[i]].sum().item()
    return found


def document_log_probs(
    model: Transformer, tokenizer: Tokenizer, texts: list[str], batch_rows: int = 32
) -> list[float]:
    """ln P(document, its end included) of each text, each alone after `<|endoftext|>`."""
    ids = [[*tokenizer.encode(text), tokenizer.eot_id] for text in texts]
    return completion_log_probs(model, [[tokenizer.eot_id]] * len(ids), ids, batch_rows)


@lru_cache(maxsize=1 << 14)  # many models are judged on the same documents
def _world_log_prob(text: str) -> float:
    log_prob = world_grammar().log_prob(text)
    if log_prob == -math.inf:
        raise ValueError(f"the world never writes this document, so it has no floor: {text!r}")
    return log_prob


def held_out(model: Transformer, tokenizer: Tokenizer, texts: Iterable[str]) -> HeldOut:
    """The model's and the world's negative log-probability of the same documents."""
    texts = list(texts)
    if not texts:
        raise ValueError("a loss needs one document or more, got none")
    return HeldOut(
        model_nats=-sum(document_log_probs(model, tokenizer, texts)),
        world_nats=-sum(map(_world_log_prob, texts)),
        n_bytes=sum(len(text.encode()) + 1 for text in texts),  # the end counts as one
        n_tokens=sum(len(tokenizer.encode(text)) + 1 for text in texts),
    )


def kind_of(text: str) -> str:
    """The kind of a document of the mixture: the one whose grammar writes it."""
    return max(KINDS, key=lambda kind: kind_grammar(kind).log_prob(text))


@cache
def held_out_set(n: int) -> dict[str, list[str]]:
    """The first `n` held-out documents of the mixture, by kind."""
    found = {kind: [] for kind in KINDS}
    for text in documents(n, seed=HELD_OUT_SEED):
        found[kind_of(text)].append(text)
    return {kind: texts for kind, texts in found.items() if texts}


def losses(model: Transformer, tokenizer: Tokenizer, n_documents: int) -> dict:
    """Bits a byte beside the floor, of all held-out documents and by kind.

    The floors include the choice of kind, as the model too must guess it.
    """

    def row(loss: HeldOut, n: int) -> dict:
        names = ("bits_per_byte", "floor_bits_per_byte", "gap")
        return {"documents": n} | {name: getattr(loss, name) for name in names}

    texts = held_out_set(n_documents)
    found = {kind: held_out(model, tokenizer, texts[kind]) for kind in texts}
    together = HeldOut(*map(sum, zip(*map(astuple, found.values()), strict=True)))
    by_kind = {kind: row(loss, len(texts[kind])) for kind, loss in found.items()}
    return row(together, n_documents) | {"by_kind": by_kind}


def baselines(
    tokenizer: Tokenizer, read: list[str], texts: list[str], unseen: float = 0.1
) -> dict[str, float]:
    """Bits a token on `texts` of what counts `read` alone, and of the world itself: the floor.

    uniform: all tokens alike; unigram: by frequency; bigram: by the token before. What was never
    seen counts as `unseen` of a time, or one such token would cost infinitely much.
    """
    if not read or not texts:
        raise ValueError(f"baselines need texts to read and to judge: {len(read)}, {len(texts)}")
    V, end = tokenizer.vocab_size, tokenizer.eot_id
    known = [[end, *tokenizer.encode(text), end] for text in read]
    pairs = [pair for ids in known for pair in pairwise(ids)]
    single, double = Counter(right for _, right in pairs), Counter(pairs)
    before = Counter(left for left, _ in pairs)
    asked = [pair for text in texts for pair in pairwise([end, *tokenizer.encode(text), end])]
    unigram = [(single[b] + unseen) / (len(pairs) + unseen * V) for _, b in asked]
    bigram = [(double[a, b] + unseen) / (before[a] + unseen * V) for a, b in asked]
    return {
        "uniform": math.log2(V),
        "unigram": -sum(map(math.log2, unigram)) / len(asked),
        "bigram": -sum(map(math.log2, bigram)) / len(asked),
        "floor": -sum(map(_world_log_prob, texts)) / math.log(2) / len(asked),
    }


def _char_class(char: str) -> str:
    """What a word is made of: GPT-2's pre-tokenizer cuts where this changes, and at a space."""
    if char in " \n":
        return char
    return "letter" if char.isalpha() else "digit" if char.isdigit() else "mark"


def word_log_probs(
    model: Transformer, tokenizer: Tokenizer, pairs: list[tuple[str, str]]
) -> list[float]:
    """ln P(the next word is `word` | the document starts with `prefix`) of each (prefix, word).

    A word may be several tokens, and its first tokens may begin a longer word: so the product of
    its tokens' probabilities, times the probability that a word boundary follows. `END` is one
    token, and nothing follows it.
    """
    if not all(word for _, word in pairs):
        raise ValueError("a word has one character or more, got an empty one")
    starts = ["special"] * model.config.vocab_size  # also of ids that stand for nothing
    for id in range(tokenizer.eot_id):
        starts[id] = _char_class(tokenizer.token_bytes(id)[:1].decode("ascii", "replace"))
    new_word = {last: [first != last for first in starts] for last in set(starts)}
    end = [tokenizer.eot_id]
    before = [end + tokenizer.encode(prefix) for prefix, _ in pairs]
    after = [end if word == END else tokenizer.encode(word) for _, word in pairs]
    rows = [b if a == end else b + a for b, a in zip(before, after, strict=True)]
    found = [0.0] * len(pairs)
    for i, log_probs in _log_probs(model, rows):
        t, word = len(before[i]) - 1, pairs[i][1]
        found[i] = sum(log_probs[t + n, id].item() for n, id in enumerate(after[i]))
        if word != END:
            boundary = torch.tensor(new_word[_char_class(word[-1])], device=log_probs.device)
            found[i] += log_probs[t + len(after[i])][boundary].logsumexp(-1).item()
    return found


def word_probs(
    model: Transformer, tokenizer: Tokenizer, prefix: str, words: list[str]
) -> dict[str, float]:
    """P(the next word is `word` | the document starts with `prefix`) for each of `words`."""
    found = word_log_probs(model, tokenizer, [(prefix, word) for word in words])
    return {word: math.exp(log_prob) for word, log_prob in zip(words, found, strict=True)}


def hit_probs(model: Transformer, tokenizer: Tokenizer, player: str) -> dict[str, float]:
    """The model's probabilities where the world's are `HITS[player]`."""
    if player not in HITS:
        raise ValueError(f"a player is one of {', '.join(HITS)}, got {player!r}")
    words = [f" {hit}" for hit in HITS[player]]
    found = word_probs(model, tokenizer, f"In that match {player} hit a", words)
    return {word.strip(): p for word, p in found.items()}


def kl(truth: dict[str, float], log_probs: dict[str, float]) -> float:
    """KL(truth || model) in nats, from the model's ln P of every word that is possible in truth."""
    return sum(p * (math.log(p) - log_probs[word]) for word, p in truth.items() if p)


@cache
def choice_points(n: int = 100, seed: int = 0) -> tuple[list[tuple[str, str, dict]], int]:
    """`n` (prefix, kind, true probabilities of the next word), and how many were left out.

    Held-out documents, each cut after a word drawn at random; where only one word can follow is no
    choice. Left out are those with more than `MOST_WORDS` words, and those whose last word may
    begin a longer one ("1" of "17"): there a text and its tokens ask different questions.
    """
    if n < 1:
        raise ValueError(f"the number of choice points must be 1 or more, got {n}")
    rng, points, left_out, texts = random.Random(seed), [], 0, documents(seed=HELD_OUT_SEED)
    while len(points) < n:
        text = next(texts)
        words = split_words(text)
        prefix = "".join(words[: rng.randint(1, len(words))])
        truth = world_grammar().next_word(prefix)
        last = _char_class(prefix[-1])
        if len(truth) > MOST_WORDS or any(w != END and _char_class(w[0]) == last for w in truth):
            left_out += 1
        elif len(truth) > 1:
            points.append((prefix, kind_of(text), truth))
    return points, left_out


def choice_kls(model: Transformer, tokenizer: Tokenizer) -> dict:
    """KL(truth || model) at the choice points, in nats: mean and worst, of all and by kind."""
    points, left_out = choice_points()
    pairs = [(prefix, word) for prefix, _, truth in points for word in truth]
    log_probs = iter(word_log_probs(model, tokenizer, pairs))
    found = [
        (kl(truth, {word: next(log_probs) for word in truth}), kind, prefix)
        for prefix, kind, truth in points
    ]

    def row(kinds: Iterable[str]) -> dict:
        kls = [kl for kl, kind, _ in found if kind in kinds]
        return {"points": len(kls), "mean_kl": sum(kls) / len(kls), "worst_kl": max(kls)}

    by_kind = {kind: row([kind]) for kind in KINDS if any(kind == k for _, k, _ in found)}
    return row(KINDS) | {"left_out": left_out, "worst_prefix": max(found)[2], "by_kind": by_kind}


def _generated(
    model: Transformer, prompts: list[Ids], most: int, temperature=0.0, stop=(), seed: int = 0
) -> list[Ids]:
    """At most `most` new ids after each prompt, 64 prompts at a time."""
    options = dict(temperature=temperature, stop=stop)
    options["generator"] = torch.Generator().manual_seed(seed)
    batches = (prompts[start : start + 64] for start in range(0, len(prompts), 64))
    return [ids for batch in batches for ids in generate(model, batch, most, **options)]


def recalls(model: Transformer, tokenizer: Tokenizer) -> dict[str, float]:
    """Share of forward statements whose answer greedy completion gets exactly right, by split."""
    longest = max(len(tokenizer.encode(f" {fact.answer}.")) for fact in FACTS)
    shares = {}
    for split in SPLITS:
        asked = [(fact, text) for fact in facts_of(split) for text in fact.relation.forward]
        begun = [note_on(fact, fill(text, fact.subject, fact.answer)) for fact, text in asked]
        prompts = [[tokenizer.eot_id, *tokenizer.encode(text)] for text in begun]
        said = [tokenizer.decode(ids) for ids in _generated(model, prompts, longest)]
        right = [s.startswith(f" {fact.answer}.") for s, (fact, _) in zip(said, asked, strict=True)]
        shares[split] = sum(right) / len(right)
    return shares


_QUESTION = re.compile(  # "a {x}" may be "an owl"; what stands in the blank need not make sense
    "|".join(
        re.escape(text.replace(" a {x}", " {x}")).replace(r"\{x\}", ".+")
        for relation in RELATIONS
        for text in relation.questions
    )
)


def went_on_with(prompt: Prompt, text: str) -> str:
    """What a base model wrote after a bare question, by its first sentence: of `WENT_ON_WITH`.

    A question is one in the world's wordings, the same question in other words ("Or: ...")
    included. An answer is what the judge calls right or wrong.
    """
    line = text.strip().split("\n")[0]
    first = sentences(line.removeprefix("Or: ").removeprefix("Q: "))[:1]
    if first and _QUESTION.fullmatch(first[0]):
        return "question"
    answered = verdict(prompt, line.removeprefix("A: ")) in ("right", "wrong")
    return "answer" if answered else "other"


def bare_questions(
    model: Transformer, tokenizer: Tokenizer, seed: int = 0
) -> dict[str, dict[str, float]]:
    """Shares of `WENT_ON_WITH` after a question that begins a document, by split.

    Every question about every fact in every wording, one sample each at temperature 1. Those of
    `stated_only` are asked in no document.
    """
    longest = max(len(tokenizer.encode(f"\nOr: {q}")) for fact in FACTS for q in fact.questions())
    shares = {}
    for split in SPLITS:
        prompts = fact_prompts(split)
        begun = [[tokenizer.eot_id, *tokenizer.encode(prompt.text)] for prompt in prompts]
        new = _generated(model, begun, longest, 1.0, (tokenizer.eot_id,), seed)
        texts = [decode_answer(tokenizer, ids) for ids in new]
        counts = Counter(map(went_on_with, prompts, texts))
        shares[split] = {what: counts[what] / len(prompts) for what in WENT_ON_WITH}
    return shares


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
    encoded = [encode_prompt(tokenizer, prompt.messages) for prompt in prompts]
    stop = (tokenizer.im_end_id, tokenizer.eot_id)
    answers = _generated(model, encoded, max_new_tokens, temperature, stop, seed)
    return [decode_answer(tokenizer, ids) for ids in answers]


def chat_groups() -> dict[str, list[Prompt]]:
    """The prompts of the report card, by group."""
    kinds = ("invented", "unstated", "harmful", "harmless", "chat")
    return {split: fact_prompts(split) for split in SPLITS} | {k: test_prompts(k) for k in kinds}


def _chat_card(model: Transformer, tokenizer: Tokenizer, reference: Transformer | None) -> dict:
    """By group: shares of the verdicts, means of gold reward and tokens, KL to the reference.

    The KL is estimated by k1 = ln(model / reference) of whole answers, in nats.
    """
    card, stop = {}, (tokenizer.im_end_id, tokenizer.eot_id)
    for group, prompts in chat_groups().items():
        encoded = [encode_prompt(tokenizer, prompt.messages) for prompt in prompts]
        card[group] = {"prompts": len(prompts)}
        for mode, temperature in TEMPERATURES.items():
            ids = _generated(model, encoded, 40, temperature, stop)
            answers = [decode_answer(tokenizer, answer) for answer in ids]
            counts = Counter(map(verdict, prompts, answers))
            row = {v: counts[v] / len(prompts) for v in VERDICTS}
            row["gold"] = sum(map(gold, prompts, answers)) / len(prompts)
            row["tokens"] = sum(map(len, ids)) / len(prompts)  # <|im_end|> is one of them
            card[group][mode] = row
        if reference is not None:  # `ids` and `row` are the sampled ones, as k1 needs them
            ours, theirs = (completion_log_probs(m, encoded, ids) for m in (model, reference))
            row["kl_to_sft"] = (sum(ours) - sum(theirs)) / len(ids)
    return card


def report(
    model: Transformer,
    tokenizer: Tokenizer,
    n_documents: int = 2000,
    chat: bool = True,
    reference: Transformer | None = None,
) -> dict:
    """The report card as plain data; `chat=False` leaves out what a base model can't do.

    With the SFT model as `reference`, chat tells how far RLHF has moved the model from it.
    """
    if n_documents < 1:
        raise ValueError(f"n_documents must be 1 or more, got {n_documents}")
    if reference is not None and not chat:
        raise ValueError("a reference is compared with in chat: ask for chat, or give none")
    was_training = model.training
    model.eval()
    recall = recalls(model, tokenizer)
    weights = {s: sum(len(fact.relation.forward) for fact in facts_of(s)) for s in SPLITS}
    recall["all"] = sum(recall[s] * weights[s] for s in SPLITS) / sum(weights.values())
    hits = {}
    for player, world in HITS.items():
        found = hit_probs(model, tokenizer, player)
        logs = {hit: math.log(p) for hit, p in found.items()}
        hits[player] = {"model": found, "world": world, "kl": kl(world, logs)}
    card = {
        "held_out": losses(model, tokenizer, n_documents),
        "fact_recall": recall,
        "hits": hits,
        "choice_points": choice_kls(model, tokenizer),
        "bare_questions": bare_questions(model, tokenizer),
    }
    if chat:
        card["chat"] = _chat_card(model, tokenizer, reference)
    model.train(was_training)
    return card


def summary(card: dict) -> dict[str, float]:
    """The numbers of a report card that experiments average over seeds, under flat names.

    `gold_...`, `answer_tokens` and `kl_to_sft` are means over all prompts of the card, `..._known`
    over those about facts. `answer_tokens` and `kl_to_sft` are of the answers at temperature 1.
    """
    loss, points = card["held_out"], card["choice_points"]
    hit_kls = [player["kl"] for player in card["hits"].values()]
    asked = [split["question"] for split in card["bare_questions"].values()]
    found = {"bits_per_byte": loss["bits_per_byte"], "gap_to_floor": loss["gap"]}
    found |= {f"gap_{kind}": row["gap"] for kind, row in loss["by_kind"].items()}
    found |= {f"recall_{split}": share for split, share in card["fact_recall"].items()}
    found |= {"mean_hit_kl": sum(hit_kls) / len(hit_kls), "worst_hit_kl": max(hit_kls)}
    found |= {"mean_choice_kl": points["mean_kl"], "worst_choice_kl": points["worst_kl"]}
    found["question_goes_on"] = sum(asked) / len(asked)
    chat = card.get("chat", {})

    def mean(mode: str, name: str, groups: Iterable[str] = chat) -> float:
        total = sum(chat[group]["prompts"] * chat[group][mode][name] for group in groups)
        return total / sum(chat[group]["prompts"] for group in groups)

    for mode in TEMPERATURES if chat else ():
        for start, what, groups in (
            ("right", "right", (*SPLITS, "chat")),
            ("made_up", "wrong", ("invented", "unstated")),
            ("refused", "refusal", ("harmful", "harmless")),
        ):
            found |= {f"{start}_{group}_{mode}": chat[group][mode][what] for group in groups}
        found[f"dont_know_known_{mode}"] = mean(mode, "dont_know", SPLITS)
        found[f"gold_{mode}"] = mean(mode, "gold")
    if chat:
        found["answer_tokens"] = mean("sampled", "tokens")
    if chat and "kl_to_sft" in chat["chat"]["sampled"]:
        found["kl_to_sft"] = mean("sampled", "kl_to_sft")
    return found


def _section(title: str, rows: dict[str, dict], columns: dict[str, str]) -> list[str]:
    """The lines of a table, after an empty one; `columns`: names of the cells -> their formats."""
    cells = {title: [name.replace("_", " ") for name in columns]}
    for label, row in rows.items():
        cells[f"  {label}"] = [format(row[name], spec) for name, spec in columns.items()]
    widths = [max(map(len, column)) + 2 for column in zip(*cells.values(), strict=True)]
    lines = {label: "".join(map(str.rjust, row, widths)) for label, row in cells.items()}
    return ["", *(f"{label:<24}{line}" for label, line in lines.items())]


def table(card: dict) -> str:
    """The report card as text for people."""
    loss, points, recall = card["held_out"], card["choice_points"], card["fact_recall"]
    bits = {"documents": "d", "bits_per_byte": ".4f", "floor_bits_per_byte": ".4f", "gap": ".1%"}
    kls = {"points": "d", "mean_kl": ".3f", "worst_kl": ".3f"}
    hits = {
        player: {hit: f"{row['model'][hit]:.2f} ({p:.2f})" for hit, p in row["world"].items()} | row
        for player, row in card["hits"].items()
    }
    hit_columns = dict.fromkeys(next(iter(card["hits"].values()))["world"], "") | {"kl": ".3f"}
    lines = [
        *_section("Loss, bits a byte", {"all": loss, **loss["by_kind"]}, bits),
        *_section("Facts completed right", {"": recall}, dict.fromkeys(recall, ".0%")),
        *_section("In that match ... hit a", hits, hit_columns),
        *_section("Other choice points", {"all": points, **points["by_kind"]}, kls),
        f"  worst after ...{points['worst_prefix'][-40:]!r}; {points['left_out']} left out",
        *_section(
            "After a bare question", card["bare_questions"], dict.fromkeys(WENT_ON_WITH, ".0%")
        ),
    ]
    answers = dict.fromkeys(VERDICTS, ".0%") | {"gold": ".2f", "tokens": ".1f"}
    for mode, temperature in TEMPERATURES.items() if "chat" in card else ():
        rows = {group: row[mode] for group, row in card["chat"].items()}
        further = {"kl_to_sft": ".2f"} if "kl_to_sft" in rows["chat"] else {}
        lines += _section(f"Chat, temperature {temperature:.0f}", rows, answers | further)
    return "\n".join(lines[1:])


def text_loss(model: Transformer, tokenizer: Tokenizer, texts: Iterable[str]) -> float:
    """Bits a byte of documents of any length, for real text: it has no floor that we know.

    Each is read alone after `<|endoftext|>`, its end included (as a byte). One that is longer than
    the context is read in windows that follow each other, as in training: at the start of a window
    the model sees nothing of the one before, so that a longer context would give a lower loss.
    """
    prompts, completions, n_bytes = [], [], 0
    T, V = model.config.context_length, model.config.vocab_size
    for text in texts:
        ids = [tokenizer.eot_id, *tokenizer.encode(text), tokenizer.eot_id]
        n_bytes += len(text.encode()) + 1
        for start in range(0, len(ids) - 1, T):
            prompts.append(ids[start : start + 1])
            completions.append(ids[start + 1 : start + T + 1])
    if not prompts:
        raise ValueError("a loss needs one document or more, got none")
    batch_rows = max(1, min(32, (1 << 26) // (T * V)))  # logits of 256 MB at most
    nats = -sum(completion_log_probs(model, prompts, completions, batch_rows))
    return nats / math.log(2) / n_bytes
