"""The exercises of notebook 06: each checker takes what the learner wrote and returns a verdict."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import islice

import numpy as np

from course_lib.check.numbers import Number
from course_lib.check.verdict import Verdict, examine
from course_lib.config import ModelConfig, TrainConfig
from course_lib.measure.held_out import held_out
from course_lib.measure.recorded import recorded
from course_lib.model.transformer import Transformer
from course_lib.pipeline.release import load_released
from course_lib.scaling.forecast import PUBLISHED_INPUTS, forecast
from course_lib.text.rows import pack, text_batches
from course_lib.train.loop import next_token_loss, train
from course_lib.world.documents import documents, held_out_documents

TARGET = 2036


def growth_until(growth: Number | None) -> Verdict:
    """Is `growth` the fastest yearly growth of training sets that lasts until `TARGET`?"""
    if growth is None:
        return Verdict(False, "Put a number in the place of None.")
    if isinstance(growth, bool) or not isinstance(growth, Number) or not 1 < growth < math.inf:
        return Verdict(False, f"A growth is a number above 1, as 2.4 is, got {growth!r:.60}.")
    if round(growth, 1) != growth:
        return Verdict(False, f"One decimal is enough, got {growth:g}.")
    here, faster = (
        forecast(replace(PUBLISHED_INPUTS, growth=g)).median for g in (growth, growth + 0.1)
    )
    told = f"With {growth:g} times a year the date is about {min(here, 2100):.0f}"
    if here < TARGET:
        return Verdict(False, f"{told}, before {TARGET}: slower.")
    if faster >= TARGET:
        return Verdict(False, f"{told}; {growth + 0.1:.3g} times would still do: faster.")
    return Verdict(True, f"{told}. Training sets grew 2.4 times a year until 2024.")


def years_left(stock: float, used: float, growth: float) -> float:
    """The years until `used`, which grows by the factor `growth` a year, has reached `stock`."""
    return math.log(stock / used) / math.log(growth)


def check_years_left(function: Callable) -> Verdict:
    """Does `function(stock, used, growth)` give the years until use has grown to the stock?"""
    asked = [(8, 1, 2), (300e12, 15e12, 2.4), (100, 100, 3), (1000, 10, 1.1)]
    return examine(function, [(each, years_left(*each)) for each in asked])


PARTS = {"years_left": (check_years_left, years_left)}


# ---- Extrapolate, and report the error ----------------------------------------------------------

FURTHER = 4  # times: how far beyond the runs that may be used the two predicted ones lie
CLOSE = 0.25  # of what is left above the floor
ENDLESS = 1e12  # parameters, tokens
ROUNDED = 5e-4  # bits: predictions may be rounded to three decimals


@cache
def extrapolations() -> tuple[tuple[list[dict], dict], ...]:
    """(runs that may be used, the run to predict) for the two largest models that ran longest.

    Those that may be used are of smaller models, and have read at most a `FURTHER`th as much.
    """
    rows = recorded("scaling.csv")
    longest = max(row["tokens"] for row in rows)
    last = {row["parameters"]: row for row in rows if row["tokens"] == longest}
    found = []
    for size in sorted(last)[-2:]:
        used = [
            row for row in rows if row["parameters"] < size and FURTHER * row["tokens"] <= longest
        ]
        found.append((used, dict(last[size])))
    return tuple(found)


def extrapolated(function: Callable) -> Verdict:
    """Does `function(runs, parameters, tokens)` foresee a run that is larger than all it saw?

    What counts is the error as a share of what the run still has above the floor. A second run, of
    the largest model, is told and not asked for. Nothing may be promised below the floor, and
    beyond the first run more text and more parameters must still make a difference: a number that
    was guessed right is no prediction, and neither is a law that is held up by the floor.
    """
    if not callable(function):
        return Verdict(False, f"This needs a function, got {function!r:.60}.")
    told, errors = [], []
    for used, target in extrapolations():
        n, d, floor = (target[key] for key in ("parameters", "tokens", "floor_bits_per_byte"))
        points = [(n, d), (ENDLESS, ENDLESS)]
        if not told:
            beyond = FURTHER * n, FURTHER * d
            points += [beyond, (beyond[0], FURTHER * beyond[1]), (2 * beyond[0], beyond[1])]
        try:
            said, endless, *further = (
                float(function([dict(row) for row in used], *asked)) for asked in points
            )
        except NotImplementedError:
            return Verdict(False, "predicted isn't written yet.")
        except Exception as error:  # whatever a learner's code may raise
            return Verdict(False, f"It ended in {type(error).__name__}: {error!s:.200}")
        if strange := [bits for bits in (said, endless, *further) if not math.isfinite(bits)]:
            return Verdict(False, f"A loss is a number of bits per byte, got {strange[0]}.")
        if endless < floor - ROUNDED:
            impossible = f"{ENDLESS:.0e} parameters after {ENDLESS:.0e} tokens: {endless:.3f} bits."
            return Verdict(False, f"{impossible} The floor is {floor:.3f}, so that can't be.")
        if further and (same := _no_difference(*further)):
            here = f"{beyond[0]:,.0f} parameters after {beyond[1]:,.0f} tokens"
            return Verdict(False, f"{here}: {further[0]:.3f} bits. {same}")
        found = target["bits_per_byte"]
        errors.append((said - found) / (found - floor))
        told.append(
            f"{n:,.0f} parameters, {d:,.0f} tokens: said {said:.3f}, measured {found:.3f}, "
        )
        told[-1] += f"{errors[-1]:+.0%} of what is left above the floor."
    words = " ".join(told)
    if abs(errors[0]) > CLOSE:
        return Verdict(False, f"{words} The first should be within {CLOSE:.0%}.")
    return Verdict(True, f"{words} Report both errors, whichever you like better.")


def _no_difference(here: float, more_text: float, larger: float) -> str:
    """What leaves a prediction in bits as it is, `here`, and what to ask oneself; or nothing."""
    ask = "you say the same. What in your answer depends on"
    if abs(more_text - here) < 1e-6:
        return f"After {FURTHER} times as much text {ask} d?"
    if abs(larger - here) < 1e-6:
        return f"For twice the parameters {ask} n?"
    return ""


# ---- Read it again, and stop in time ------------------------------------------------------------

ONE_READING, MOST_READINGS, NEAR = 48, 24, 1.08  # steps of one reading of 12,288 tokens
SMALL = ModelConfig(dim=48, n_layers=2, n_heads=2, n_kv_heads=1, ffn_dim=128)


def bits_after(readings: int, seed: int = 7) -> float:
    """Bits per byte on unseen documents, of a small model that read 12,288 tokens so often."""
    _, tokenizer = load_released("base")
    rows = pack(documents(seed=seed), tokenizer, SMALL.context_length, 2 * ONE_READING)
    config = TrainConfig(ONE_READING * readings, 2, decay=0.5, seed=seed)
    model = Transformer(SMALL, seed)
    batch_at = text_batches(rows, 2, tokenizer.eot_id, seed)
    for _ in train(model, batch_at, next_token_loss, config):
        pass
    return held_out(model.eval(), tokenizer, islice(held_out_documents(), 300)).bits_per_byte


def readings(times: int | None) -> Verdict:
    """Is a text that is read so often worth about as much as it can be?

    The model is trained here, and held against the best number of readings among the recorded runs.
    """
    if times is None:
        return Verdict(False, "Put a whole number in the place of None.")
    if isinstance(times, bool) or not isinstance(times, int) or not 1 <= times <= MOST_READINGS:
        told = f"A whole number from 1 to {MOST_READINGS} is expected, got {times!r:.60}."
        return Verdict(False, told)
    found = {}
    for row in recorded("repetition.csv"):
        if row["unique_tokens"] == 12_288 and row["weight_decay"] == 0.1:
            found.setdefault(row["epochs"], []).append(row["bits_per_byte"])
    best = min(sum(bits) / len(bits) for bits in found.values())
    here = bits_after(times)
    told = f"Read {times} times: {here:.2f} bits per byte on new text. "
    told += f"The best of our runs on other texts of this length got {best:.2f}."
    if here > NEAR * best:
        return Verdict(False, f"{told} You can come closer.")
    return Verdict(True, told)


# ---- Real cards on the pile ---------------------------------------------------------------------

HIT = (0.45, 0.30, 0.20, 0.05)  # what follows "Virat Kohli hit a": six, century, four, ball
CARDS, ROUNDS, CHAINS, ENOUGH = 40, 30, 2000, 60


def kept(real: int) -> float:
    """In how many of 100 chains the rarest word lives, if each page has `real` cards of the world.

    The other cards of a page are copied from the page before.
    """
    rng = np.random.default_rng(0)
    truth = np.tile(HIT, (CHAINS, 1))
    counts = rng.multinomial(CARDS, truth)
    for _ in range(ROUNDS):
        copied = rng.multinomial(CARDS - real, counts / CARDS)
        counts = copied + rng.multinomial(real, truth)
    return 100 * float(np.mean(counts[:, -1] > 0))


def real_cards(real: int | None) -> Verdict:
    """Is this the smallest number of real cards per page that keeps "ball" in 60 chains of 100?"""
    if real is None:
        return Verdict(False, "Put a number of cards in the place of None.")
    if isinstance(real, bool) or not isinstance(real, int) or not 0 <= real <= CARDS:
        return Verdict(False, f"A whole number from 0 to {CARDS} is expected, got {real!r:.60}.")
    share = kept(real)
    cards = "card" if real == 1 else "cards"
    told = f"With {real} real {cards} of {CARDS}, ball is still there in {share:.0f} of 100 chains."
    if share < ENOUGH:
        return Verdict(False, f"{told} That should be {ENOUGH} or more.")
    if real and kept(real - 1) >= ENOUGH:
        return Verdict(False, f"{told} Fewer would do.")
    return Verdict(True, f"{told} And one card fewer isn't enough.")
