"""inside.c, compiled for this machine and called through ctypes."""

import ctypes
import os
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest

from course_lib.files import run_file

SOURCE = run_file.SOURCE.with_name("inside.c")
SHAPE = ("vocab_size", "context_length", "n_layers", "n_heads", "dim")


def compile_library(directory: Path) -> ctypes.CDLL:
    if os.name == "nt":
        pytest.skip("Windows has no fmemopen: there inside.c runs in a page only")
    compiler = shlex.split(run_file.find_compiler())
    path = directory / "inside.so"
    subprocess.run(
        [*compiler, "-O2", "-fPIC", "-shared", "-o", path, SOURCE, "-lm"],
        check=True,
        capture_output=True,
    )
    library = ctypes.CDLL(str(path))
    pointer, number = ctypes.c_void_p, ctypes.c_int
    floats = ctypes.POINTER(ctypes.c_float)
    for name, result, arguments in (
        ("open_model", pointer, [ctypes.c_char_p, ctypes.c_size_t, number]),
        ("shape", number, [pointer, number]),
        ("unpack", None, [pointer]),
        ("encode_text", number, [pointer, ctypes.c_char_p, ctypes.c_size_t, pointer]),
        ("switch_head", None, [pointer, number, number, number]),
        ("look", number, [pointer, pointer, number]),
        ("attention_of", floats, [pointer]),
        ("residual_of", floats, [pointer]),
        ("logits_after", floats, [pointer, number, number]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class Inside:
    """A GGUF, opened by the library."""

    def __init__(self, library: ctypes.CDLL, gguf: Path, context_length: int = 4096):
        self.library = library
        content = gguf.read_bytes()
        self.model = library.open_model(content, len(content), context_length)
        sizes = (library.shape(self.model, i) for i in range(len(SHAPE)))
        self.V, self.T, self.L, self.H, self.C = sizes

    def encode(self, text: str | bytes) -> list[int]:
        text = text.encode() if isinstance(text, str) else text
        ids = (ctypes.c_int * (2 * len(text) + 1))()
        return ids[: self.library.encode_text(self.model, text, len(text), ids)]

    def look(self, ids: list[int]) -> int:
        return self.library.look(self.model, (ctypes.c_int * len(ids))(*ids), len(ids))

    def switch_head(self, layer: int, head: int, is_off: bool) -> None:
        self.library.switch_head(self.model, layer, head, is_off)

    def attention(self) -> np.ndarray:
        """(T, L, H, T)"""
        found = self.library.attention_of(self.model)
        return np.ctypeslib.as_array(found, (self.T, self.L, self.H, self.T))

    def residual(self) -> np.ndarray:
        """(T, L + 1, C)"""
        found = self.library.residual_of(self.model)
        return np.ctypeslib.as_array(found, (self.T, self.L + 1, self.C))

    def logits(self, place: int, layers: int) -> np.ndarray:
        """(V,)"""
        found = self.library.logits_after(self.model, place, layers)
        return np.ctypeslib.as_array(found, (self.V,)).copy()
