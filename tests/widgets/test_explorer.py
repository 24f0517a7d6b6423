"""The probability explorer: its numbers are the sampler's, its steps can be undone, errors show."""

import json

import pytest
import torch

from course_lib.config import ModelConfig, Sampling
from course_lib.model.sample import next_token_probs, probs_at, sampling_probs
from course_lib.model.transformer import Transformer
from course_lib.pipeline.release import load_released
from course_lib.text.chat import encode_prompt
from course_lib.text.foreign import ForeignTokenizer
from course_lib.text.tokenizer import Tokenizer
from course_lib.widgets import explorer
from course_lib.widgets.explorer import FIRST
from course_lib.widgets.explorer_state import (
    Models,
    State,
    drawn_ids,
    prompt_ids,
    rewound,
    token_text,
    whole_text,
    with_token,
)
from course_lib.widgets.explorer_view import as_code
from course_lib.world.truth import true_next_tokens

OUTSIDE = "outside the course's world"


@pytest.fixture(scope="module")
def models():
    return {name: load_released(name) for name in ("base", "sft", "rlhf")}


@pytest.fixture(scope="module")
def base(models):
    return models["base"]


@pytest.fixture(scope="module")
def foreign():
    """A model with a tokenizer of the `tokenizers` library that has no control tokens."""
    as_json = Tokenizer.train("the cat sat on the mat. " * 50, 270).to_dict()
    as_json["added_tokens"] = []
    tokenizer = ForeignTokenizer(json.dumps(as_json), {})
    size = dict(vocab_size=49_152, context_length=32, dim=16, n_layers=2, n_heads=2, n_kv_heads=1)
    return Transformer(ModelConfig(**size, ffn_dim=16), seed=0).eval(), tokenizer


def send(widget, do, **message):
    """What the page would send; what it would get back."""
    widget._handle_custom_msg({"do": do, "number": 7, "page": "p", **message}, [])
    return widget.view


def shares(view, series=0):
    return {row["id"]: row["p"][series] for row in view["rows"]}


# ---- The numbers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dials",
    [{}, dict(temperature=0.0), dict(temperature=0.7, top_k=5), dict(top_p=0.9, top_k=3)],
)
def test_bars_are_the_probabilities_that_the_sampler_draws_from(base, dials):
    model, tokenizer = base
    ids = torch.tensor([[tokenizer.eot_id, *tokenizer.encode(FIRST)]])
    expected = sampling_probs(model.next_logits(ids)[0].detach(), Sampling(**dials))

    view = explorer(base, **dials).view

    ids = [row["id"] for row in view["rows"]]
    assert [row["p"][0] for row in view["rows"]] == pytest.approx(expected[ids].tolist())
    assert view["rest"]["p"] == pytest.approx([1 - expected[ids].sum().item()], abs=1e-6)


def test_the_steps_tell_what_was_cut_and_by_how_much_the_rest_grew(base):
    model, tokenizer = base
    ids = torch.tensor([[tokenizer.eot_id, *tokenizer.encode(FIRST)]])
    tempered = probs_at(model(ids)[0, -1].detach(), 0.7)

    view = explorer(base, temperature=0.7, top_k=2).view

    first, _, third = view["rows"][:3]
    top = tempered.topk(3).values.tolist()
    assert [first["tempered"], first["removed"]] == pytest.approx([top[0], 0], rel=1e-4)
    found = [third["tempered"], third["removed"], third["p"][0]]
    assert found == pytest.approx([top[2], top[2], 0], rel=1e-4)
    removed = 1 - top[0] - top[1]
    assert f"cut 1,534 of 1,536 tokens, which had {100 * removed:.1f} %" in view["steps"]
    assert f"scaled by {1 / (1 - removed):.2f}" in view["steps"]


def test_no_dial_changes_the_order_of_the_bars(base):
    orders = [
        [row["id"] for row in explorer(base, temperature=t, top_k=k).view["rows"]]
        for t, k in ((1.0, None), (0.0, None), (1.8, 2))
    ]

    assert orders[0] == orders[1] == orders[2]


def test_turning_a_dial_asks_the_model_no_more(base):
    asked = []
    hook = base[0].register_forward_hook(lambda *_: asked.append("forward"))
    hook_too = base[0].lm_head.register_forward_hook(lambda *_: asked.append("head"))
    widget = explorer(base)

    send(widget, "set", temperature=0.5)
    send(widget, "set", top_k=3)

    hook.remove()
    hook_too.remove()
    assert asked == ["head"]


def test_a_model_trained_meanwhile_is_asked_again():
    model = Transformer(ModelConfig(vocab_size=512, dim=16, ffn_dim=16), seed=0)
    widget = explorer((model, Tokenizer()), "a")
    before = shares(widget.view)

    with torch.no_grad():
        model.embed_tokens.weight.mul_(3)

    assert shares(send(widget, "set", bars=10)) != before


def test_the_truth_stands_beside_the_bars(base):
    view = explorer(base, truth=True).view

    assert view["series"] == ["model", "the world"]
    expected = true_next_tokens(base[1], FIRST)
    assert {id: p for id, p in shares(view, 1).items() if p} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (dict(prompt="It was a dark and stormy night"), OUTSIDE),
        (dict(prompt="What is the capital of France?", chat=True), "raw text only"),
        # the letters of " hit" one by one: no document is cut into tokens like that
        (dict(prompt="In that match Virat Kohli", picked=tuple(b" hit")), OUTSIDE),
    ],
)
def test_where_no_truth_is_known_the_words_say_why(base, changes, why):
    view = explorer(base, **changes, truth=True).view

    assert view["series"] == ["model"] and why in view["note"]


def test_models_side_by_side_each_show_their_own(models):
    view = explorer(models, compare=True, model="sft").view

    assert view["series"] == ["sft", "base", "rlhf"]
    for i, name in enumerate(view["series"]):
        alone = shares(explorer(models[name], bars=50).view)
        assert next(iter(shares(view, i).values())) == pytest.approx(alone[view["rows"][0]["id"]])


def test_attention_is_the_models_own_map(base):
    model, tokenizer = base
    ids = torch.tensor([[tokenizer.eot_id, *tokenizer.encode(FIRST)]])
    maps = model(ids, trace=True).attention[:, 0]  # (L, H, T, T)

    mean = explorer(base, token=6).view["attention"]["weights"]
    head = explorer(base, token=6, layer=1, head=2).view["attention"]["weights"]

    assert mean == pytest.approx(maps[:, :, 6, :7].mean(dim=(0, 1)).tolist())
    assert head == pytest.approx(maps[1, 2, 6, :7].tolist())


def test_another_model_begins_with_the_mean_over_its_own_heads(models):
    widget = explorer(models, token=2, layer=3, head=1)

    send(widget, "set", model="sft")

    assert (widget.state.token, widget.state.layer, widget.state.head) == (2, None, None)


# ---- Texts of every kind ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["", "👋🏽 né", "<img src=x onerror=alert(1)>", "\t\n\0", "a " * 999]
)
def test_any_text_has_bars_that_sum_to_one(base, text):
    view = send(explorer(base), "type", text=text)

    assert view["error"] == "" and view["text"] == text
    assert sum(shares(view).values()) + view["rest"]["p"][0] == pytest.approx(1, abs=1e-5)
    json.dumps(view, allow_nan=False)


def test_a_long_text_loses_its_start_and_says_how_much(base):
    model, tokenizer = base
    text = "The cat ran. " * 100 + FIRST

    view = explorer(base, text).view

    ids = [tokenizer.eot_id, *tokenizer.encode(text)]
    seen = next_token_probs(model, ids[-128:])
    assert len(view["chips"]) == 128 and view["cut"] == len(ids) - 128
    assert view["rows"][0]["p"][0] == pytest.approx(seen.max().item())


def test_half_a_typed_character_becomes_a_whole_one(base):
    assert send(explorer(base), "type", text="\ud83d")["text"] == "\ufffd"


def test_tokens_show_what_can_not_be_seen(base):
    tokenizer = base[1]

    shown = [token_text(tokenizer, id) for id in (*b" \n\t\x00\xff", tokenizer.eot_id, 5000)]

    assert shown == ["␣", "↵", "⇥", "\\x00", "\\xff", "<|endoftext|>", "(unused 5000)"]


def test_a_chat_is_the_template_with_the_picked_tokens_after_it(models):
    tokenizer = models["sft"][1]
    state = State("Hello!", picked=(80,), chat=True)

    ids, fixed = prompt_ids(tokenizer, state)

    template = encode_prompt(tokenizer, [{"role": "user", "content": "Hello!"}])
    assert ids == [*template, 80] and fixed == len(template)


def test_a_foreign_model_is_explored_as_ours(foreign):
    model, tokenizer = foreign
    widget = explorer(foreign, "the cat")
    expected = model(torch.tensor([tokenizer.encode("the cat")]))[0, -1]

    view = send(widget, "set", temperature=0.0, truth=True)

    assert view["rows"][0]["id"] == int(expected.argmax())
    assert "own tokenizer only" in view["note"]
    assert send(widget, "pick", id=49_000)["chips"][-1] == [49_000, "(unused 49000)"]
    assert "doesn't chat in ChatML" in send(widget, "chat", chat=True)["error"]
    assert "start of a document" in send(widget, "type", text="")["error"]


# ---- What is clicked ----------------------------------------------------------------------------


def test_a_picked_token_joins_the_text(base):
    widget = explorer(base)

    view = send(widget, "pick", id=base[1].encode(" six")[0])

    assert widget.state.text == view["text"] == f"{FIRST} six"


def test_tokens_that_spell_no_ordinary_text_are_kept_as_they_are(base):
    models = Models({"model": base})
    half = with_token(models, State("né"), "é".encode()[0])
    whole = with_token(models, half, "é".encode()[1])

    assert prompt_ids(base[1], half)[0][-1] == 195
    assert (whole.text, whole.picked) == ("néé", ())


@pytest.mark.parametrize("letter", ["é", "λ", "ந", "👋"])
def test_half_a_letter_waits_for_its_other_half(base, letter):
    widget = explorer(base, "n")
    *first, last = letter.encode()  # the first 256 ids are the bytes themselves

    for id in first:
        view = send(widget, "pick", id=id)
        assert (view["text"], view["chips"][-1]) == ("n", [id, f"\\x{id:02x}"])
    assert send(widget, "pick", id=last)["text"] == f"n{letter}"


def test_half_a_letter_of_an_answer_is_no_part_of_its_name(models):
    widget = explorer(models["sft"], "Hello!", chat=True)
    for id in "Hé".encode()[:-1]:
        send(widget, "pick", id=id)

    assert send(widget, "branch")["branches"] == ["Hello! → H"]


@pytest.mark.parametrize("text", [FIRST, "a👋b", "né"])
def test_a_rewind_keeps_the_very_same_tokens(base, text):
    ids, _ = prompt_ids(base[1], State(text))

    for keep in range(1, len(ids) + 1):
        kept = rewound(base[1], State(text), keep)
        assert prompt_ids(base[1], kept)[0] == ids[:keep]


def test_a_rewind_in_a_chat_leaves_the_question(models):
    tokenizer = models["sft"][1]
    state = State("Hello!", picked=(72, 105), chat=True)
    fixed = prompt_ids(tokenizer, state)[1]

    assert rewound(tokenizer, state, fixed + 1).picked == (72,)
    assert rewound(tokenizer, state, 2) == State("Hello!", chat=True)


def test_undo_takes_back_texts_one_by_one_and_leaves_the_dials(base):
    widget = explorer(base, "The")
    for text in ("The c", "The ca", "The cat"):
        send(widget, "type", text=text)
    send(widget, "pick", id=32)
    send(widget, "set", temperature=0.5)

    texts = [send(widget, "undo")["text"] for _ in range(3)]

    assert texts == ["The cat", "The", "The"]
    assert widget.state.temperature == 0.5 and "nothing to undo" in widget.view["said"]


def test_a_branch_leads_back_to_its_text(base):
    widget = explorer(base)
    send(widget, "branch")
    send(widget, "branch")
    assert len(send(widget, "type", text="Elsewhere")["branches"]) == 1

    assert send(widget, "return", branch=0)["text"] == FIRST


def test_reset_is_the_first_state(base):
    widget = explorer(base, temperature=0.5)
    send(widget, "set", temperature=1.5, top_k=2)
    send(widget, "draw")

    send(widget, "reset")

    assert widget.state == State(FIRST, temperature=0.5)


def test_the_same_clicks_draw_the_same_tokens(base):
    def drawn(seed):
        widget = explorer(base, seed=seed)
        return [send(widget, "draw")["text"] for _ in range(4)]

    assert drawn(0) == drawn(0)
    assert len({drawn(seed)[0] for seed in range(20)}) > 2


def test_a_hundred_draws_are_counted_beside_the_bars(base):
    widget = explorer(base)

    view = send(widget, "draw many", samples=100)

    probs = next_token_probs(base[0], [base[1].eot_id, *base[1].encode(FIRST)])
    counts = torch.bincount(drawn_ids(probs, 100, widget.state.seed), minlength=len(probs))
    ids = [row["id"] for row in view["rows"]]
    assert view["series"] == ["model", "100 drawn"]
    assert list(shares(view, 1).values()) == pytest.approx((counts[ids] / 100).tolist())
    assert send(widget, "type", text="The")["series"] == ["model"]


def test_a_draw_is_as_likely_as_its_bar():
    probs = torch.tensor([0.5, 0.0, 0.3, 0.2])

    share = torch.bincount(drawn_ids(probs, 20_000, 3), minlength=4) / 20_000

    assert share[1] == 0
    assert share.tolist() == pytest.approx(probs.tolist(), abs=0.02)  # over five standard errors


# ---- Code, table, words and errors --------------------------------------------------------------


def test_the_code_makes_the_same_state_again(models):
    widget = explorer(models, "né <b>\n", temperature=0.7, top_k=5, truth=True, size="large")
    send(widget, "set", model="sft", compare=True)
    send(widget, "pick", id=195)
    send(widget, "draw many", samples=100)
    send(widget, "set", token=2, layer=1, head=None)

    again = eval(widget.view["code"], {"explorer": explorer, "models": models})

    assert again.state == widget.state


def test_the_code_names_only_what_differs(base):
    assert as_code(State("a", top_k=5), Models({"model": base})) == "explorer(models, 'a', top_k=5)"


def test_the_table_has_a_row_for_each_bar(base):
    lines = [line.split("\t") for line in explorer(base, bars=3).view["table"].split("\n")]

    assert lines[0] == ["token", "id", "logit", "after temperature", "cut", "model"]
    assert [line[0] for line in lines[1:]] == ["␣six", "␣century", "␣four", "all other 1533 tokens"]
    assert sum(float(line[-1]) for line in lines[1:]) == pytest.approx(1, abs=1e-4)


def test_without_a_kernel_a_picture_and_words_stand_there(base):
    widget = explorer(base)

    data, _ = widget._repr_mimebundle_()

    assert repr(widget).startswith(f"Next token after “{FIRST}”: ␣six 44 %; ␣century 33 %")
    assert data["text/plain"] == repr(widget) and "image/png" in data


@pytest.mark.parametrize(
    "dials",
    [dict(top_k=2), dict(compare=True, truth=True, samples=100), dict(chat=True, top_p=0.5)],
)
def test_every_state_has_a_picture(models, dials):
    picture = explorer(models, "$\\frac$ 👋\n<b>", **dials).picture()  # no formula to typeset

    assert len(picture.png) > 1000 and "👋↵<b>" in picture.words


@pytest.mark.parametrize(
    ("dials", "told"),
    [
        (dict(size="huge"), "size must be one of normal, large"),
        (dict(temperature=-1), "temperature must be zero or more, got -1"),
        (dict(top_k=2.5), "top_k must be"),
        (dict(top_p=0), "top_p must be"),
        (dict(bars=0), "bars must be"),
        (dict(samples=-1), "samples must be"),
        (dict(seed=-1), "seed must be"),
        (dict(prompt=None), "text must be text"),
        (dict(model="gpt"), "model must be one of base, sft, rlhf"),
        (dict(token=2, layer=9), "layer must be 0 to 3"),
    ],
)
def test_bad_arguments_are_refused_in_words(models, dials, told):
    with pytest.raises(ValueError, match=told):
        explorer(models, **dials)


def test_models_must_be_pairs_that_share_a_tokenizer(base, foreign):
    for nothing in ({}, None, {"base": None}, {"base": (1,)}):
        with pytest.raises(ValueError, match="models must be"):
            explorer(nothing)
    with pytest.raises(ValueError, match="'other' and 'base' have different tokenizers"):
        explorer({"base": base, "other": foreign})


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (dict(do="set", top_k=0), "top_k must be"),
        (dict(do="pick", id=5000), "there is no token 5000"),
        (dict(do="dance"), "'dance'"),
        (dict(do="set", colour="red"), "TypeError"),
        (dict(do="return", branch=3), "IndexError"),
    ],
)
def test_an_error_in_a_message_is_shown_and_nothing_else_changes(base, message, told):
    widget = explorer(base)
    rows = widget.view["rows"]

    view = send(widget, **message)

    assert told in view["error"] and view["number"] == 7
    assert view["rows"] == rows and widget.state == State(FIRST)
    assert send(widget, "set", top_k=1)["error"] == ""


def test_text_in_a_chat_is_the_question_alone(models):
    tokenizer = models["sft"][1]

    assert whole_text(tokenizer, State("Hi", picked=(72,), chat=True)) == "Hi"
    assert whole_text(tokenizer, State("Hi", picked=(72,))) == "HiH"
