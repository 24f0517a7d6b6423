"""The report card: what it says of a chat, its table for people, its summary for experiments."""

import json
import math
import random

import pytest

from course_lib.measure.answers import chat_groups
from course_lib.measure.card import MODES, VERDICTS, _chat_card, report, summary, table
from course_lib.text.chat import encode_prompt
from course_lib.world.documents import HITS
from course_lib.world.facts import SPLITS, facts_of
from course_lib.world.prompts import Prompt, answer_to
from tests.measure.models import MODEL, OTHER, TOKENIZER, ln_p, say

GROUPS = {name: prompts[: 4 + i] for i, (name, prompts) in enumerate(chat_groups().items())}


def perfect(prompt: Prompt) -> str:
    return answer_to(prompt, random.Random(prompt.text))


def say_in_chat(monkeypatch, answer_of) -> list[tuple]:
    answers = {
        TOKENIZER.decode(encode_prompt(TOKENIZER, prompt.messages)): answer_of(prompt)
        for prompts in GROUPS.values()
        for prompt in prompts
    }
    monkeypatch.setattr("course_lib.measure.card.chat_groups", lambda: GROUPS)
    return say(monkeypatch, answers, [TOKENIZER.im_end_id])


def test_the_labelers_own_answers_get_full_marks(monkeypatch):
    monkeypatch.setattr("course_lib.measure.card.MOST_NEW", 99)  # this tokenizer has few words
    asked = say_in_chat(monkeypatch, perfect)

    card = _chat_card(MODEL, TOKENIZER, None)

    stop = {TOKENIZER.im_end_id, TOKENIZER.eot_id}
    assert asked == [(0, stop), (1, stop)] * len(GROUPS)

    unknown = ("invented", "unstated", "open")
    due = {"harmful": "refusal"} | dict.fromkeys(unknown, "dont_know")
    for group, rows in card.items():
        assert rows["prompts"] == len(GROUPS[group])
        for mode in MODES:
            assert rows[mode][due.get(group, "right")] == 1
            assert 0.7 < rows[mode]["gold"] <= 1  # a labeler too adds idle sentences
    said = [perfect(prompt) for prompt in GROUPS["harmful"]]
    length = sum(len(TOKENIZER.encode(text)) + 1 for text in said) / len(said)
    assert card["harmful"]["greedy"]["tokens"] == pytest.approx(length)


def test_kl_to_the_reference_is_the_mean_log_ratio_of_whole_answers(monkeypatch):
    say_in_chat(monkeypatch, perfect)

    card = _chat_card(MODEL, TOKENIZER, OTHER)

    ratios = []
    for prompt in GROUPS["harmful"]:
        before = encode_prompt(TOKENIZER, prompt.messages)
        after = [*TOKENIZER.encode(perfect(prompt)), TOKENIZER.im_end_id]
        ratios.append(ln_p(MODEL, before, after) - ln_p(OTHER, before, after))
    found = card["harmful"]["sampled"]["kl_to_sft"]
    assert found == pytest.approx(sum(ratios) / len(ratios), rel=1e-4) and abs(found) > 0.01
    assert "kl_to_sft" not in card["harmful"]["greedy"]


def test_a_model_has_no_distance_to_itself_and_some_to_another(monkeypatch):
    monkeypatch.setattr(
        "course_lib.measure.card.chat_groups", lambda: {"harmful": GROUPS["harmful"]}
    )

    same, other = (_chat_card(MODEL, TOKENIZER, m)["harmful"] for m in (MODEL, OTHER))

    assert same["sampled"]["kl_to_sft"] == 0 < other["sampled"]["kl_to_sft"]
    assert same["greedy"] == other["greedy"]


@pytest.fixture(scope="module")
def card():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("course_lib.measure.card.chat_groups", lambda: GROUPS)
        return report(MODEL, TOKENIZER, 10, reference=OTHER)


def test_the_report_card_is_plain_data(card):
    assert json.loads(json.dumps(card, allow_nan=False)) == card
    assert card["held_out"]["documents"] == 10
    assert set(card["fact_recall"]) == {*SPLITS, "all"}
    assert set(card["bare_questions"]) == set(SPLITS) and set(card["chat"]) == set(GROUPS)
    for rows in card["chat"].values():
        for mode in MODES:
            assert sum(rows[mode][v] for v in VERDICTS) == pytest.approx(1)
    for player, row in card["hits"].items():
        by_hand = sum(p * math.log(p / row["model"][hit]) for hit, p in HITS[player].items())
        assert row["kl"] == pytest.approx(by_hand)


def test_recall_of_all_facts_counts_every_statement_once(monkeypatch):
    shares = dict(zip(SPLITS, (1.0, 0.5, 0.25), strict=True))
    training = []
    monkeypatch.setattr(
        "course_lib.measure.card.recalls",
        lambda model, _: training.append(model.training) or dict(shares),
    )
    monkeypatch.setattr("course_lib.measure.card.bare_questions", lambda *_: {})

    found = report(MODEL.train(), TOKENIZER, 1, chat=False)

    assert training == [False] and MODEL.training  # it is judged in eval mode, and put back
    MODEL.eval()

    n = {split: sum(len(fact.relation.forward) for fact in facts_of(split)) for split in SPLITS}
    right = sum(shares[split] * n[split] for split in SPLITS)
    assert found["fact_recall"]["all"] == pytest.approx(right / sum(n.values()))
    assert "chat" not in found


def test_the_table_shows_the_numbers(card):
    lines = table(card).splitlines()

    assert max(map(len, lines)) <= 110 and lines[0].startswith("Loss, bits a byte")
    shown = {line.split()[0]: line.split()[1:] for line in lines if line.startswith("  ")}
    loss, points = card["held_out"], card["choice_points"]
    assert any(f"{loss['gap']:.1%}" in line for line in lines)
    assert any(f"{points['worst_kl']:.3f}" in line for line in lines)
    assert (
        "(0.45)" in shown["Virat"]
        and f"{card['hits']['Virat Kohli']['kl']:.3f}"
        in lines[next(i for i, line in enumerate(lines) if "Virat Kohli" in line)]
    )
    for group, rows in card["chat"].items():  # the last table is that of the sampled answers
        row = rows["sampled"]
        expected = [f"{row[v]:.0%}" for v in VERDICTS]
        assert shown[group] == [
            *expected, f"{row['gold']:.2f}", f"{row['tokens']:.1f}", f"{row['kl_to_sft']:.2f}"
        ]  # fmt: skip


def test_a_base_models_table_has_no_chat(card):
    base = {name: part for name, part in card.items() if name != "chat"}

    assert "Chat" in table(card) and "Chat" not in table(base)
    assert not {name for name in summary(base) if "gold" in name or "made_up" in name}
    assert summary(base).items() <= summary(card).items()


def test_the_summary_is_flat_and_counts_every_prompt_once(card):
    card, rng = json.loads(json.dumps(card)), random.Random(0)
    rows = [group[mode] for group in card["chat"].values() for mode in MODES]
    for row in [*rows, *card["bare_questions"].values()]:
        row |= {name: rng.random() for name in row}  # so that no two numbers are the same

    found = summary(card)

    assert all(isinstance(value, float) for value in found.values())
    assert found["gap_to_floor"] == card["held_out"]["gap"]
    assert found["recall_all"] == card["fact_recall"]["all"]
    assert found["worst_hit_kl"] == max(row["kl"] for row in card["hits"].values())
    assert found["mean_choice_kl"] == card["choice_points"]["mean_kl"]
    goes_on = [row["question"] for row in card["bare_questions"].values()]
    assert found["question_goes_on"] == pytest.approx(sum(goes_on) / 3)
    chat = card["chat"]
    assert found["right_asked_in_sft_greedy"] == chat["asked_in_sft"]["greedy"]["right"]
    assert found["made_up_invented_sampled"] == chat["invented"]["sampled"]["wrong"]
    assert found["refused_harmful_greedy"] == chat["harmful"]["greedy"]["refusal"]
    assert found["refused_harmless_greedy"] == chat["harmless"]["greedy"]["refusal"]
    n = {group: len(prompts) for group, prompts in GROUPS.items()}
    for name, mode, key in (
        ("gold_greedy", "greedy", "gold"),
        ("answer_tokens", "sampled", "tokens"),
        ("kl_to_sft", "sampled", "kl_to_sft"),
    ):
        total = sum(n[group] * chat[group][mode][key] for group in GROUPS)
        assert found[name] == pytest.approx(total / sum(n.values())), name
    known = sum(n[split] * chat[split]["sampled"]["dont_know"] for split in SPLITS)
    assert found["dont_know_known_sampled"] == pytest.approx(known / sum(n[s] for s in SPLITS))


def test_impossible_wishes_are_refused():
    with pytest.raises(ValueError, match="n_documents"):
        report(MODEL, TOKENIZER, n_documents=0)
    with pytest.raises(ValueError, match="reference"):
        report(MODEL, TOKENIZER, chat=False, reference=OTHER)
