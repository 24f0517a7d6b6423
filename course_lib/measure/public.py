"""What tokenizers and a model of the real world said, recorded once with `benchmarks.public`.

So a lesson can show them where there is no network, and say when and how they were asked.
"""

import json
import math
from collections.abc import Iterable

from course_lib.config import GREEDY
from course_lib.machine.folders import measurement
from course_lib.measure.log_probs import document_log_probs
from course_lib.model.sample import generate, next_token_probs
from course_lib.model.transformer import Transformer
from course_lib.text.foreign import AnyTokenizer
from course_lib.text.pieces import likeliest

TOKENS, MODEL = "public_tokens.json", "public_model.json"
# What a tokenizer makes of a name, small letters, a number, another script, code, and a user name.
TEXTS = (
    "In that match Virat Kohli hit a",
    "What is the capital of france?",
    "strawberry strawberry STRAWBERRY",
    "1234567 + 89",
    "ਪੰਜਾਬ",
    "if six:\n        six += 1",
    " SolidGoldMagikarp",
)


def public_tokens() -> dict[str, dict[str, list[str]]]:
    """How others cut each of `TEXTS`: text -> tokenizer -> its pieces."""
    found = json.loads(measurement(TOKENS).read_text(encoding="utf-8"))
    return found["texts"]


def public_model(prompt: str, n: int) -> dict[str, float]:
    """The `n` tokens that a real model found likeliest after a recorded prompt; their shares."""
    return dict(list(_recorded(prompt)["top"].items())[:n])


def public_greedy(prompt: str) -> str:
    """A recorded prompt, and how a real model went on with it, greedily."""
    return prompt + _recorded(prompt)["greedy"]


def public_units() -> dict[str, float]:
    """What `units` gave for a real model on 200 held-out documents of this world."""
    return _record()["held out"]


def _record() -> dict:
    return json.loads(measurement(MODEL).read_text(encoding="utf-8"))


def _recorded(prompt: str) -> dict:
    found = _record()["asked"]
    if prompt not in found:
        raise ValueError(
            f"expected one of the recorded prompts {list(found)}, got {prompt!r:.80}. To ask it "
            'more, load it: load_pretrained("HuggingFaceTB/SmolLM2-135M-Instruct")'
        )
    return found[prompt]


def asked(
    model: Transformer, tokenizer: AnyTokenizer, prompts: Iterable[str], words: Iterable[str]
) -> dict:
    """For each prompt the likeliest tokens, the shares of `words`, and the greedy continuation.

    A word of several tokens has the share of the first of them: the most that it could have.
    """
    found = {}
    for prompt in prompts:
        ids = tokenizer.encode(prompt)
        probs = next_token_probs(model, ids)
        greedy = generate(model, [ids], 60, GREEDY, stop=tokenizer.end_ids)[0]
        found[prompt] = {
            "top": {name: round(p, 4) for name, p in likeliest(tokenizer, probs, 10).items()},
            "words": {
                word: round(probs[tokenizer.encode(f" {word}")[0]].item(), 5) for word in words
            },
            "greedy": tokenizer.decode(greedy),
        }
    return found


def units(model: Transformer, tokenizer: AnyTokenizer, texts: list[str]) -> dict[str, float]:
    """The surprise at whole documents in both units: bits per token and bits per byte.

    The end of a document counts as a token and as a byte.
    """
    bits = -sum(document_log_probs(model, tokenizer, texts)) / math.log(2)
    n_tokens = sum(len(tokenizer.encode(text)) + 1 for text in texts)
    n_bytes = sum(len(text.encode()) + 1 for text in texts)
    return {
        "bytes per token": n_bytes / n_tokens,
        "bits per token": bits / n_tokens,
        "bits per byte": bits / n_bytes,
    }
