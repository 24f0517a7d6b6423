"""The run file as WebAssembly, in wasmtime: what it computes is what Python computes."""

import struct
from dataclasses import replace

import pytest
import torch
import wasmtime

from course_lib.files import gguf
from course_lib.model.transformer import Transformer
from tests.files.test_run_c import CONFIG, MODELS, TOKENIZER, model_in


class Page:
    """What a page does with the module: files and ids go into its memory, numbers come out."""

    def __init__(self, engine, module, content: bytes, errors=None):
        self.store = wasmtime.Store(engine)
        wasi = wasmtime.WasiConfig()
        if errors:
            wasi.stderr_file = str(errors)
        self.store.set_wasi(wasi)
        linker = wasmtime.Linker(engine)
        linker.define_wasi()
        self.exports = linker.instantiate(self.store, module).exports(self.store)
        self.call("_initialize")
        self.model = self.call("open_model", self.put(content), len(content), 4096)

    def call(self, name, *arguments):
        return self.exports[name](self.store, *arguments)

    def put(self, content: bytes) -> int:
        """The address at which the module finds these bytes."""
        at = self.call("room", len(content))
        self.exports["memory"].write(self.store, content, at)
        return at

    def take(self, at: int, size: int) -> bytes:
        return bytes(self.exports["memory"].read(self.store, at, at + size))

    def encode(self, text: str) -> list[int]:
        content = text.encode()
        to = self.put(bytes(8 * len(content)))
        n = self.call("encode_text", self.model, self.put(content), len(content), to)
        return list(struct.unpack(f"<{n}i", self.take(to, 4 * n)))

    def look(self, ids: list[int]) -> int:
        at = self.put(struct.pack(f"<{len(ids)}i", *ids))
        return self.call("look", self.model, at, len(ids))

    def numbers(self, at: int, *shape: int) -> torch.Tensor:
        content = self.take(at, 4 * torch.Size(shape).numel())
        return torch.frombuffer(bytearray(content), dtype=torch.float32).view(shape)


@pytest.fixture(scope="module")
def engine():
    return wasmtime.Engine()


@pytest.fixture(scope="module")
def module(engine, wasm):
    assert wasm.stat().st_size < 100_000
    return wasmtime.Module.from_file(engine, str(wasm))


@pytest.mark.parametrize("kind", ["F32", "F16", "Q8_0"])
def test_a_page_computes_what_python_computes(kind, engine, module, tmp_path):
    gguf.write_gguf(tmp_path / "model.gguf", MODELS["tied"], TOKENIZER, kind)
    page = Page(engine, module, (tmp_path / "model.gguf").read_bytes())
    model, text = model_in(tmp_path / "model.gguf", CONFIG), "The cat's hat isn't 日本 🙂"
    ids, T, L, H = TOKENIZER.encode(text), CONFIG.context_length, CONFIG.n_layers, CONFIG.n_heads
    n = len(ids)

    with torch.no_grad():
        trace = model(torch.tensor([ids]), trace=True)

    def close(found, expected):
        # float32 sums in another order
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=2e-4)

    assert page.encode(text) == ids
    assert page.look(ids) == n and page.look(ids) == 0
    logits = page.numbers(page.call("logits_after", page.model, n - 1, L), CONFIG.vocab_size)
    close(logits, trace.logits[0, -1])
    residual = page.numbers(page.call("residual_of", page.model), T, L + 1, CONFIG.dim)
    close(residual[:n].transpose(0, 1), trace.residual[:, 0])
    attention = page.numbers(page.call("attention_of", page.model), T, L, H, T)
    close(attention[:n, :, :, :n].permute(1, 2, 0, 3), trace.attention[:, 0].tril())
    page.call("switch_head", page.model, 0, 1, 1)
    page.look(ids)
    without = page.numbers(page.call("logits_after", page.model, n - 1, L), CONFIG.vocab_size)
    assert (without - logits).abs().max() > 0.01


def test_notes_beyond_all_memory_are_refused(engine, module, tmp_path):
    # 4096 * 16 * 16 * 4096 is 2 to the power of 32, which 32 bits take for 0.
    config = replace(
        CONFIG, context_length=4096, dim=32, n_layers=16, n_heads=16, n_kv_heads=1, ffn_dim=32
    )
    gguf.write_gguf(tmp_path / "model.gguf", Transformer(config, 1), TOKENIZER)

    with pytest.raises(wasmtime.ExitTrap):
        Page(engine, module, (tmp_path / "model.gguf").read_bytes(), tmp_path / "errors")

    assert (tmp_path / "errors").read_text().startswith("run: not enough memory")


def test_a_damaged_file_ends_the_module_with_a_sentence(engine, module, tmp_path):
    gguf.write_gguf(tmp_path / "model.gguf", MODELS["tied"], TOKENIZER)
    content = (tmp_path / "model.gguf").read_bytes()

    with pytest.raises(wasmtime.ExitTrap) as end:
        Page(engine, module, content[:5000], tmp_path / "errors")

    assert end.value.code == 1
    assert (tmp_path / "errors").read_text().startswith("run: the file ")
