"""The probability explorer: one state, the same numbers in Python and on the page.

The page is run in node (`explorer_page.py`), over the widget's own messages.
"""

import copy
import json
import math

import numpy as np
import pytest
import torch

from course_lib.config import ModelConfig, Sampling
from course_lib.files.gguf import write_gguf
from course_lib.model.sample import next_token_probs, probs_at, sampling_probs
from course_lib.model.transformer import Transformer
from course_lib.pipeline.release import load_released
from course_lib.text.chat import encode_prompt
from course_lib.text.foreign import ForeignTokenizer
from course_lib.text.tokenizer import Tokenizer
from course_lib.widgets import explorer
from course_lib.widgets.explorer import FIRST
from course_lib.widgets.explorer_engine import Engine, switched_off, token_text
from course_lib.widgets.explorer_state import State
from course_lib.widgets.explorer_view import drawn_ids
from course_lib.world.truth import true_next_tokens
from tests.play.drive import write_truth
from tests.widgets.explorer_page import Page

OUTSIDE = "outside the course's world"
CLOSE = 5e-6  # 32-bit logits near 16 lie 1e-6 apart, and both sides round a few times


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


def small_models(tokenizer) -> dict:
    """Three models that know nothing, and answer in no time."""
    size = dict(vocab_size=tokenizer.vocab_size, context_length=24, dim=16, ffn_dim=16)
    shape = ModelConfig(**size, n_layers=2, n_heads=2, n_kv_heads=1)
    models = {name: Transformer(shape, seed).eval() for seed, name in enumerate("abc")}
    for model in models.values():
        with torch.no_grad():
            model.norm.weight.mul_(20)  # else all tokens would be about as likely
    return {name: (model, tokenizer) for name, model in models.items()}


@pytest.fixture
def open_page():
    """`open_page(models, text, dials)` is the page of a new widget, in node until the test ends."""
    pages = []

    def open_(models, *text, **dials) -> Page:
        pages.append(Page(explorer(models, *text, **dials)))
        return pages[-1]

    yield open_
    for page in pages:
        page.close()


def shares(view, series=0):
    return {row["id"]: row["p"][series] for row in view["rows"]}


def names(view):
    return [one["name"] for one in view["series"]]


# ---- The same on the page and in Python ---------------------------------------------------------

STATES = [
    (FIRST, {}),
    (FIRST, dict(truth=True)),
    (FIRST, dict(compare=True, model="sft", truth=True, bars=50)),
    (FIRST, dict(temperature=0.0, truth=True)),
    (FIRST, dict(temperature=0.3, top_k=5, bars=12)),
    (FIRST, dict(temperature=1.7, top_p=0.7, steps=True)),
    (FIRST, dict(temperature=0.9, top_k=7, top_p=0.6, compare=True)),
    (FIRST, dict(samples=100, seed=3)),
    (FIRST, dict(samples=1000, seed=2**53 - 1, temperature=1.5, top_k=4)),
    (FIRST, dict(off=((0, 1), (2, 3)), truth=True)),
    (FIRST, dict(off=((1, 0),), compare=True, lens=True, token=3, layer=1, head=2)),
    (FIRST, dict(picked=(46,), truth=True)),
    ("né", dict(picked=(195,))),
    ("In that match Virat Kohli", dict(picked=tuple(b" hit"), truth=True)),
    (f"{FIRST} six.", dict(truth=True, bars=30)),
    ("It was a dark and stormy night", dict(truth=True)),
    ("", dict(truth=True)),
    ("👋🏽 né\n\t<b>\u2028\0", dict(bars=20)),
    ("The cat ran. " * 100 + FIRST, dict(truth=True)),
    ("What is the capital of France?", dict(chat=True, compare=True, model="rlhf")),
    ("Hello!", dict(chat=True, picked=(72, 195), truth=True)),
    (">>> max(7, 5)\n", dict(truth=True, temperature=0.5)),
    ("Notes on languages, page 17, shelf 30.\nThe main language of Mexico is", dict(truth=True)),
    ("$\\frac$ 'a' \"b\"", dict(size="large", samples=7)),
]


@pytest.mark.parametrize("number", range(len(STATES)))
def test_the_page_shows_what_python_tells(models, open_page, number):
    text, dials = STATES[number]
    page = open_page(models, text, **dials)
    view, expected = page.view, page.widget.view

    assert view["error"] == ""
    assert page.asked == []  # all that the first view needs has come with the widget
    assert view["words"] == expected.words == repr(page.widget)
    assert [row["id"] for row in view["rows"]] == expected.ids
    assert names(view) == [name for name, _ in expected.series]
    assert view["note"] == expected.note
    assert view["rest"]["count"] == expected.others
    columns = ["tempered", "removed"]
    found = [[row[c] for c in columns] + row["p"] for row in [*view["rows"], view["rest"]]]
    rows = zip(expected.tempered, expected.removed, expected.shares, strict=True)
    wanted = [[t, r, *p] for t, r, p in rows] + [expected.rest]
    assert np.abs(np.subtract(found, wanted)).max() < CLOSE
    assert page.widget.state == State(text, **{"model": "base", **dials})


@pytest.mark.parametrize("number", [0, 2, 5, 9, 12, 17])
def test_the_table_is_that_of_pythons_numbers(models, open_page, number):
    text, dials = STATES[number]
    page = open_page(models, text, **dials)
    view = page.widget.view

    lines = [line.split("\t") for line in page.view["table"].split("\n")]

    assert lines[0][:5] == ["token", "id", "logit", "after temperature", "cut"]
    assert lines[0][5:] == [name for name, _ in view.series]
    assert [line[0] for line in lines[1:-1]] == view.names
    assert lines[-1][0] == f"all other {view.others} tokens"
    rows = zip(view.ids, view.logits, view.tempered, view.removed, view.shares, strict=True)
    for line, (id, logit, tempered, removed, p) in zip(lines[1:], rows, strict=False):
        assert line[1] == str(id)
        # the last digit of a number that was rounded elsewhere
        assert float(line[2]) == pytest.approx(logit, abs=0.0006)
        numbers = [float(x) for x in line[3:]]
        assert numbers == pytest.approx([tempered, removed, *p], abs=0.0000061)


HOW_MANY = pytest.mark.parametrize(
    "sequences", [40, pytest.param(1000, marks=pytest.mark.slow)], ids=["few", "many"]
)


def assert_the_same(played, sequences):
    assert played["different"] == []
    assert played["actions"] > 5 * sequences and played["states"] > sequences
    assert sequences / 10 < played["errors"] < played["actions"] / 4  # both are tried


@HOW_MANY
def test_haste_and_another_engine_change_nothing(base, open_page, sequences):
    page = open_page(small_models(base[1]), "In that match", truth=True)

    assert_the_same(page.play(seed=1, sequences=sequences), sequences)


@HOW_MANY
def test_without_python_the_same_is_shown(base, open_page, sequences, wasm, tmp_path):
    models = small_models(base[1])
    files = {name: str(tmp_path / f"{name}.gguf") for name in models}
    for name, (model, tokenizer) in models.items():
        write_gguf(files[name], model, tokenizer, "F32")
    page = open_page(models, "In that match", truth=True)

    files = dict(wasm=str(wasm), truth=str(write_truth(tmp_path)), models=files)
    assert_the_same(page.play(seed=2, sequences=sequences, **files), sequences)


# ---- The numbers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dials",
    [{}, dict(temperature=0.0), dict(temperature=0.7, top_k=5), dict(top_p=0.9, top_k=3)],
)
def test_bars_are_the_probabilities_that_the_sampler_draws_from(base, open_page, dials):
    model, tokenizer = base
    ids = torch.tensor([[tokenizer.eot_id, *tokenizer.encode(FIRST)]])
    logits = model.next_logits(ids)[0].detach().double()
    expected = sampling_probs(logits, Sampling(**dials))

    view = open_page(base, **dials).view

    ids = [row["id"] for row in view["rows"]]
    assert [row["p"][0] for row in view["rows"]] == pytest.approx(expected[ids].tolist(), abs=CLOSE)
    assert view["rest"]["p"] == pytest.approx([1 - expected[ids].sum().item()], abs=CLOSE)


def test_the_steps_tell_what_was_cut_and_by_how_much_the_rest_grew(base, open_page):
    model, tokenizer = base
    ids = torch.tensor([[tokenizer.eot_id, *tokenizer.encode(FIRST)]])
    tempered = probs_at(model(ids)[0, -1].detach(), 0.7)

    view = open_page(base, temperature=0.7, top_k=2).view

    first, _, third = view["rows"][:3]
    top = tempered.topk(3).values.tolist()
    assert [first["tempered"], first["removed"]] == pytest.approx([top[0], 0], rel=1e-4)
    found = [third["tempered"], third["removed"], third["p"][0]]
    assert found == pytest.approx([top[2], top[2], 0], rel=1e-4)
    removed = 1 - top[0] - top[1]
    assert f"cut 1,534 of 1,536 tokens, which had {100 * removed:.1f}% together" in view["steps"]
    assert f"scaled by {1 / (1 - removed):.2f}" in view["steps"]


def test_no_dial_changes_the_order_of_the_bars_or_asks_anybody(base, open_page):
    page = open_page(base)
    orders = [[row["id"] for row in page.view["rows"]]]

    for dials in (dict(temperature=0.0), dict(temperature=1.8, top_k=2), dict(top_p=0.5, bars=6)):
        orders.append([row["id"] for row in page.set(**dials)["rows"]])

    assert all(order == orders[0] for order in orders)
    assert page.asked == []


def test_undo_asks_nobody(base, open_page):
    page = open_page(base, truth=True)
    page.act("pick", id=page.view["rows"][0]["id"])
    asked = len(page.asked)

    assert page.act("undo")["text"] == FIRST
    assert page.act("draw")["error"] == ""  # it draws from what it knows
    assert page.asked[asked:] == ["encode", "truth"]  # the logits come along with the ids


def test_logits_come_along_with_the_ids_of_what_is_typed(base, open_page):
    model, tokenizer = base
    page = open_page(base, off=[(1, 2)])
    asked = len(page.asked)

    view = page.act("type", text="The cat")

    assert page.asked[asked:] == ["encode"]
    with switched_off(model, [(1, 2)]):
        cut = next_token_probs(model, [*tokenizer.start_ids, *tokenizer.encode("The cat")])
    whole = next_token_probs(model, [*tokenizer.start_ids, *tokenizer.encode("The cat")])
    for column, expected in ((0, cut), (1, whole)):
        found = {row["id"]: row["p"][column] for row in view["rows"]}
        assert found == pytest.approx({id: expected[id].item() for id in found}, abs=CLOSE)


def test_a_model_trained_meanwhile_is_asked_again(open_page):
    model = Transformer(ModelConfig(vocab_size=512, dim=16, ffn_dim=16), seed=0)
    page = open_page((model, Tokenizer()), "a")
    page.act("type", text="b")
    before = shares(page.act("type", text="a"))

    with torch.no_grad():
        model.embed_tokens.weight.mul_(3)
    page.act("type", text="c")  # whoever asks anything is told

    assert shares(page.act("type", text="a")) != before


def test_the_truth_stands_beside_the_bars(base, open_page):
    view = open_page(base, truth=True).view

    assert names(view) == ["model", "the truth"]
    expected = true_next_tokens(base[1], FIRST)
    assert {id: p for id, p in shares(view, 1).items() if p} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (dict(prompt="It was a dark and stormy night"), OUTSIDE),
        (dict(prompt="What is the capital of France?", chat=True), "raw text only"),
        # the letters of " hit" one by one: no document is cut into tokens like that
        (dict(prompt="In that match Virat Kohli", picked=tuple(b" hit")), "cut into tokens"),
    ],
)
def test_where_no_truth_is_known_the_words_say_why(base, open_page, changes, why):
    view = open_page(base, **changes, truth=True).view

    assert names(view) == ["model"] and why in view["note"]


def test_models_side_by_side_each_show_their_own(models, open_page):
    view = open_page(models, compare=True, model="sft").view

    assert names(view) == ["sft", "base", "rlhf"]
    for i, name in enumerate(names(view)):
        model, tokenizer = models[name]
        alone = next_token_probs(model, [tokenizer.eot_id, *tokenizer.encode(FIRST)])
        assert shares(view, i) == pytest.approx(
            {id: alone[id].item() for id in shares(view)}, abs=CLOSE
        )


def test_attention_is_the_models_own_map(base, open_page):
    model, tokenizer = base
    ids = torch.tensor([[tokenizer.eot_id, *tokenizer.encode(FIRST)]])
    maps = model(ids, trace=True).attention[:, 0]  # (L, H, T, T)
    page = open_page(base, token=6)

    mean = page.view["attention"]["weights"]
    head = page.set(layer=1, head=2)["attention"]["weights"]

    assert mean == pytest.approx(maps[:, :, 6, :7].mean(dim=(0, 1)).tolist(), abs=CLOSE)
    assert head == pytest.approx(maps[1, 2, 6, :7].tolist(), abs=CLOSE)


def test_another_model_begins_with_the_mean_over_its_own_heads(models, open_page):
    page = open_page(models, token=2, layer=3, head=1)

    page.set(model="sft")

    state = page.widget.state
    assert (state.token, state.layer, state.head) == (2, None, None)


def test_a_head_that_is_switched_off_passes_nothing_on(base, open_page):
    model, tokenizer = base
    without = copy.deepcopy(model)
    size = model.config.head_dim
    with torch.no_grad():  # a head writes through columns of its own
        without.layers[1].self_attn.o_proj.weight[:, 2 * size : 3 * size] = 0
        without.layers[3].self_attn.o_proj.weight[:, :size] = 0
    expected = next_token_probs(without, [tokenizer.eot_id, *tokenizer.encode(FIRST)])
    page = open_page(base)
    before = shares(page.view)

    view = page.set(off=[[1, 2], [3, 0]])

    assert names(view) == ["model", "all heads on"]
    found = shares(view)
    assert found == pytest.approx({id: expected[id].item() for id in found}, abs=CLOSE)
    assert {id: p for id, p in shares(view, 1).items() if id in before} == pytest.approx(
        {id: p for id, p in before.items() if id in found}
    )
    assert shares(page.set(off=[])) == pytest.approx(before)  # nothing is left of it


def test_the_lens_reads_the_stream_after_each_layer(base, open_page):
    model, tokenizer = base
    ids = [tokenizer.eot_id, *tokenizer.encode(FIRST)]
    two = copy.deepcopy(model)
    two.layers = two.layers[:2]  # the model as if it ended there
    expected = next_token_probs(two, ids)

    view = open_page(base, lens=True).view

    assert len(view["lens"]) == len(model.layers) + 1
    found = dict(zip((row["id"] for row in view["rows"]), view["lens"][2]["p"], strict=True))
    assert found == pytest.approx({id: expected[id].item() for id in found}, abs=CLOSE)
    assert view["lens"][2]["id"] == int(expected.argmax())
    assert view["lens"][-1]["p"] == pytest.approx([row["p"][0] for row in view["rows"]], abs=CLOSE)


# ---- Texts of every kind ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["", "👋🏽 né", "<img src=x onerror=alert(1)>", "\t\n\0", "a " * 999, "\ufeffa"]
)
def test_any_text_has_bars_that_sum_to_one(base, open_page, text):
    view = open_page(base).act("type", text=text)

    assert view["error"] == "" and view["text"] == text
    assert sum(shares(view).values()) + view["rest"]["p"][0] == pytest.approx(1)


def test_a_long_text_loses_its_start_and_says_how_much(base, open_page):
    model, tokenizer = base
    text = "The cat ran. " * 100 + FIRST

    view = open_page(base, text).view

    ids = [tokenizer.eot_id, *tokenizer.encode(text)]
    seen = next_token_probs(model, ids[-128:])
    assert len(view["chips"]) == 128 and view["cut"] == len(ids) - 128
    assert view["rows"][0]["p"][0] == pytest.approx(seen.max().item())


def test_half_a_typed_character_becomes_a_whole_one(base, open_page):
    assert open_page(base).act("type", text="a\ud83d")["text"] == "a\ufffd"


def test_tokens_show_what_can_not_be_seen(base):
    tokenizer = base[1]

    shown = [token_text(tokenizer, id) for id in (*b" \n\t\x00\xff", tokenizer.eot_id, 5000)]

    assert shown == ["␣", "↵", "⇥", "\\x00", "\\xff", "<|endoftext|>", "(unused 5000)"]


def test_chips_are_the_letters_or_no_letters(base, open_page):
    chips = open_page(base, "né ", picked=(195,)).view["chips"]

    assert [(chip["name"], chip["letters"]) for chip in chips] == [
        ("<|endoftext|>", None),
        ("n", "n"),
        *([("é", "é")] if len(chips) == 5 else [("\\xc3", None), ("\\xa9", None)]),
        ("␣", " "),
        ("\\xc3", None),
    ]


def test_a_chat_is_the_template_with_the_picked_tokens_after_it(models, open_page):
    page = open_page(models["sft"], "Hello!", picked=(80,), chat=True)

    template = encode_prompt(models["sft"][1], [{"role": "user", "content": "Hello!"}])
    assert [chip["id"] for chip in page.view["chips"]] == [*template, 80]
    assert page.view["fixed"] == len(template)


def test_a_foreign_model_is_explored_as_ours(foreign, open_page):
    model, tokenizer = foreign
    page = open_page(foreign, "the cat")
    expected = model(torch.tensor([tokenizer.encode("the cat")]))[0, -1]

    view = page.set(temperature=0.0, truth=True)

    assert view["rows"][0]["id"] == int(expected.argmax())
    assert "own tokenizer only" in view["note"]
    assert page.act("pick", id=49_000)["chips"][-1]["name"] == "(unused 49000)"
    assert "doesn't chat in ChatML" in page.act("chat", chat=True)["error"]
    assert "start of a document" in page.act("type", text="")["error"]


# ---- What is clicked ----------------------------------------------------------------------------


def test_a_picked_token_joins_the_text(base, open_page):
    page = open_page(base)

    view = page.act("pick", id=base[1].encode(" six")[0])

    assert page.widget.state.text == view["text"] == f"{FIRST} six"


@pytest.mark.parametrize("letter", ["é", "λ", "ந", "👋"])
def test_half_a_letter_waits_for_its_other_half(base, open_page, letter):
    page = open_page(base, "n")
    *first, last = letter.encode()  # the first 256 ids are the bytes themselves

    for id in first:
        view = page.act("pick", id=id)
        assert (view["text"], view["chips"][-1]["name"]) == ("n", f"\\x{id:02x}")
    assert page.act("pick", id=last)["text"] == f"n{letter}"


def test_half_a_letter_of_an_answer_is_no_part_of_its_name(models, open_page):
    page = open_page(models["sft"], "Hello!", chat=True)
    for id in "Hé".encode()[:-1]:
        page.act("pick", id=id)

    assert page.act("branch")["branches"] == ["Hello! → H"]


@pytest.mark.parametrize("text", [FIRST, "a👋b", "né"])
def test_a_rewind_keeps_the_very_same_tokens(base, open_page, text):
    page = open_page(base, text)
    ids = [chip["id"] for chip in page.view["chips"]]

    for keep in range(1, len(ids) + 1):
        view = page.act("rewind", keep=keep)
        assert [chip["id"] for chip in view["chips"]] == ids[:keep]
        page.act("undo")


def test_a_rewind_in_a_chat_leaves_the_question(models, open_page):
    page = open_page(models["sft"], "Hello!", picked=(72, 105), chat=True)
    fixed = page.view["fixed"]

    page.act("rewind", keep=fixed + 1)
    assert page.widget.state.picked == (72,)
    assert "question stays" in page.act("rewind", keep=2)["said"]
    assert page.widget.state == State("Hello!", chat=True)


def test_undo_takes_back_texts_one_by_one_and_leaves_the_dials(base, open_page):
    page = open_page(base, "The")
    for text in ("The c", "The ca", "The cat"):
        page.act("type", text=text)
    page.act("pick", id=32)
    page.set(temperature=0.5)

    texts = [page.act("undo")["text"] for _ in range(3)]

    assert texts == ["The cat", "The", "The"]
    assert page.widget.state.temperature == 0.5 and "nothing to undo" in page.view["said"]


def test_a_branch_leads_back_to_its_text(base, open_page):
    page = open_page(base)
    page.act("branch")
    page.act("branch")
    assert len(page.act("type", text="Elsewhere")["branches"]) == 1

    assert page.act("return", branch=0)["text"] == FIRST


def test_reset_is_the_first_state(base, open_page):
    page = open_page(base, temperature=0.5)
    page.set(temperature=1.5, top_k=2)
    page.act("draw")

    page.act("reset")

    assert page.widget.state == State(FIRST, temperature=0.5)


def test_a_second_window_comes_to_the_same_state(base, open_page):
    page, other = open_page(base), open_page(base)
    page.set(temperature=0.5)
    page.act("pick", id=46)

    other.act("become", state=page.view["state"])

    assert other.widget.state == page.widget.state
    assert other.view["rows"] == page.view["rows"]
    assert other.act("undo")["text"] == FIRST


def test_the_same_clicks_draw_the_same_tokens(base, open_page):
    def drawn(seed, clicks):
        page = open_page(base, seed=seed)
        return [page.act("draw")["text"] for _ in range(clicks)]

    assert drawn(0, 4) == drawn(0, 4)
    assert len({drawn(seed, 1)[0] for seed in range(24)}) > 2


def test_a_hundred_draws_are_counted_beside_the_bars(base, open_page):
    page = open_page(base)

    view = page.act("draw many", samples=100)

    probs = next_token_probs(base[0], [base[1].eot_id, *base[1].encode(FIRST)])
    drawn = drawn_ids(probs, 100, page.widget.state.seed)
    assert names(view) == ["model", "100 drawn"]
    assert shares(view, 1) == pytest.approx({id: drawn.count(id) / 100 for id in shares(view)})
    assert names(page.act("type", text="The")) == ["model"]


def test_a_draw_is_as_likely_as_its_bar():
    probs = torch.tensor([0.5, 0.0, 0.3, 0.2])

    share = torch.bincount(torch.tensor(drawn_ids(probs, 20_000, 3)), minlength=4) / 20_000

    assert share[1] == 0
    assert share.tolist() == pytest.approx(probs.tolist(), abs=0.02)  # over five standard errors


def test_of_what_is_typed_fast_only_the_newest_is_computed(base, open_page):
    page = open_page(base)
    texts = ["The cat sat"[:n] for n in range(1, 12)]

    view = page.at_once(*(dict(do="type", text=text) for text in texts))

    assert view["text"] == "The cat sat"
    assert page.asked.count("logits") <= 2  # the first, which was under way, and the last


# ---- Code, words and errors ---------------------------------------------------------------------


def test_the_code_makes_the_same_state_again(models, open_page):
    page = open_page(
        models, "né '<b>'\n\u2028\0", temperature=0.7, top_k=5, truth=True, size="large"
    )
    page.set(model="sft", compare=True, off=[[0, 1]], lens=True)
    page.act("pick", id=195)
    page.act("draw many", samples=100)
    view = page.set(token=2, layer=1, head=None)

    again = eval(view["code"], {"explorer": explorer, "models": models})

    assert again.state == page.widget.state


def test_the_code_names_only_what_differs(base, open_page):
    page = open_page(base, "a", top_k=5)

    assert page.view["code"] == "explorer(models, 'a', top_k=5)"


def test_without_a_kernel_a_picture_and_words_stand_there(base):
    widget = explorer(base)

    data, _ = widget._repr_mimebundle_()

    six, century = (round(100 * p[0]) for p in widget.view.shares[:2])
    told = f"Next token after “{FIRST}”: ␣six {six}%; ␣century {century}%"
    assert repr(widget).startswith(told)
    assert data["text/plain"] == repr(widget) and "image/png" in data


def test_the_picture_is_of_what_the_page_has_come_to(base, open_page):
    page = open_page(base)

    page.act("type", text="The sound of a dog")

    assert "The sound of a dog" in page.widget.picture().words


@pytest.mark.parametrize(
    "dials",
    [
        dict(top_k=2, steps=True),
        dict(compare=True, truth=True, samples=100, off=((0, 0),)),
        dict(chat=True, top_p=0.5),
        dict(bars=1),
    ],
)
def test_every_state_has_a_picture(models, dials):
    picture = explorer(models, "$\\frac$ 👋\n<b>", **dials).picture()  # no formula to typeset

    assert len(picture.png) > 1000 and "👋↵<b>" in picture.words


def test_the_pictures_bars_and_marks_lie_where_the_shares_are(base):
    widget = explorer(base, truth=True)
    axes = widget.picture().figure.axes[0]

    lengths = [bar.get_width() for bar in axes.patches][:4]
    marks = [line.get_paths()[0].vertices[0][0] for line in axes.collections[1:8:2]]

    assert lengths == pytest.approx([p[0] for p in widget.view.shares[:4]])
    assert marks == pytest.approx([p[1] for p in widget.view.shares[:4]])


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
        (dict(off=(1, 2)), "off must be pairs"),
        (dict(off=((9, 0),)), "no head 0 in layer 9"),
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


def test_damaged_weights_are_told_of_at_once(base):
    model = copy.deepcopy(base[0])
    with torch.no_grad():
        model.norm.weight[0] = math.nan

    with pytest.raises(ValueError, match="what is not a number"):
        explorer((model, base[1]))


@pytest.mark.parametrize(
    ("action", "told"),
    [
        (dict(do="set", top_k=0), "top_k must be"),
        (dict(do="pick", id=5000), "there is no token 5000"),
        (dict(do="dance"), "dance"),
        (dict(do="set", colour="red"), "no dial colour"),
        (dict(do="set", model="gpt"), "model must be one of model, got gpt"),
        (dict(do="set", off=[[7, 0]]), "no head 0 in layer 7"),
        (dict(do="return", branch=3), "no kept text number 3"),
    ],
)
def test_an_error_is_shown_and_nothing_else_changes(base, open_page, action, told):
    page = open_page(base)
    rows = page.view["rows"]

    view = page.act(**action)

    assert told in view["error"]
    assert view["rows"] == rows and page.widget.state == State(FIRST)
    assert page.set(top_k=1)["error"] == ""


@pytest.mark.parametrize(
    ("ask", "of", "told"),
    [
        ("dance", [], "'dance'"),
        ("logits", ["gpt", [1], []], "model must be one of model"),
        ("logits", ["model", [], []], "one id at least"),
        ("logits", ["model", [99_999], []], "ids must be 0 to 1535"),
        ("logits", ["model", [1], [[0, "x"]]], "off must be pairs"),
        ("logits", ["model"], "TypeError"),
        ("prompt", [[]], "dialogue is empty"),
    ],
)
def test_a_question_that_makes_no_sense_is_answered_in_words(base, ask, of, told):
    widget, said = explorer(base), []
    widget.send = lambda content, buffers=(): said.append(content)

    widget._handle_custom_msg(dict(ask=ask, of=of, number=7, page="p"), [])

    [answer] = said
    assert told in answer["error"] and (answer["number"], answer["page"]) == (7, "p")


def test_who_is_silent_may_speak_again(base, open_page):
    page = open_page(base)
    answer, late = page.widget.send, []
    page.widget.send = lambda *message, **buffers: late.append((message, buffers))

    view = page.act("type", text="The cat")  # after five seconds
    assert "No word from the kernel" in view["error"] and view["text"] == FIRST
    page.widget.send = answer
    [(message, buffers)] = late
    answer(*message, **buffers)

    view = page.set(bars=3)
    assert (view["text"], view["error"]) == ("The cat", "")


def test_the_engine_answers_for_any_number_of_models(models):
    info = Engine(models).info()

    assert info["models"] == ["base", "sft", "rlhf"] and info["startIds"] == [
        models["sft"][1].eot_id
    ]
    assert (info["V"], info["T"], info["L"], info["H"]) == (1536, 128, 4, 4)
