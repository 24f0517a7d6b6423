"""The ranking widget: orders, ties, undo, the file; what thirty rankings do to a reward model."""

import json
import random

import pytest

from course_lib.align.preferences import Preference, load_preferences, save_preferences
from course_lib.align.reward import RewardModel, reward_batches, reward_loss
from course_lib.config import TrainConfig
from course_lib.pipeline.release import RELEASED
from course_lib.train.loop import train
from course_lib.widgets.rank import Order, agreements, blind_order, moved, ranker, tie_toggled
from course_lib.world.dialogues import fact_prompts
from course_lib.world.prompts import answer_to

PROMPTS = ["What is the capital of France?", "Hello!"]
GROUPS = [
    ["Paris.", "The capital of France is Paris.", "I don't know.", "Lima."],
    ["Hello! Ask me something.", "Lima.", "Hello! Ask me something."],
]


@pytest.fixture
def widget(tmp_path):
    return ranker(PROMPTS, GROUPS, tmp_path / "rankings.jsonl")


def press(widget, **message):
    widget._on_message(widget, message, [])


def test_the_first_order_is_drawn_by_lot_and_the_same_again():
    orders = {blind_order(4, seed).answers for seed in range(200)}

    assert len(orders) == 24  # every order comes up, so the place tells nothing
    assert blind_order(4, 7) == blind_order(4, 7)


def test_an_answer_moves_and_its_tie_is_cut():
    order = Order((0, 1, 2, 3), frozenset({1, 3}))

    assert order.ranking == [[0, 1], [2, 3]]
    assert moved(order, 3, 0).ranking == [[3], [0, 1], [2]]
    assert moved(order, 1, 3).ranking == [[0], [2, 3], [1]]
    assert moved(order, 0, 9).answers == (1, 2, 3, 0)
    assert moved(order, 0, 3).ranking == [[1], [2, 3], [0]]  # 1 has nobody above it now
    assert moved(order, 2, 2) is order


def test_a_tie_is_with_the_one_above():
    order = Order((2, 0, 1))

    assert tie_toggled(order, 2) is order
    assert tie_toggled(order, 0).ranking == [[2, 0], [1]]
    assert tie_toggled(tie_toggled(order, 0), 1).ranking == [[2, 0, 1]]
    assert tie_toggled(tie_toggled(order, 0), 0) == order


def test_k_answers_give_k_times_k_minus_one_over_two_pairs_minus_the_tied_ones(widget):
    press(widget, do="store")

    assert len(widget.preferences) == 4 * 3 // 2
    press(widget, do="undo")
    assert widget.preferences == []
    second = widget.answers[1]["id"]
    press(widget, do="tie", answer=second)
    press(widget, do="store")
    assert len(widget.preferences) == 4 * 3 // 2 - 1


def test_what_is_dragged_on_top_is_chosen_over_all_others(widget):
    worst = widget.answers[-1]

    press(widget, do="move", answer=worst["id"], place=0)
    assert widget.told == f"{worst['letter']} is now number 1 of 4."
    press(widget, do="store")

    assert sum(pair.chosen == worst["text"] for pair in widget.preferences) == 3
    assert widget.prompt == "Hello!" and len(widget.answers) == 2  # the same twice is shown once
    assert widget.progress == "1 of 2 prompts ranked, 6 pairs"


def test_every_step_can_be_taken_back(widget):
    first = widget.answers
    press(widget, do="move", answer=first[3]["id"], place=1)
    press(widget, do="tie", answer=first[3]["id"])
    press(widget, do="store")
    for _ in range(3):
        press(widget, do="undo")

    assert widget.answers == first and not widget.can_undo
    assert load_preferences(widget.file) == []
    press(widget, do="undo")  # nothing is left, and nothing happens
    assert widget.answers == first


def test_rankings_survive_a_kernel_restart(widget):
    press(widget, do="store")
    stored = widget.preferences

    again = ranker(PROMPTS, GROUPS, widget.file)

    assert again.preferences == stored and len(stored) == 6
    assert again.prompt == "Hello!" and again.progress.startswith("1 of 2 prompts ranked")
    press(again, do="store")
    assert again.done and len(load_preferences(widget.file)) == 7
    with pytest.raises(ValueError, match="every prompt is ranked"):
        again.enter([0, 1])


def test_rankings_of_other_prompts_stay_in_the_file(widget):
    press(widget, do="store")
    other = ranker(["Thanks."], [["You are welcome.", "No."]], widget.file)

    assert other.progress == "0 of 1 prompts ranked, 0 pairs"
    press(other, do="store")
    press(other, do="undo")

    assert load_preferences(widget.file) == widget.preferences


def test_two_notebooks_that_rank_at_once_keep_both_of_their_rankings(widget):
    other = ranker(["Bye!"], [["Goodbye.", "Lima."]], widget.file)

    widget.enter([[0], [1], [2], [3]])
    other.enter([0, 1])
    widget.enter([0, 1])

    kept = load_preferences(widget.file)
    assert len(kept) == 6 + 1 + 1
    assert {pair.prompt for pair in kept} == {*PROMPTS, "Bye!"}
    press(widget, do="undo")  # takes back one of its own, and none of the other's
    left = [pair.prompt for pair in load_preferences(widget.file)]
    assert sorted(left) == ["Bye!"] + [PROMPTS[0]] * 6


def test_pairs_of_whole_conversations_stay_in_the_file_as_they_are(widget):
    theirs = Preference(("Who won?", "Peru.", "When?"), "In 1930.", "Soon.")
    save_preferences(widget.file, [theirs])

    press(widget, do="store")

    assert load_preferences(widget.file)[0] == theirs and len(widget.preferences) == 7


def test_the_file_is_what_trl_reads(widget):
    press(widget, do="store")

    row = json.loads(widget.file.read_text(encoding="utf-8").splitlines()[0])
    assert set(row) == {"prompt", "chosen", "rejected"}
    assert row["prompt"] == [{"role": "user", "content": PROMPTS[0]}]


def test_a_full_disk_is_told_and_nothing_is_lost(widget, monkeypatch):
    press(widget, do="store")
    stored = widget.preferences

    def broken(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("course_lib.machine.disk.os.replace", broken)
    press(widget, do="store")
    assert "no space left" in widget.told and widget.preferences == stored
    press(widget, do="undo")
    assert "no space left" in widget.told and load_preferences(widget.file) == stored


def test_by_default_the_file_lies_beside_the_guesses(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_ARTIFACTS", str(tmp_path / "kept"))

    ranker(PROMPTS, GROUPS).enter([0, 1, 2, 3])

    assert len(load_preferences(tmp_path / "kept" / "rankings.jsonl")) == 6


def test_agreement_with_gold_is_counted_where_gold_decides(widget):
    widget.enter([0, 1, 2, 3])  # the two right ones are the same to gold: 5 pairs are left

    found = agreements(widget.preferences)

    assert found["you and gold"] == (5, 5)
    widget.undo()
    widget.enter([3, 2, [0, 1]])
    assert agreements(widget.preferences)["you and gold"] == (0, 5)


def test_the_verdict_waits_until_all_is_ranked(widget):
    assert widget.agreement == "Nothing is ranked yet."
    widget.enter([3, 2, [0, 1]])
    assert widget.agreement == "" and widget.differing == []  # it would read as a mark

    widget.enter([1, 0])

    assert "you and gold 0 of 6 pairs" in widget.agreement
    assert [PROMPTS[0], "Lima.", "Paris."] in widget.differing and len(widget.differing) == 6
    widget.undo()
    assert widget.agreement == "" and widget.differing == []


def test_the_richest_group_comes_first(tmp_path):
    ask = ranker(["a", "b", "c"], [["1", "2"], ["1", "2", "3"], ["4", "5"]], tmp_path / "file")

    assert ask.prompt == "b"
    ask.enter([0, 1, 2])
    assert ask.prompt == "a"  # and else they come as they were given


def test_all_is_ranked_anew_and_undo_brings_the_rankings_back(widget):
    widget.enter([0, 1, 2, 3])
    widget.enter([0, 1])
    stored = widget.preferences
    assert widget.done

    press(widget, do="anew")

    assert not widget.done and widget.prompt == PROMPTS[0] and widget.preferences == []
    assert "Undo" in widget.told
    press(widget, do="undo")
    assert widget.done and widget.preferences == stored


def test_the_picture_tells_the_order_in_words(widget):
    words = widget.picture().words

    assert PROMPTS[0] in words and all(answer["text"] in words for answer in widget.answers)
    assert "\\n" not in words  # a screen reader would say "backslash n"
    assert repr(widget) == words


def test_what_cannot_be_ranked_is_refused():
    with pytest.raises(ValueError, match="a group of answers for each prompt"):
        ranker(["a"], [])
    with pytest.raises(ValueError, match="nothing to rank"):
        ranker(["a"], [["the same", "the same"]])
    with pytest.raises(ValueError, match="only once"):
        ranker(["a", "a"], [["1", "2"], ["1", "2"]])
    with pytest.raises(ValueError, match="9 answers"):
        ranker(["a"], [[str(i) for i in range(10)]])


def shorter_wins(model: RewardModel, pairs: list[Preference]) -> float:
    """Share of the pairs whose chosen answer, the shorter one, has the higher reward."""
    prompts = [pair.prompt for pair in pairs]
    chosen = model(prompts, [pair.chosen for pair in pairs])
    return (chosen > model(prompts, [pair.rejected for pair in pairs])).float().mean().item()


def right_answers(prompt, rng: random.Random) -> list[str]:
    """Three right answers of different lengths."""
    found = {}
    while len(found) < 3:
        text = answer_to(prompt, rng)
        found[len(text.split())] = text
    return list(found.values())


@pytest.mark.slow
def test_thirty_rankings_move_the_reward_model(tmp_path):
    """Always the shortest on top: afterwards the model likes short answers to other questions."""
    rng = random.Random(0)
    prompts = rng.sample(fact_prompts("asked_in_sft"), 90)
    groups = [right_answers(prompt, rng) for prompt in prompts]
    texts = [prompt.text for prompt in prompts]
    widget = ranker(texts[:30], groups[:30], tmp_path / "rankings.jsonl")
    while not widget.done:  # as the page does it: each answer on its place, then store
        ordered = sorted(widget.answers, key=lambda answer: len(answer["text"].split()))
        for place, answer in enumerate(ordered):
            press(widget, do="move", answer=answer["id"], place=place)
        press(widget, do="store")
    others = [
        Preference(text, *sorted(group, key=len)[:: len(group) - 1])
        for text, group in zip(texts[30:], groups[30:], strict=True)
    ]
    model = RewardModel.load(RELEASED / "reward")
    before = shorter_wins(model, others)

    config = TrainConfig(steps=20, batch_rows=24, learning_rate=2e-4, warmup=0.1, decay=0.5)
    pairs = load_preferences(widget.file)
    assert len(pairs) == 30 * 3
    for _ in train(model, reward_batches(pairs, config), reward_loss, config):
        pass

    after = shorter_wins(model, others)
    assert after > before + 0.2
