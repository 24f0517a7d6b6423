"""The page's chat against the notebook's and run.c: the same answers, ends, errors and turns."""

import pytest

from course_lib.config import GREEDY
from course_lib.files import run_file
from course_lib.pipeline.release import load_released
from course_lib.play.page import CONTRASTS, LONGER, MADE_UP
from course_lib.widgets.chat import QUESTIONS
from course_lib.widgets.talk import (
    Speaker,
    forgotten,
    forgotten_in_words,
    question_ids,
    talk_so_far,
    write,
)
from course_lib.widgets.talk import Turn as PythonTurn
from course_lib.world.dialogues import read_prompt
from course_lib.world.judge import verdict
from tests.play.drive import results
from tools.build_page import MODELS

ASKED = [
    *QUESTIONS,
    "What is the capital of France?",
    "What is the opposite of hot?",
    "Name three animals.",
    "Thank you!",
    "👋 <b>né</b>",
    "What  does a\ncow say?",
    "<|im_end|>",
]
LOADED = [("load", name, run_file.released(file)) for name, file in MODELS.items()]
SPEAKERS = [{"name": name, "raw": name == "base"} for name in MODELS]
SFT = [{"name": "sft", "raw": False}]
BASE = [{"name": "base", "raw": True}]


def talk(wasm, speakers, *steps, slowly=0):
    """What is seen after each step."""
    [found] = results(wasm, *LOADED, ("talk", speakers, steps, slowly))[len(LOADED) :]
    return found


def said(seen):
    """The answers to the last question."""
    return [answer["text"] for answer in seen["talk"][-1]["answers"]]


def states(seen):
    return [answer["state"] for answer in seen["talk"][-1]["answers"]]


@pytest.fixture(scope="module")
def python():
    """The notebook's speakers."""
    return [Speaker(name, *load_released(name), raw=name == "base") for name in MODELS]


def answers_of(speakers, messages):
    """What the notebook's chat answers, greedily."""
    prompts = [question_ids(each, said) for each, said in zip(speakers, messages, strict=True)]
    *_, last = write(speakers, prompts, 40, GREEDY)
    return [{"text": a.text, "n_tokens": a.n_tokens, "state": a.state} for a in last], last


def test_greedy_answers_are_those_of_the_notebook(wasm, python):
    found = talk(wasm, SPEAKERS, *[{"ask": {"question": each}} for each in ASKED])

    for question, seen in zip(ASKED, found, strict=True):
        expected, _ = answers_of(python, [[{"role": "user", "content": question}]] * 3)
        assert seen["talk"] == [
            {
                "question": question,
                "temperature": 0,
                "seed": 0,
                "answers": expected,
                "follows": False,
                "note": "",
            }
        ]
    assert len(ASKED) == 12 and len({text for seen in found for text in said(seen)}) > 20
    assert {state for seen in found for state in states(seen)} == {"ended", "cut off"}


def test_a_follow_up_goes_with_each_models_own_answer(wasm, python):
    first, then = "What is the capital of France?", "Thank you!"

    _, seen = talk(
        wasm, SPEAKERS, {"ask": {"question": first}}, {"ask": {"question": then, "keep": 1}}
    )

    user = {"role": "user", "content": first}
    _, answers = answers_of(python, [[user]] * 3)
    turns = (PythonTurn(first, 0, 0, answers),)
    last = {"role": "user", "content": then}
    expected, _ = answers_of(python, [[*talk_so_far(turns, i), last] for i in range(3)])
    assert seen["talk"][-1]["answers"] == expected and seen["talk"][-1]["follows"]
    assert len(seen["talk"]) == 2 and seen["earlier"] == []


FOLLOW_UPS = [
    "What is the capital of France?",
    "What is the capital of Japan?",
    "Thank you!",
    "Which language do they speak in Spain?",
    "Who are you?",
    "Name three animals.",
]


def test_a_talk_that_grows_too_long_loses_its_first_turns_and_says_so(wasm, python):
    asked = [{"question": each, "keep": i} for i, each in enumerate(FOLLOW_UPS)]

    found = talk(wasm, SPEAKERS, *[{"ask": each} for each in asked])

    turns, gone = (), []
    for question, seen in zip(FOLLOW_UPS, found, strict=True):
        gone.append(forgotten(python, [], turns, question))
        last = {"role": "user", "content": question}
        kept = turns[gone[-1] :]
        expected, answers = answers_of(python, [[*talk_so_far(kept, i), last] for i in range(3)])
        turn = seen["talk"][-1]
        assert turn["answers"] == expected and turn["follows"] == bool(kept)
        assert turn["note"] == forgotten_in_words(gone[-1], 128)
        turns = (*turns, PythonTurn(question, 0, 0, answers))
    assert gone[:2] == [0, 0] and 1 in gone and gone[-1] > 1
    assert len(found[-1]["talk"]) == len(FOLLOW_UPS)  # nothing goes from the page
    # and what was cut off by the context before now ends by itself: SFT and RLHF
    assert {answer["state"] for turn in found[-1]["talk"] for answer in turn["answers"][1:]} == {
        "ended"
    }
    assert "first turn doesn't" in found[gone.index(1)]["talk"][-1]["note"]


def what_differs(question, sft, rlhf):
    """What there is to look for, as the world's judge and a ruler see it."""
    judged = [verdict(read_prompt(question), answer) for answer in (sft, rlhf)]
    if judged == ["wrong", "dont_know"]:
        return MADE_UP
    if judged == ["right", "right"] and len(rlhf) > 2 * len(sft):
        return LONGER
    return None


def test_what_to_look_for_is_true_of_todays_models(wasm):
    found = talk(wasm, SPEAKERS, *[{"ask": {"question": each}} for each in CONTRASTS])

    seen = {
        question: what_differs(question, *said(one)[1:])
        for question, one in zip(CONTRASTS, found, strict=True)
    }
    assert seen == CONTRASTS and set(CONTRASTS.values()) == {MADE_UP, LONGER}
    assert what_differs("Hello!", "Hi.", "Hi.") is None


def test_sampled_answers_are_those_of_run_c(wasm, tmp_path):
    program = run_file.compile_run_file(tmp_path)
    asked = [
        {"question": each, "temperature": 1, "seed": 5 + i} for i, each in enumerate(ASKED[:6])
    ]

    found = talk(wasm, SPEAKERS, *[{"ask": each} for each in asked])

    for each, seen in zip(asked, found, strict=True):
        options = {"t": 1.0, "s": each["seed"], "n": 40}
        for name, text in list(zip(MODELS, said(seen), strict=True))[1:]:
            model = run_file.released(MODELS[name])
            expected = run_file.run(program, model, "chat", each["question"], **options)
            assert text == expected.strip()
        assert (seen["temperature"], seen["seed"]) == (1, each["seed"])
    greedy = talk(wasm, SPEAKERS, *[{"ask": {"question": each}} for each in ASKED[:6]])
    assert [said(seen) for seen in found] != [said(seen) for seen in greedy]


def test_without_follow_up_the_talk_begins_anew_and_the_old_one_stays(wasm):
    one, two, new = talk(
        wasm, SFT, {"ask": {"question": "Hello!"}}, {"ask": {"question": "Who are you?"}},
        {"send": {"do": "new"}},
    )  # fmt: skip

    assert (len(two["talk"]), two["earlier"]) == (1, one["talk"])
    assert (new["talk"], new["earlier"]) == ([], [])
    assert two["told"][0] == "earlier" and two["told"][-1] == "busy"


def test_an_answer_can_be_stopped_and_there_is_one_job_at_a_time(wasm):
    stop, other = {"do": "stop"}, {"do": "ask", "question": "Hello!"}

    for late, state in ((stop, "stopped"), (other, "cut off")):
        [seen] = talk(wasm, BASE, {"late": late, "ask": {"question": "Once upon"}}, slowly=20)

        [answer] = seen["talk"][-1]["answers"]
        assert answer["state"] == state and len(seen["talk"]) == 1
        assert (2 < answer["n_tokens"] < 40) == (late is stop)
        assert seen["busy"] is False and seen["told"].count("talk") > 2


def test_what_cannot_be_asked_is_told_and_told_again(wasm):
    long = {"ask": {"question": "word " * 200}}

    first, again, empty, good = talk(
        wasm, SFT, long, long, {"ask": {"question": " \n"}}, {"ask": {"question": "Hello!"}}
    )

    for seen in (first, again):
        assert seen["error"].startswith("this is too long for sft: ")
        assert "together may have 128. Ask something shorter" in seen["error"]
        assert seen["talk"] == [] and seen["busy"] is False
    assert again["told"] == ["error", "error"]  # the page would not see the same text come again
    assert empty["error"].startswith("there is no question")
    assert good["error"] == "" and states(good) == ["ended"]


def test_a_model_that_fails_ends_the_answer_and_not_the_page(wasm):
    ghost = [*SFT, {"name": "gone", "raw": False}]

    seen, after = talk(wasm, ghost, {"ask": {"question": "Hello!"}}, {"invite": SFT})

    assert "no model gone" in seen["error"] and states(seen) == ["stopped"] * 2
    assert seen["busy"] is False and after["earlier"] == seen["talk"]


def test_who_joins_answers_from_the_next_question_on(wasm):
    one, joined, two = talk(
        wasm, BASE, {"ask": {"question": "Hello!"}}, {"invite": SPEAKERS},
        {"ask": {"question": "Hello!", "keep": 1}},
    )  # fmt: skip

    assert (joined["talk"], joined["earlier"]) == ([], one["talk"])
    assert len(said(two)) == 3 and not two["talk"][0]["follows"]
    assert said(two)[0] == said(one)[0]


def test_a_surprise_is_one_of_its_questions(wasm):
    [seen] = talk(wasm, SFT, {"send": {"do": "surprise", "temperature": 0.5, "seed": 3}})

    assert [turn["question"] for turn in seen["talk"]] == ["Surprise?"]
    assert (seen["temperature"], seen["seed"]) == (0.5, 3)
