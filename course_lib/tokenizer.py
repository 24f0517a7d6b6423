"""Byte-level BPE: text <-> token ids, with merges learned from scratch.

Training is ours, in plain Python; encoding is tiktoken's, built from our merges; `tokenizer.json`
is Hugging Face's format, so that `tokenizers` and `transformers` read the same tokenizer. Left out:
normalization, added words, dropout and every pre-tokenizer but GPT-2's.

Ids: 0..255 are the bytes themselves, then one id a merge in the order learned, the specials last.
Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.2.
"""

import heapq
import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import regex
import tiktoken

# GPT-2's pattern: text is cut into words first, and no merge crosses a cut. An unassigned code
# point is none of \p{L} (letter), \p{N} (digit) and \s (space), as if it were a punctuation mark.
PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
N_BYTES = 256
LONGEST_SPACE = 500_000  # white-space characters in a row; tiktoken's stack overflows at a million

Pair = tuple[int, int]


def merge(ids: list[int], pair: Pair, new_id: int) -> list[int]:
    """`ids` with `pair` replaced by `new_id`: merge([1, 1, 1, 2], (1, 1), 9) is [9, 1, 2]."""
    merged, i = [], 0
    while i < len(ids):
        if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


def learn_merges(words: Counter[bytes], n_merges: int) -> list[Pair]:
    """The `n_merges` pairs that BPE merges, each the most frequent one in `words` at its turn.

    Of equally frequent pairs the smallest (left id, right id) wins, so the result depends on the
    counts alone. A pair must occur twice: ValueError when no such pair is left.
    Source: Sennrich et al. 2016, arXiv 1508.07909, algorithm 1; here only the words that hold the
    merged pair are counted again.
    """
    spelling = [list(word) for word in words]  # the word as ids; bytes are their own ids
    frequency = list(words.values())
    count = Counter()  # pair -> how often it occurs
    where = defaultdict(
        set
    )  # pair -> words that hold it, or held it once: looking again does no harm
    for word, ids in enumerate(spelling):
        for pair in pairwise(ids):
            count[pair] += frequency[word]
            where[pair].add(word)
    queue = [(-n, pair) for pair, n in count.items()]
    heapq.heapify(queue)

    merges = []
    while len(merges) < n_merges:
        while queue and -queue[0][0] != count[queue[0][1]]:
            heapq.heappop(queue)  # outdated: the pair was counted again since
        if not queue or count[queue[0][1]] < 2:
            raise ValueError(
                f"{n_merges} merges were asked for, but after {len(merges)} no pair occurs twice: "
                f"take more text, or vocab_size={N_BYTES + len(merges) + len(SPECIALS)} at most"
            )
        pair = heapq.heappop(queue)[1]
        new_id = N_BYTES + len(merges)
        merges.append(pair)
        change = Counter()
        for word in where.pop(pair):
            before, after = spelling[word], merge(spelling[word], pair, new_id)
            spelling[word] = after
            for old in pairwise(before):
                change[old] -= frequency[word]
            for new in pairwise(after):
                change[new] += frequency[word]
                where[new].add(word)
        for changed, n in change.items():
            if n:
                count[changed] += n
                heapq.heappush(queue, (-count[changed], changed))
    return merges


def _printable_bytes() -> str:
    shown = [
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    ]
    hidden = [byte for byte in range(N_BYTES) if byte not in shown]
    return "".join(chr(b) if b in shown else chr(N_BYTES + hidden.index(b)) for b in range(N_BYTES))


# GPT-2's alphabet: one printable character a byte (a space becomes "Ġ"), because JSON and GGUF hold
# tokens as text and a token may be half of a character.
ALPHABET = _printable_bytes()


def spell(token: bytes) -> str:
    """`token` in GPT-2's byte alphabet: spell(b" cat") is "Ġcat"."""
    return "".join(ALPHABET[byte] for byte in token)


def visible(text: str) -> str:
    """`text` with a sign for each character that can't be seen: visible(" a\\n") is "␣a↵"."""
    text = text.replace(" ", "␣").replace("\n", "↵").replace("\t", "⇥")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class Tokenizer:
    """A byte-level BPE tokenizer, wholly given by its merges: pairs of ids in the order learned."""

    def __init__(self, merges: Iterable[Pair] = ()) -> None:
        self.merges: list[Pair] = [(left, right) for left, right in merges]
        tokens = [bytes([byte]) for byte in range(N_BYTES)]
        for left, right in self.merges:
            if not (0 <= left < len(tokens) and 0 <= right < len(tokens)):
                raise ValueError(
                    f"merge {len(tokens) - N_BYTES} joins ids {left} and {right}, but by then only "
                    f"ids below {len(tokens)} exist: keep the merges in the order learned"
                )
            tokens.append(tokens[left] + tokens[right])
        ranks = {token: rank for rank, token in enumerate(tokens)}
        if len(ranks) < len(tokens):
            raise ValueError("two merges make the same token: BPE training never learns one twice")
        self.vocab_size = len(tokens) + len(SPECIALS)
        self.eot_id, self.im_start_id, self.im_end_id = range(len(tokens), self.vocab_size)
        self._encoding = tiktoken.Encoding(
            "inside-an-llm",
            pat_str=PATTERN,
            mergeable_ranks=ranks,
            special_tokens={special: len(tokens) + i for i, special in enumerate(SPECIALS)},
        )

    @classmethod
    def train(cls, text: str | Iterable[str], vocab_size: int) -> "Tokenizer":
        """The tokenizer learned from the texts; `vocab_size` counts bytes, merges and specials."""
        smallest = N_BYTES + len(SPECIALS)
        if not isinstance(vocab_size, int) or vocab_size < smallest:
            raise ValueError(
                f"vocab_size must be a whole number of {smallest} or more ({N_BYTES} bytes and "
                f"{len(SPECIALS)} specials come first), got {vocab_size!r}"
            )
        words = Counter()
        for part in [text] if isinstance(text, str) else text:
            words.update(regex.findall(PATTERN, part))
        in_bytes = Counter({word.encode(): n for word, n in words.items()})
        return cls(learn_merges(in_bytes, vocab_size - smallest))

    def encode(self, text: str) -> list[int]:
        """The ids of `text`, none of them a special: a typed "<|im_end|>" is so many characters.

        A lone surrogate, which UTF-8 can't hold, is read as U+FFFD.
        """
        if len(text) >= LONGEST_SPACE and regex.search(rf"\s{{{LONGEST_SPACE}}}", text):
            raise ValueError(
                f"{LONGEST_SPACE:,} white-space characters in a row: clean the text first"
            )
        return self._encoding.encode_ordinary(text)

    def encode_batch(self, texts: Iterable[str]) -> list[list[int]]:
        """The ids of each text."""
        return [self.encode(text) for text in texts]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`, specials spelled out; half a character becomes U+FFFD."""
        return b"".join(self.token_bytes(id) for id in ids).decode("utf-8", errors="replace")

    def token_bytes(self, id: int) -> bytes:
        """The bytes that `id` stands for."""
        if not 0 <= id < self.vocab_size:
            raise ValueError(f"there is no token {id}: ids run from 0 to {self.vocab_size - 1}")
        return self._encoding.decode_single_token_bytes(int(id))

    def to_dict(self) -> dict:
        """The contents of `tokenizer.json`, as the `tokenizers` library would write it."""
        names = [spell(self.token_bytes(id)) for id in range(self.eot_id)]
        flags = {
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        byte_level = {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": True,
            "use_regex": True,
        }
        return {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [
                {"id": self.eot_id + i, "content": s, **flags} for i, s in enumerate(SPECIALS)
            ],
            "normalizer": None,
            "pre_tokenizer": byte_level,
            "post_processor": None,
            "decoder": byte_level,
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "byte_fallback": False,
                "ignore_merges": False,
                "vocab": {name: id for id, name in enumerate(names)},
                "merges": [[names[left], names[right]] for left, right in self.merges],
            },
        }

    def save(self, path: str | Path) -> None:
        """Writes `tokenizer.json`."""
        text = json.dumps(self.to_dict(), ensure_ascii=False, indent=2)
        Path(path).write_text(text, encoding="utf-8", newline="\n")

    @classmethod
    def load(cls, path: str | Path) -> "Tokenizer":
        """The tokenizer of a `tokenizer.json` that `save` wrote; ValueError for any other kind."""
        try:
            found = json.loads(Path(path).read_text(encoding="utf-8"))
            vocab = found["model"]["vocab"]
            tokenizer = cls(
                [(vocab[left], vocab[right]) for left, right in found["model"]["merges"]]
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} holds no byte-level BPE tokenizer of this course: {error!r}"
            ) from error
        expected = tokenizer.to_dict()
        for part in ("normalizer", "pre_tokenizer", "model", "decoder", "added_tokens"):
            if found.get(part) != expected[part]:
                raise ValueError(
                    f"the {part!r} part of {path} is not what this course writes: it belongs to "
                    "another kind of tokenizer (the `tokenizers` library reads it) or was edited"
                )
        return tokenizer

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tokenizer) and self.merges == other.merges

    def __repr__(self) -> str:
        return f"Tokenizer(vocab_size={self.vocab_size})"


def gpt2_at_hand() -> tiktoken.Encoding | None:
    """GPT-2's tokenizer, if tiktoken has kept its files from an earlier download; else None.

    tiktoken itself would fetch them, and behind a closed network it can hang while it tries.
    """

    def refuse(path: str) -> bytes:
        raise FileNotFoundError(path)

    with patch("tiktoken.load.read_file", refuse):
        try:
            return tiktoken.get_encoding("gpt2")
        except FileNotFoundError:
            return None
