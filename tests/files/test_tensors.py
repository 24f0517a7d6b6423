"""Tensors come back from a file by name and to the last bit, or it says what doesn't fit."""

import pytest
import torch
from torch import nn

from course_lib.files.tensors import (
    check_fit,
    copy_into,
    own_tensors,
    read_safetensors,
    write_safetensors,
)


class Tied(nn.Module):
    """A table that is also the output head, a buffer that is kept and one that isn't."""

    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Embedding(3, 2), nn.Linear(2, 3, bias=False)
        self.head.weight = self.table.weight
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("angles", torch.zeros(2), persistent=False)


def test_a_tied_table_has_one_name():
    assert list(own_tensors(Tied())) == ["mean", "table.weight"]


def test_what_is_read_is_what_was_written_strided_tensors_too(tmp_path):
    written = {"a": torch.randn(3, 2).T, "b": torch.tensor(0.1, dtype=torch.bfloat16)}
    write_safetensors(tmp_path / "x", written, {"made": "here"})

    found, metadata = read_safetensors(tmp_path / "x")

    assert metadata == {"made": "here"}
    assert all(torch.equal(found[name], written[name]) for name in written)


def test_another_dtype_is_converted_on_its_way_in():
    model = Tied()
    half = {name: tensor.bfloat16() for name, tensor in own_tensors(Tied()).items()}

    copy_into(own_tensors(model), half)

    assert torch.equal(model.head.weight, half["table.weight"].float())


def test_what_does_not_fit_is_named(tmp_path):
    own = own_tensors(Tied())

    with pytest.raises(ValueError, match=r"lacks \['table.weight'\] and has \['wte'\]"):
        check_fit(own, {"mean": own["mean"], "wte": own["table.weight"]}, tmp_path)
    with pytest.raises(ValueError, match=r"mean must be \(2,\), got \(3,\)"):
        check_fit(own, own | {"mean": torch.zeros(3)}, tmp_path)


def test_the_same_weights_give_the_same_bytes(tmp_path):
    tensors = {name: torch.arange(6.0).view(2, 3) + i for i, name in enumerate("cab")}
    metadata = {f"näme {i}": f'"text"\n{i}' for i in range(6)}
    found = set()
    for i in range(5):  # by chance five orders of six are hardly ever the same
        write_safetensors(tmp_path / f"{i}", tensors, metadata)
        found.add((tmp_path / f"{i}").read_bytes())

    assert len(found) == 1
    again, kept = read_safetensors(tmp_path / "0")
    assert kept == metadata and all(torch.equal(again[name], tensors[name]) for name in tensors)
    write_safetensors(tmp_path / "bare", tensors)
    assert read_safetensors(tmp_path / "bare")[1] == {}
