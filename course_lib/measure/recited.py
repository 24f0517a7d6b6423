"""How much of a text that it has read does a model have by heart?

It gets the first half of a document's tokens and goes on with the likeliest ones. What it recites
is the other half, word for word, to the end.
"""

from collections.abc import Sequence

from course_lib.measure.answers import generated
from course_lib.model.transformer import Transformer
from course_lib.text.tokenizer import Tokenizer


def recitals(
    model: Transformer, tokenizer: Tokenizer, texts: Sequence[str]
) -> list[tuple[str, str, bool]]:
    """For each text its first half, how the model goes on, and whether that is the other half."""
    ids = [[*tokenizer.encode(text), tokenizer.eot_id] for text in texts]
    begun = [[tokenizer.eot_id, *row[: len(row) // 2]] for row in ids]
    rest = [row[len(row) // 2 :] for row in ids]
    longest = min(max(map(len, rest)), model.config.context_length - max(map(len, begun)))
    new = generated(model, begun, longest, stop=(tokenizer.eot_id,))
    return [
        (tokenizer.decode(start[1:]), tokenizer.decode(said), list(said) == wanted)
        for start, said, wanted in zip(begun, new, rest, strict=True)
    ]


def recited(model: Transformer, tokenizer: Tokenizer, texts: Sequence[str]) -> float:
    """The share of the texts that the model recites."""
    return sum(by_heart for *_, by_heart in recitals(model, tokenizer, texts)) / len(texts)
