"""inside.c against Python: the same logits, attention and residual stream, and heads left out."""

import pytest
import torch

from course_lib.files import gguf
from tests.files.inside import Inside, compile_library
from tests.files.test_run_c import CONFIG, MODELS, TOKENIZER


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return compile_library(tmp_path_factory.mktemp("library"))


def opened(library, folder, name: str, context_length: int = 4096) -> Inside:
    path = folder / "model.gguf"
    gguf.write_gguf(path, MODELS[name], TOKENIZER)
    return Inside(library, path, context_length)


def close(found, expected) -> None:
    # float32 sums in another order
    torch.testing.assert_close(torch.tensor(found), expected, rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("name", MODELS)
def test_what_it_notes_is_what_python_traces(name, library, tmp_path):
    model, inside = MODELS[name], opened(library, tmp_path, name)
    ids = [TOKENIZER.eot_id, *TOKENIZER.encode("The cat's hat isn't on the mat")]
    n, L = len(ids), model.config.n_layers

    with torch.no_grad():
        trace = model(torch.tensor([ids]), trace=True)

    assert inside.look(ids) == n
    assert (inside.V, inside.T, inside.L, inside.H) == (
        CONFIG.vocab_size,
        CONFIG.context_length,
        L,
        CONFIG.n_heads,
    )
    close(inside.residual()[:n].transpose(1, 0, 2), trace.residual[:, 0])
    close(inside.attention()[:n, :, :, :n].transpose(1, 2, 0, 3), trace.attention[:, 0].tril())
    for place in (0, n - 1):
        close(inside.logits(place, L), trace.logits[0, place])
        early = model.lm_head(model.norm(trace.residual[1, 0, place])).detach()
        close(inside.logits(place, 1), early)


@pytest.mark.parametrize("kind", ["F16", "Q8_0"])
def test_a_model_that_is_unpacked_computes_the_same(kind, library, tmp_path):
    gguf.write_gguf(tmp_path / "model.gguf", MODELS["tied"], TOKENIZER, kind)
    inside = Inside(library, tmp_path / "model.gguf")
    ids = TOKENIZER.encode("The cat's hat isn't on the mat")
    inside.look(ids)
    before = inside.logits(len(ids) - 1, CONFIG.n_layers)

    library.unpack(inside.model)
    inside.look([5])  # it forgets what it knows of the ids
    inside.look(ids)

    after = inside.logits(len(ids) - 1, CONFIG.n_layers)
    assert abs(after - before).max() < 2e-4  # Q8_0 adds in another order


def test_what_is_known_is_not_computed_again(library, tmp_path):
    inside = opened(library, tmp_path, "tied")
    ids = TOKENIZER.encode("The cat's hat isn't on the mat")

    assert inside.look(ids) == len(ids)
    whole = inside.logits(len(ids) - 1, CONFIG.n_layers)
    assert inside.look(ids) == 0
    assert inside.look([*ids[:-1], 5]) == 1 and inside.look(ids[:3]) == 0
    assert inside.look(ids) == len(ids) - 3
    assert (inside.logits(len(ids) - 1, CONFIG.n_layers) == whole).all()


def test_a_head_that_is_off_adds_nothing(library, tmp_path):
    model, inside = MODELS["tied"], opened(library, tmp_path, "tied")
    ids, D = TOKENIZER.encode("The cat's hat isn't"), CONFIG.head_dim
    place, L = len(ids) - 1, CONFIG.n_layers
    inside.look(ids)
    before = inside.logits(place, L)

    inside.switch_head(1, 2, True)
    inside.look(ids)
    without = inside.logits(place, L)
    inside.switch_head(1, 2, False)
    inside.look(ids)
    again = inside.logits(place, L)

    copy = type(model)(model.config)
    copy.load_state_dict(model.state_dict())
    with torch.no_grad():
        copy.layers[1].self_attn.o_proj.weight[:, 2 * D : 3 * D] = 0
        close(without, copy(torch.tensor([ids]))[0, -1])
    assert (again == before).all() and abs(without - before).max() > 0.1


def test_what_does_not_fit_or_is_no_token_is_refused(library, tmp_path):
    inside = opened(library, tmp_path, "tied", context_length=8)

    assert inside.T == 8
    assert inside.look([1] * 8) == 8 and inside.look([1] * 9) == -1
    assert inside.look([CONFIG.vocab_size]) == -1 and inside.look([-1]) == -1


def test_a_text_has_the_ids_that_python_gives(library, tmp_path):
    inside = opened(library, tmp_path, "tied")

    for text in ("", "The cat's hat", "naïve 日本 🙂\n\n 12"):
        assert inside.encode(text) == TOKENIZER.encode(text)
