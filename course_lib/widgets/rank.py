"""Rank several answers to a prompt, blind: what people do for RLHF, on one page.

The page shows the answers in an order drawn by lot and sends what is dragged or pressed; all that
counts happens here. A finished ranking becomes pairs, which are written at once to a file of
`prompt`, `chosen`, `rejected`: rankings survive a restart. Left out: how much better an answer is.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import anywidget
import traitlets

from course_lib.align.preferences import (
    Preference,
    Ranking,
    agreement,
    load_preferences,
    ranking_by,
    ranking_to_pairs,
    save_preferences,
)
from course_lib.machine.disk import locked
from course_lib.machine.folders import artifacts_folder
from course_lib.plots import Picture, text_card
from course_lib.widgets.page import page
from course_lib.widgets.shell import Pictured
from course_lib.world.annotators import best_first, gold

FILE = "rankings.jsonl"
MOST_UNDONE = 200


@dataclass(frozen=True)
class Order:
    """Answers in the order in which they stand, best first; some are as good as the one above."""

    answers: tuple[int, ...]
    tied: frozenset[int] = frozenset()  # answers that are as good as the one above them

    @property
    def ranking(self) -> list[list[int]]:
        """The indices of the answers, those of one place together."""
        places = []
        for answer in self.answers:
            if places and answer in self.tied:
                places[-1].append(answer)
            else:
                places.append([answer])
        return places


def blind_order(n: int, seed: int | str) -> Order:
    """`n` answers in an order drawn by lot, none tied."""
    answers = list(range(n))
    random.Random(seed).shuffle(answers)
    return Order(tuple(answers))


def moved(order: Order, answer: int, place: int) -> Order:
    """The order with `answer` at `place` (0 is the best); its own tie is cut, others stay.

    An answer that was tied with the moved one is tied with whoever stands above it now.
    """
    answers = [a for a in order.answers if a != answer]
    answers.insert(max(0, min(place, len(answers))), answer)
    if tuple(answers) == order.answers:
        return order
    # the first has nobody above it
    return Order(tuple(answers), order.tied - {answer, answers[0]})


def tie_toggled(order: Order, answer: int) -> Order:
    """`answer` is as good as the one above it, or no longer; nobody stands above the first."""
    if answer == order.answers[0]:
        return order
    return replace(order, tied=order.tied ^ {answer})


@dataclass(frozen=True)
class Standing:
    """All that a step changes, so that undoing one is going back to the standing before."""

    number: int  # of the prompt
    order: Order
    ranked: tuple[tuple[int, tuple[Preference, ...]], ...] = ()  # (number of a prompt, its pairs)


def agreements(pairs: Sequence[Preference]) -> dict[str, tuple[int, int]]:
    """Of the pairs that two of learner, crowd and gold both decide, how many they decide alike.

    The crowd is one annotator who ranks the same answers by the gold reward and noise.
    """
    groups = {}
    for pair in pairs:
        groups.setdefault(pair.prompt, {}).update({pair.chosen: None, pair.rejected: None})
    rng, by_gold, by_crowd = random.Random(0), [], []
    for prompt, answers in groups.items():
        answers = sorted(answers)
        worths = [gold(prompt, answer) for answer in answers]
        by_gold += ranking_to_pairs(prompt, answers, ranking_by(worths))
        by_crowd += ranking_to_pairs(prompt, answers, best_first(prompt, answers, rng))
    return {
        "you and gold": agreement(pairs, by_gold),
        "you and the crowd": agreement(pairs, by_crowd),
        "the crowd and gold": agreement(by_crowd, by_gold),
    }


def agreement_words(pairs: Sequence[Preference], done: bool = True) -> str:
    """The agreements as a sentence, once all is ranked: before, it would read as a mark."""
    if not pairs:
        return "Nothing is ranked yet."
    if not done:
        return ""
    told = [f"{who} {same} of {n} pairs" for who, (same, n) in agreements(pairs).items()]
    return f"Decided alike: {', '.join(told)}."


def differing(pairs: Sequence[Preference]) -> list[Preference]:
    """The pairs that the gold reward decides the other way round than these."""
    return [p for p in pairs if gold(p.prompt, p.chosen) < gold(p.prompt, p.rejected)]


class Ranker(Pictured, anywidget.AnyWidget):
    """The widget; `preferences` are the pairs of all rankings in its file."""

    _esm = page("rank.js")
    _css = page("rank.css")
    prompt = traitlets.Unicode("").tag(sync=True)
    answers = traitlets.List().tag(sync=True)  # [{id, letter, text, tied}], the best first
    done = traitlets.Bool(False).tag(sync=True)
    progress = traitlets.Unicode("").tag(sync=True)
    told = traitlets.Unicode("").tag(sync=True)  # what the last step did, read aloud
    agreement = traitlets.Unicode("").tag(sync=True)
    differing = traitlets.List().tag(sync=True)  # [prompt, chosen, rejected], when all is ranked
    can_undo = traitlets.Bool(False).tag(sync=True)

    def __init__(self, prompts: list[str], groups: list[list[str]], file: Path) -> None:
        super().__init__()
        self.file, self._prompts, self._groups = file, prompts, groups
        kept = self._kept()
        ranked = []
        for number, (prompt, answers) in enumerate(zip(prompts, groups, strict=True)):
            pairs = (p for p in kept if p.prompt == prompt)
            pairs = tuple(p for p in pairs if p.chosen in answers and p.rejected in answers)
            ranked += [(number, pairs)] if pairs else []
        self._past: list[Standing] = []
        self._standing = self._at_next(Standing(-1, Order(()), tuple(ranked)))
        self._show("")
        self.on_msg(self._on_message)

    @property
    def preferences(self) -> list[Preference]:
        """The pairs of all rankings, those of earlier sessions included."""
        return self._kept()

    def enter(self, ranking: Ranking) -> None:
        """Rank the answers that are shown, as (lists of) indices of the group, best first."""
        if self.done:
            raise ValueError("every prompt is ranked: undo the last ranking, or begin with others")
        standing = self._standing
        pairs = ranking_to_pairs(self.prompt, self._groups[standing.number], ranking)
        ranked = (*standing.ranked, (standing.number, tuple(pairs)))
        self._go_to(self._at_next(replace(standing, ranked=ranked)))
        self._past.append(standing)
        self._show(f"Stored: {len(pairs)} pairs.")

    def undo(self) -> None:
        """Take back the last move, tie or ranking."""
        if self._past:
            self._go_to(self._past[-1])
            self._past.pop()
            self._show("Taken back.")

    def anew(self) -> None:
        """Rank all prompts once more, from the first; undo brings the rankings back."""
        standing = self._standing
        if standing.ranked:
            self._go_to(self._at_next(replace(standing, ranked=())))
            self._past.append(standing)
            self._show("Ranked anew: Undo brings the rankings back.")

    def picture(self) -> Picture:
        lines = [f"{self.prompt}"] if not self.done else []
        for place, answer in enumerate(self.answers, 1):
            lines.append(f"  {'=' if answer['tied'] else place}  {answer['text']}")
        text = "\n".join([self.progress, *lines])
        return text_card("Answers to rank, the best first", text, self.agreement)

    def _on_message(self, _, message: dict, buffers: list) -> None:
        """What the page sends: move, tie, store, undo or anew."""
        try:
            self._obey(message["do"], message.get("answer"), message.get("place"))
        except OSError as error:
            self._show(f"That is not stored: {error}")

    def _obey(self, what: str, answer: int | None, place: int | None) -> None:
        standing, order = self._standing, self._standing.order
        if what == "undo":
            self.undo()
        elif what == "anew":
            self.anew()
        elif self.done:
            return  # the page has not heard of it yet
        elif what == "store":
            self.enter(order.ranking)
        elif what == "move":
            self._step(standing, moved(order, answer, place))
            now = self._standing.order.answers.index(answer) + 1
            self._show(f"{self._letter(answer)} is now number {now} of {len(order.answers)}.")
        elif what == "tie":
            self._step(standing, tie_toggled(order, answer))
            above = self._letter(order.answers[order.answers.index(answer) - 1])
            tied = answer in self._standing.order.tied
            same = f"as good as {above}" if tied else "no longer tied"
            self._show(f"{self._letter(answer)} is {same}.")

    def _step(self, before: Standing, order: Order) -> None:
        if order != before.order:
            self._go_to(replace(before, order=order))
            self._past = [*self._past[-MOST_UNDONE:], before]

    def _kept(self) -> list[Preference]:
        return load_preferences(self.file) if self.file.exists() else []

    def _go_to(self, standing: Standing) -> None:
        """Another standing; where its rankings are others, the file has them first."""
        # written before it counts: where the disk is full, the page and the file still agree
        if standing.ranked != self._standing.ranked:
            ours = {pair for _, found in self._standing.ranked for pair in found}
            pairs = [pair for _, found in standing.ranked for pair in found]
            # what else is in the file stays: other prompts' pairs, and those that somebody ranks
            # in another notebook at the same time
            with locked(self.file):
                others = [p for p in self._kept() if p not in ours and p not in pairs]
                save_preferences(self.file, [*others, *pairs])
        self._standing = standing

    def _at_next(self, standing: Standing) -> Standing:
        """At the first prompt that is not ranked yet; past the last one where all are."""
        ranked = {number for number, _ in standing.ranked}
        left = [number for number in range(len(self._prompts)) if number not in ranked]
        if not left:
            return replace(standing, number=len(self._prompts), order=Order(()))
        return replace(standing, number=left[0], order=self._first_order(left[0]))

    def _letter(self, answer: int) -> str:
        """A name that tells nothing: by the order in which the answers were first shown."""
        return "ABCDEFGHI"[self._first_order(self._standing.number).answers.index(answer)]

    def _first_order(self, number: int) -> Order:
        # each prompt has a seed of its own: one order for all would give the answers away by place
        return blind_order(len(self._groups[number]), f"0 {number}")

    def _show(self, told: str) -> None:
        standing, n = self._standing, len(self._prompts)
        pairs = [pair for _, found in standing.ranked for pair in found]
        with self.hold_sync():
            self.done = standing.number == n
            self.prompt = "" if self.done else self._prompts[standing.number]
            self.answers = [
                {
                    "id": answer,
                    "letter": self._letter(answer),
                    "text": self._groups[standing.number][answer],
                    "tied": answer in standing.order.tied,
                }
                for answer in standing.order.answers
            ]
            self.progress = f"{len(standing.ranked)} of {n} prompts ranked, {len(pairs)} pairs"
            self.agreement = agreement_words(pairs, self.done)
            apart = differing(pairs) if self.done else []
            self.differing = [[p.prompt, p.chosen, p.rejected] for p in apart]
            self.can_undo = bool(self._past)
            self.told = told


def ranker(
    prompts: Sequence[str],
    answer_groups: Sequence[Sequence[str]],
    file: str | Path | None = None,
) -> Ranker:
    """A widget that asks for a ranking of each group of answers, blind, and stores the pairs.

    The same answer twice is shown once; a group of one answer has nothing to rank and is left out.
    Prompts with many answers come first: they show best what ranking is. Pairs go to `file`, by
    default `rankings.jsonl` among the learner's files; what stands there already counts.
    """
    if len(prompts) != len(answer_groups) or not prompts:
        raise ValueError(
            f"a group of answers for each prompt expected: {len(prompts)}, {len(answer_groups)}"
        )
    if len(set(prompts)) != len(prompts):
        raise ValueError("each prompt is ranked once: give every prompt only once")
    distinct = [list(dict.fromkeys(answers)) for answers in answer_groups]
    kept = [(p, a) for p, a in zip(prompts, distinct, strict=True) if len(a) > 1]
    kept.sort(key=lambda one: -len(one[1]))
    if not kept:
        raise ValueError("every prompt has one answer only, so there is nothing to rank")
    if max(len(answers) for _, answers in kept) > 9:
        raise ValueError("9 answers to a prompt are the most that can be ranked")
    place = Path(file) if file is not None else artifacts_folder() / FILE
    return Ranker([p for p, _ in kept], [a for _, a in kept], place)
