"""The tokenizer against hand-worked merges, a slow re-derivation, `tokenizers` and tiktoken."""

import json
import pickle
import random
import string
import time
import unicodedata
from collections import Counter
from itertools import pairwise

import pytest
import regex
import tiktoken
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import models, pre_tokenizers, trainers

from course_lib.text.tokenizer import (
    ALPHABET,
    LONG_SPACE,
    LONGEST_SPACE,
    PATTERN,
    SPECIALS,
    Tokenizer,
    learn_merges,
    learning_merges,
    merge,
    spell,
    visible,
)

TEXT = """The quick brown fox jumps over the lazy dog. Don't they say it's the dog's day?
In that match Virat Kohli hit a six. In that match he hit a four, and then a six.
def total(numbers):
    return sum(numbers)    # 12 + 30 = 42, as we'll see in 2026
Où est l'été ? Größe, naïve, 東京は日本の首都です。 Привет, привет! 👋🏽 👩‍👩‍👧 ½ ² ٣٤
"""

# Each library has its version of Unicode, so they differ on code points unassigned in one of them:
# draw those that had a meaning in 2002 already (Unicode 3.2). TEXT and EXTREMES have emoji, too.
UNICODE = st.text(
    st.characters(exclude_categories=["Cs", "Cn"]).filter(
        lambda character: unicodedata.ucd_3_2_0.category(character) != "Cn"
    )
)
RUNS = st.lists(
    st.sampled_from(["a", "the", "It's", "'ll", "'", " ", "  ", "\n", "\t", "\r\n", "7", "!?", "é"])
).map("".join)
ASCII = st.text(st.characters(max_codepoint=127))


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train([TEXT] * 3, 400)


@pytest.fixture(scope="module")
def hugging_face(tokenizer, tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.save(path)
    theirs = tokenizers.Tokenizer.from_file(str(path))
    theirs.encode_special_tokens = True  # a typed special stays text, as with ours
    return theirs


def slow_merges(text, n_merges):
    """BPE that counts every pair anew for each merge; and how many merges had a rival (a tie)."""
    words = [list(word.encode()) for word in regex.findall(PATTERN, text)]
    merges, ties = [], 0
    for new_id in range(256, 256 + n_merges):
        counts = Counter(pair for word in words for pair in pairwise(word))
        best = max(counts.values())
        pair = min(pair for pair, n in counts.items() if n == best)
        ties += list(counts.values()).count(best) > 1
        words = [merge(word, pair, new_id) for word in words]
        merges.append(pair)
    return merges, ties


def skewed_text(seed, most=400):
    """Many words from few letters, each up to `most` times, so that ties are rare."""
    rng = random.Random(seed)
    words = ["".join(rng.choices("abcde", k=rng.randint(2, 7))) for _ in range(60)]
    return " ".join(word for word in words for _ in range(rng.randint(1, most)))


def test_merges_of_the_published_example():
    # Wikipedia, "Byte pair encoding": aa -> Z, ab -> Y, ZY -> X turn aaabdaaabac into XdXac.
    a, b, c, d = b"abcd"

    tokenizer = Tokenizer.train("aaabdaaabac", 256 + 3 + 3)

    assert tokenizer.merges == [(a, a), (a, b), (256, 257)]
    assert tokenizer.encode("aaabdaaabac") == [258, d, 258, a, c]


def test_merge_replaces_from_the_left():
    assert merge([1, 1, 1, 2], (1, 1), 9) == [9, 1, 2]
    assert merge([1, 2, 3, 1, 2], (1, 2), 4) == [4, 3, 4]
    assert merge([5], (5, 5), 6) == [5] and merge([], (5, 5), 6) == []


def test_ties_go_to_the_smallest_pair():
    assert learn_merges(Counter({b"zy": 2, b"ba": 2, b"bc": 2}), 3) == [
        tuple(b"ba"),
        tuple(b"bc"),
        tuple(b"zy"),
    ]


@pytest.mark.parametrize(
    "text", [TEXT * 2, skewed_text(1, most=60), "aaaa aaaaaaa aaa" * 20, "ACCA" * 300 + "C" * 50]
)
def test_merges_equal_a_slow_rederivation(text):
    n_merges = min(60, most_merges(text))

    merges, _ = slow_merges(text, n_merges)

    assert Tokenizer.train(text, 256 + n_merges + 3).merges == merges


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.text("ab ", min_size=1, max_size=60))
def test_merges_equal_a_slow_rederivation_on_runs(text):
    n_merges = most_merges(text)

    assert Tokenizer.train(text, 256 + n_merges + 3).merges == slow_merges(text, n_merges)[0]


def most_merges(text):
    try:
        Tokenizer.train(text, 10_000)
    except ValueError as error:
        return int(regex.search(r"after (\d+) no pair", str(error))[1])
    raise AssertionError("10,000 merges came out of a short text")


def test_merges_equal_the_tokenizers_trainer():
    text, n_merges = skewed_text(9), 30
    theirs = tokenizers.Tokenizer(models.BPE())
    theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=256 + n_merges,
        min_frequency=2,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    theirs.train_from_iterator([text], trainer)

    assert slow_merges(text, n_merges)[1] == 0, "choose a seed without ties: theirs break otherwise"
    ours = Tokenizer.train(text, 256 + n_merges + 3).to_dict()["model"]["merges"]
    assert ours == json.loads(theirs.to_str())["model"]["merges"]


def test_many_texts_are_not_joined():
    assert Tokenizer.train(["ab", "ab"], 260).merges == [tuple(b"ab")]
    with pytest.raises(ValueError, match="after 0 no pair occurs twice"):
        Tokenizer.train(["a", "b", "a", "b"], 260)


def random_word(seed, letters, n):
    return "".join(random.Random(seed).choices(letters, k=n))


@pytest.mark.parametrize(
    "word",
    [
        random_word(0, "ACGT", 200_000),
        random_word(1, [chr(0x4E00 + i * i) for i in range(100)], 70_000),
        random_word(2, "=-~", 200_000),
    ],
    ids=["genome", "Chinese", "rulers"],
)
def test_a_word_without_end_trains_in_seconds(word):
    assert regex.findall(PATTERN, word) == [word]
    began = time.process_time()

    tokenizer = Tokenizer.train(word, 2259)

    # It takes 2 s; to spell the word anew after each merge would take minutes.
    assert time.process_time() - began < 30
    assert tokenizer.decode(tokenizer.encode(word)) == word


def test_merges_come_one_by_one_for_whoever_waits():
    found = learning_merges(Counter({b"aab": 2}), 3)

    assert [next(found), next(found)] == [tuple(b"aa"), (256, ord("b"))]
    with pytest.raises(ValueError, match="after 2 no pair occurs twice"):
        next(found)


@pytest.mark.parametrize("vocab_size", [258, 300.0, "300", True])
def test_impossible_vocabulary_sizes_are_refused(vocab_size):
    with pytest.raises(ValueError, match="259 or more"):
        Tokenizer.train(TEXT, vocab_size)


def test_the_smallest_vocabulary_is_the_bytes():
    tokenizer = Tokenizer.train("", 259)

    assert tokenizer == Tokenizer()
    assert tokenizer.encode("é!") == list("é!".encode())


def test_a_text_that_runs_out_of_pairs_says_how_far_it_goes():
    with pytest.raises(ValueError, match=r"100 merges were asked .* after 3 .* vocab_size=262 "):
        Tokenizer.train("aaabdaaabac", 256 + 100 + 3)

    assert len(Tokenizer.train("aaabdaaabac", 262).merges) == 3


def test_ids_are_bytes_then_merges_then_specials(tokenizer):
    assert [tokenizer.token_bytes(id) for id in range(256)] == [bytes([b]) for b in range(256)]
    for i, (left, right) in enumerate(tokenizer.merges):
        joined = tokenizer.token_bytes(left) + tokenizer.token_bytes(right)
        assert tokenizer.token_bytes(256 + i) == joined
    assert (tokenizer.eot_id, tokenizer.im_start_id, tokenizer.im_end_id) == (397, 398, 399)
    assert tuple(tokenizer.decode([id]) for id in (397, 398, 399)) == SPECIALS
    assert tokenizer.vocab_size == 400


@pytest.mark.parametrize("id", [-1, 400])
def test_ids_outside_the_vocabulary_are_refused(tokenizer, id):
    with pytest.raises(ValueError, match="ids run from 0 to 399"):
        tokenizer.decode([id])


@settings(derandomize=True, deadline=None, max_examples=300)
@given(text=st.one_of(st.text(), RUNS))
def test_decoding_undoes_encoding(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


@settings(derandomize=True, deadline=None, max_examples=300)
@given(text=st.one_of(ASCII, UNICODE, RUNS, st.text(TEXT)))
def test_ids_equal_those_of_tokenizers(tokenizer, hugging_face, text):
    assert tokenizer.encode(text) == hugging_face.encode(text).ids


@settings(derandomize=True, deadline=None, max_examples=100)
@given(data=st.data())
def test_ids_equal_those_of_tokenizers_after_any_training(data):
    # tiktoken merges by the joined bytes, `tokenizers` by the pair: equal for a trained vocabulary.
    text = data.draw(st.text("abc ", min_size=1, max_size=80))
    other = data.draw(st.text("abc ", max_size=40))
    ours = Tokenizer.train(text, 259 + most_merges(text))
    theirs = tokenizers.Tokenizer.from_str(json.dumps(ours.to_dict()))

    assert ours.encode(other) == theirs.encode(other).ids


EXTREMES = [
    "",
    " ",
    "\n\n\n   x",
    "don't I'll we've you're he'd I'm it's 'Tis x'S",
    "👋🏽👩‍👩‍👧🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "<|im_end|> <|im_start|>user\n<|endoftext|>",
    "\x00\x01\x1c\x85\xa0\u2028\ufeff\U0010ffff",
    "a" * 5000,
    string.printable,
]


@pytest.mark.parametrize("text", EXTREMES)
def test_extreme_texts_agree_everywhere_and_come_back(tokenizer, hugging_face, text):
    ids = tokenizer.encode(text)

    assert ids == hugging_face.encode(text).ids
    assert tokenizer.decode(ids) == hugging_face.decode(ids) == text


@settings(derandomize=True, deadline=None, max_examples=100)
@given(text=st.one_of(ASCII, UNICODE, RUNS))
def test_ids_equal_those_of_tiktoken_built_from_the_file(tokenizer, hugging_face, text):
    letters = {letter: byte for byte, letter in enumerate(ALPHABET)}
    vocab = hugging_face.get_vocab(with_added_tokens=False)
    ranks = {bytes(letters[c] for c in token): id for token, id in vocab.items()}
    theirs = tiktoken.Encoding("file", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={})

    assert tokenizer.encode(text) == theirs.encode_ordinary(text)


def test_typed_specials_stay_text(tokenizer):
    for special in SPECIALS:
        assert all(id < tokenizer.eot_id for id in tokenizer.encode(f"a {special} b"))


def test_unassigned_code_points_are_neither_letter_digit_nor_space():
    # U+0378 has been unassigned since Greek was encoded: it joins punctuation, not the letters.
    tokenizer = Tokenizer.train(["a\u0378"] * 9 + ["!\u0378"] * 2, 256 + 2 + 3)

    assert [tokenizer.token_bytes(id) for id in (256, 257)] == ["\u0378".encode(), b"!\xcd\xb8"]
    assert tokenizer.encode("a\u0378") == [ord("a"), 256]


def test_half_a_character_decodes_to_the_replacement_character(tokenizer):
    assert tokenizer.decode("é".encode()[:1] + b"!") == "\ufffd!"
    assert tokenizer.decode(tokenizer.encode("\ud800")) == "\ufffd"


def test_an_endless_run_of_spaces_is_refused_not_a_crash(tokenizer):
    assert tokenizer.decode(tokenizer.encode(" " * (LONGEST_SPACE - 1))) == " " * (
        LONGEST_SPACE - 1
    )
    with pytest.raises(ValueError, match="500,000 white-space characters"):
        tokenizer.encode("x" + "\n" * 1_000_000 + "x")


def test_long_runs_that_are_just_allowed_are_read_once():
    text = (" " * (LONGEST_SPACE - 1) + "x") * 2

    # A search from each space anew would take an hour; this one takes hundredths of a second.
    assert LONG_SPACE.search(text, timeout=60) is None


def test_the_alphabet_is_the_one_of_byte_level_bpe():
    assert sorted(ALPHABET) == sorted(pre_tokenizers.ByteLevel.alphabet())
    assert spell(b" cat\n") == "ĠcatĊ"
    for byte in range(128):
        [(text, _)] = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(chr(byte))
        assert text == ALPHABET[byte]


def test_what_can_not_be_seen_has_a_sign():
    assert visible(" né\n\t\0\u200b👋") == "␣né↵⇥\\x00\\u200b👋"


def test_the_file_is_what_tokenizers_would_write(tokenizer, hugging_face):
    assert json.loads(hugging_face.to_str()) == tokenizer.to_dict()
    assert hugging_face.get_vocab_size() == tokenizer.vocab_size


def test_transformers_reads_the_file_and_ours_reads_theirs(tokenizer, tmp_path):
    from transformers import PreTrainedTokenizerFast

    tokenizer.save(tmp_path / "tokenizer.json")
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"))
    theirs.save_pretrained(tmp_path / "again")

    assert theirs(TEXT)["input_ids"] == tokenizer.encode(TEXT)
    assert theirs.convert_tokens_to_ids(list(SPECIALS)) == [397, 398, 399]
    assert Tokenizer.load(tmp_path / "again" / "tokenizer.json") == tokenizer


def test_loading_gives_the_saved_tokenizer_back(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "tokenizer.json")

    loaded = Tokenizer.load(tmp_path / "tokenizer.json")

    assert loaded == tokenizer and loaded.encode(TEXT) == tokenizer.encode(TEXT)
    assert loaded != Tokenizer() and repr(loaded) == "Tokenizer(vocab_size=400)"


def test_a_tokenizer_can_be_sent_to_another_process(tokenizer):
    assert pickle.loads(pickle.dumps(tokenizer)).encode(TEXT) == tokenizer.encode(TEXT)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"{}", b"[1]", b'{"model": {"vocab": {}, "merges": [["a", "b"]]}}', b"nul"],
)
def test_files_that_are_no_tokenizer_are_refused(tmp_path, content):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)

    with pytest.raises(ValueError, match=r"tokenizer\.json"):
        Tokenizer.load(path)


def test_a_file_cut_short_is_refused(tokenizer, tmp_path):
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    whole = path.read_bytes()

    for length in range(0, len(whole), 997):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="no byte-level BPE"):
            Tokenizer.load(path)


def change_prefix_space(file):
    file["pre_tokenizer"]["add_prefix_space"] = True


def change_special(file):
    file["added_tokens"][2]["content"] = "</s>"


def change_normalizer(file):
    file["normalizer"] = {"type": "NFC"}


def change_order_of_merges(file):
    file["model"]["merges"].reverse()


def change_decoder(file):
    del file["decoder"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_prefix_space, "'pre_tokenizer' part"),
        (change_special, "'added_tokens' part"),
        (change_normalizer, "'normalizer' part"),
        (change_order_of_merges, "in the order learned"),
        (change_decoder, "'decoder' part"),
    ],
)
def test_foreign_files_are_refused_by_the_part_that_differs(tokenizer, tmp_path, change, message):
    file = tokenizer.to_dict()
    change(file)
    (tmp_path / "tokenizer.json").write_text(json.dumps(file))

    with pytest.raises(ValueError, match=message):
        Tokenizer.load(tmp_path / "tokenizer.json")


@pytest.mark.parametrize(
    ("merges", "message"),
    [
        ([(-1, 0)], "in the order learned"),
        ([(97, 98), (257, 0)], "in the order learned"),
        ([(97, 98), (98, 99), (256, 99), (97, 257)], "same token"),
    ],
)
def test_merges_that_no_training_learns_are_refused(merges, message):
    with pytest.raises(ValueError, match=message):
        Tokenizer(merges)


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 1_000_000,
        b'{"model": {"merges": [["' + b"x" * 2_000_000 + b'", "b"]], "vocab": {}}}',
        b'{"model": "' + b"x" * 2_000_000 + b'"}',
        b'"' + b"\xe9" * 2_000_000 + b'"',
        b'{"model": {"merges": [], "vocab": []}, "normalizer": "' + b"x" * 2_000_000 + b'"}',
    ],
    ids=["deep", "unknown token", "text", "Latin-1", "another kind"],
)
def test_a_file_that_is_no_tokenizer_is_told_in_a_short_sentence(tmp_path, raw):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(raw)

    with pytest.raises(ValueError, match=r"tokenizer.json (holds no|is not what)|part of") as told:
        Tokenizer.load(path)

    assert len(str(told.value)) < 3 * len(str(path)) + 400


def test_a_tokenizer_that_notepad_has_saved_is_read(tokenizer, tmp_path):
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))

    assert Tokenizer.load(path) == tokenizer
