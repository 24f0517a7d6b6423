"""The model as a lossless compressor: its probabilities drive an arithmetic coder.

A text costs -log2 P(text) bits, plus a handful. So the better a model predicts, the smaller its
files: its loss, as something that you can see on a disk. The decoder runs the same model over the
same tokens in the same batches, finds exactly the same probabilities, and undoes each step.

We left out speed, and other machines. If another machine rounds one sum differently in its last
bit, `decompress` fails or gives another text.

Source: Witten, Neal & Cleary 1987, "Arithmetic coding for data compression"; language models as
compressors: Delétang et al. 2023, arXiv 2309.10668.
"""

import zlib
from collections.abc import Generator, Iterable

import torch
from torch import Tensor

from course_lib.model.transformer import KVCache, Transformer
from course_lib.text.tokenizer import Tokenizer

MAGIC = b"LLMZ\x01"  # name and version of the format; then a checksum, a count, the code
ROWS = 32  # documents that the model reads side by side
PRECISION = 24  # bits of a probability
BITS = 32  # of the coder's interval: above PRECISION + 2, so that no symbol's share is empty
TOP, HALF, QUARTER = (1 << BITS) - 1, 1 << (BITS - 1), 1 << (BITS - 2)


class Encoder:
    """Narrows an interval symbol by symbol, and writes each bit as soon as it is settled."""

    def __init__(self) -> None:
        self.low, self.high = 0, TOP
        self.undecided = 0  # bits that will be the opposite of the next one
        self.bits: list[int] = []

    def encode(self, start: int, end: int, total: int) -> None:
        """Narrow the interval to a symbol's share of it, from start / total to end / total."""
        width = self.high - self.low + 1
        self.high = self.low + width * end // total - 1
        self.low = self.low + width * start // total
        # Every bit that low and high share is settled. Write it and forget it, or the interval
        # would soon be narrower than any integer.
        while True:
            if self.high < HALF:  # in the lower half: the next bit is 0
                self._write(0)
            elif self.low >= HALF:  # in the upper half: it is 1
                self._write(1)
                self.low, self.high = self.low - HALF, self.high - HALF
            elif self.low >= QUARTER and self.high < 3 * QUARTER:
                # around the middle: whatever the next bit is, the one after it is its opposite
                self.undecided += 1
                self.low, self.high = self.low - QUARTER, self.high - QUARTER
            else:
                return
            self.low, self.high = 2 * self.low, 2 * self.high + 1  # zoom in

    def finish(self) -> bytes:
        """The code, filled up to whole bytes."""
        self.undecided += 1
        self._write(0 if self.low < QUARTER else 1)
        text = "".join(map(str, self.bits))
        text += "0" * (-len(text) % 8)
        return int(text, 2).to_bytes(len(text) // 8, "big")

    def _write(self, bit: int) -> None:
        self.bits += [bit] + [1 - bit] * self.undecided
        self.undecided = 0


class Decoder:
    """Follows the encoder's interval, and finds out in whose share of it the code lies."""

    def __init__(self, code: bytes) -> None:
        self.low, self.high = 0, TOP
        self.code, self.position = code, 0
        self.value = 0
        for _ in range(BITS):
            self.value = 2 * self.value + self._read()

    def target(self, total: int) -> int:
        """The number below `total` that the next symbol's share contains."""
        width = self.high - self.low + 1
        return ((self.value - self.low + 1) * total - 1) // width

    def decode(self, start: int, end: int, total: int) -> None:
        """Narrow the interval to the symbol that was found, step by step as the encoder did."""
        width = self.high - self.low + 1
        self.high = self.low + width * end // total - 1
        self.low = self.low + width * start // total
        while True:
            if self.low >= HALF:
                shift = HALF
            elif self.low >= QUARTER and self.high < 3 * QUARTER:
                shift = QUARTER
            elif self.high < HALF:
                shift = 0
            else:
                return
            self.low, self.high = 2 * (self.low - shift), 2 * (self.high - shift) + 1
            self.value = 2 * (self.value - shift) + self._read()

    def _read(self) -> int:
        byte, bit = divmod(self.position, 8)
        self.position += 1
        if byte >= len(self.code):
            if byte > len(self.code) + BITS // 8:
                raise ValueError("the code ends too early: the file is damaged or cut off")
            return 0
        return self.code[byte] >> (7 - bit) & 1


def compress(model: Transformer, tokenizer: Tokenizer, documents: Iterable[str]) -> bytes:
    """The documents as bytes that `decompress` turns back into them, with the same model."""
    ids = [[*tokenizer.encode(text), tokenizer.eot_id] for text in documents]
    encoder = Encoder()
    for first in range(0, len(ids), ROWS):
        rows = [iter(row) for row in ids[first : first + ROWS]]
        tables = _tables(model, tokenizer.eot_id, len(rows))
        table = next(tables)
        while rows:
            symbols = [next(row) for row in rows]
            for symbol, shares in zip(symbols, table, strict=True):
                encoder.encode(int(shares[symbol]), int(shares[symbol + 1]), int(shares[-1]))
            rows = [r for r, s in zip(rows, symbols, strict=True) if s != tokenizer.eot_id]
            table = tables.send(symbols)
    head = MAGIC + weights_checksum(model).to_bytes(4, "big") + len(ids).to_bytes(4, "big")
    return head + encoder.finish()


def decompress(model: Transformer, tokenizer: Tokenizer, data: bytes) -> list[str]:
    """The documents that `compress` was given, from what it returned."""
    start = len(MAGIC)
    if data[:start] != MAGIC or len(data) < start + 8:
        raise ValueError(f"this is no file of `compress`: it begins with {data[:start]!r}")
    if int.from_bytes(data[start : start + 4], "big") != weights_checksum(model):
        raise ValueError("another model has compressed this: only the same one can undo it")
    count = int.from_bytes(data[start + 4 : start + 8], "big")
    decoder = Decoder(data[start + 8 :])
    found: list[list[int]] = [[] for _ in range(count)]
    for first in range(0, count, ROWS):
        rows = found[first : first + ROWS]
        tables = _tables(model, tokenizer.eot_id, len(rows))
        table = next(tables)
        while rows:
            symbols = []
            for row, shares in zip(rows, table, strict=True):
                target = decoder.target(int(shares[-1]))
                symbol = int(torch.searchsorted(shares, target, right=True)) - 1
                decoder.decode(int(shares[symbol]), int(shares[symbol + 1]), int(shares[-1]))
                row.append(symbol)
                symbols.append(symbol)
            rows = [r for r in rows if r[-1] != tokenizer.eot_id]
            table = tables.send(symbols)
    return [tokenizer.decode(row[:-1]) for row in found]


def weights_checksum(model: Transformer) -> int:
    """A checksum of all weights, 32 bits."""
    total = 0
    for weights in model.state_dict().values():
        total = zlib.crc32(weights.detach().cpu().contiguous().float().numpy().tobytes(), total)
    return total


@torch.inference_mode()
def _tables(
    model: Transformer, start_id: int, n_rows: int
) -> Generator[Tensor | None, list[int], None]:
    """Cumulative shares of each row's next symbol: (rows, V + 1) whole numbers.

    Send it the symbols that came, and it yields the next table. A row ends with `start_id`, the
    mark between documents, and is in no later table. When the context is full, the model forgets
    the first half of it. (Encoder and decoder both run this, and must never differ.)
    """
    device = model.embed_tokens.weight.device
    length = model.config.context_length
    seen = torch.full((n_rows, 1), start_id, device=device)  # (rows, positions in the cache)
    new, cache = seen, KVCache(model.config, n_rows, device=device)
    while len(seen):
        logits = model.next_logits(new, cache)  # (rows, V)
        symbols = yield _cumulative(logits.double().softmax(-1)).cpu()
        going = [row for row, symbol in enumerate(symbols) if symbol != start_id]
        new = torch.tensor(symbols, device=device)[:, None]
        seen = torch.cat((seen, new), dim=1)[going]
        new = new[going]
        if len(going) < len(symbols):
            cache.keep(going)
        if cache.length == length and going:
            seen = new = seen[:, -(length // 2) :]
            cache = KVCache(model.config, len(going), device=device)
    yield None


def _cumulative(probs: Tensor) -> Tensor:
    """Whole numbers in proportion to `probs` (B, V), each at least 1, summed from the left."""
    # + 1, since a symbol without a share could not be written if it came after all
    counts = (probs * (1 << PRECISION)).long() + 1
    return torch.nn.functional.pad(counts.cumsum(-1), (1, 0))
