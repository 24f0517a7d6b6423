"""What the explorer shows of a state: numbers, words, a table, code and a picture.

`shown` asks the models and returns all that the page draws, as JSON; the rest tells this view again
in other forms.
"""

from dataclasses import asdict, fields

import torch
from torch import Tensor

from course_lib import plots
from course_lib.model.sample import probs_at, sampling_probs
from course_lib.text.foreign import AnyTokenizer
from course_lib.text.tokenizer import Tokenizer, visible
from course_lib.widgets.explorer_state import (
    Models,
    Session,
    State,
    drawn_ids,
    is_int,
    prompt_ids,
    readable,
    token_text,
    whole_text,
)
from course_lib.widgets.shell import drawable
from course_lib.world.truth import true_next_tokens

# ---- From a state to numbers --------------------------------------------------------------------


def true_shares(
    tokenizer: AnyTokenizer, state: State, ids: list[int]
) -> tuple[dict[int, float], str]:
    """The true probability of each next token, and the words for why there is none."""
    if state.chat:
        return {}, "The truth is known for raw text only: the world writes documents, not chats."
    if not isinstance(tokenizer, Tokenizer):
        return {}, "The truth is known for the course's own tokenizer only."
    text = whole_text(tokenizer, state)
    # the world's documents are cut into tokens in one way, others that spell the same never occur
    found = true_next_tokens(tokenizer, text) if tokenizer.encode(text) == ids[1:] else {}
    outside = (
        "This text is outside the course's world: no document there begins like it, so there is "
        "no true probability to show."
    )
    return found, "" if found else outside


def best_ids(series: list[Tensor], n: int) -> list[int]:
    """The n ids that one of the `series` (V,) gives most, the largest first."""
    most = torch.stack(series).amax(dim=0)
    top = most.topk(min(n, len(most))).indices.tolist()
    return sorted(top, key=lambda id: (-most[id].item(), id))


def shown(session: Session, models: Models) -> dict:
    """All that the page draws, as JSON."""
    state, tokenizer = session.state, models.tokenizer
    ids, fixed = prompt_ids(tokenizer, state)
    names = list(models.models) if state.compare else []
    names = [state.model, *(name for name in names if name != state.model)]
    logits = {name: models.logits(name, ids) for name in names}  # (V,) each
    series = [(name, sampling_probs(logits[name], state.sampling)) for name in names]
    ranked = [probs_at(logits[name], 1.0) for name in names]  # so that no dial changes the order
    probs, own = series[0][1], logits[state.model]
    tempered = probs_at(own, state.temperature)
    removed = tempered.where(probs == 0, 0.0)  # what top-k and top-p cut
    note = ""
    if state.truth:
        true, note = true_shares(tokenizer, state, ids)
        if true:
            row = torch.zeros_like(probs)
            row[list(true)] = torch.tensor(list(true.values()))
            series.append(("the world", row))
            ranked.append(row)
    if state.samples:
        drawn = drawn_ids(probs, state.samples, state.seed)
        share = torch.bincount(drawn, minlength=len(probs)) / state.samples
        series.append((f"{state.samples} drawn", share))

    best = best_ids(ranked, state.bars)
    columns = [tempered, removed, *(p for _, p in series)]
    table = torch.stack([column[best] for column in columns], dim=1).tolist()  # (n, 2 + series)
    # the sums are taken in float64: a vocabulary of small shares would else lose the last digits
    rest = [max(0.0, (c.double().sum() - c[best].double().sum()).item()) for c in columns]
    rows = [
        {"id": id, "text": token_text(tokenizer, id), "logit": own[id].item(), **_shares(*shares)}
        for id, shares in zip(best, table, strict=True)
    ]
    context = models.models[state.model].config.context_length
    view = {
        "state": asdict(state),
        "text": whole_text(tokenizer, state),
        "chips": [[id, token_text(tokenizer, id)] for id in ids[-context:]],
        "cut": max(0, len(ids) - context),  # tokens before the first chip
        "fixed": fixed,
        "attention": _attention(state, models, ids, context),
        "series": [name for name, _ in series],
        "rows": rows,
        "rest": {"count": len(probs) - len(best), **_shares(*rest)},
        "steps": _steps_in_words(state, tempered, removed),
        "note": note,
        "undo": bool(session.past),
        "branches": [_label(tokenizer, branch) for branch in session.branches],
        "said": session.said,
        "error": "",
    }
    return view | {
        "words": view_in_words(view),
        "table": as_table(view),
        "code": as_code(state, models),
    }


def _shares(tempered: float, removed: float, *p: float) -> dict:
    return {"tempered": tempered, "removed": removed, "p": list(p)}


def _attention(state: State, models: Models, ids: list[int], context: int) -> dict | None:
    """How much the chosen token looks at each chip up to itself."""
    cut = max(0, len(ids) - context)
    if state.token is None or not cut <= state.token < len(ids):
        return None
    maps = models.attention(state.model, ids)  # (L, H, T, T)
    n_layers, n_heads = maps.shape[:2]
    for name, n in (("layer", n_layers), ("head", n_heads)):
        chosen = getattr(state, name)
        if chosen is not None and not is_int(chosen, 0, n - 1):
            raise ValueError(f"{name} must be 0 to {n - 1}, or None for the mean, got {chosen!r}")
    maps = maps if state.layer is None else maps[[state.layer]]
    maps = maps if state.head is None else maps[:, [state.head]]
    position = state.token - cut
    weights = maps[:, :, position, : position + 1].mean(dim=(0, 1)).tolist()
    return {"weights": weights, "layers": n_layers, "heads": n_heads}


# ---- From numbers to words, text and a picture --------------------------------------------------


def _steps_in_words(state: State, tempered: Tensor, removed: Tensor) -> str:
    words = []
    if state.temperature == 0:
        words.append("Temperature 0 gives everything to the best token.")
    elif state.temperature != 1:
        effect = "sharpens" if state.temperature < 1 else "flattens"
        words.append(f"Temperature {state.temperature:g} {effect} the distribution.")
    n_cut, mass = int((removed > 0).sum()), removed.double().sum().item()
    if n_cut:
        dials = (("Top-k", state.top_k), ("top-p", state.top_p))
        which = " and ".join(f"{name} {value:g}" for name, value in dials if value is not None)
        words.append(
            f"{which[0].upper()}{which[1:]} cut {n_cut:,} of {len(removed):,} tokens, which had "
            f"{100 * mass:.1f} % together; the others are scaled by {1 / (1 - mass):.2f}."
        )
    return " ".join(words)


def view_in_words(view: dict) -> str:
    """The most probable tokens with whole percents, which are the same on every machine."""
    rows = [(row["text"], row["p"]) for row in view["rows"][:5]]
    others = [sum(p) for p in zip(*(row["p"] for row in view["rows"][:5]), strict=True)]
    told = [f"{text} {_percents(view, p)}" for text, p in rows]
    told.append(f"all others {_percents(view, [max(0.0, 1 - p) for p in others])}")
    return f"Next token after {_title(view)}: {'; '.join(told)}."


def _percents(view: dict, p: list[float]) -> str:
    if len(p) == 1:
        return f"{100 * p[0]:.0f} %"
    pairs = zip(view["series"], p, strict=True)
    return ", ".join(f"{name} {100 * value:.0f} %" for name, value in pairs)


def _title(view: dict) -> str:
    if view["state"]["chat"]:
        return f"the question “{_end(view['text'])}”" + _answer_so_far(view)
    return f"“{_end(view['text'])}”" if view["text"] else "the start of a document"


def _answer_so_far(view: dict) -> str:
    picked = "".join(
        text for _, text in view["chips"][len(view["chips"]) - len(view["state"]["picked"]) :]
    )
    return f" and the answer's begin “{_end(picked)}”" if picked else ""


def _end(text: str, longest: int = 48) -> str:
    text = text.replace("\n", visible("\n"))
    return text if len(text) <= longest else "…" + text[1 - longest :]


def _label(tokenizer: AnyTokenizer, state: State) -> str:
    answer = readable(tokenizer, list(state.picked)) if state.chat else ""
    return _end(" → ".join(filter(None, (whole_text(tokenizer, state), answer))), 32) or "(empty)"


def as_table(view: dict) -> str:
    """The bars as lines of tab-separated columns, for a spreadsheet."""
    lines = [["token", "id", "logit", "after temperature", "cut", *view["series"]]]
    for row in view["rows"]:
        start = [row["text"], str(row["id"]), f"{row['logit']:.3f}"]
        lines.append(start + [f"{x:.5f}" for x in (row["tempered"], row["removed"], *row["p"])])
    rest = view["rest"]
    shares = [f"{x:.5f}" for x in (rest["tempered"], rest["removed"], *rest["p"])]
    lines.append([f"all other {rest['count']} tokens", "", "", *shares])
    return "\n".join("\t".join(line) for line in lines)


def as_code(state: State, models: Models) -> str:
    """The call that shows `state`."""
    defaults = State("", model=next(iter(models.models)))
    changed = [
        f"{field.name}={getattr(state, field.name)!r}"
        for field in fields(State)[1:]
        if getattr(state, field.name) != getattr(defaults, field.name)
    ]
    return f"explorer({', '.join(['models', repr(state.text), *changed])})"


def view_picture(view: dict) -> plots.Picture:
    """The first bars; where tokens are cut, a panel for each step."""
    rows = [*view["rows"][:6]]
    columns = [[row["tempered"], row["tempered"] - row["removed"], *row["p"]] for row in rows]
    columns = list(
        zip(*columns, strict=True)
    )  # from a row for each token to a column for each step
    columns = [[*column, max(0.0, 1 - sum(column))] for column in columns]
    kept = 1 - sum(row["removed"] for row in [*view["rows"], view["rest"]])
    columns[1][-1] = max(0.0, round(kept - sum(columns[1][:-1]), 6))  # what is cut is 0, exactly
    names = [_plain(row["text"]) for row in rows] + ["all others"]
    title = _plain(f"Next token after {_title(view)}")
    if kept < 1:
        labels = (f"temperature {view['state']['temperature']:g}", "cut", "scaled to 100 %")
        picture = plots.sampling_steps(title, names, dict(zip(labels, columns, strict=False)))
    else:
        series = dict(zip(view["series"][:3], columns[2:], strict=False))
        picture = plots.probability_bars(title, names, **series)
    return plots.Picture(picture.figure, view["words"])


def _plain(text: str) -> str:
    """`text` as matplotlib draws it letter by letter: between dollars it would see a formula."""
    return drawable(text).replace("$", r"\$")
