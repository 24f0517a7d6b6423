"""Byte-level BPE (byte pair encoding): text -> token ids and back, with merges learned from text.

We learn the merges ourselves, in plain Python, because that is the interesting part. Encoding is a
hot loop, so tiktoken does it in Rust, from our merges. The file `tokenizer.json` has Hugging Face's
format, so `tokenizers` and `transformers` can read it too. We leave out normalization, added words,
dropout, and every way to cut a text into words but GPT-2's.

Ids 0..255 are the single bytes. Then comes one id per merge, in the order learned, and the three
special tokens are last. Source: Radford et al. 2019, "Language Models are Unsupervised Multitask
Learners", section 2.2.
"""

import heapq
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import regex
import tiktoken

from course_lib.machine.disk import read_json, write_text

# Before anything is merged, GPT-2's pattern cuts the text into words, and no merge ever crosses a
# cut. Without it "dog.", "dog!" and "dog?" would each become a token. It tries, in this order:
#   's|'t|'re|...        how English contractions end
#    ?\p{L}+             letters, with a space before them: " dog" is one word
#    ?\p{N}+             digits, the same way
#    ?[^\s\p{L}\p{N}]+   whatever else isn't white space: punctuation, emoji, and code points that
#                        Unicode has not given a meaning yet
#   \s+(?!\S)            white space, all but its last character if a word follows: that one may be
#                        the space that goes with the word
#   \s+                  the white space that is left
PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

# Only our own code writes these three. They mark where a document begins, and who is speaking.
SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
N_BYTES = 256
GAP = -1  # no token: between words, and within a token that `learning_merges` has joined
# More white-space characters in a row are refused: at a million, the regular expression in tiktoken
# runs out of stack and panics in Rust.
LONGEST_SPACE = 500_000
# Only looked for where a run begins: tried from each of its characters anew, a long run that is
# just allowed would cost the square of its length.
LONG_SPACE = regex.compile(rf"(?<!\s)\s{{{LONGEST_SPACE}}}")

Pair = tuple[int, int]


def merge(ids: list[int], pair: Pair, new_id: int) -> list[int]:
    """`ids` with each `pair` replaced by `new_id`: merge([1, 1, 1, 2], (1, 1), 9) is [9, 1, 2]."""
    merged, i = [], 0
    while i < len(ids):
        # from left to right, so of three equal ids in a row the first two are merged
        if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


def merges_for(vocab_size: int) -> int:
    """How many merges make a tokenizer of this size: the bytes and the specials come first."""
    smallest = N_BYTES + len(SPECIALS)
    if not isinstance(vocab_size, int) or vocab_size < smallest:
        raise ValueError(
            f"vocab_size must be a whole number of {smallest} or more ({N_BYTES} bytes and "
            f"{len(SPECIALS)} specials come first), got {vocab_size!r}"
        )
    return vocab_size - smallest


def count_words(text: str | Iterable[str]) -> Counter[bytes]:
    """How often each word occurs in the texts: as no merge crosses words, it is all BPE needs."""
    words = Counter()
    for part in [text] if isinstance(text, str) else text:
        words.update(regex.findall(PATTERN, part))
    return Counter({word.encode(): n for word, n in words.items()})


def learn_merges(words: Counter[bytes], n_merges: int) -> list[Pair]:
    """The `n_merges` pairs that BPE merges: at each step the most frequent pair in `words`.

    `words` says how often each word occurs. When two pairs are equally frequent, the one with the
    smaller ids wins, so that the same counts always give the same tokenizer. A pair has to occur
    twice: ValueError when no such pair is left.
    Source: Sennrich et al. 2016, arXiv 1508.07909, algorithm 1.
    """
    return list(learning_merges(words, n_merges))


def learning_merges(words: Counter[bytes], n_merges: int) -> Iterator[Pair]:
    """`learn_merges` step by step: yields each pair as soon as it is found."""
    # Algorithm 1 counts all pairs again after each merge. That is ten lines, and hopelessly slow on
    # a few megabytes. But a merge changes nothing beyond its neighbours. So we count once, remember
    # where each pair stands, and keep the books up to date. Then it doesn't matter how long a word
    # is: Chinese has no spaces, and a genome is a single word.
    #
    # All words lie in one list, with a gap after each. A token has its id at its first byte and at
    # its last, and gaps between: so from any edge of a token we know how far its other edge is.
    ids = [GAP]  # of each byte
    times = [0]  # how often the word that a byte belongs to occurs
    for word, n in words.items():
        ids += [*word, GAP]
        times += [n] * (len(word) + 1)
    width = [1] * N_BYTES  # of each token, in bytes
    count = Counter()  # pair -> how often it occurs in all words
    # pair -> where it starts, from left to right. We never take a place off when a merge next to it
    # breaks the pair there: when its turn comes, we see that something else stands there now.
    where = defaultdict(list)
    for place, pair in enumerate(pairwise(ids)):
        if GAP not in pair:
            count[pair] += times[place]
            where[pair].append(place)
    # A heap hands out its smallest item first. With the count negated that is the most frequent
    # pair, and the pair itself settles a tie.
    queue = [(-n, pair) for pair, n in count.items()]
    heapq.heapify(queue)

    for new_id in range(N_BYTES, N_BYTES + n_merges):
        # The heap is lazy. Changing an item in its middle would be slow, so when a count changes we
        # push the pair again and let the old item lie. If an item comes up whose count is no longer
        # true, we throw it away: the true one is in there too.
        while queue and -queue[0][0] != count[queue[0][1]]:
            heapq.heappop(queue)
        if not queue or count[queue[0][1]] < 2:
            raise ValueError(
                "the text is too short, or repeats too little, for this vocabulary: "
                f"{n_merges} merges were asked for, but after {new_id - N_BYTES} no pair occurs "
                f"twice: take more text, or vocab_size={new_id + len(SPECIALS)} at most "
                "(with `train`, that is --vocab)"
            )
        pair = heapq.heappop(queue)[1]
        yield pair

        left, right = pair
        width.append(width[left] + width[right])
        changed = set()
        for start in where.pop(pair):
            middle, end = start + width[left], start + width[new_id]
            if ids[start] != left or ids[middle] != right:
                continue  # as in the second pair of aaa, whose first two are merged by now
            # The two neighbours lose this pair's tokens and get the new one.
            n, before, behind = times[start], ids[start - 1], ids[end]
            count[pair] -= n
            if before != GAP:
                count[before, left] -= n
                count[before, new_id] += n
                where[before, new_id].append(start - width[before])
                changed.update(((before, left), (before, new_id)))
            if behind != GAP:
                count[right, behind] -= n
                count[new_id, behind] += n
                where[new_id, behind].append(start)
                changed.update(((right, behind), (new_id, behind)))
            ids[middle - 1] = ids[middle] = GAP
            ids[start] = ids[end - 1] = new_id
        for neighbours in changed:
            heapq.heappush(queue, (-count[neighbours], neighbours))


def _printable_bytes() -> str:
    shown = [
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    ]
    hidden = [byte for byte in range(N_BYTES) if byte not in shown]
    return "".join(chr(b) if b in shown else chr(N_BYTES + hidden.index(b)) for b in range(N_BYTES))


# JSON and GGUF store tokens as text, but a token may be half a character, which is no text at all.
# GPT-2's way out is an alphabet with one printable character for each byte. Bytes that print stand
# for themselves; the others borrow the characters from 256 on. So a space becomes "Ġ".
ALPHABET = _printable_bytes()


def spell(token: bytes) -> str:
    """`token` in GPT-2's byte alphabet: spell(b" cat") is "Ġcat"."""
    return "".join(ALPHABET[byte] for byte in token)


def visible(text: str) -> str:
    """`text` with a sign for each character that can't be seen: visible(" a\\n") is "␣a↵"."""
    text = text.replace(" ", "␣").replace("\n", "↵").replace("\t", "⇥")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class Tokenizer:
    """A byte-level BPE tokenizer, made from nothing but its merges in the order learned."""

    chatml = True  # its models chat in ChatML, once they are trained to

    def __init__(self, merges: Iterable[Pair] = ()) -> None:
        self.merges: list[Pair] = [(left, right) for left, right in merges]
        tokens = [bytes([byte]) for byte in range(N_BYTES)]  # id -> what it stands for
        for left, right in self.merges:
            if not (0 <= left < len(tokens) and 0 <= right < len(tokens)):
                raise ValueError(
                    f"merge {len(tokens) - N_BYTES} joins ids {left} and {right}, but by then only "
                    f"ids below {len(tokens)} exist: keep the merges in the order learned"
                )
            tokens.append(tokens[left] + tokens[right])
        # tiktoken wants to know which merge comes first, and reads that off the ids: the lower, the
        # earlier. It looks up joined bytes, so two ids for the same bytes would confuse it.
        ranks = {token: rank for rank, token in enumerate(tokens)}
        if len(ranks) < len(tokens):
            raise ValueError("two merges make the same token: BPE training never learns one twice")
        self.vocab_size = len(tokens) + len(SPECIALS)
        self.eot_id, self.im_start_id, self.im_end_id = range(len(tokens), self.vocab_size)
        self.start_ids = [self.eot_id]  # before a text
        self.end_ids = [self.eot_id, self.im_end_id]  # after a document, after an answer
        self.pad_id = self.eot_id
        self._encoding = tiktoken.Encoding(
            "inside-an-llm",
            pat_str=PATTERN,
            mergeable_ranks=ranks,
            special_tokens={special: len(tokens) + i for i, special in enumerate(SPECIALS)},
        )

    @classmethod
    def train(cls, text: str | Iterable[str], vocab_size: int) -> "Tokenizer":
        """The tokenizer learned from the texts. `vocab_size` counts bytes and specials too."""
        return cls(learn_merges(count_words(text), merges_for(vocab_size)))

    def encode(self, text: str) -> list[int]:
        """The ids of `text`. None is a special token: if you type "<|im_end|>", that is text.

        Half a surrogate pair, which UTF-8 can't express, is read as U+FFFD (replacement character).
        """
        # A special token comes from our code alone. Otherwise anyone could type one and end the
        # user's turn, or put words into the assistant's mouth.
        if len(text) >= LONGEST_SPACE and LONG_SPACE.search(text):
            raise ValueError(
                f"{LONGEST_SPACE:,} white-space characters in a row: clean the text first"
            )
        return self._encoding.encode_ordinary(text)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`, with specials spelled out. Half a character becomes U+FFFD."""
        # Join first, decode then: a character may lie across two tokens.
        return b"".join(self.token_bytes(id) for id in ids).decode("utf-8", errors="replace")

    def is_text(self, id: int) -> bool:
        """Whether `id` stands for text: not a control token, nor a row without a token."""
        return 0 <= id < self.eot_id

    def token_bytes(self, id: int) -> bytes:
        """The bytes that `id` stands for."""
        if not 0 <= id < self.vocab_size:
            raise ValueError(f"there is no token {id}: ids run from 0 to {self.vocab_size - 1}")
        return self._encoding.decode_single_token_bytes(int(id))

    def to_dict(self) -> dict:
        """The contents of `tokenizer.json`, just as the `tokenizers` library would write them."""
        # It holds everything twice: "merges" is what we learned, "vocab" follows from it.
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
        write_text(path, text)

    @classmethod
    def load(cls, path: str | Path) -> "Tokenizer":
        """The tokenizer in a `tokenizer.json` that `save` wrote. ValueError for any other kind."""
        try:
            found = read_json(Path(path))
            vocab = found["model"]["vocab"]
            tokenizer = cls(
                [(vocab[left], vocab[right]) for left, right in found["model"]["merges"]]
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} holds no byte-level BPE tokenizer of this course: {error!r:.200}"
            ) from error
        # We took the merges and ignored the rest. If the rest isn't what we would write ourselves,
        # our ids would differ from those that the file's model was trained on.
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
