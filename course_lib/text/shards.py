"""Texts -> token shards -> batches, for more text than the memory holds.

`write_shards` tokenizes the texts once and stores the ids. A folder of shards holds

    train_00000.bin, ..., validation_00000.bin, ...   token ids, little-endian uint16 or uint32
    manifest.json                                     written last: counts and hashes

The shards of a split make one long stream of tokens, in which `<|endoftext|>` begins each document.
A batch is made of rows cut from that stream, all of one length. A document that doesn't fit into a
row continues in another, and documents that share a row are numbered, so that no token sees another
document. We don't filter here (`clean` does), and we don't continue half-written shards.
"""

import hashlib
import json
from bisect import bisect
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import accumulate, chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from course_lib.machine.disk import read_json, whole_file, write_json
from course_lib.text.rows import Batches, inputs_and_targets, segments_of
from course_lib.text.tokenizer import Tokenizer

FORMAT = "course_lib shards 1"
MANIFEST = "manifest.json"
TEXT_SPLITS = ("train", "validation")
VALIDATION_SHARE = 0.02
HEAD = 1000  # pieces that we look at before dealing, so that a small source gets a validation split
PIECE = 20_000  # characters; a longer document is cut, and each piece is dealt by itself
CHUNK = 64  # pieces that we read at a time, for the threads to share

# ---- Writing ------------------------------------------------------------------------------------


class Piece(NamedTuple):
    """A tokenized document, or a part of a long one."""

    ids: np.ndarray
    n_bytes: int
    begins: bool  # whether a document begins here
    draw: float  # in [0, 1): the pieces up to a threshold go to the validation split


def pieces(text: str) -> list[str]:
    """`text` in parts of at most `PIECE` characters, cut at the end of a line if there is one."""
    parts, start = [], 0
    while len(text) - start > PIECE:
        cut = text.rfind("\n", start, start + PIECE) + 1 or start + PIECE
        parts.append(text[start:cut])
        start = cut
    return [*parts, text[start:]]


def _dtype(tokenizer: Tokenizer) -> np.dtype:
    return np.dtype("<u2" if tokenizer.vocab_size <= 1 << 16 else "<u4")


def _tokenized(texts: Iterable[str], tokenizer: Tokenizer, workers: int) -> Iterator[Piece]:
    """The pieces in the order of the texts, tokenized by `workers` threads."""
    # Threads will do, and we need no processes: tiktoken's Rust releases Python's lock (the GIL)
    # while it encodes.
    parts = ((part, i == 0) for text in texts for i, part in enumerate(pieces(text)))
    with ThreadPoolExecutor(workers) as pool:
        while chunk := list(islice(parts, CHUNK)):
            encoded = pool.map(tokenizer.encode, [text for text, _ in chunk])
            for (text, begins), ids in zip(chunk, encoded, strict=True):
                # The dice are a hash of the text. So a text lands in the same split in every run,
                # and two copies of it never sit on both sides.
                raw = text.encode("utf-8", errors="replace")
                draw = int.from_bytes(hashlib.sha256(raw).digest()[:6], "big") / 2**48
                yield Piece(np.array(ids, _dtype(tokenizer)), len(raw), begins, draw)


class _Writer:
    """Writes the token stream of one split as shards, and counts what it writes."""

    def __init__(self, folder: Path, split: str, shard_tokens: int):
        self.folder, self.split, self.shard_tokens = folder, split, shard_tokens
        self.counts = {"documents": 0, "tokens": 0, "bytes": 0}
        self.shards: list[dict] = []
        self.waiting: list[np.ndarray] = []  # tokens that are in no shard yet

    def write(self, ids: np.ndarray) -> None:
        self.counts["tokens"] += len(ids)
        self.waiting.append(ids)
        while self.counts["tokens"] - len(self.shards) * self.shard_tokens >= self.shard_tokens:
            self.save_shard()

    def save_shard(self) -> None:
        shard, rest = np.split(np.concatenate(self.waiting), [self.shard_tokens])
        name = f"{self.split}_{len(self.shards):05}.bin"
        with whole_file(self.folder / name) as partial:
            partial.write_bytes(shard.tobytes())
        digest = hashlib.sha256(shard).hexdigest()
        self.shards.append({"name": name, "tokens": len(shard), "sha256": digest})
        self.waiting = [rest]

    def finish(self) -> dict:
        """The split's part of the manifest."""
        if any(map(len, self.waiting)):
            self.save_shard()
        return self.counts | {"shards": self.shards}


def tokenizer_hash(tokenizer: Tokenizer) -> str:
    """The same for the same tokenizer, and different for any other."""
    return hashlib.sha256(json.dumps(tokenizer.to_dict(), sort_keys=True).encode()).hexdigest()


def _deal(found: Iterator[Piece], writers: dict, eot: np.ndarray, max_tokens: int | None):
    """Deals each piece to the writer of its split. Yields the training tokens so far.

    Returns the threshold that decides between the splits.
    """
    # About 2% of the pieces draw a number below 0.02. A small source may have no such piece, and
    # then its lowest draw is the validation split. We can't read all of a large source to find that
    # one out, so we look at its first pieces.
    head = list(islice(found, HEAD))
    if not head:
        raise ValueError("there is no text to tokenize: the source gave no document")
    threshold, last = max(VALIDATION_SHARE, min(piece.draw for piece in head)), None
    train, validation = (writers[split].counts for split in TEXT_SPLITS)
    for piece in chain(head, found):
        split = TEXT_SPLITS[piece.draw <= threshold]
        # Once there is enough to train on, we may still have to read on for something to judge on.
        enough = max_tokens is not None and train["tokens"] >= max_tokens
        if enough and validation["tokens"]:
            break
        if enough and split == "train":
            continue
        # A piece of a long document continues the piece before it, unless that one went elsewhere.
        if piece.begins or split != last:
            writers[split].write(eot)
            writers[split].counts["documents"] += 1
        writers[split].write(piece.ids)
        writers[split].counts["bytes"] += piece.n_bytes
        last = split
        yield train["tokens"]
    if not train["tokens"]:
        only = f"one document of {validation['bytes']:,} bytes"
        raise ValueError(f"{only} can't be both trained on and judged on: add text")
    return threshold


def write_shards(texts: Iterable[str], tokenizer: Tokenizer, folder: str | Path, **options) -> dict:
    """Tokenizes the texts into `folder`; returns the manifest. Options as in `writing_shards`."""
    for _ in writing_shards(texts, tokenizer, folder, **options):
        pass
    return read_json(Path(folder) / MANIFEST)


def writing_shards(
    texts: Iterable[str],
    tokenizer: Tokenizer,
    folder: str | Path,
    *,
    source: str = "",
    shard_tokens: int = 1 << 25,
    max_tokens: int | None = None,
    workers: int = 1,
) -> Iterator[int]:
    """`write_shards` step by step: yields the number of training tokens after each piece.

    It stops reading at `max_tokens` training tokens. The files don't depend on the number of
    `workers` (threads). About 2% of the documents go to the validation split, and at least one. A
    hash of the text decides, so they are always the same ones. A document longer than `PIECE` is
    dealt in pieces, so that even a single book has something to train on and to be judged on.
    The folder counts as empty until the manifest is there: a run that was stopped starts again.
    """
    folder = Path(folder)
    if shard_tokens < 1 or workers < 1 or (max_tokens is not None and max_tokens < 1):
        raise ValueError("shard_tokens, workers and max_tokens must be 1 or more")
    if (folder / MANIFEST).exists():
        raise ValueError(f"{folder} holds finished shards: choose another folder, or delete it")
    folder.mkdir(parents=True, exist_ok=True)
    for split in TEXT_SPLITS:
        for stray in folder.glob(f"{split}_*.bin"):
            stray.unlink()  # left by a run that was stopped

    writers = {split: _Writer(folder, split, shard_tokens) for split in TEXT_SPLITS}
    eot = np.array([tokenizer.eot_id], dtype=_dtype(tokenizer))
    with closing(_tokenized(texts, tokenizer, workers)) as found:
        threshold = yield from _deal(found, writers, eot, max_tokens)
    manifest = {
        "format": FORMAT,
        "source": source,
        "tokenizer": tokenizer_hash(tokenizer),
        "eot_id": tokenizer.eot_id,
        "dtype": _dtype(tokenizer).name,
        "validation_share": threshold,
        "splits": {split: writer.finish() for split, writer in writers.items()},
    }
    # The manifest comes last and in one step, so if it is there, everything is.
    write_json(folder / MANIFEST, manifest, indent=1)


# ---- Batches ------------------------------------------------------------------------------------


class Shards:
    """The finished shards in a folder, checked against their manifest.

    They are memory-mapped: a part of a file is read when somebody asks for it.
    """

    def __init__(self, folder: str | Path, tokenizer: Tokenizer | None = None):
        self.folder = Path(folder)
        path = self.folder / MANIFEST
        if not path.is_file():
            raise ValueError(f"{folder} holds no finished shards: call write_shards first")
        try:
            self.manifest = read_json(path)
            if self.manifest["format"] != FORMAT:
                raise KeyError(self.manifest["format"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is no manifest of {FORMAT}: write the shards anew") from error
        if tokenizer is not None and self.manifest["tokenizer"] != tokenizer_hash(tokenizer):
            raise ValueError(
                f"{folder} was written with another tokenizer: use that one, or write them anew"
            )
        self.eot_id = self.manifest["eot_id"]
        self._maps = {
            split: [self._open(**shard) for shard in self.manifest["splits"][split]["shards"]]
            for split in TEXT_SPLITS
        }
        self._ends = {s: list(accumulate(map(len, maps))) for s, maps in self._maps.items()}

    def _open(self, name: str, tokens: int, sha256: str) -> np.ndarray:
        path, dtype = self.folder / name, np.dtype(self.manifest["dtype"]).newbyteorder("<")
        size = path.stat().st_size if path.is_file() else 0
        if size != tokens * dtype.itemsize:
            wanted = f"{tokens * dtype.itemsize:,} bytes"
            raise ValueError(f"{path} has {size:,} bytes, expected {wanted}: write the shards anew")
        with open(path, "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise ValueError(f"{path} is not what was written: write the shards anew")
        return np.memmap(path, dtype, mode="r")

    def n_tokens(self, split: str = "train") -> int:
        return self.manifest["splits"][split]["tokens"]

    def tokens(self, start: int, stop: int, split: str = "train") -> np.ndarray:
        """The ids from `start` up to `stop` of a split's stream, from one shard or several."""
        ends, parts = self._ends[split], []
        for shard in range(bisect(ends, start), bisect(ends, stop - 1) + 1):
            ids = self._maps[split][shard]
            begin = ends[shard] - len(ids)
            parts.append(ids[max(start - begin, 0) : stop - begin])
        return np.concatenate(parts)

    def texts(self, tokenizer: Tokenizer, split: str = "validation") -> Iterator[str]:
        """The documents of a split, decoded back to text."""
        document: list[np.ndarray] = []
        for shard in self._maps[split]:
            first, *others = np.split(shard, np.flatnonzero(shard == self.eot_id))
            document.append(first)  # the rest of a document that the shard before began
            for part in others:
                if any(map(len, document)):
                    yield tokenizer.decode(np.concatenate(document).tolist())
                document = [part[1:]]
        yield tokenizer.decode(np.concatenate(document).tolist())


def shard_batches(
    shards: Shards,
    context_length: int,
    batch_rows: int,
    seed: int = 0,
    rank: int = 0,
    world_size: int = 1,
    split: str = "train",
) -> Callable[[int], tuple]:
    """step -> inputs, targets and segments (B, T) for process `rank` of `world_size`.

    A pure function of (seed, step). B is batch_rows / world_size. Stack the parts of all ranks, and
    you get the batch of a single process. Every row comes up once per epoch.
    """
    n_rows = (shards.n_tokens(split) - 1) // context_length
    if n_rows < batch_rows:
        raise ValueError(
            f"{shards.folder} holds {n_rows} rows of {context_length} tokens for {split}, a batch "
            f"takes {batch_rows}: add text"
        )
    if batch_rows % world_size:
        raise ValueError(
            f"{world_size} processes can't take equal parts of {batch_rows} rows: make batch_rows "
            f"a multiple of {world_size}"
        )
    order = Batches(np.arange(n_rows), batch_rows, seed)
    mine = slice(rank * batch_rows // world_size, (rank + 1) * batch_rows // world_size)

    def batch_at(step: int) -> tuple:
        starts = order(step)[mine] * context_length
        rows = [shards.tokens(start, start + context_length + 1, split) for start in starts]
        inputs, targets = inputs_and_targets(np.stack(rows))
        return inputs, targets, segments_of(inputs, shards.eot_id)

    return batch_at
