"""Tokenizers of others in a GGUF: run.c reads the ids that Python reads, or nothing is written."""

import json
from dataclasses import replace

import pytest
import torch
from gguf import TokenType

from course_lib.config import GREEDY, ModelConfig
from course_lib.files.gguf import read_gguf_summary, write_gguf
from course_lib.files.run_file import compile_run_file, run, run_chat, run_probs
from course_lib.files.vocabulary import RECIPES, vocabulary
from course_lib.model.sample import next_token_probs
from course_lib.model.transformer import Transformer
from course_lib.pipeline.release import load_released
from course_lib.text.chat import CHAT_TEMPLATE, GGUF_CHAT_TEMPLATE, without_marks
from course_lib.text.foreign import ForeignTokenizer
from course_lib.text.tokenizer import PATTERN, SPECIALS
from course_lib.widgets import chat
from tests.tiny import CAT_AND_HAT, controls_first

TEXTS = ["In that match Virat Kohli hit a", "2 + 2 = 4, 1024!", "<|im_end|> äö 👍\n\n x  ", "I'll"]
CONFIG = {"eos_token": "<|im_end|>", "chat_template": CHAT_TEMPLATE}
BYTE_LEVEL = CAT_AND_HAT.to_dict()["pre_tokenizer"]


def digits_first(individual=True):
    digits = {"type": "Digits", "individual_digits": individual}
    return {"type": "Sequence", "pretokenizers": [digits, BYTE_LEVEL]}


def split_at(regex, **changes):
    split = {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}
    bytes_only = {**BYTE_LEVEL, "use_regex": False}
    return {"type": "Sequence", "pretokenizers": [{**split, **changes}, bytes_only]}


def changed(tokenizer=CAT_AND_HAT, model=(), **parts):
    """The tokenizer with other parts in its file."""
    found = tokenizer.to_dict()
    found["model"] |= dict(model)
    return ForeignTokenizer(json.dumps({**found, **parts}), CONFIG)


def with_pad(model, tokenizer, n_rows):
    """As transformers does it: [PAD] gets the next id, and the table new rows."""
    added = tokenizer.to_dict()["added_tokens"]
    pad = {**added[0], "id": tokenizer.vocab_size, "content": "[PAD]"}
    foreign = ForeignTokenizer(
        json.dumps({**tokenizer.to_dict(), "added_tokens": [*added, pad]}),
        {**CONFIG, "pad_token": "[PAD]"},
    )
    twin = Transformer(replace(model.config, vocab_size=n_rows)).eval()
    weights = dict(model.state_dict())
    for name in ("embed_tokens.weight", "lm_head.weight"):
        weights[name] = torch.cat((weights[name], twin.state_dict()[name][1536:] * 0.01))
    twin.load_state_dict(weights)
    return twin, foreign


@pytest.fixture(scope="module")
def rlhf():
    return load_released("rlhf")


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return compile_run_file(tmp_path_factory.mktemp("run"))


FOREIGN = {
    "[PAD] added": lambda model, tokenizer: with_pad(model, tokenizer, 1537),
    "[PAD] added, table padded": lambda model, tokenizer: with_pad(model, tokenizer, 1600),
    "control tokens first": lambda model, tokenizer: controls_first(model, tokenizer, CONFIG),
    "digits apart": lambda model, tokenizer: (
        model,
        changed(tokenizer, pre_tokenizer=digits_first()),
    ),
    "control tokens called words": lambda model, tokenizer: (
        model,
        changed(
            tokenizer,
            added_tokens=[{**t, "special": False} for t in tokenizer.to_dict()["added_tokens"]],
        ),
    ),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_run_c_reads_and_says_what_python_does(kind, rlhf, program, tmp_path):
    path = tmp_path / "model.gguf"
    model, tokenizer = FOREIGN[kind](*rlhf)
    write_gguf(path, model, tokenizer)

    start = [str(id) for id in tokenizer.start_ids]
    read = [run(program, path, "complete", text, n=0, x=1).split() for text in TEXTS]
    likely = run_probs(program, path, TEXTS[0], n=5)
    probs = next_token_probs(model, [*tokenizer.start_ids, *tokenizer.encode(TEXTS[0])])
    question = "What is the capital of France?"

    assert read == [[*start, *map(str, tokenizer.encode(text))] for text in TEXTS]
    for token in likely:
        assert token.probability == pytest.approx(probs[token.id].item(), rel=1e-3)
    [said] = chat((model, tokenizer), question).talk[-1].answers
    assert run_chat(program, path, question, GREEDY, max_new_tokens=40) == said.text != ""


def test_the_keys_of_a_foreign_tokenizer_are_its_own(rlhf, tmp_path):
    model, tokenizer = with_pad(*rlhf, 1600)
    write_gguf(tmp_path / "model.gguf", model, tokenizer)

    values = read_gguf_summary(tmp_path / "model.gguf").values

    found = {k.removeprefix("tokenizer."): v for k, v in values.items() if "tokenizer" in k}
    types = found["ggml.token_type"]
    assert types[1532:1539] == [TokenType.NORMAL] + [TokenType.CONTROL] * 4 + [TokenType.UNUSED] * 2
    assert found["ggml.tokens"][1536] == "[PAD]" and len(set(found["ggml.tokens"])) == 1600
    ends = {"bos": 1533, "eos": 1533, "eot": 1535, "padding": 1536}
    assert {name: found[f"ggml.{name}_token_id"] for name in ends} == ends
    assert found["chat_template"] == GGUF_CHAT_TEMPLATE and found["ggml.pre"] == "gpt-2"


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_known_by_its_parts_and_nothing_else_passes_for_it(name):
    cuts, normalizer, ignore_merges = RECIPES[name]
    if name == "gpt-2":
        pre = BYTE_LEVEL
    else:
        pre = digits_first() if name == "smollm" else split_at(*cuts)
    parts = dict(pre_tokenizer=pre, normalizer=normalizer and {"type": normalizer})

    known = changed(model={"ignore_merges": ignore_merges}, **parts)
    other = changed(model={"ignore_merges": not ignore_merges}, **parts)

    assert vocabulary(known, 280).pre == name
    with pytest.raises(ValueError, match="no name for"):
        vocabulary(other, 280)


def sentencepiece():
    vocab = {"<unk>": 0, "<s>": 1, "</s>": 2, "<0x0A>": 3, "▁": 4, "a": 5, "▁a": 6}
    model = dict(type="BPE", vocab=vocab, merges=[["▁", "a"]], byte_fallback=True)
    return changed(model=model, added_tokens=[], pre_tokenizer=None)


def two_words():
    added = CAT_AND_HAT.to_dict()["added_tokens"]
    word = {**added[0], "id": 272, "content": "<think>", "special": False}
    return changed(added_tokens=[*added, word])


def merges_of(**changes):
    model = CAT_AND_HAT.to_dict()["model"]
    return changed(model={name: change(model[name]) for name, change in changes.items()})


@pytest.mark.parametrize(
    ("tokenizer", "reason"),
    [
        (sentencepiece, "isn't byte-level BPE"),
        (lambda: changed(pre_tokenizer={**BYTE_LEVEL, "add_prefix_space": True}), "no name for"),
        (lambda: changed(pre_tokenizer={**BYTE_LEVEL, "use_regex": False}), "no name for"),
        (lambda: changed(pre_tokenizer=digits_first(individual=False)), "no name for"),
        (lambda: changed(pre_tokenizer=split_at(PATTERN + "|x")), "no name for"),
        (lambda: changed(pre_tokenizer=split_at(PATTERN, behavior="Removed")), "no name for"),
        (lambda: changed(pre_tokenizer=split_at(PATTERN, invert=True)), "no name for"),
        (lambda: changed(normalizer={"type": "Lowercase"}), "no name for"),
        (lambda: changed(model={"dropout": 0.1}), "no name for"),
        (two_words, r"cuts out some words as a whole, such as \['<think>'\]"),
        (lambda: merges_of(merges=lambda found: found[::-1]), "not in the order of its merges"),
        (
            lambda: merges_of(
                vocab=lambda found: {"z" * (k == "Z") + k: v for k, v in found.items()}
            ),
            "lacks some of the 256 bytes",
        ),
    ],
)
def test_what_gguf_can_not_say_is_refused_in_a_sentence(tokenizer, reason, tmp_path):
    config = ModelConfig(vocab_size=280, dim=16, n_layers=1, n_heads=2, n_kv_heads=1, ffn_dim=16)

    with pytest.raises(ValueError, match=rf"can't be written as GGUF: .*{reason}.*save_pretrained"):
        write_gguf(tmp_path / "model.gguf", Transformer(config), tokenizer())
    assert not (tmp_path / "model.gguf").exists()


def test_merges_may_be_spelled_as_one_string():
    spelled = merges_of(merges=lambda found: [" ".join(pair) for pair in found])

    assert vocabulary(spelled, 280) == vocabulary(CAT_AND_HAT, 280)


def test_a_token_that_no_bytes_spell_is_unused():
    model = CAT_AND_HAT.to_dict()["model"]
    model["vocab"] |= {token: 269 + i for i, token in enumerate((*SPECIALS, "a b"))}
    odd = changed(model=model)

    assert vocabulary(odd, 280).types[272] == TokenType.UNUSED
    assert odd.token_bytes(272) == b"a b"


def test_marks_of_answers_leave_a_template_with_the_white_space_that_they_eat():
    jinja2 = pytest.importorskip("jinja2")
    template = "a {%- generation -%} b{% generation %} c{%- endgeneration %} d"

    assert jinja2.Template(without_marks(template)).render() == "ab c d"
