"""What notebook 03 lets you write: the training loop, and five exercises.

Two of the exercises train. Their checkers take a fresh model, train it for ten seconds or so as the
learner wants it, and say what came out.
"""

import math
from collections import Counter
from collections.abc import Callable
from functools import cache
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from course_lib.check.numbers import Number
from course_lib.check.verdict import Verdict, examine
from course_lib.config import ModelConfig, TrainConfig, model_preset
from course_lib.measure.habits import continued
from course_lib.measure.held_out import held_out, kind_of
from course_lib.measure.recited import recitals
from course_lib.model.transformer import Transformer
from course_lib.pipeline.release import load_released
from course_lib.text.rows import Batches, inputs_and_targets, pack, segments_of, text_batches
from course_lib.train.loop import next_token_loss, train
from course_lib.train.losses import cross_entropy
from course_lib.world.documents import documents, held_out_documents, raw_documents
from course_lib.world.facts import BY_NAME

# ---- The loop -----------------------------------------------------------------------------------


def pretrain(model: Transformer, batch_at: Callable, optimizer, steps: int) -> list[float]:
    """The loss of each step; the model has learned from `batch_at(0)`, `batch_at(1)`, ..."""
    losses = []
    for step in range(steps):
        inputs, targets, segments = batch_at(step)
        loss = cross_entropy(model(inputs, segments=segments), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def _loop(
    model, batch_at, optimizer, steps, *, keeps=False, same=False, blind=False, joined=False,
    upside_down=False,
) -> list[float]:  # fmt: skip
    """`pretrain` with a slip in it."""
    losses = []
    for step in range(steps):
        inputs, targets, segments = batch_at(0 if same else step)
        options = {} if joined else {"segments": segments}
        loss = cross_entropy(model(inputs, **options), inputs if blind else targets)
        if not keeps:
            optimizer.zero_grad()
        (-loss if upside_down else loss).backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


SLIPS = {
    "keeps": "backward() adds to the gradients of the step before. They have to be cleared first, "
    "in each step.",
    "same": "It reads the same batch in every step: ask `batch_at` for this step's.",
    "blind": "It is asked for the token that it has just read. The targets are the ones that come "
    "next.",
    "joined": "Documents that share a row can see each other in yours: the model needs the "
    "segments, too.",
    "upside_down": "Yours walks uphill: the loss should fall, and an optimizer's step sees to that "
    "by itself.",
}
STEPS = 4


def check_pretrain(function: Callable) -> Verdict:
    """Does `function(model, batch_at, optimizer, steps)` train as `pretrain` does?"""
    if not callable(function):
        return Verdict(False, f"This needs a function, got {function!r:.60}.")
    try:
        losses, weights, asked = _what_it_does(function)
    except NotImplementedError:
        return Verdict(False, f"{getattr(function, '__name__', 'it')} isn't written yet.")
    except Exception as error:  # whatever a learner's code may raise
        return Verdict(False, f"It ended in {type(error).__name__}: {error!s:.200}")
    expected, right, _ = _what_it_does(pretrain)
    if not torch.allclose(weights, right, atol=1e-6):
        for name, words in SLIPS.items():
            slip = _what_it_does(lambda *given, name=name: _loop(*given, **{name: True}))[1]
            if torch.allclose(weights, slip, atol=1e-6):
                return Verdict(False, words)
        if torch.equal(weights, _what_it_does(lambda *given: [])[1]):
            told = "Not a single weight has moved. Are there gradients when the optimizer steps?"
            return Verdict(False, told)
        if asked != list(range(STEPS)):
            told = f"For {STEPS} steps the batches 0 to {STEPS - 1} are wanted. Yours asked for"
            return Verdict(False, f"{told} {asked}.")
        told = f"After {STEPS} steps the weights aren't those of the course's loop"
        return Verdict(False, f"{told}. In which order do backward and step come?")
    try:
        losses = [float(loss) for loss in losses]
    except (TypeError, ValueError):
        return Verdict(
            False, f"The weights are right. Return a list of losses, got {losses!r:.60}."
        )
    if len(losses) != STEPS:
        return Verdict(False, f"The weights are right. {STEPS} steps, {len(losses)} losses.")
    if not all(math.isclose(a, b, rel_tol=1e-4) for a, b in zip(losses, expected, strict=True)):
        told = "The weights are right, the losses aren't: write each one down as it was computed"
        return Verdict(False, f"{told}, in nats.")
    return Verdict(True, "It learns.")


def _what_it_does(function: Callable) -> tuple[object, Tensor, list[int]]:
    """The losses that a loop returns, the weights that it leaves, and the batches it asked for."""
    size = ModelConfig(16, 8, dim=8, n_layers=1, n_heads=2, n_kv_heads=1, ffn_dim=16)
    model, asked = Transformer(size, seed=0), []
    rows = torch.randint(1, 16, (12, 9), generator=torch.Generator().manual_seed(0)).numpy()
    rows[:, [0, 4]] = 0  # two documents in each row
    order = Batches(rows, 3)

    def batch_at(step: int) -> tuple[Tensor, Tensor, Tensor]:
        asked.append(int(step))
        inputs, targets = inputs_and_targets(order(step))
        return inputs, targets, segments_of(inputs, 0)

    with torch.enable_grad():
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
        losses = function(model, batch_at, optimizer, STEPS)
    return losses, torch.cat([p.detach().flatten() for p in model.parameters()]), asked


PARTS = {"pretrain": (check_pretrain, pretrain)}


# ---- The exercises ------------------------------------------------------------------------------


@cache
def _released() -> tuple:
    return load_released("base")


ROWS, HUNDRED = 8, 100
GOOD = 2.55  # bits per token after a hundred small steps


def _bits(model: Transformer, n: int = 100) -> float:
    loss = held_out(model, _released()[1], held_out_documents(n))
    return loss.model_nats / math.log(2) / loss.n_tokens


def hundred_steps(
    rate: Number | None, optimizer: str = "adamw", warmup: Number = 0.02, decay: Number = 0.6
) -> Verdict:
    """How low does the loss come in a hundred steps of eight rows, with these dials?"""
    if rate is None:
        return Verdict(False, "Put a learning rate in the place of None, 0.004, say.")
    for name, dial in (("rate", rate), ("warm-up", warmup), ("decay", decay)):
        if isinstance(dial, bool) or not isinstance(dial, Number):
            return Verdict(False, f"The {name} is a number such as 0.02, got {dial!r:.60}.")
    if not 0 < rate < math.inf:
        return Verdict(False, f"The rate is a number above zero such as 0.004, got {rate}.")
    try:
        config = TrainConfig(
            HUNDRED, ROWS, learning_rate=rate, warmup=warmup, decay=decay,
            optimizer=optimizer, matrix_rate=0.25,
        )  # fmt: skip
        tokenizer = _released()[1]
        rows = pack(documents(seed=9), tokenizer, 128, HUNDRED * ROWS)
        model = Transformer(model_preset("nano"), seed=9)
        for _ in train(model, text_batches(rows, ROWS, tokenizer.eot_id), next_token_loss, config):
            pass
    except (ValueError, TypeError) as error:
        return Verdict(False, f"{str(error)[:1].upper()}{str(error)[1:300]}.")
    except FloatingPointError:
        return Verdict(False, "The loss is no longer a number. That rate was too high.")
    bits = _bits(model.eval())
    told = f"{bits:.2f} bits per token on new text after {HUNDRED} steps."
    if bits > GOOD:
        return Verdict(False, f"{told} Below {GOOD} is possible.")
    return Verdict(True, f"{told} Who in the room is lower?")


SECRET = "Nils keeps nine grey owls under the old bridge, and nobody but Vera knows."
MOST_COPIES, HIDING_STEPS = 60, 60


def few_copies(copies: Number | None) -> Verdict:
    """Does a model recite `SECRET` after it has read it so many times among other documents?

    One training run with one seed. Other copies stand in other rows and move the documents behind
    them, so near the edge a larger number may fail where a smaller one passes.
    """
    if copies is None:
        return Verdict(False, "Put a number of copies in the place of None.")
    if isinstance(copies, bool) or not isinstance(copies, int) or not 0 <= copies <= MOST_COPIES:
        return Verdict(False, f"A whole number from 0 to {MOST_COPIES}, got {copies!r:.60}.")
    tokenizer = _released()[1]
    n_rows, source = HIDING_STEPS * ROWS, documents(seed=9)
    hiding = {number * n_rows // copies for number in range(copies)}
    rows = np.concatenate(
        [
            pack(chain([SECRET] * (number in hiding), source), tokenizer, 128, 1)
            for number in range(n_rows)
        ]
    )
    config = TrainConfig(HIDING_STEPS, ROWS, 1.6e-2, optimizer="muon", matrix_rate=0.25, decay=0.6)
    model = Transformer(model_preset("nano"), seed=9)
    for _ in train(model, text_batches(rows, ROWS, tokenizer.eot_id), next_token_loss, config):
        pass
    ((begun, said, by_heart),) = recitals(model.eval(), tokenizer, [SECRET])
    said = said.removesuffix("<|endoftext|>")
    told = f"{copies} copies among {n_rows} rows. {begun!r} goes on: {said!r:.80}."
    if by_heart:
        return Verdict(True, f"{told} By heart, in this run. Do the next numbers do it, too?")
    return Verdict(False, f"{told} Not by heart, in this run.")


LETTERS, ENOUGH = 11, 20


@cache
def capitals() -> tuple[tuple[str, str], ...]:
    """Countries and their capitals, every second one that the world knows."""
    return BY_NAME["capital"].pairs[::2]


def short_prompt(template: str | None) -> Verdict:
    """Does the base model go on with the capital where `template` has a country in place of {}?"""
    if template is None:
        return Verdict(False, 'Put a prompt in the place of None, "The capital of {} is", say.')
    if not isinstance(template, str) or template.count("{}") != 1 or len(template) > 200:
        return Verdict(False, f"A short text with one {{}} is expected, got {template!r:.60}.")
    texts = [template.replace("{}", country) for country, _ in capitals()]
    said = continued(*_released(), texts, most=8)
    pairs = list(zip(capitals(), said, strict=True))
    right = sum(text.strip().startswith(capital) for (_, capital), text in pairs)
    n = len(template) - 2
    told = f"{n} characters beside the country: {right} of {len(pairs)} capitals come next."
    if right < ENOUGH:
        return Verdict(False, f"{told} {texts[0]!r} goes on: {said[0]!r:.60}")
    if n > LETTERS:
        return Verdict(False, f"{told} Now shorter: {LETTERS} will do, spaces included.")
    return Verdict(True, f"{told} Who in the room needs fewer?")


LOST, KEPT_JUNK, OF_A_KIND = 0.05, 0.05, 0.15


@cache
def _crawl() -> tuple[tuple[str, str], ...]:
    """Pages of a crawl without its copies, each with its kind, "junk" among them."""
    found = [pair for pair in raw_documents(600, seed=7) if pair[1] != "copy"]
    return tuple((text, label if label == "junk" else kind_of(text)) for text, label in found)


def short_filter(keep: Callable) -> Verdict:
    """Does `keep(text)` throw out the junk of a crawl, and spare all six kinds of documents?"""
    if not callable(keep):
        return Verdict(False, f"This needs a function, got {keep!r:.60}.")
    crawl = _crawl()
    try:
        kept = [bool(keep(text)) for text, _ in crawl]
    except Exception as error:  # whatever a learner's code may raise
        return Verdict(False, f"It ended in {type(error).__name__}: {error!s:.200}")
    pairs = list(zip(crawl, kept, strict=True))
    junk = [k for (_, kind), k in pairs if kind == "junk"]
    clean = [(kind, k) for (_, kind), k in pairs if kind != "junk"]
    lost, all_of = Counter(kind for kind, k in clean if not k), Counter(kind for kind, _ in clean)
    worst = max(all_of, key=lambda kind: lost[kind] / all_of[kind])
    share = lost[worst] / all_of[worst]
    told = (
        f"Junk kept: {sum(junk) / len(junk):.0%}. Good text lost: {lost.total() / len(clean):.0%}"
    )
    told += f"; of the kind that suffers most, {worst}, {share:.0%}."
    bad = sum(junk) > KEPT_JUNK * len(junk) or lost.total() > LOST * len(clean)
    if bad or share > OF_A_KIND:
        told += f" At most {KEPT_JUNK:.0%} of the junk may stay. At most {LOST:.0%} of the good"
        return Verdict(False, f"{told} text may go, and at most {OF_A_KIND:.0%} of any one kind.")
    return Verdict(True, told)


def bits_per_byte(function: Callable) -> Verdict:
    """Does `function(loss_nats, n_tokens, n_bytes)` give bits a byte?"""
    cases = [
        ((math.log(2), 100, 100), 1),
        ((math.log(2), 100, 400), 0.25),
        ((1.0, 10, 20), 0.5 / math.log(2)),
        ((0.0, 7, 9), 0),
    ]
    return examine(function, cases, praise="Now any two tokenizers can be compared.")
