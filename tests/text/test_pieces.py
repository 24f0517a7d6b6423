"""A text as a tokenizer cuts it, for people to read."""

import json

import tokenizers
import torch
from transformers import PreTrainedTokenizerFast

from course_lib.pipeline.release import load_released
from course_lib.text.foreign import library_ids
from course_lib.text.pieces import likeliest, pieces, shown

TOKENIZER = load_released("base")[1]


def test_pieces_are_the_text_with_its_spaces_shown():
    assert pieces(TOKENIZER, "In that match\n") == ["In", "␣that", "␣match", "↵"]
    assert pieces(TOKENIZER, "") == []


def test_half_a_character_is_shown_as_bytes():
    assert shown("ਪ".encode()[:2]) == "‹e0 a8›" and shown("ਪ".encode()) == "ਪ"


def test_the_likeliest_come_in_order_with_their_shares():
    probs = torch.zeros(TOKENIZER.vocab_size)
    probs[TOKENIZER.encode(" six")[0]], probs[65] = 0.25, 0.75

    assert likeliest(TOKENIZER, probs, 2) == {"A": 0.75, "␣six": 0.25}


def test_the_library_makes_a_control_token_of_a_typed_mark_and_we_do_not(tmp_path):
    typed = "<|im_start|>system"
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(TOKENIZER.to_dict()), encoding="utf-8")
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(path))

    assert library_ids(TOKENIZER, typed)[0] == TOKENIZER.im_start_id
    assert theirs(typed).input_ids == library_ids(TOKENIZER, typed)
    assert TOKENIZER.im_start_id not in TOKENIZER.encode(typed)
    assert tokenizers.Tokenizer.from_file(str(path)).encode(typed).ids[0] == TOKENIZER.im_start_id
