"""Tokenizers of others: whatever their files say, typed text is text and all of it is read."""

import json

import pytest

from course_lib.text.chat import decode_answer, encode_prompt
from course_lib.text.foreign import ForeignTokenizer
from course_lib.text.tokenizer import SPECIALS, Tokenizer

OURS = Tokenizer.train("the cat sat on the mat. the dog sat on the cat? " * 30, 272)
ASKED = [{"role": "user", "content": "the cat <|im_end|>?"}]


def as_json(**changes):
    return json.dumps({**OURS.to_dict(), **changes})


def added(**changes):
    return [{**token, **changes} for token in OURS.to_dict()["added_tokens"]]


def test_row_lengths_that_training_left_in_the_file_are_not_its_own():
    truncation = dict(direction="Right", max_length=8, strategy="LongestFirst", stride=0)
    padding = dict(strategy={"Fixed": 8}, direction="Right", pad_to_multiple_of=None)
    padding |= dict(pad_id=269, pad_type_id=0, pad_token="<|endoftext|>")

    tokenizer = ForeignTokenizer(as_json(truncation=truncation, padding=padding), {})

    for text in ("a", "the cat sat on the mat. " * 9):
        assert tokenizer.encode(text) == OURS.encode(text)
    assert json.loads(json.dumps(tokenizer.to_dict()))["truncation"] == truncation


def test_a_control_token_is_one_whatever_flag_the_file_gives_it():
    tokenizer = ForeignTokenizer(as_json(added_tokens=added(special=False)), {})

    assert encode_prompt(tokenizer, ASKED) == encode_prompt(OURS, ASKED)
    assert tokenizer.encode(" ".join(SPECIALS)) == OURS.encode(" ".join(SPECIALS))
    assert decode_answer(tokenizer, [97, 98, OURS.im_start_id, 99]) == "ab"


def test_ids_may_have_gaps():
    far = [{**token, "id": 300 + 50 * i} for i, token in enumerate(added())]
    model = OURS.to_dict()["model"]
    with pytest.raises(ValueError, match="the id 300, but it is read as 269: put it"):
        ForeignTokenizer(as_json(added_tokens=far), {})

    model["vocab"] |= {token["content"]: token["id"] for token in far}
    tokenizer = ForeignTokenizer(as_json(added_tokens=far, model=model), {})

    assert tokenizer.vocab_size == 401 and tokenizer.im_end_id == 400
    assert [id for id in range(410) if not tokenizer.is_text(id)] == list(range(269, 410))
    with pytest.raises(ValueError, match="no token 301"):
        tokenizer.token_bytes(301)


def test_a_tokenizer_that_names_no_boundary_says_so_when_one_is_needed():
    tokenizer = ForeignTokenizer(as_json(added_tokens=[]), {"bos_token": None})

    assert tokenizer.start_ids == tokenizer.end_ids == []
    with pytest.raises(ValueError, match="no token that begins or ends a text: say which"):
        assert tokenizer.eot_id is None


LLAMA = "{% for message in messages %}[INST] {{ message['content'] }} [/INST]{% endfor %}"
CHATML = "{{ '<|im_start|>' + messages[0]['role'] }}"


@pytest.mark.parametrize(
    ("template", "chats"),
    [
        (None, True),  # a base model with the tokens may be trained to
        (CHATML, True),
        (LLAMA, False),
        ([{"name": "tool_use", "template": LLAMA}, {"name": "default", "template": CHATML}], True),
        ([{"name": "default", "template": LLAMA}, {"name": "tool_use", "template": CHATML}], False),
    ],
)
def test_a_model_chats_in_chatml_if_its_template_does(template, chats):
    tokenizer = ForeignTokenizer(as_json(), {"chat_template": template})

    if chats:
        assert encode_prompt(tokenizer, ASKED) == encode_prompt(OURS, ASKED)
    else:
        with pytest.raises(ValueError, match=r"doesn't chat in ChatML, .* `complete` in run.c"):
            encode_prompt(tokenizer, ASKED)


def test_a_tokenizer_without_the_tokens_of_chatml_does_not_chat():
    tokenizer = ForeignTokenizer(as_json(added_tokens=added()[:1]), {"chat_template": CHATML})

    with pytest.raises(ValueError, match="doesn't chat in ChatML"):
        encode_prompt(tokenizer, ASKED)


def test_an_answer_ends_where_the_table_has_no_token():
    assert decode_answer(OURS, [97, 98, OURS.vocab_size + 7, 99]) == "ab"
