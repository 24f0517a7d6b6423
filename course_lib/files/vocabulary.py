"""A tokenizer as GGUF wants it: tokens by id, their types, merges, and how words are cut before.

GGUF has no room for a tokenizer's parts, only for the name of a recipe that llama.cpp knows by
heart. So what differs in the least from a recipe that we know by its parts is refused, or the file
would load and read other ids than the model was trained on. Left out: SentencePiece, and words that
are cut out of a text before BPE.
"""

from dataclasses import dataclass

from gguf import TokenType

from course_lib.text.foreign import AnyTokenizer
from course_lib.text.tokenizer import ALPHABET, PATTERN

_TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
_DIGITS = ("Digits", True)
# llama.cpp's name -> (what cuts a text into words, normalizer, whether a whole word that is a token
# needs no merges). `run.c` knows the first two. llama.cpp itself leaves Qwen's NFC out, which
# matters to letters typed in two parts only.
RECIPES = {
    "gpt-2": ([PATTERN], None, False),
    "smollm": ([_DIGITS, PATTERN], None, False),
    "llama-bpe": ([_WORDS + "{1,3}" + _TAIL], None, True),
    "qwen2": ([_WORDS + _TAIL], "NFC", False),
}


@dataclass(frozen=True)
class Vocabulary:
    """What the keys `tokenizer.ggml.*` hold, but for the control ids."""

    pre: str  # how text is cut into words: a key of `RECIPES`
    tokens: list[str]  # by id, in GPT-2's byte alphabet
    types: list[TokenType]
    merges: list[str]


def vocabulary(tokenizer: AnyTokenizer, n_rows: int) -> Vocabulary:
    """The tokenizer of a model whose table has `n_rows`; ValueError where GGUF can't express it."""
    whole = tokenizer.to_dict()
    model = whole["model"]
    names = {id: name for name, id in model["vocab"].items()}
    names |= {token["id"]: token["content"] for token in whole["added_tokens"]}
    pre = _recipe(whole)
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model.get("merges", ())]
    # `run.c` reads the order of the merges off the ids.
    made = [model["vocab"].get(pair.replace(" ", ""), -1) for pair in merges]
    added = [token["content"] for token in whole["added_tokens"] if tokenizer.is_text(token["id"])]
    for wrong, reason in (
        (pre is None, "it isn't byte-level BPE, or cuts text in a way that GGUF has no name for"),
        (not set(ALPHABET) <= model["vocab"].keys(), "it lacks some of the 256 bytes"),
        (added, f"it cuts out some words as a whole, such as {added[:3]}"),
        (made != sorted(made) or -1 in made, "its ids are not in the order of its merges"),
    ):
        if wrong:
            raise ValueError(
                f"this tokenizer can't be written as GGUF: {reason}. Take the model as a Hugging "
                "Face directory (save_pretrained), or convert that with llama.cpp"
            )

    letters = set(ALPHABET)

    def kind(id: int) -> TokenType:
        if id in names and not tokenizer.is_text(id):
            return TokenType.CONTROL
        # A row of the table without a token, or with one that no bytes spell.
        spelled = set(names.get(id, " ")) <= letters
        return TokenType.NORMAL if spelled else TokenType.UNUSED

    return Vocabulary(
        pre,
        [names.get(id, f"<|unused_{id}|>") for id in range(n_rows)],
        [kind(id) for id in range(n_rows)],
        merges,
    )


def _recipe(whole: dict) -> str | None:
    """The name in `RECIPES` of what a `tokenizer.json` does to a text, None if there is none."""
    model, normalizer = whole["model"], whole["normalizer"] or {"type": None}
    odd = ("dropout", "byte_fallback", "continuing_subword_prefix", "end_of_word_suffix")
    if model.get("type") != "BPE" or any(model.get(name) for name in odd):
        return None
    steps = whole["pre_tokenizer"] or {"type": None}
    steps = steps.get("pretokenizers", [steps])
    found = (
        [cut for step in steps for cut in _cuts(step)],
        normalizer["type"],
        bool(model.get("ignore_merges")),
    )
    return next((name for name, recipe in RECIPES.items() if recipe == found), None)


def _cuts(step: dict) -> list[str | tuple | None]:
    """The regular expressions by which a pre-tokenizer cuts text; None for what we don't know."""
    match step:
        case {"type": "ByteLevel", "add_prefix_space": False}:
            return [PATTERN] if step.get("use_regex", True) else []
        case {"type": "Digits"}:
            return [("Digits", step["individual_digits"])]
        case {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated"}:
            return [regex] if not step["invert"] else [None]
    return [None]
