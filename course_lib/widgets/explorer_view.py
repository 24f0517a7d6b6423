"""What a frozen explorer tells: its bars, in words and as a picture.

In a notebook that runs, the page computes this itself (`explorer_core.js`), and more; a test holds
the two together.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from course_lib.model.sample import probs_at, sampling_probs
from course_lib.text.tokenizer import visible
from course_lib.widgets.explorer_engine import Engine, bytes_of, token_text
from course_lib.widgets.explorer_state import State, is_int

Ask = Callable[..., dict]  # a question and what it is about -> the engine's answer

MODEL, WHOLE, TRUTH, DRAWN = "model", "all heads on", "the truth", "drawn"  # kinds of series
NO_CHAT_TRUTH = "The truth is known for raw text only: the world writes documents, not chats."
OTHER_TOKENS = (
    "No document of the world is cut into tokens like this, so there is no true probability to "
    "show."
)
GOLDEN = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class View:
    """What there is to see of a state: for each bar its share in each series."""

    state: State
    title: str
    series: list[tuple[str, str]]  # (name, kind)
    names: list[str]  # of the tokens with a bar
    ids: list[int]
    logits: list[float]
    tempered: list[float]
    removed: list[float]
    shares: list[list[float]]  # a row for each bar
    rest: list[float]  # what is left for all others: tempered, removed, and each series
    others: int  # how many they are
    note: str  # why there is no truth

    @property
    def words(self) -> str:
        """The most probable tokens with whole percents, which are the same on every machine."""
        first = list(zip(self.names, self.shares, strict=True))[:5]
        others = [max(0.0, 1 - sum(column)) for column in zip(*(p for _, p in first), strict=True)]
        rows = [*first, ("all others", others)]
        # one that nobody gives anything says nothing
        told = [(name, p) for i, (name, p) in enumerate(rows) if not i or any(map(whole, p))]
        parts = [f"{name} {self._percents(p)}" for name, p in told]
        return f"Next token after {self.title}: {'; '.join(parts)}."

    def _percents(self, shares: list[float]) -> str:
        if len(shares) == 1:
            return f"{whole(shares[0])}%"
        pairs = zip(self.series, shares, strict=True)
        return ", ".join(f"{name} {whole(p)}%" for (name, _), p in pairs)


def whole(share: float) -> int:
    """In percent, half a point rounded up: as a page rounds."""
    return int(np.floor(100 * share + 0.5))


def shown(state: State, engine: Engine, ask: Ask) -> View:
    """The view of `state`; `ask` is asked all that the page will ask for its first one."""
    tokenizer = engine.tokenizer
    ids, fixed = _prompt_ids(state, tokenizer.start_ids, ask)
    names = [state.model, *(n for n in engine.models if state.compare and n != state.model)]
    off = [list(head) for head in state.off]
    logits = [_numbers(ask("logits", name, ids, off)) for name in names]  # (V,) each
    own = [sampling_probs(row, state.sampling) for row in logits]
    series = [(name, MODEL, probs) for name, probs in zip(names, own, strict=True)]
    ranked = [row.softmax(0) for row in logits]  # so that no dial changes the order
    probs, tempered = own[0], probs_at(logits[0], state.temperature)
    removed = tempered.where(probs == 0, 0.0)  # what top-k and top-p cut
    if off:
        before = _numbers(ask("logits", state.model, ids, []))
        series.append((WHOLE, WHOLE, sampling_probs(before, state.sampling)))
    if state.token is not None:
        _check_head(state, ask("attention", state.model, ids, off))
    if state.lens:
        ask("lens", state.model, ids, off)
    true, note = _true_shares(state, tokenizer, ids[fixed:], ask) if state.truth else ([], "")
    if true:
        row = torch.zeros(len(probs), dtype=torch.double)
        row[[id for id, _ in true]] = torch.tensor([p for _, p in true], dtype=torch.double)
        series.append((TRUTH, TRUTH, row))
        ranked.append(row)
    if state.samples:
        drawn = torch.tensor(drawn_ids(probs, state.samples, state.seed))
        share = torch.bincount(drawn, minlength=len(probs)).double() / state.samples
        series.append((f"{state.samples} drawn", DRAWN, share))

    most = torch.stack(ranked).amax(dim=0)
    best = likeliest(most)[: state.bars]
    columns = [tempered, removed, *(p for _, _, p in series)]
    rows = torch.stack([column[best] for column in columns], dim=1).tolist()
    return View(
        state=state,
        title=_title(state, tokenizer, ids),
        series=[(name, kind) for name, kind, _ in series],
        names=[token_text(tokenizer, id) for id in best],
        ids=best,
        logits=logits[0][best].tolist(),
        tempered=[row[0] for row in rows],
        removed=[row[1] for row in rows],
        shares=[row[2:] for row in rows],
        rest=[max(0.0, (column.sum() - column[best].sum()).item()) for column in columns],
        others=len(probs) - len(best),
        note=note,
    )


def _numbers(answer: dict) -> Tensor:
    """In float64, as the page computes."""
    return torch.from_numpy(np.frombuffer(answer["data"], dtype=np.float32).astype(np.float64))


def _prompt_ids(state: State, start: list[int], ask: Ask) -> tuple[list[int], int]:
    """The ids that the model goes on from, and how many at their start no rewind takes away."""
    if state.chat:
        ids = ask("prompt", [{"role": "user", "content": state.text}])["ids"]
        return [*ids, *state.picked], len(ids)
    ids = [*start, *ask("encode", state.text)["ids"], *state.picked]
    if not ids:
        raise ValueError("this tokenizer has no token for the start of a document: type something")
    return ids, len(start)


def _true_shares(state: State, tokenizer, after_start: list[int], ask: Ask) -> tuple[list, str]:
    """(id, true share) of each next token, and the words for why there is none."""
    if state.chat:
        return [], NO_CHAT_TRUTH
    text = state.text
    if state.picked:
        text = _readable(tokenizer, after_start)
        # documents are cut into tokens in one way; others that spell the same never occur
        if ask("encode", text)["ids"] != after_start:
            return [], OTHER_TOKENS
    found = ask("truth", text)
    return found["shares"], found["note"]


def _check_head(state: State, maps: dict) -> None:
    for name in ("layer", "head"):
        chosen, count = getattr(state, name), maps[f"{name}s"]
        if chosen is not None and not is_int(chosen, 0, count - 1):
            raise ValueError(
                f"{name} must be 0 to {count - 1}, or None for the mean, got {chosen!r}"
            )


def likeliest(shares: Tensor) -> list[int]:
    """All ids, the likeliest first; of equals the smaller id comes first."""
    return shares.argsort(descending=True, stable=True).tolist()


def drawn_ids(shares: Tensor, n: int, seed: int) -> list[int]:
    """`n` ids drawn from `shares` (V,) with the dice of run.c: splitmix64."""
    ids = likeliest(shares)
    ends = shares.double()[ids].cumsum(0).numpy()
    thrown = []
    for throw in range(1, n + 1):
        z = (seed + throw * GOLDEN) % 2**64
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        thrown.append(((z ^ z >> 31) >> 11) / 2**53)
    places = np.searchsorted(ends, thrown, side="right")
    return [ids[min(place, len(ids) - 1)] for place in places]


def _title(state: State, tokenizer, ids: list[int]) -> str:
    picked = list(state.picked)
    if state.chat:
        answer = "".join(token_text(tokenizer, id) for id in picked)
        began = f" and the answer's begin “{_end(answer)}”" if picked else ""
        return f"the question “{_end(state.text)}”{began}"
    text = state.text
    if picked:
        text = _readable(tokenizer, ids[len(tokenizer.start_ids) :])
    return f"“{_end(text)}”" if text else "the start of a document"


def _readable(tokenizer, ids: list[int]) -> str:
    """Their text; half a letter at its end is left out, as the other half may come."""
    text = b"".join(bytes_of(tokenizer, id) for id in ids).decode("utf-8", errors="replace")
    return text.rstrip("\ufffd")


def _end(text: str, longest: int = 48) -> str:
    text = text.replace("\n", visible("\n"))
    return text if len(text) <= longest else "…" + text[1 - longest :]
