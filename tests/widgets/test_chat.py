"""The chat widget: its answers are those of `generate`, its worker stops and fails in order."""

import copy
import json
import sys
import threading
import time
from itertools import pairwise

import pytest
import torch

from course_lib.config import GREEDY, ModelConfig
from course_lib.model.sample import generate
from course_lib.model.transformer import Transformer
from course_lib.pipeline.release import load_released
from course_lib.text.chat import decode_answer, encode_prompt, exchange
from course_lib.text.foreign import ForeignTokenizer
from course_lib.text.tokenizer import Tokenizer
from course_lib.widgets import chat
from course_lib.widgets.chat import QUESTIONS
from course_lib.widgets.talk import (
    CUT,
    ENDED,
    ROOM,
    STOPPED,
    Speaker,
    forgotten,
    question_ids,
    talk_so_far,
    write,
)
from course_lib.world.dialogues import read_prompt, rl_prompts, test_prompts
from tests.tiny import controls_first

TALK = sys.modules["course_lib.widgets.talk"]
MODULE = sys.modules["course_lib.widgets.chat"]  # `widgets.chat` is the function
FRANCE = "What is the capital of France?"
NEXT = "What language do people speak there?"


@pytest.fixture(scope="module")
def models():
    return {name: load_released(name.lower()) for name in ("base", "SFT", "RLHF")}


@pytest.fixture
def endless():
    """A model that never ends its answer: each token takes it 2 ms."""
    tokenizer = Tokenizer()  # a token a byte
    size = dict(vocab_size=512, dim=16, n_layers=1, n_heads=2, n_kv_heads=1, ffn_dim=16)
    model = Transformer(ModelConfig(**size, context_length=4000), seed=0).eval()

    def only_letter_a(module, args, logits):
        time.sleep(0.002)
        return torch.nn.functional.one_hot(torch.tensor(97), 512).expand_as(logits).float()

    model.lm_head.register_forward_hook(only_letter_a)
    return model, tokenizer


@pytest.fixture
def send():
    """Sends a widget what its page would; the widgets are closed after the test."""
    widgets = []

    def send(widget, question, keep=0, temperature=0.0, seed=0):
        widgets.append(widget)
        message = dict(do="ask", question=question, keep=keep, temperature=temperature, seed=seed)
        widget._handle_custom_msg(message, [])

    yield send
    for widget in widgets:
        widget.close()
        widget._wait()


def wait_until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.005)


def states(widget):
    return [answer.state for answer in widget.talk[-1].answers]


def greedy(pair, ids):
    model, tokenizer = pair
    stop = (tokenizer.im_end_id, tokenizer.eot_id)
    [answer] = generate(model, [ids], 40, GREEDY, stop=stop)
    return decode_answer(tokenizer, answer)


def user(text):
    return {"role": "user", "content": text}


# ---- What the models get and say ----------------------------------------------------------------


@pytest.mark.parametrize("question", [*QUESTIONS, "👋", "<b>Hello</b>"])
def test_answers_are_those_that_generate_gives(models, question):
    answers = chat(models, "").ask(question)

    for name in ("SFT", "RLHF"):
        ids = encode_prompt(models[name][1], [user(question)])
        assert answers[name] == greedy(models[name], ids)


def test_the_base_model_gets_the_bare_question(models):
    tokenizer = models["base"][1]

    answers = chat(models, FRANCE).ask(FRANCE)

    ids = [tokenizer.eot_id, *tokenizer.encode(FRANCE)]
    assert answers["base"] == greedy(models["base"], ids)


def test_a_follow_up_goes_with_the_models_own_first_answer(models):
    nobody_knows = "What is the capital of Vevunia?"
    widget = chat(models, nobody_knows)
    first = [answer.text for answer in widget.talk[0].answers]

    second = widget.ask(NEXT, follow_up=True)

    assert first[1] != first[2]
    for i, name in ((1, "SFT"), (2, "RLHF")):
        ids = encode_prompt(models[name][1], [*exchange(nobody_knows, first[i]), user(NEXT)])
        speaker = Speaker(name, *models[name])
        assert question_ids(speaker, [*talk_so_far(widget.talk[:1], i), user(NEXT)]) == ids
        assert second[name] == greedy(models[name], ids)


def test_a_system_message_stands_before_every_talk(models, monkeypatch):
    heard, habit = [], {"role": "system", "content": "Answer in one word."}
    monkeypatch.setattr(
        MODULE, "question_ids", lambda *asked: heard.append(asked) or question_ids(*asked)
    )

    widget = chat(models, FRANCE, system=habit["content"])
    first = [answer.text for answer in widget.talk[0].answers]
    second = widget.ask(NEXT, follow_up=True)

    tokenizer = models["base"][1]
    bare = [tokenizer.eot_id, *tokenizer.encode(f"Answer in one word.\n{FRANCE}")]
    assert first[0] == greedy(models["base"], bare)
    for i, name in ((1, "SFT"), (2, "RLHF")):
        talk = [habit, *exchange(FRANCE, first[i]), user(NEXT)]
        assert [messages for speaker, messages in heard if speaker.name == name] == [
            [habit, user(FRANCE)],
            talk,
        ]
        assert second[name] == greedy(models[name], encode_prompt(models[name][1], talk))


def test_the_oldest_turns_go_when_the_talk_grows_too_long_and_the_system_message_stays(models):
    rlhf = {"RLHF": models["RLHF"]}
    widget = chat(rlhf, FRANCE, system="Answer in one word.")
    for _ in range(6):
        widget.ask(NEXT, follow_up=True)

    speakers, system = widget.speakers, {"role": "system", "content": "Answer in one word."}
    *before, last = widget.talk
    gone = forgotten(speakers, [system], tuple(before), NEXT)
    assert 0 < gone < len(before) == 6
    messages = [system, *talk_so_far(tuple(before[gone:]), 0), user(NEXT)]
    ids = encode_prompt(models["RLHF"][1], messages)
    assert last.answers[0].text == greedy(models["RLHF"], ids) and len(ids) <= 128 - ROOM
    longer = [system, *talk_so_far(tuple(before[gone - 1 :]), 0), user(NEXT)]
    assert len(encode_prompt(models["RLHF"][1], longer)) > 128 - ROOM
    assert f"its first {gone} turns don't reach the models any more" in last.note
    assert last.note in repr(widget) and last.follows
    assert widget.talk[1].note == "" and len(widget.talk) == 7


def test_without_follow_up_the_talk_begins_anew_and_the_old_one_stays_on_the_page(models):
    widget = chat(models, FRANCE)
    first = widget.talk
    widget.ask("Hello!", follow_up=True)
    assert widget.earlier == () and [turn.follows for turn in widget.talk] == [False, True]

    widget.ask("Who are you?")

    assert [turn.question for turn in widget.talk] == ["Who are you?"]
    assert [turn.question for turn in widget.earlier] == [FRANCE, "Hello!"]
    assert widget.earlier[:1] == first
    questions = [line for line in repr(widget).splitlines() if line.startswith("Question: ")]
    assert questions == [f"Question: {asked}" for asked in (FRANCE, "Hello!", "Who are you?")]


def test_a_follow_up_asked_again_takes_its_own_place(models, send):
    widget = chat(models, FRANCE)
    widget.ask(NEXT, follow_up=True)

    send(widget, NEXT, keep=1, temperature=1.5, seed=1)
    wait_until(lambda: not widget.busy)

    assert [turn.question for turn in widget.talk] == [FRANCE, NEXT] and widget.earlier == ()


def test_a_seed_repeats_an_answer_and_another_seed_changes_it(models):
    def said(seed):
        return chat(models, FRANCE, temperature=1.5, seed=seed).talk[0].answers

    assert said(1) == said(1) != said(2)


def test_an_answer_ends_is_cut_off_or_counts_what_was_said(models):
    base, sft, _ = chat(models, FRANCE, max_new_tokens=20).talk[0].answers

    assert (base.state, base.n_tokens) == (CUT, 20)
    assert (sft.state, sft.n_tokens) == (ENDED, len(models["SFT"][1].encode(sft.text)))


@pytest.mark.parametrize("text", ["é", "αβγ", "நன்றி", "👩🏽‍🚀!", "a�b"])
def test_half_a_character_is_not_shown(models, monkeypatch, text):
    tokenizer = Tokenizer()  # a token a byte
    spoken = [*text.encode(), tokenizer.im_end_id]
    monkeypatch.setattr(TALK, "stream", lambda *args, **options: iter(spoken))
    speaker = Speaker("model", models["SFT"][0], tokenizer)

    shown = [answer.text for (answer,) in write([speaker], [[1]], 99, GREEDY)]

    assert all(text.startswith(part) for part in shown) and shown[-1] == text
    assert len(shown) == len(text.encode()) + 1


def test_examples_are_of_every_kind():
    kinds = [read_prompt(text).kind for text in QUESTIONS]

    assert kinds == ["chat", "chat", "known", "unknown", "harmful"]
    assert QUESTIONS[3] in [prompt.text for prompt in test_prompts("invented")]
    assert QUESTIONS[4] in [prompt.text for prompt in test_prompts("harmful")]


# ---- What the page asks for ---------------------------------------------------------------------


def test_the_page_is_answered_in_a_worker_that_says_the_same(models, send):
    widget = chat(models, "")
    expected = chat(models, FRANCE).ask(NEXT, follow_up=True)

    send(widget, FRANCE)
    wait_until(lambda: not widget.busy)
    send(widget, NEXT, keep=1)
    wait_until(lambda: not widget.busy)

    assert [answer.text for answer in widget.talk[1].answers] == list(expected.values())


def test_stop_leaves_the_answer_begun(endless, send):
    widget = chat(endless, "", max_new_tokens=3000)

    send(widget, "Go on")
    wait_until(lambda: widget.talk[0].answers[0].n_tokens)
    widget._handle_custom_msg({"do": "stop"}, [])
    wait_until(lambda: not widget.busy)

    answer = widget.talk[0].answers[0]
    assert answer.state == STOPPED
    assert answer.text == "a" * answer.n_tokens and 0 < answer.n_tokens < 3000


def test_there_is_one_job_at_a_time(endless, send):
    widget = chat(endless, "", max_new_tokens=3000)
    before = threading.active_count()

    send(widget, "first")
    send(widget, "second")

    assert threading.active_count() == before + 1
    assert [turn.question for turn in widget.talk] == ["first"]


def test_two_widgets_take_turns(endless, send):
    first, second = chat(endless, "", max_new_tokens=3000), chat(endless, "", max_new_tokens=50)
    send(first, "first")
    wait_until(lambda: first.talk[0].answers[0].n_tokens)

    send(second, "second")
    time.sleep(0.3)
    said_meanwhile = second.talk[0].answers[0].n_tokens
    first._handle_custom_msg({"do": "stop"}, [])
    wait_until(lambda: not second.busy)

    assert (said_meanwhile, second.talk[0].answers[0].n_tokens) == (0, 50)


def test_ask_waits_for_the_worker(endless, send):
    widget = chat(endless, "", max_new_tokens=100)
    send(widget, "first")

    widget.ask("second", follow_up=True)

    assert [turn.question for turn in widget.talk] == ["first", "second"]
    assert [turn.answers[0].n_tokens for turn in widget.talk] == [100, 100]


def test_at_most_twenty_updates_a_second(endless, send):
    widget, updates = chat(endless, "", max_new_tokens=200), []
    widget.observe(lambda change: updates.append(time.monotonic()), "talk")

    send(widget, "Go on")
    wait_until(lambda: not widget.busy)

    streamed = updates[1:-1]  # without the question itself and the end
    assert len(streamed) > 3
    assert min(b - a for a, b in pairwise(streamed)) > 0.045


def test_closing_the_widget_ends_its_worker(endless, send):
    widget = chat(endless, "", max_new_tokens=3000)
    send(widget, "Go on")

    widget.close()
    widget._worker.join(timeout=20)

    assert widget._worker.daemon and not widget._worker.is_alive()
    assert states(widget) == [STOPPED]


def test_new_talk_forgets(models, send):
    widget = chat(models, FRANCE)

    widget.ask("Hello!")
    assert widget.earlier

    widget._handle_custom_msg({"do": "new"}, [])

    assert widget.talk == widget.earlier == ()


def test_a_surprise_is_a_question_of_the_course(models, send):
    widget = chat(models, FRANCE)

    widget._handle_custom_msg({"do": "surprise", "temperature": 0.0, "seed": 0}, [])
    wait_until(lambda: widget.talk[0].question != FRANCE and not widget.busy)

    assert read_prompt(widget.talk[0].question).kind in {p.kind for p in rl_prompts(200)}
    assert [turn.question for turn in widget.earlier] == [FRANCE]
    widget.close()


def test_another_seed_answers_the_last_question_anew(models, send):
    widget = chat(models, FRANCE, temperature=1.5)
    expected = chat(models, FRANCE, temperature=1.5, seed=1)

    send(widget, FRANCE, keep=0, temperature=1.5, seed=1)
    wait_until(lambda: not widget.busy)

    assert widget.talk == expected.talk


# ---- What goes wrong ----------------------------------------------------------------------------


def test_a_question_that_is_too_long_is_told_and_the_talk_stays(models, send):
    widget = chat(models, FRANCE)
    message = "too long for base: .* may have 128. Ask something shorter, or press New"

    with pytest.raises(ValueError, match=message):
        widget.ask("Hello! " * 200)
    send(widget, "Hello! " * 200)

    assert "too long for base" in widget.error and not widget.busy
    assert [turn.question for turn in widget.talk] == [FRANCE]
    assert widget.ask("Hello!") and widget.error == ""


def test_an_empty_question_is_refused(models, send):
    widget = chat(models, "")

    with pytest.raises(ValueError, match="type one, or press one of the examples"):
        widget.ask(" \n")


def test_what_fails_in_the_worker_is_shown_and_raised_at_the_next_call(models, send, monkeypatch):
    def broken(*args, **options):
        yield 5
        raise RuntimeError("out of memory")

    widget = chat(models, "")
    with monkeypatch.context() as patch:
        patch.setattr(TALK, "stream", broken)
        send(widget, "Hello!")
        wait_until(lambda: not widget.busy)

    assert widget.error == "RuntimeError: out of memory"
    assert states(widget) == [STOPPED] * 3
    with pytest.raises(RuntimeError, match="out of memory"):
        widget.ask("Hello!")
    assert widget.ask("Hello!")["RLHF"].startswith("Hello!") and widget.error == ""


@pytest.mark.parametrize(
    ("models", "options", "message"),
    [
        ({}, {}, "at least one"),
        ("base", {}, "got a str"),
        ({"base": "model"}, {}, "or one such pair, got 'base'"),
        ({"base": (None, None)}, {"size": "huge"}, "size must be one of normal, large"),
        ({"base": (None, None)}, {"max_new_tokens": 0}, "max_new_tokens must be one or more"),
    ],
)
def test_bad_arguments_are_refused(models, options, message):
    with pytest.raises(ValueError, match=message):
        chat(models, **options)


# ---- What stands where no kernel runs -----------------------------------------------------------


def test_the_words_tell_questions_answers_and_who_was_cut_off(models):
    lines = repr(chat(models, FRANCE, max_new_tokens=20)).splitlines()

    assert lines[0] == f"Question: {FRANCE}"
    assert lines[1].startswith("base (continues the text): ")
    assert lines[1].endswith("[cut off after 20 tokens]")
    assert lines[2:] == [
        "SFT: The capital city of France is called Paris.",
        "RLHF: The capital city of France is called Paris.",
    ]


@pytest.mark.parametrize("question", ["", r"<b>Hi</b> 👋 東 $\frac$", "Hello! " * 20])
def test_every_talk_has_a_picture(models, question):
    one = chat(models["SFT"], question)

    data, metadata = one._repr_mimebundle_()

    assert data["text/plain"] == metadata["image/png"]["alt"] == repr(one)
    assert data["image/png"] and " ".join(question.split()) in repr(one)


def test_a_model_whose_control_tokens_come_first_says_the_same(models):
    foreign = controls_first(*models["RLHF"])

    for question in (FRANCE, "Hello!"):
        [answer] = chat({"model": foreign}, question).talk[-1].answers
        [ours] = chat({"model": models["RLHF"]}, question).talk[-1].answers
        assert answer == ours and answer.text and answer.state == ENDED

    [continued] = chat({"base": foreign}, FRANCE).talk[-1].answers
    [ours] = chat({"base": models["RLHF"]}, FRANCE).talk[-1].answers
    assert continued == ours


def test_a_model_without_chatml_says_so_and_continues_a_text():
    as_json = json.dumps({**Tokenizer().to_dict(), "added_tokens": []})
    size = dict(vocab_size=256, dim=16, n_layers=1, n_heads=2, n_kv_heads=1, ffn_dim=16)
    model = Transformer(ModelConfig(**size, context_length=100), seed=0).eval()
    pair = model, ForeignTokenizer(as_json, {})

    with pytest.raises(ValueError, match=r"doesn't chat in ChatML, .* let it continue a text"):
        chat({"model": pair}, "Hello!")
    [answer] = chat({"model": pair}, "Hello!", raw={"model"}, max_new_tokens=5).talk[-1].answers
    assert answer.n_tokens == 5


def test_a_model_of_which_training_made_no_numbers_says_so(models):
    model, tokenizer = copy.deepcopy(models["base"][0]), models["base"][1]
    with torch.no_grad():
        model.norm.weight[0] = float("nan")

    with pytest.raises(ValueError, match="computes what is not a number"):
        chat({"base": (model, tokenizer)}, "Hello!")
