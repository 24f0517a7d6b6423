"""The model beside the usual programs, from a page to its whole internet.

python -m benchmarks.compression OUT.csv

Packs the first so many characters of the text that the released base model has read with gzip, bz2,
zstd and xz, each at its best, and notes the bytes. For the model, with its numbers at 16 and at 8
bits, it notes what the text would take by its loss on documents that it has not read; the file with
the model comes on top, `beside` in the table. No dice are thrown: the text is always the same.
"""

import argparse
import bz2
import gzip
import lzma
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import zstandard

from benchmarks.table import Table
from course_lib.files.gguf import write_gguf
from course_lib.measure.damage import rounded
from course_lib.measure.held_out import held_out
from course_lib.pipeline.release import load_released
from course_lib.world.documents import documents, held_out_documents

COLUMNS = "program,characters,bytes,beside"
WHOLE = 7000 * 16 * 128  # tokens that the released base model has read
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)  # characters; the whole internet comes last
ASKED = 2000  # documents that tell the model's loss
PROGRAMS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda text: gzip.compress(text, 9),
    "zstd": lambda text: zstandard.compress(text, 19),
    "xz": lambda text: lzma.compress(text, preset=9 | lzma.PRESET_EXTREME),
    "bz2": lambda text: bz2.compress(text, 9),
}


def internet(tokens: int, seed: int) -> Iterator[str]:
    """The documents of a training text of so many tokens."""
    _, tokenizer = load_released("base")
    for text in documents(seed=seed):
        tokens -= len(tokenizer.encode(text)) + 1
        if tokens < 0:
            return
        yield text


def main() -> None:
    parser = argparse.ArgumentParser(description="The model beside the usual programs.")
    parser.add_argument("out")
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = Table(options.out, COLUMNS)
    whole = "\n".join(internet(WHOLE, seed=1)).encode()
    sizes = [*SIZES, len(whole)]
    for size in sizes:
        for name, packed in PROGRAMS.items():
            if (name, size) not in table:
                table.add(name, size, len(packed(whole[:size])), 0)
    model, tokenizer = load_released("base")
    texts = list(held_out_documents(ASKED))
    for bits in (16, 8):
        name = f"model, {bits} bits"
        if (name, sizes[-1]) in table:
            continue
        copy = model if bits == 16 else rounded(model, bits)
        loss = held_out(copy, tokenizer, texts)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "model.gguf"
            write_gguf(path, copy, tokenizer, "F16" if bits == 16 else "Q8_0")
            beside = path.stat().st_size
        for size in sizes:
            nats = loss.model_nats / loss.n_bytes
            table.add(name, size, round(size * nats / math.log(2) / 8), beside)


if __name__ == "__main__":
    main()
