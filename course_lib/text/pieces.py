"""A text as a tokenizer cuts it, for people to read.

A piece may be half a character, which no screen can show: its bytes then stand in ‹ ›.
"""

from torch import Tensor

from course_lib.text.foreign import AnyTokenizer
from course_lib.text.tokenizer import visible


def shown(piece: bytes) -> str:
    """One piece: shown(b" six") is "␣six", shown(b"\\xe0\\xa8") is "‹e0 a8›"."""
    try:
        return visible(piece.decode())
    except UnicodeDecodeError:
        return f"‹{piece.hex(' ')}›"


def pieces(tokenizer: AnyTokenizer, text: str) -> list[str]:
    """The pieces of `text`, in order.

    >>> pieces(tokenizer, "a strawberry")
    ['a', '␣str', 'aw', 'ber', 'ry']
    """
    return [shown(tokenizer.token_bytes(id)) for id in tokenizer.encode(text)]


def likeliest(tokenizer: AnyTokenizer, probs: Tensor, n: int) -> dict[str, float]:
    """The `n` likeliest tokens of a distribution (V,), readable, with their shares."""
    best = probs.topk(n)
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return {shown(tokenizer.token_bytes(id)): share for id, share in pairs}
