"""The page's engine against torch, run.c and inside.c: the same numbers, and no file harms it."""

import base64
import copy
import random

import numpy as np
import pytest
import torch

from course_lib.files import gguf, run_file
from course_lib.pipeline.release import load_released
from course_lib.text.chat import encode_prompt
from course_lib.text.tokenizer import visible
from course_lib.world.documents import held_out_documents
from tests.files.inside import Inside, compile_library
from tests.files.test_run_c import CONFIG, MODELS, TOKENIZER, model_in
from tests.play.drive import drive, results

N_PROMPTS = 60
ODD = ["", " ", "  two  spaces ", "été naïf 😀 日本", "a\tb\r\n\n  c", "<|im_end|>", "x" * 300]
CLOSE = 1e-4  # float32 sums in another order
OFF = [[0, 1], [1, 3], [3, 0]]
CHATS = [
    [{"role": "user", "content": "What is the capital of France?"}],
    [
        {"role": "system", "content": "Answer in one word."},
        {"role": "user", "content": "Hi<|im_end|>\n"},
        {"role": "assistant", "content": " Hello! \n"},
        {"role": "user", "content": ""},
    ],
]


def prompts() -> list[str]:
    rng = random.Random(3)
    documents = held_out_documents(N_PROMPTS - len(ODD), seed=3)
    return [*(text[: rng.randrange(len(text))] for text in documents), *ODD]


@pytest.fixture(scope="module")
def released():
    return load_released("base")


@pytest.fixture(scope="module")
def ids(released):
    """Of each prompt, (n,); some are longer than the context."""
    _, tokenizer = released
    found = [[tokenizer.eot_id, *tokenizer.encode(text)] for text in prompts()]
    assert len(found) == N_PROMPTS and max(map(len, found)) > 128
    return found


@pytest.fixture(scope="module")
def said(wasm, ids):
    """What the engine says of the released base model, by method, once for each prompt."""
    wanted = {
        "encode": [("encode", text) for text in prompts()],
        "logits": [("logits", "base", each, []) for each in ids],
        "attention": [("attention", "base", each, []) for each in ids],
        "lens": [("lens", "base", each, []) for each in ids],
        "off": [("logits", "base", each, OFF) for each in ids],
        "on again": [("logits", "base", each, []) for each in ids],
        "prompt": [("prompt", chat) for chat in CHATS],
        "other": [("tokens",), ("info",)],
    }
    start = ("load", "base", run_file.released("base-f16.gguf"))
    found = iter(results(wasm, start, *(call for calls in wanted.values() for call in calls))[1:])
    return {name: [next(found) for _ in calls] for name, calls in wanted.items()}


@pytest.fixture(scope="module")
def traced(released, ids):
    """What torch computes of each prompt."""
    model, _ = released
    with torch.no_grad():
        return [model(torch.tensor([each[-128:]]), trace=True) for each in ids]


def test_a_text_has_the_ids_that_python_gives(said, ids):
    assert said["encode"] == [each[1:] for each in ids]


def test_logits_are_those_of_torch(said, traced):
    for found, trace in zip(said["logits"], traced, strict=True):
        assert np.abs(found - trace.logits[0, -1].numpy()).max() < CLOSE


def test_attention_is_that_of_torch(said, traced):
    for found, trace in zip(said["attention"], traced, strict=True):
        expected = trace.attention[:, 0].tril().numpy()  # (L, H, n, n)
        assert [found["layers"], found["heads"], found["length"]] == list(expected.shape[:3])
        assert np.abs(found["weights"].reshape(expected.shape) - expected).max() < CLOSE


def test_the_lens_is_that_of_torch(said, traced, released):
    model, _ = released
    for found, trace in zip(said["lens"], traced, strict=True):
        with torch.no_grad():
            expected = model.lm_head(model.norm(trace.residual[:, 0, -1])).numpy()
        assert found["layers"] == len(expected)
        assert np.abs(found["logits"].reshape(expected.shape) - expected).max() < CLOSE


def test_heads_can_be_off_and_on_again(said, released, ids):
    model, _ = released
    without, D = copy.deepcopy(model), model.config.head_dim
    with torch.no_grad():
        for layer, head in OFF:
            without.layers[layer].self_attn.o_proj.weight[:, head * D : (head + 1) * D] = 0
        for found, each in zip(said["off"], ids, strict=True):
            expected = without(torch.tensor([each[-128:]]))[0, -1].numpy()
            assert np.abs(found - expected).max() < CLOSE
    for found, before in zip(said["on again"], said["logits"], strict=True):
        assert (found == before).all()
    assert any(np.abs(a - b).max() > 1 for a, b in zip(said["off"], said["logits"], strict=True))


def test_inside_c_compiled_for_this_machine_says_the_same(said, ids, tmp_path):
    library = compile_library(tmp_path)
    inside = Inside(library, run_file.released("base-f16.gguf"))
    for i, each in enumerate(ids):
        n, read = min(len(each), inside.T), each[-inside.T :]
        inside.look(read)
        lens = np.stack([inside.logits(n - 1, layers) for layers in range(inside.L + 1)])
        assert np.abs(said["lens"][i]["logits"].reshape(lens.shape) - lens).max() < CLOSE
        assert np.abs(said["logits"][i] - lens[-1]).max() < CLOSE
        maps = np.tril(inside.attention()[:n, :, :, :n].transpose(1, 2, 0, 3))
        assert np.abs(said["attention"][i]["weights"].reshape(maps.shape) - maps).max() < CLOSE
    for layer, head in OFF:
        inside.switch_head(layer, head, True)
    for found, each in zip(said["off"], ids, strict=True):
        inside.look(each[-inside.T :])
        n = min(len(each), inside.T)
        assert np.abs(found - inside.logits(n - 1, inside.L)).max() < CLOSE


def test_run_c_gives_the_same_probabilities(said, wasm, tmp_path):
    program, model = run_file.compile_run_file(tmp_path), run_file.released("base-f16.gguf")
    # without a text run.c would read its input
    wanted = {text: found for text, found in zip(prompts(), said["logits"], strict=True) if text}
    short = [text for text in wanted if len(text) < 100]

    # 32-bit logits near 16 lie 1e-6 apart, and each side rounds a few times on its way to a share
    answers = results(wasm, *[("nextTokens", wanted[text].tolist()) for text in short])

    assert len(short) > 20
    for text, found in zip(short, answers, strict=True):
        shares = dict(zip(found["ids"], found["shares"], strict=True))
        tokens = run_file.run_probs(program, model, text, n=len(shares))
        assert len(tokens) == len(shares)
        assert all(abs(shares[token.id] - token.probability) < 5e-6 for token in tokens), text


def test_a_dialogue_has_the_ids_that_python_gives(said, released):
    _, tokenizer = released

    assert said["prompt"] == [encode_prompt(tokenizer, chat) for chat in CHATS]


def test_tokens_have_their_bytes_and_names(said, released):
    model, tokenizer = released
    tokens, info = said["other"]
    n, V = tokenizer.vocab_size, model.config.vocab_size

    texts = [tokenizer.token_bytes(id) for id in range(n)]
    assert [bytes(each) for each in tokens["bytes"]] == [*texts, *[b""] * (V - n)]
    assert sorted(tokens["control"]) == [id for id in range(V) if not tokenizer.is_text(id)]
    names = [visible(each.decode(errors="backslashreplace")) for each in texts]
    assert tokens["names"] == [*names, *(f"(unused {id})" for id in range(n, V))]
    assert info == {
        "models": ["base"],
        "learning": [],
        "V": V,
        "T": model.config.context_length,
        "L": model.config.n_layers,
        "H": model.config.n_heads,
        "startIds": tokenizer.start_ids,
        "endIds": tokenizer.end_ids,
        "chat": True,
        "truth": False,
    }


OTHERS = [(name, kind) for name in MODELS for kind in ("F32", "F16")]
OTHERS += [("tied", "Q8_0"), ("untied, every head its own keys", "Q8_0")]  # rows of 32 n numbers


@pytest.mark.parametrize(("name", "kind"), OTHERS)
def test_other_models_compute_what_python_computes(name, kind, wasm, tmp_path):
    path, text = tmp_path / "model.gguf", "The cat's hat isn't 日本 🙂"
    gguf.write_gguf(path, MODELS[name], TOKENIZER, kind)
    model, ids = model_in(path, MODELS[name].config), TOKENIZER.encode(text)

    _, encoded, logits = results(
        wasm, ("load", "mine", path), ("encode", text), ("logits", "mine", ids)
    )

    assert encoded == ids
    with torch.no_grad():
        expected = model(torch.tensor([ids]))[0, -1].numpy()
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=2e-4)  # logits of size 100


def test_a_model_can_be_freed_and_others_keep_their_own(wasm, released):
    _, tokenizer = released
    ids = [tokenizer.eot_id, *tokenizer.encode("The capital of")]
    files = {name: run_file.released(f"{name}-f16.gguf") for name in ("base", "sft")}
    ask = [("logits", name, ids) for name in files]

    found = drive(
        wasm,
        *(("load", name, path) for name, path in files.items()),
        *[*ask, *ask, ("info",), ("free", "base"), *ask, ("free", "sft"), ("info",)],
    )

    base, sft, base_again, sft_again, info, _, gone, sft_alone, _, nothing = found[2:]
    assert (base["result"] == base_again["result"]).all()
    assert (sft["result"] == sft_again["result"]).all() and info["result"]["models"] == list(files)
    assert (sft["result"] == sft_alone["result"]).all()
    assert np.abs(base["result"] - sft["result"]).max() > 0.1
    assert gone["error"] == "There is no model base, only sft."
    assert nothing["error"] == "No model is loaded: load one first."


def test_models_of_other_tokens_do_not_stand_beside_each_other(wasm, tmp_path):
    gguf.write_gguf(tmp_path / "mine.gguf", MODELS["tied"], TOKENIZER)
    base, mine = run_file.released("base-f16.gguf"), tmp_path / "mine.gguf"

    found = drive(
        wasm,
        *[("load", "base", base), ("load", "mine", mine), ("info",), ("logits", "base", [1, 2])],
        *[("free", "base"), ("loadFile", "mine", mine), ("info",), ("tokens",)],
    )

    assert "its tokens or sizes are not those of base, free that first" in found[1]["error"]
    assert found[2]["result"]["models"] == ["base"] and "result" in found[3]
    assert found[6]["result"]["models"] == ["mine"]
    # its table has more rows than there are tokens
    tokens, row = found[7]["result"], CONFIG.vocab_size - 1
    assert tokens["names"][row:] == [f"(unused {row})"] and tokens["bytes"][row:] == [[]]
    assert row in tokens["control"]


def odd_files() -> dict[str, bytes]:
    """Files that are no model which the page runs, with a part of what it says of them."""
    good = run_file.released("base-f16.gguf").read_bytes()
    rng = random.Random(1)
    cut = {f"cut after {n} bytes": good[:n] for n in (3, 7, 24, 100, 5_000, 60_000, len(good) - 9)}
    damaged = {}
    for _ in range(25):  # a byte of the header is another one
        at = rng.randrange(8, 30_000)
        damaged[f"byte {at}"] = good[:at] + bytes([rng.randrange(256)]) + good[at + 1 :]
    return {
        "empty": b"",
        "text": b"Once upon a time there was no model.\n" * 99,
        "picture": b"\x89PNG\r\n\x1a\n" + bytes(1000),
        "zeros": bytes(1000),
        "version 2": good[:4] + b"\x02" + good[5:],
        "other architecture": good.replace(b"llama", b"mamba", 1),
        "endless counts": good[:8] + b"\xff" * 16 + good[24:],
        **cut,
        **damaged,
    }


SAID = {
    "empty": "it is empty",
    "text": "the model is no GGUF of version 3",
    "picture": "the model is no GGUF of version 3",
    "version 2": "the model is no GGUF of version 3",
    "other architecture": "can't run architecture 'mamba'",
    "cut after 5000 bytes": "the file is cut short or damaged: it ends too early",
    "endless counts": "not enough memory for it",
}


def test_no_file_harms_the_page(wasm, released):
    _, tokenizer = released
    ids = [tokenizer.eot_id, *tokenizer.encode("In that match Virat Kohli hit a")]
    files = odd_files()
    calls = [("load", "base", run_file.released("base-f16.gguf")), ("logits", "base", ids)]
    for content in files.values():
        calls += [("loadBytes", "mine.gguf", base64.b64encode(content).decode())]
        calls += [("logits", "mine.gguf", ids), ("free", "mine.gguf")]
    calls += [("loadZeros", "huge.gguf", 200_000_001), ("logits", "base", ids)]

    found = drive(wasm, *calls)

    refused = 0
    for name, (loaded, *_) in zip(files, zip(*[iter(found[2:-2])] * 3, strict=True), strict=True):
        if "byte " in name and "error" not in loaded:
            continue  # what has changed is a number, or a letter of a token
        refused += 1
        assert loaded["error"].startswith("Can't load mine.gguf: "), name
        assert SAID.get(name, "") in loaded["error"]
        assert "\n" not in loaded["error"] and len(loaded["error"]) < 300
    assert refused > len(files) - 25
    assert "it has 201 MB, 200 MB are the most" in found[-2]["error"]
    assert (found[1]["result"] == found[-1]["result"]).all()
    assert max(each["milliseconds"] for each in found) < 10_000


def test_a_file_that_is_refused_leaves_the_model_of_that_name(wasm, released):
    found = drive(
        wasm,
        *[("load", "base", run_file.released("base-f16.gguf")), ("logits", "base", [1, 2])],
        *[("loadBytes", "base", "AAAA"), ("logits", "base", [1, 2])],
    )

    assert "error" in found[2] and (found[1]["result"] == found[3]["result"]).all()


def test_a_model_that_computes_no_number_says_so_and_stays_stopped(wasm, tmp_path):
    model = copy.deepcopy(MODELS["tied"])
    with torch.no_grad():
        model.layers[0].mlp.up_proj.weight[0, 0] = float("nan")
    gguf.write_gguf(tmp_path / "model.gguf", model, TOKENIZER)

    found = drive(
        wasm,
        *[("load", "mine", tmp_path / "model.gguf"), ("logits", "mine", [1, 2, 3])],
        *[("encode", "cat"), ("load", "mine", tmp_path / "model.gguf"), ("encode", "cat")],
    )

    expected = (
        "mine has stopped: the model computes what is not a number: the file is damaged. "
        "Load it again, or another file."
    )
    assert [each.get("error") for each in found[1:3]] == [expected, expected]
    assert found[4]["result"] == TOKENIZER.encode("cat")


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (("logits", "base", []), "There is nothing to go on from: type something."),
        (("logits", "base", [1536]), "There is no token 1536: ids end at 1535."),
        (("logits", "base", [-1]), "There is no token -1: ids end at 1535."),
        (("logits", "base", [0.5]), "There is no token 0.5: ids end at 1535."),
        (
            ("attention", "base", [1], [[4, 0]]),
            "There is no head 0 in layer 4, but 4 layers with 4 heads each, counted from 0.",
        ),
        (
            ("encode", "a" * 100_001),
            "This text has 101 kB, and 100 kB are the most: take less.",
        ),
        (
            ("prompt", [{"role": "assistant", "content": "Hi"}]),
            "A conversation has user and assistant in turn, and ends with the user.",
        ),
        (
            ("prompt", []),
            "A conversation has user and assistant in turn, and ends with the user.",
        ),
    ],
)
def test_what_cannot_be_asked_gets_a_sentence(call, sentence, wasm):
    load = ("load", "base", run_file.released("base-f16.gguf"))

    _, refused, after = drive(wasm, load, call, ("logits", "base", [1, 2]))

    assert refused["error"] == sentence and "result" in after
