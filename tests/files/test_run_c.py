"""run.c against Python: the same tokens, the same probabilities, and no way to crash it."""

import json
import os
import random
import shutil
import subprocess
from dataclasses import replace

import pytest
import tokenizers
import torch

from course_lib.config import GREEDY, ModelConfig, Sampling
from course_lib.files import gguf, run_file
from course_lib.files.run_file import NextToken, compile_run_file, run, run_probs
from course_lib.model.sample import generate, next_token_probs, sampling_probs
from course_lib.model.transformer import Transformer
from course_lib.text.chat import encode_prompt
from course_lib.text.tokenizer import Tokenizer
from tests.files.inside import Inside, compile_library

TEXT = (
    "The cat's hat isn't on the mat; we'll look, they've 12 cats and 345 dogs. \n\n"
    "In that match Virat Kohli hit a six. def f(x):\n    return x + 1\n"
)
TOKENIZER = Tokenizer.train(TEXT * 20, 330)
CONFIG = ModelConfig(
    vocab_size=352, context_length=96, dim=64, n_layers=2, n_heads=4, n_kv_heads=2, ffn_dim=96
)  # 12 rows more than tokens, as in a table rounded up
STOPS = (TOKENIZER.eot_id, TOKENIZER.im_end_id)
WORDS = TEXT.split()
NO_LEAKS = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}  # it leaves free() to the system
PROMPTS = [" ".join(random.Random(i).choices(WORDS, k=i % 7)) for i in range(20)]  # 3 are empty


def loud(config: ModelConfig, seed: int) -> Transformer:
    """A model of random weights, so large that the likeliest token stands out."""
    model = Transformer(config, seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() == 2:
                weight *= 15 if "embed" in name or "lm_head" in name else 8
                if "embed" in name or "lm_head" in name:
                    weight[-1] = weight[-2]  # two tokens that are always equally likely
            else:
                weight += 0.3 * torch.randn(weight.shape, generator=torch.manual_seed(seed))
    return model


MODELS = {
    "tied": loud(CONFIG, 1),
    "untied, every head its own keys": loud(
        replace(CONFIG, tied_embeddings=False, n_kv_heads=4, rope_theta=5e5), 2
    ),
    "odd sizes, one key head for all": loud(
        replace(CONFIG, dim=40, ffn_dim=50, n_kv_heads=1, rope_theta=1e5, norm_eps=1e-3), 3
    ),
}
TIED = MODELS["tied"]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return compile_run_file(tmp_path_factory.mktemp("program"))


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return compile_library(tmp_path_factory.mktemp("library"))


def encode(library, gguf, texts: list[str]) -> list[list[int]]:
    """The ids of each text, without BOS."""
    inside = Inside(library, gguf)
    return [inside.encode(text) for text in texts]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name, model in MODELS.items():
        gguf.write_gguf(folder / f"{name}.gguf", model, TOKENIZER)
    for file_type in ("F16", "Q8_0"):
        gguf.write_gguf(folder / f"{file_type}.gguf", TIED, TOKENIZER, file_type)
    return folder


@pytest.fixture(scope="module")
def tied(folder):
    return folder / "tied.gguf"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """run.c, compiled so that it stops at its first wrong step in memory or arithmetic."""
    compiler = run_file.find_compiler()
    program = tmp_path_factory.mktemp("guarded") / "run"
    command = f"{compiler} -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all".split()
    done = subprocess.run(
        [*command, "-o", program, run_file.SOURCE, "-lm"], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"{compiler} has no address sanitizer")
    return program


def ids_printed(line: str) -> list[int]:
    return [int(id) for id in line.split()]


def greedy(model: Transformer, prompt: list[int], n: int) -> list[int]:
    """Python's tokens as far as nobody could doubt them: two logits 1e-4 apart end the list."""
    ids = []
    for id in generate(model, [prompt], n, GREEDY, stop=STOPS)[0]:
        logits = model(torch.tensor([prompt + ids]))[0, -1]
        first, second = logits.topk(2).values.tolist()
        if first - second < 1e-4:
            break
        ids.append(id)
    return ids


# ---- The file -----------------------------------------------------------------------------------


def test_the_file_is_at_most_500_lines_of_100_columns():
    lines = run_file.SOURCE.read_text(encoding="utf-8").splitlines()

    assert len(lines) <= 500 and max(map(len, lines)) <= 100


@pytest.mark.parametrize(
    ("compiler", "threads"),
    [("gcc", "-fopenmp"), ("gcc", "-Wno-unknown-pragmas"), ("clang", "-Wno-unknown-pragmas")],
)
def test_a_compiler_has_nothing_to_warn_of(compiler, threads, tmp_path):
    if not shutil.which(compiler):
        pytest.skip(f"there is no {compiler} on this machine")
    command = [compiler, "-std=c11", "-Wall", "-Wextra", "-O3", threads, run_file.SOURCE]

    done = subprocess.run(
        [*command, "-o", tmp_path / "run", "-lm"], capture_output=True, text=True, check=True
    )

    assert done.stderr == ""


# ---- The model ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_greedy_tokens_are_those_of_python(name, program, folder):
    new = set()
    for prompt in PROMPTS:
        ids = [TOKENIZER.eot_id, *TOKENIZER.encode(prompt)]

        printed = run(program, folder / f"{name}.gguf", "complete", prompt, t=0, n=12, x=1)

        read, written = map(ids_printed, printed.splitlines())
        expected = greedy(MODELS[name], ids, 12)
        assert read == ids
        assert written[: len(expected)] == expected
        new |= set(expected)
    assert len(new) > 20  # not one token over and over


def model_in(path, config: ModelConfig) -> Transformer:
    """Python's model with the rounded weights of a file."""
    model = Transformer(config)
    weights = {name: torch.tensor(w) for name, w in gguf.read_gguf_tensors(path).items()}
    with torch.no_grad():
        for (name, weight), own in zip(weights.items(), model.parameters(), strict=True):
            if name.endswith(("attn_q.weight", "attn_k.weight")):  # pairs back to halves
                pairs = weight.view(-1, config.head_dim // 2, 2, config.dim)
                weight = pairs.transpose(1, 2).reshape(weight.shape)
            own.copy_(weight)
    return model


def assert_same_probabilities(found: list[NextToken], expected: torch.Tensor) -> None:
    got = torch.tensor([token.probability for token in found])
    assert sorted(token.id for token in found) == list(range(len(expected)))
    # float32 sums in another order: the logits, of size 10, agree to 1e-5 or so
    torch.testing.assert_close(got, expected[[t.id for t in found]], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", ["tied", "F16", "Q8_0"])
def test_probabilities_are_those_of_python_with_the_weights_of_the_file(name, program, folder):
    model = model_in(folder / f"{name}.gguf", CONFIG)

    found = run_probs(program, folder / f"{name}.gguf", "The cat's hat", n=352)

    ids = [TOKENIZER.eot_id, *TOKENIZER.encode("The cat's hat")]
    assert_same_probabilities(found, next_token_probs(model, ids))


def test_the_tiniest_numbers_of_f16_are_read(program, tmp_path):
    config = replace(CONFIG, norm_eps=1e-12, tied_embeddings=False, n_layers=1)
    model = loud(config, 5)
    with torch.no_grad():
        model.embed_tokens.weight *= 2e-4  # below 6e-5 F16 has no leading 1
    gguf.write_gguf(tmp_path / "model.gguf", model, TOKENIZER, "F16")
    rounded = Transformer(config)
    rounded.load_state_dict(model.state_dict())
    with torch.no_grad():
        for weight in rounded.parameters():
            if weight.dim() == 2:
                weight.copy_(weight.half().float())

    found = run_probs(program, tmp_path / "model.gguf", "The cat", n=352)

    assert_same_probabilities(
        found, next_token_probs(rounded, [TOKENIZER.eot_id, *TOKENIZER.encode("The cat")])
    )


def test_the_smaller_formats_are_really_read(program, folder):
    names = ("tied", "F16", "Q8_0")
    full, half, byte = (run_probs(program, folder / f"{n}.gguf", "The", n=352) for n in names)

    def distance(rough: list[NextToken]) -> float:
        by_id = {token.id: token.probability for token in rough}
        return sum(abs(token.probability - by_id[token.id]) for token in full)

    assert 0 < distance(half) < distance(byte) < 0.5


@pytest.mark.parametrize("name", ["tied", "F16", "Q8_0"])
def test_threads_change_nothing(name, program, tmp_path):
    # matrices of more than 100,000 numbers are shared
    large = loud(replace(CONFIG, dim=256, n_heads=8, ffn_dim=512), 6)
    path = tmp_path / "model.gguf"
    gguf.write_gguf(path, large, TOKENIZER, "F32" if name == "tied" else name)

    alone, shared = (run(program, path, "complete", "The cat", t=0, n=20, x=1, j=j) for j in (1, 3))

    assert alone == shared and len(set(alone.split())) > 4


def test_a_double_is_a_number_too(program, tied, tmp_path, monkeypatch):
    writer = gguf.gguf.GGUFWriter
    monkeypatch.setattr(
        writer,
        "add_rope_freq_base",
        lambda self, value: self.add_float64("llama.rope.freq_base", value),
    )
    gguf.write_gguf(tmp_path / "model.gguf", TIED, TOKENIZER)

    double, single = (
        run(program, path, "probs", "The cat sat", n=20) for path in (tmp_path / "model.gguf", tied)
    )

    assert double == single


# ---- The sampler --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{"t": 0.5}, {"k": 5}, {"p": 0.7}, {"t": 2, "k": 30, "p": 0.9}, {"t": 0}]
)
def test_the_filters_leave_what_pythons_leave(options, program, tied):
    long = {"t": "temperature", "k": "top_k", "p": "top_p"}
    ids = torch.tensor([[TOKENIZER.eot_id, *TOKENIZER.encode("The cat")]])

    printed = run(program, tied, "probs", "The cat", n=352, **options)

    dials = Sampling(**{long[k]: v for k, v in options.items()})
    expected = sampling_probs(TIED.next_logits(ids)[0].detach(), dials)
    rows = [line.split("\t") for line in printed.splitlines()]
    assert {int(row[0]) for row in rows} == set(expected.nonzero().flatten().tolist())
    for id, probability, _ in rows:
        assert float(probability) == pytest.approx(expected[int(id)].item(), rel=1e-3, abs=1e-7)


def test_what_is_as_likely_as_the_last_of_top_k_stays(program, tied):
    order = [token.id for token in run_probs(program, tied, "The cat", n=352)]
    rank = order.index(350)

    left = run(program, tied, "probs", "The cat", n=352, k=rank + 1).splitlines()

    assert order[rank + 1] == 351 and len(left) == rank + 2


def test_tokens_are_drawn_as_often_as_they_are_probable(program, tied):
    expected = run(program, tied, "probs", "The cat", n=3, t=1).splitlines()
    n = 300

    drawn = [
        run(program, tied, "complete", "The cat", n=1, s=seed, x=1, t=1).split()[-1]
        for seed in range(n)
    ]

    for id, p in (line.split("\t")[:2] for line in expected):
        p = float(p)
        spread = (p * (1 - p) / n) ** 0.5
        assert p > 0.05 and abs(drawn.count(id) / n - p) < 4 * spread  # once in 16,000


def test_a_seed_repeats_a_text_and_another_one_changes_it(program, tied):
    texts = [run(program, tied, "complete", "The", n=20, s=seed) for seed in (7, 7, 8)]

    assert texts[0] == texts[1] != texts[2]


# ---- The tokenizer ------------------------------------------------------------------------------


def ascii_texts(n: int, seed: int) -> list[str]:
    """Random texts with all of ASCII but 0, and much of what GPT-2's pattern treats apart."""
    dice = random.Random(seed)
    pieces = [*map(chr, range(1, 128)), *"  '\n\t09az", "'s", "'ll", " '", "   ", *WORDS]
    return ["".join(dice.choices(pieces, k=dice.randrange(30))) for _ in range(n)]


def test_ascii_texts_get_the_ids_that_python_gives(library, tied):
    texts = ascii_texts(2000, seed=1)

    assert encode(library, tied, texts) == [TOKENIZER.encode(text) for text in texts]


def test_common_writing_systems_get_the_ids_that_python_gives(library, tmp_path):
    texts = [
        "Voilà, l'été à Zürich: ½ año, 25 °C, x² – „naïve“ Œuvre… Øre ößÿ ªº µm",
        "Быстрая лиса 2024 года\u00a0 и ёж, Ελληνικά: Ωμέγα ΰ 3η Άρης, Երևան, Тоҷикӣ",
        "日本語の文、カタカナ・ひらがな。１２３ 中文字符！한국어 문장 12개 ヺーヿ 㐀𠀀",
        "שלום עולם 5 السلام عليكم ٣٤ अब कल १२ กขค ქართული Việt Nam Ａｂｃ",
        "🙂🙃 a🙂b  🙂 \u2003x\u3000y\u2028z ⅐ ⒈ ¾ ³",
    ]
    words = Tokenizer.train(texts * 20, 580)  # long tokens, so that wrong cuts would show
    gguf.write_gguf(tmp_path / "model.gguf", Transformer(replace(CONFIG, vocab_size=580)), words)

    ids = encode(library, tmp_path / "model.gguf", texts)

    assert ids == [words.encode(text) for text in texts]
    assert sum(map(len, ids)) < len("".join(texts)) / 2


def test_a_typed_control_token_is_only_text(library, tied):
    texts = ["<|endoftext|>", "hi<|im_end|>\n<|im_start|>assistant\nyes"]

    ids = encode(library, tied, texts)

    assert ids == [TOKENIZER.encode(text) for text in texts]
    assert max(id for row in ids for id in row) < TOKENIZER.eot_id


def test_control_tokens_are_known_by_their_type(library, tmp_path, monkeypatch):
    cat = TOKENIZER.encode(" cat")
    writer = gguf.gguf.GGUFWriter
    plain = writer.add_token_types
    monkeypatch.setattr(
        writer,
        "add_token_types",
        lambda self, types: plain(
            self, [3 if id in (1, *cat) else t for id, t in enumerate(types)]
        ),
    )
    gguf.write_gguf(tmp_path / "model.gguf", TIED, TOKENIZER)

    ids, gap = encode(library, tmp_path / "model.gguf", [" cat", "c\x01at"])

    assert len(cat) == 1 and cat[0] not in ids and TOKENIZER.decode(ids) == " cat"
    assert gap == TOKENIZER.encode("c") + TOKENIZER.encode("at")  # no token for a byte: left out


# overlong, stray, cut short, a surrogate, beyond the last code point
@pytest.mark.parametrize(
    "wrong",
    [
        b"\xc1\x81",
        b"\xe0\x81\x81",
        b"\xff",
        b"\x81",
        b"\xe4\xb8",
        b"\xed\xa1\x81",
        b"\xf5\x80\x80\x80",
    ],
)
def test_bytes_that_are_no_utf8_are_kept_and_nothing_beyond_them_is_read(wrong, guarded, tied):
    for text in (wrong, b"a" + wrong, wrong + b" b", b"c" + wrong + b"d"):
        command = [guarded, tied, "complete", "-n", "0", "-x", "1"]
        done = subprocess.run(command, input=text, capture_output=True, env=NO_LEAKS, check=True)

        first, *ids = map(int, done.stdout.split())
        assert first == TOKENIZER.eot_id
        assert b"".join(map(TOKENIZER.token_bytes, ids)) == text


def test_smollm_cuts_each_digit_off_first(library, tmp_path, monkeypatch):
    writer = gguf.gguf.GGUFWriter
    plain = writer.add_tokenizer_pre
    monkeypatch.setattr(writer, "add_tokenizer_pre", lambda self, _: plain(self, "smollm"))
    gguf.write_gguf(tmp_path / "model.gguf", TIED, TOKENIZER)
    description = tokenizers.Tokenizer.from_str(json.dumps(TOKENIZER.to_dict()))
    description.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [
            tokenizers.pre_tokenizers.Digits(individual_digits=True),
            tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    texts = [*ascii_texts(500, seed=2), "12 345  6\n 7  a1b  ", "on 12 cats  12"]

    ids = encode(library, tmp_path / "model.gguf", texts)

    assert ids == [description.encode(text, add_special_tokens=False).ids for text in texts]
    assert ids[-1] != TOKENIZER.encode(texts[-1])


# ---- Chat and the edges -------------------------------------------------------------------------


def test_chat_renders_the_ids_of_encode_prompt(program, tied):
    turns = ["Hello 12!", " a <|im_end|>  b "]
    newline = TOKENIZER.encode("\n")

    printed = run(program, tied, "chat", stdin="\n".join(turns), t=0, n=3, x=1)

    first, answer, second, _ = map(ids_printed, printed.splitlines())
    prompts = [encode_prompt(TOKENIZER, [{"role": "user", "content": t}]) for t in turns]
    assert first == prompts[0] and 1 <= len(answer) <= 3
    assert second == [TOKENIZER.im_end_id, *newline, *prompts[1][1:]]
    assert run(program, tied, "chat", turns[1], n=0, x=1).split() == list(map(str, prompts[1]))


def told(system: str, *texts: str) -> list[int]:
    """The ids that a model reads of a conversation, from its system message to the last text."""
    roles = ("user", "assistant") * len(texts)
    talk = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]
    return encode_prompt(TOKENIZER, [{"role": "system", "content": system}, *talk])


@pytest.mark.parametrize("system", ["In 12 words.", "\n 'll <|im_end|>", " " * 9])
def test_a_system_message_gets_the_ids_of_encode_prompt(system, program, tied):
    turns = [" Hello 12!", "Six"]

    printed = run(program, tied, "chat", stdin="\n".join(turns), t=0, n=3, x=1, i=system)

    first, answer, second, last = map(ids_printed, printed.splitlines())
    assert first == told(system, turns[0])
    plain = run(program, tied, "chat", turns[1], n=0, x=1)  # it isn't said a second time
    assert second == [TOKENIZER.im_end_id, *TOKENIZER.encode("\n"), *ids_printed(plain)[1:]]
    heard = [*first, *(id for id in answer if id not in STOPS), *second]
    expected = greedy(TIED, heard, 3)
    assert expected and last[: len(expected)] == expected
    alone = run(program, tied, "chat", turns[0], n=0, x=1, i=system)
    assert ids_printed(alone) == first


def test_a_system_message_outlives_a_full_context(program, tied):
    printed = run(program, tied, "chat", stdin="Hi\n" * 12, t=0, n=4, x=1, i="Be kind.")

    prompts = [ids_printed(line) for line in printed.splitlines()[::2]]
    starts = [ids for ids in prompts if ids[0] == TOKENIZER.eot_id]
    assert len(prompts) == 12 and 1 < len(starts) < 12
    assert starts == [told("Be kind.", "Hi")] * len(starts)


def test_a_system_message_takes_its_room_once(program, tied):
    system = "the cat " * 8

    printed = run(program, tied, "chat", stdin="Hi\nHi", t=0, n=1, x=1, i=system)

    first, _, second, _ = map(ids_printed, printed.splitlines())
    plain = encode_prompt(TOKENIZER, [{"role": "user", "content": "Hi"}])
    assert len(first) + len(second) + len(first) - len(plain) > CONFIG.context_length
    assert second[0] == TOKENIZER.im_end_id  # so it goes on, and did not have to begin anew


@pytest.mark.parametrize("system", ["cat " * 400, "x" * 100_000])
def test_a_system_message_that_leaves_no_room_is_told(system, guarded, tied):
    sentence = b"the text is too long: the context has room for 96 tokens"
    for message, code, said in ([], 0, b"[%s]\n" % sentence), (["Hi"], 1, b"run: %s\n" % sentence):
        command = [guarded, tied, "chat", *message, "-i", system]

        done = subprocess.run(
            command, input=b"Hi\n", capture_output=True, env=NO_LEAKS, check=False
        )

        assert (done.returncode, done.stdout, done.stderr) == (code, b"", said)


def test_an_answer_after_two_turns_is_that_of_python(program, tied):
    printed = run(program, tied, "chat", stdin="Hi\nSix", t=0, n=4, x=1)

    first, answer, second, last = map(ids_printed, printed.splitlines())
    heard = [*first, *(id for id in answer if id not in STOPS), *second]
    expected = greedy(TIED, heard, 4)
    assert expected and last[: len(expected)] == expected


def test_a_talk_too_long_for_the_context_starts_anew(program, tied):
    lines = ["Hi"] * 12

    printed = run(program, tied, "chat", stdin="\n".join(lines), t=0, n=4, x=1).splitlines()

    prompts = [ids_printed(line) for line in printed[::2]]
    assert len(prompts) == 12
    assert prompts[0] == encode_prompt(TOKENIZER, [{"role": "user", "content": "Hi"}])
    again = [i for i, ids in enumerate(prompts) if ids == prompts[0]]
    assert 1 < len(again) < 12 and prompts[1] != prompts[0]
    assert printed[1] == printed[2 * again[1] + 1]  # nothing of the old talk is left


def test_one_message_is_answered_as_long_as_there_is_any_room(program, tied):
    message = "x" * 70
    ids = encode_prompt(TOKENIZER, [{"role": "user", "content": message}])
    assert CONFIG.context_length - 13 < len(ids) < CONFIG.context_length

    printed = run(program, tied, "chat", message, t=0, x=1)

    assert ids_printed(printed.splitlines()[0]) == ids and ids_printed(printed.splitlines()[1])


def test_a_line_end_of_windows_is_no_part_of_the_message(program, tied):
    here, there = (
        run(program, tied, "chat", stdin=f"Hello 12!{end}Six{end}", t=0, n=4, x=1)
        for end in ("\n", "\r\n")
    )

    assert here == there and len(here.splitlines()) == 4


@pytest.mark.parametrize("long", ["cat " * 400, "x" * 5000, "GATTACA" * 900_000])
def test_an_overlong_line_costs_a_sentence_and_the_talk_goes_on(long, program, tied):
    command = [program, tied, "chat", "-t", "0", "-n", "4", "-x", "1"]
    lines = f"Hi\n{long}\nSix\n".encode()

    done = subprocess.run(command, input=lines, capture_output=True, timeout=20, check=True)

    first, _, second, answer = map(ids_printed, done.stdout.decode().splitlines())
    assert done.stderr == b"[the text is too long: the context has room for 96 tokens]\n"
    assert first == encode_prompt(TOKENIZER, [{"role": "user", "content": "Hi"}])
    assert TOKENIZER.decode(second).startswith("<|im_end|>\n<|im_start|>user\nSix") and answer


@pytest.mark.parametrize("long", ["cat " * 4_000_000, "GATTACA" * 2_000_000])
def test_a_prompt_of_megabytes_is_refused_at_once(long, program, tied):
    with pytest.raises(ValueError, match="the context has room for 96 tokens"):
        run(program, tied, "complete", stdin=long, timeout=20)


def test_a_long_word_is_encoded_in_little_time(library, tied):
    dice = random.Random(4)
    word = "".join(dice.choices("thecaonsr", k=30_000))

    assert encode(library, tied, [word]) == [TOKENIZER.encode(word)]


def test_text_stops_at_the_end_of_the_context(program, tied):
    command = [program, tied, "complete", "The cat", "-n", "999", "-x", "1", "-t", "0.5", "-s"]
    for seed in range(20):  # until one doesn't end by <|endoftext|> or <|im_end|> before
        done = subprocess.run([*command, str(seed)], capture_output=True, text=True, check=True)
        ids = ids_printed(done.stdout)
        if ids[-1] not in STOPS:
            break

    assert len(ids) == CONFIG.context_length and "context is full" in done.stderr


def test_text_stops_at_the_end_of_text_token(program, tied, tmp_path):
    greedily = {
        prompt: greedy(TIED, [TOKENIZER.eot_id, *TOKENIZER.encode(prompt)], 9) for prompt in PROMPTS
    }
    prompt, ids = next((p, ids) for p, ids in greedily.items() if len(set(ids[:3])) == 3)
    key = b"eos_token_id\x04\0\0\0"
    head, tail = tied.read_bytes().split(key)
    (tmp_path / "model.gguf").write_bytes(head + key + ids[2].to_bytes(4, "little") + tail[4:])

    printed = run(program, tmp_path / "model.gguf", "complete", prompt, t=0, x=1)

    assert ids_printed(printed.splitlines()[1]) == ids[:3]


def test_a_prompt_longer_than_the_context_is_refused(program, tied):
    with pytest.raises(ValueError, match="the context has room for"):
        run(program, tied, "complete", "x" * 200)
    with pytest.raises(ValueError, match="the context has room for"):
        run(program, tied, "complete", "The cat sat", c=3)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"gpt-2", b"gpt-9", "gpt-9"),
        (b"gpt2", b"bert", "bert"),
        (b"'<|im_start|>", b"'<|in_start|>", "try complete"),
        (b"blk.1.ffn_up.weight", b"blk.1.ffn_up.biases", "blk.1.ffn_up.weight"),
        (b"\xc4\xa0cat", b"\xdf\xbfcat", "alphabet"),
        (b"bos_token_id\x04\0\0\0\x47\x01", b"bos_token_id\x04\0\0\0\x47\x7f", "bos_token_id"),
        (b"GGUF\x03", b"GGUF\x02", "version 3"),
        (b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0mamba", "mamba"),
    ],
)
def test_what_it_can_not_run_it_names(old, new, said, program, tied, tmp_path):
    content = tied.read_bytes()
    assert old in content
    (tmp_path / "model.gguf").write_bytes(content.replace(old, new))

    with pytest.raises(ValueError, match=said):
        run(program, tmp_path / "model.gguf", "chat", "Hello", n=1)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["x.gguf"],
        ["x", "sing"],
        ["x", "complete", "a", "-n"],
        ["x", "probs", "-q", 1],
        ["x", "probs", "-j", 0],
    ],
)
def test_wrong_usage_shows_the_right_one(arguments, program):
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, check=False)

    assert done.returncode == 1 and b"usage: run MODEL.gguf MODE" in done.stderr


@pytest.mark.parametrize("mode", ["complete", "probs"])
def test_only_a_chat_has_a_system_message(mode, program, tied):
    with pytest.raises(ValueError, match=r"can't understand -i Be kind.\n[^$]*-i system message"):
        run(program, tied, mode, "Hi", i="Be kind.")


def test_a_weight_that_is_no_number_is_reported(guarded, tmp_path):
    model = loud(CONFIG, 1)
    with torch.no_grad():
        model.layers[0].mlp.up_proj.weight[0, 0] = torch.nan
    gguf.write_gguf(tmp_path / "model.gguf", model, TOKENIZER)

    with pytest.raises(ValueError, match="not a number"):
        run(guarded, tmp_path / "model.gguf", "complete", "Hello", n=1)


def test_no_damaged_file_crashes_it(guarded, tmp_path):
    path = tmp_path / "model.gguf"
    small = replace(CONFIG, vocab_size=280, dim=32, n_layers=1, ffn_dim=32)
    gguf.write_gguf(path, loud(small, 4), Tokenizer(TOKENIZER.merges[:8]), "Q8_0")
    whole, dice = path.read_bytes(), random.Random(3)
    header = gguf.read_gguf_summary(path).tensors[0].offset
    cuts = [*range(0, 40, 3), *dice.sample(range(header), 30), *dice.sample(range(len(whole)), 10)]
    damaged = [whole[:cut] for cut in cuts] + [whole[:-1]]
    for at in [*dice.sample(range(header), 120), *dice.sample(range(len(whole)), 20)]:
        flipped = whole[at] ^ dice.choice([1, 0x80, 0xFF])
        damaged.append(whole[:at] + bytes([flipped]) + whole[at + 1 :])
    # A wrong step ends with code 99 or a signal, a refused file with 1.
    settings = "exitcode=99:detect_leaks=0:allocator_may_return_null=1"
    environment = os.environ | {"ASAN_OPTIONS": settings, "UBSAN_OPTIONS": "exitcode=99"}

    codes = []
    for content in damaged:
        path.write_bytes(content)
        done = subprocess.run(
            [guarded, path, "chat", "the cat", "-n", "2", "-s", "1"],
            capture_output=True, env=environment, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode in (0, 1), done.stderr.decode(errors="replace")
        if done.returncode:
            errors = [e for e in done.stderr.splitlines() if not e.startswith(b"==")]
            assert len(errors) == 1 and errors[0].startswith(b"run: ")
        codes.append(done.returncode)

    assert set(codes[: len(cuts) + 1]) == {1}  # a file cut short is never taken for a whole one
    assert 0 in codes


# ---- What fuzzing found, and a second look ------------------------------------------------------


def test_numbers_that_lie_askew_are_refused(guarded, tmp_path, monkeypatch):
    writer = gguf.gguf.GGUFWriter
    plain = writer.add_file_type

    def aligned(self, kind):
        self.add_custom_alignment(64)
        plain(self, kind)

    monkeypatch.setattr(writer, "add_file_type", aligned)
    path = tmp_path / "model.gguf"
    gguf.write_gguf(path, TIED, TOKENIZER)
    key, as_written = b"general.alignment\x04\0\0\0", (64).to_bytes(4, "little")
    content = path.read_bytes()
    assert key + as_written in content
    codes = []

    for align in (5, 6, 7, 9, 11, 64):
        path.write_bytes(content.replace(key + as_written, key + align.to_bytes(4, "little")))
        command = [guarded, path, "complete", "Hi", "-n", "1"]
        done = subprocess.run(command, capture_output=True, env=NO_LEAKS, check=False)
        assert done.returncode == 0 or done.stderr.startswith(b"run: the file lacks token_embd")
        codes.append(done.returncode)

    assert codes[-1] == 0 and 1 in codes


def test_a_shape_too_large_to_multiply_is_refused(guarded, tied, tmp_path):
    content = tied.read_bytes()
    for name in ("embedding_length", "head_count", "head_count_kv", "dimension_count"):
        key = name.encode() + b"\x04\0\0\0"
        head, tail = content.split(key)
        content = head + key + (10**6).to_bytes(4, "little") + tail[4:]
    (tmp_path / "model.gguf").write_bytes(content)

    with pytest.raises(ValueError, match="can't split dim 1000000 into 1000000 heads"):
        run(guarded, tmp_path / "model.gguf", "complete", "Hi")


@pytest.mark.parametrize("letter", "ntkpscjx")
def test_an_option_has_a_largest_number(letter, guarded, tied, monkeypatch):
    monkeypatch.setenv("ASAN_OPTIONS", NO_LEAKS["ASAN_OPTIONS"])
    largest = 1024 if letter == "j" else 10**19
    assert run(guarded, tied, "probs", "Hi", **{letter: largest})

    for value in ("1e20", "1e300", "inf", "nan", "-1"):
        with pytest.raises(ValueError, match=f"^run: can't understand -{letter} {value}"):
            run(guarded, tied, "probs", "Hi", **{letter: value})


def test_a_line_with_more_tokens_after_user_than_alone_stays_in_the_context(guarded, tmp_path):
    # Alone 2^14 tabs are one token; after a newline, which takes the first, they are fifteen.
    doublings = [(9, 9), *((257 + i, 257 + i) for i in range(13))]
    tabs = Tokenizer([(10, 9), *doublings])
    line = "\t" * 2**14
    assert len(tabs.encode(line)) == 1 and len(tabs.encode("\n" + line)) == 15
    gguf.write_gguf(tmp_path / "model.gguf", Transformer(replace(CONFIG, n_layers=1)), tabs)
    command = [guarded, tmp_path / "model.gguf", "chat", "-x", "1", "-n", "0"]

    for context in range(20, 60):
        done = subprocess.run(
            [*command, "-c", str(context)],
            input=line.encode(), capture_output=True, env=NO_LEAKS, check=False,
        )  # fmt: skip

        assert done.returncode == 0
        refused = done.stderr.startswith(b"[the text is too long")
        assert len(done.stdout.split()) == (0 if refused else 34)
        assert refused == (context < 48)
