"""Damaged copies of a model: what changes, by how much, and that the given model stays."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from course_lib.config import ModelConfig
from course_lib.files.gguf import gguf_tensors, read_gguf_tensors, write_gguf
from course_lib.measure.damage import changed, coarse, rounded, with_noise, without_layer
from course_lib.model.transformer import Transformer
from course_lib.pipeline.release import load_released

TINY = ModelConfig(64, 16, 32, 3, 2, 1, 64, 1e4)


@pytest.fixture
def model() -> Transformer:
    return Transformer(TINY)


def pairs(one: Transformer, other: Transformer):
    return zip(one.parameters(), other.parameters(), strict=True)


@pytest.mark.parametrize(
    "damage",
    [
        lambda model: with_noise(model, 0.5),
        lambda model: without_layer(model, 1),
        lambda model: rounded(model, 4),
        lambda model: changed(model, lambda matrix: np.multiply(matrix, 2, out=matrix)),
    ],
    ids=["noise", "layer", "bits", "in place"],
)
def test_the_given_model_stays_as_it_is(model, damage):
    before = deepcopy(model)

    copy = damage(model)

    assert all(torch.equal(old, new) for old, new in pairs(before, model))
    assert any(not torch.equal(old, new) for old, new in pairs(model, copy))


def size(table: torch.Tensor) -> float:
    return table.square().mean().sqrt().item()


def test_noise_is_a_share_of_the_size_of_each_tensors_numbers():
    model = Transformer(ModelConfig(512, 16, 512, 1, 2, 1, 128, 1e4))
    with torch.no_grad():
        model.norm.weight.normal_(3.0, 0.1)  # large, and close together: their spread is small

    copy = with_noise(model, 0.1)

    for old, new in pairs(model, copy):
        assert size(new - old) == pytest.approx(0.1 * size(old), rel=0.1)


def test_a_seed_gives_the_same_noise_again_and_another_seed_another(model):
    first, again, other = (with_noise(model, 0.1, seed) for seed in (3, 3, 4))

    assert all(torch.equal(a, b) for a, b in pairs(first, again))
    assert not torch.equal(first.embed_tokens.weight, other.embed_tokens.weight)


def test_no_noise_is_no_change(model):
    assert all(torch.equal(a, b) for a, b in pairs(model, with_noise(model, 0)))


@pytest.mark.parametrize("number", [0, 2])
def test_without_a_layer_the_stream_passes_it_unchanged(model, number):
    ids = torch.arange(10)[None]

    trace = without_layer(model, number)(ids, trace=True)

    assert torch.equal(trace.residual[number + 1], trace.residual[number])
    kept = [i for i in range(3) if i != number]
    assert all(not torch.equal(trace.residual[i + 1], trace.residual[i]) for i in kept)


def test_eight_bits_are_what_a_q8_0_file_gives_back(tmp_path):
    model, tokenizer = load_released("base")
    write_gguf(tmp_path / "q8.gguf", model, tokenizer, "Q8_0")

    found = gguf_tensors(rounded(model, 8))

    for name, numbers in read_gguf_tensors(tmp_path / "q8.gguf").items():
        assert np.array_equal(found[name].numpy(), numbers), name


def test_four_bits_leave_sixteen_values_to_a_block(model):
    copy = rounded(model, 4)

    blocks = copy.layers[0].mlp.up_proj.weight.detach().view(-1, 32)
    n_values = [len(block.unique()) for block in blocks]
    assert max(n_values) <= 16
    assert max(n_values) > 8  # more than 3 bits could hold


def test_norms_keep_their_bits(model):
    with torch.no_grad():
        model.norm.weight.normal_(generator=torch.Generator().manual_seed(0))

    assert torch.equal(rounded(model, 4).norm.weight, model.norm.weight)


def test_a_tied_table_is_changed_once_and_stays_tied(model):
    copy = changed(model, lambda matrix: 2 * matrix)

    assert copy.lm_head.weight is copy.embed_tokens.weight
    assert torch.equal(copy.embed_tokens.weight, 2 * model.embed_tokens.weight)


@pytest.mark.parametrize("share", [-0.1, float("nan"), float("inf")])
def test_impossible_noise_is_refused(model, share):
    with pytest.raises(ValueError, match="share must be"):
        with_noise(model, share)


@pytest.mark.parametrize("number", [-1, 3, 0.5, None])
def test_a_layer_that_is_not_there_is_refused(model, number):
    with pytest.raises(ValueError, match="the layers are 0 to 2"):
        without_layer(model, number)


@pytest.mark.parametrize("bits", [3, 16, None])
def test_other_numbers_of_bits_are_refused(model, bits):
    with pytest.raises(ValueError, match="bits must be 8 or 4"):
        rounded(model, bits)


def test_a_change_of_shape_is_refused(model):
    with pytest.raises(ValueError, match="keep the shape"):
        changed(model, lambda matrix: matrix[:1])


def test_coarse_numbers_are_whole_steps_of_their_blocks_largest():
    table = np.zeros((2, 64), dtype=np.float32)
    table[0, :4] = [7.0, -6.6, 3.4, 0.4]
    table[1, 40] = -2.0

    found = coarse(table, 4)

    assert found[0, :5].tolist() == [7, -7, 3, 0, 0]  # seven steps of 1 up, seven down
    assert found[1, 40] == pytest.approx(-2.0, rel=1e-3) and not found[1, :40].any()
    assert np.isfinite(found).all()  # a block of zeros has no step


def test_eight_coarse_bits_are_ggufs_but_for_exact_middles(model):
    ours = changed(model, lambda table: coarse(table, 8))

    differ = [(a != b).float().mean().item() for a, b in pairs(ours, rounded(model, 8))]
    assert max(differ) < 0.01
