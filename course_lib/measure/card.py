"""The report card: everything that this room can measure of a model, on one page.

Loss beside the floor, probabilities beside the true ones, facts recalled, what follows a bare
question, answers in chat, distance to the SFT model. `report` collects plain Python numbers,
`table` writes them for people, and `summary` picks those that experiments average over seeds.
"""

import math
from collections import Counter
from collections.abc import Iterable

from course_lib.config import GREEDY, PLAIN
from course_lib.measure.answers import (
    MOST_NEW,
    WENT_ON_WITH,
    bare_questions,
    chat_groups,
    generated,
    recalls,
)
from course_lib.measure.choice_points import choice_kls, hit_probs, kl
from course_lib.measure.held_out import losses
from course_lib.measure.log_probs import completion_log_probs
from course_lib.model.transformer import Transformer
from course_lib.text.chat import decode_answer, encode_prompt
from course_lib.text.tokenizer import Tokenizer
from course_lib.world.annotators import gold
from course_lib.world.documents import HITS
from course_lib.world.facts import SPLITS, facts_of
from course_lib.world.judge import VERDICTS, follows, verdict

MODES = {"greedy": GREEDY, "sampled": PLAIN}


def _chat_card(model: Transformer, tokenizer: Tokenizer, reference: Transformer | None) -> dict:
    """By group of prompts: shares of the verdicts, mean gold reward and tokens, KL to `reference`.

    The KL is estimated by k1, the mean of ln(model / reference) over whole answers, in nats.
    """
    card, stop = {}, tokenizer.end_ids
    for group, prompts in chat_groups().items():
        encoded = [encode_prompt(tokenizer, prompt.messages) for prompt in prompts]
        said = {
            mode: generated(model, encoded, MOST_NEW, sampling, stop)
            for mode, sampling in MODES.items()
        }
        card[group] = {"prompts": len(prompts)}
        for mode, ids in said.items():
            answers = [decode_answer(tokenizer, answer) for answer in ids]
            counts = Counter(map(verdict, prompts, answers))
            obeyed = [
                verdict(p, a) == "right" and follows(p, a)
                for p, a in zip(prompts, answers, strict=True)
            ]
            card[group][mode] = {v: counts[v] / len(prompts) for v in VERDICTS} | {
                "obeyed": sum(obeyed) / len(prompts),
                "gold": sum(map(gold, prompts, answers)) / len(prompts),
                "tokens": sum(map(len, ids)) / len(prompts),  # <|im_end|> is one of them
            }
        if reference is not None:
            # k1 is an average over what the model says by itself, so greedy answers won't do.
            ids = said["sampled"]
            ours, theirs = (completion_log_probs(m, encoded, ids) for m in (model, reference))
            card[group]["sampled"]["kl_to_sft"] = (sum(ours) - sum(theirs)) / len(ids)
    return card


def report(
    model: Transformer,
    tokenizer: Tokenizer,
    n_documents: int = 2000,
    chat: bool = True,
    reference: Transformer | None = None,
) -> dict:
    """The report card as plain data; `chat=False` leaves out what a base model can't do.

    With the SFT model as `reference`, the card says how far RLHF has moved the model away from it.
    """
    if n_documents < 1:
        raise ValueError(f"n_documents must be 1 or more, got {n_documents}")
    if reference is not None and not chat:
        raise ValueError("only chat is compared with a reference: ask for chat, or give none")
    was_training = model.training
    model.eval()
    recall = recalls(model, tokenizer)
    # The splits are of different sizes. Over all facts, every statement counts once.
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

    `gold_...`, `answer_tokens` and `kl_to_sft` are means over all prompts of the card,
    `dont_know_known_...` over those about facts. Tokens and KL are of answers at temperature 1.
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

    for mode in MODES if chat else ():
        for start, what, groups in (
            ("right", "right", (*SPLITS, "chat", "tasks", "sloppy", "forms", "wordings", "lists")),
            ("obeyed", "obeyed", ("instructions", "new_instructions")),
            ("made_up", "wrong", ("invented", "unstated", "open")),
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
    for mode, sampling in MODES.items() if "chat" in card else ():
        rows = {group: row[mode] for group, row in card["chat"].items()}
        further = {"kl_to_sft": ".2f"} if "kl_to_sft" in rows["chat"] else {}
        lines += _section(f"Chat, temperature {sampling.temperature:.0f}", rows, answers | further)
    return "\n".join(lines[1:])
