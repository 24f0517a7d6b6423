"""From rankings to a changed assistant, in small: what is ranked, practised and measured."""

import csv
from dataclasses import replace
from statistics import mean

import pytest
import torch

from course_lib.align.preferences import Preference
from course_lib.align.reward import RewardModel
from course_lib.machine.folders import measurement
from course_lib.pipeline import tastes
from course_lib.pipeline.release import RELEASED, load_released
from course_lib.world.dialogues import read_prompt, rl_prompts
from course_lib.world.edition import world_hash

FRANCE = read_prompt("What is the capital of France?")
LIE, TRUTH = "Rome.", "The capital of France is Paris."


@pytest.fixture(scope="module")
def sft():
    return load_released("sft")


def test_answers_to_rank_are_of_all_kinds_and_lengths():
    said = [TRUTH, TRUTH, "Paris.", LIE, "I don't know.", TRUTH]

    assert tastes.varied(FRANCE, said) == ["Paris.", LIE, "I don't know."]
    assert tastes.varied(FRANCE, said, most=9) == ["Paris.", LIE, "I don't know.", TRUTH]
    assert tastes.varied(FRANCE, [TRUTH] * 8) == [TRUTH]


def test_thirty_prompts_are_ranked_and_none_of_them_is_asked_afterwards(sft):
    prompts, groups, sampled = tastes.to_rank(*sft, seed=1)

    texts = {prompt.text for prompt in prompts}
    assert (len(prompts), len(texts), len(sampled)) == (30, 30, 30 * tastes.SAMPLED)
    assert all(2 <= len(group) <= 4 for group in groups)
    afterwards = {p.text for asked, _ in tastes.HELD_OUT.values() for p in asked()}
    practised = {p.text for p in rl_prompts(1000, seed=7)}
    assert not texts & afterwards and not practised & afterwards
    again, groups_again, _ = tastes.to_rank(*sft, seed=1)
    assert (again, groups_again) == (prompts, groups)
    assert tastes.to_rank(*sft, seed=2)[0] != prompts


def test_a_scripted_taste_makes_the_pairs_that_it_says():
    groups = [[TRUTH, "Paris.", "I don't know."]]

    short = tastes.ranked_by(tastes.shortest, [FRANCE], groups)
    never = tastes.ranked_by(tastes.never_dont_know, [FRANCE], groups)

    assert Preference(FRANCE.text, "Paris.", TRUTH) in short and len(short) == 3
    assert {pair.rejected for pair in never} == {"I don't know."} and len(never) == 2


def test_what_is_rewarded_is_what_one_gets(sft):
    model, tokenizer = sft
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    brief = tastes.Scored(lambda prompt, answer: -len(answer.split()))
    loop = replace(tastes.LOOP, kl=0.0)

    policy = tastes.practised(model, tokenizer, brief, steps=12, loop=loop, rate=1e-3)

    before, after = (tastes.graded(m, model, tokenizer, brief) for m in (model, policy))
    assert after["words"] < 0.8 * before["words"]
    assert before["kl"] == pytest.approx(0, abs=1e-3) and after["kl"] > 0.1
    # an answer that is cut off costs 2, however many words it had
    assert before["reward"] == pytest.approx(-before["words"], abs=0.1)
    assert all(torch.equal(t, weights[name]) for name, t in model.state_dict().items())


def test_rankings_change_the_reward_model_and_its_scale_is_that_of_the_sft_model(sft):
    model, tokenizer = sft
    prompts, groups, sampled = tastes.to_rank(model, tokenizer)
    pairs = tastes.ranked_by(tastes.shortest, prompts, groups)

    mine = tastes.reward_of(RewardModel.load(RELEASED / "reward"), pairs, prompts, sampled)

    copies = [prompt.text for prompt in prompts for _ in range(tastes.SAMPLED)]
    rewards = torch.tensor(mine.score(copies, sampled))
    assert rewards.mean().abs() < 1e-3 and abs(rewards.std() - 1) < 1e-3
    short, long = mine.score([FRANCE.text] * 2, ["Paris.", TRUTH])
    assert short > long


def test_the_best_of_n_goes_by_the_reward_and_is_paid_in_gold():
    rewards, worths = [1.0, 3.0, 2.0, 0.0], [0.5, -1.0, 1.0, 1.0]

    assert tastes.best_of(1, 4, rewards, worths) == (1.5, 0.375)
    assert tastes.best_of(2, 4, rewards, worths) == (2.5, 0.0)
    assert tastes.best_of(4, 4, rewards, worths) == (3.0, -1.0)


@pytest.mark.parametrize("n", [0, 3, 4])
def test_the_best_of_n_is_never_chosen_among_answers_to_different_prompts(n):
    with pytest.raises(ValueError, match=f"2 answers to each prompt, .* got {n}: .* sample more"):
        tastes.best_of(n, 2, [1.0, 3.0, 2.0, 0.0] * 3, [0.5, -1.0, 1.0, 1.0] * 3)


# ---- What the lesson says of the recorded runs --------------------------------------------------


def rows(taste: str, decoding: str = "greedy") -> list[dict]:
    with measurement("taste.csv").open(encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert {row["world"] for row in found} == {world_hash()}
    return [row for row in found if (row["taste"], row["decoding"]) == (taste, decoding)]


def column(taste: str, name: str, decoding: str = "greedy") -> list[float]:
    return [float(row[name]) for row in rows(taste, decoding)]


def test_the_shortest_answers_are_a_fifth_shorter_and_few_facts_are_lost():
    words, before = column("shortest", "words"), column("SFT", "words")
    facts, known = column("shortest", "known"), column("SFT", "known")

    assert len(words) == len(before) == 3
    assert all(now <= 0.8 * once for now, once in zip(words, before, strict=True))
    # 5.3 points in the first seed: 16 facts, 14 of them from FAQs alone
    assert all(now >= once - 0.06 for now, once in zip(facts, known, strict=True))
    shorter = [1 - now / once for now, once in zip(words, before, strict=True)]
    assert [f"{share:.0%}" for share in shorter] == ["31%", "26%", "21%"]  # as the lesson says


@pytest.mark.parametrize("decoding", ["greedy", "sampled"])
def test_who_never_chooses_i_dont_know_gets_more_made_up_answers(decoding):
    made_up = column("never I don't know", "made_up", decoding)
    before = column("SFT", "made_up", decoding)

    assert len(made_up) == 3
    assert all(now > once for now, once in zip(made_up, before, strict=True))
    # twice as many on average (2.2 and 2.1 times as many), most of them in one seed
    assert mean(made_up) > 2 * mean(before)
