"""Dialogues as token ids: ChatML, with a mask of what an assistant is trained to say.

    <|endoftext|><|im_start|>user\\n{question}<|im_end|>\\n<|im_start|>assistant\\n{answer}<|im_end|>\\n

A dialogue is a list of messages, [{"role": "user", "content": "..."}, ...], user and assistant in
turn. A system message may stand before them: it sets a habit, "Answer in one word." say. Text is
encoded apart from the control tokens, so nothing that a user types becomes one. Left out: tools.
Source: OpenAI's ChatML; the Jinja template tells `transformers`, TRL and vLLM the same.
"""

import re
from itertools import chain, cycle, takewhile

from course_lib.text.tokenizer import Tokenizer

Message = dict[str, str]
# What an answer answers: a text, or all that was said before it, from the first text to the last
# question. Who said what needs no saying: user and assistant speak in turn, and the user both first
# and last, so an even number of texts begins with a system message.
Question = str | tuple[str, ...]

# White space around an answer is trimmed: a leading one would melt into the newline after
# "assistant", and no model could say that token after a prompt that has ended in a newline already.
CHAT_TEMPLATE = (
    "{{ '<|endoftext|>' }}"
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ (message['content'] | trim) + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}"
    "{{ message['content'] + '<|im_end|>' }}"
    "{% endif %}"
    "{{ '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def without_marks(template: str) -> str:
    """The template without the marks that `transformers` makes the mask from.

    llama.cpp's Jinja doesn't know them. Those that eat white space stay as comments, which do, too.
    """
    template = re.sub("{% (end)?generation %}", "", template)
    return re.sub(r"{%(-?\s*(?:end)?generation\s*-?)%}", r"{#\1#}", template)


GGUF_CHAT_TEMPLATE = without_marks(CHAT_TEMPLATE)


def check_messages(messages: list[Message]) -> None:
    """Raises ValueError unless user and assistant speak in turn, the user first.

    One system message may stand before them.
    """
    if not messages:
        raise ValueError("the dialogue is empty: start with {'role': 'user', 'content': '...'}")
    roles = cycle(("user", "assistant"))
    for i, message in enumerate(messages):
        if not isinstance(message, dict) or not {"role", "content"} <= set(message):
            raise ValueError(
                f"message {i} must be {{'role': ..., 'content': ...}}, got {message!r:.200}"
            )
        expected = "system" if i == 0 and message["role"] == "system" else next(roles)
        if message["role"] != expected:
            raise ValueError(
                f"message {i} must have the role {expected!r}, got {message['role']!r:.200}: user "
                "and assistant speak in turn, the user first; only one system message may stand "
                "before them, and there is no other role"
            )
        if not isinstance(message["content"], str):
            found = message["content"]
            raise ValueError(f"message {i} must have text as content, got {found!r:.200}")
    if messages[-1]["role"] == "system":
        raise ValueError("a system message alone is no dialogue: after it the user must speak")


def exchange(prompt: Question, answer: str) -> list[Message]:
    """A dialogue of a question, with what was said before it if it has a past, and its answer."""
    said = [prompt] if isinstance(prompt, str) else prompt
    first = ["system"] if len(said) % 2 == 0 else []  # see `Question`
    turns = zip(chain(first, cycle(("user", "assistant"))), [*said, answer], strict=False)
    return [{"role": role, "content": text} for role, text in turns]


def dialogue_of(found: object) -> list[Message]:
    """The dialogue that somebody's file holds, up to an answer; ValueError where it is none."""
    if not isinstance(found, list):
        raise ValueError(f"expected a list of messages, got {found!r:.200}")
    check_messages(found)
    if found[-1]["role"] != "assistant":
        raise ValueError("there is no answer to its last question")
    # Messages from elsewhere may hold more, names or weights, say: it is left behind.
    return [{"role": message["role"], "content": message["content"]} for message in found]


def question_of(messages: list[Message]) -> Question:
    """What `exchange` makes these messages of, which end with a question."""
    said = tuple(message["content"] for message in messages)
    return said if len(said) > 1 else said[0]


def encode_turn(tokenizer: Tokenizer, message: Message) -> tuple[list[int], list[bool]]:
    """Ids and loss mask of one message, from <|im_start|> to the newline after <|im_end|>."""
    # Control tokens are put in by their ids. Whoever types "<|im_end|>" gets a few tokens of plain
    # text, so nobody can end their own turn and go on in the assistant's name.
    if not tokenizer.chatml:
        raise ValueError(
            "this model doesn't chat in ChatML, the only chat template of this course: let it "
            "continue a text instead (`raw` in the chat widget, `complete` in run.c)"
        )
    start, end = tokenizer.im_start_id, tokenizer.im_end_id
    newline = tokenizer.encode("\n")
    if message["role"] != "assistant":
        text = f"{message['role']}\n{message['content']}"
        ids = [start, *tokenizer.encode(text), end, *newline]
        return ids, [False] * len(ids)
    header = [start, *tokenizer.encode("assistant\n")]
    answer = [*tokenizer.encode(message["content"].strip()), end]
    # <|im_end|> counts, or the model would never learn to stop. The newline after it doesn't: when
    # the model has said <|im_end|>, we stop asking, and the template writes the rest.
    mask = [False] * len(header) + [True] * len(answer) + [False] * len(newline)
    return header + answer + newline, mask


def encode_dialogue(tokenizer: Tokenizer, messages: list[Message]) -> tuple[list[int], list[bool]]:
    """Ids of a dialogue that ends with an answer, and their loss mask.

    The mask is True on each answer and its <|im_end|>: what the assistant says, nothing else.
    """
    check_messages(messages)
    if messages[-1]["role"] != "assistant":
        raise ValueError(
            "a dialogue must end with an assistant message (encode_prompt makes prompts)"
        )
    ids = list(tokenizer.start_ids)
    mask = [False] * len(ids)
    for message in messages:
        turn_ids, turn_mask = encode_turn(tokenizer, message)
        ids += turn_ids
        mask += turn_mask
    return ids, mask


def encode_prompt(tokenizer: Tokenizer, messages: list[Message]) -> list[int]:
    """Ids of a dialogue that waits for an answer: they end with "<|im_start|>assistant\\n"."""
    # All that makes a model answer instead of continuing a list of questions is these last tokens.
    check_messages(messages)
    if messages[-1]["role"] != "user":
        raise ValueError("a prompt must end with a user message, this one ends with an answer")
    turns = [id for message in messages for id in encode_turn(tokenizer, message)[0]]
    return [*tokenizer.start_ids, *turns, tokenizer.im_start_id, *tokenizer.encode("assistant\n")]


def text_before_control(tokenizer: Tokenizer, ids: list[int]) -> str:
    """The text of `ids` up to the first one that stands for none."""
    return tokenizer.decode(list(takewhile(tokenizer.is_text, ids)))


def decode_answer(tokenizer: Tokenizer, ids: list[int]) -> str:
    """The text of generated `ids` up to the first control token: <|im_end|>, if all went well."""
    return text_before_control(tokenizer, ids).strip()
