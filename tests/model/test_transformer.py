"""The Transformer against Hugging Face's, against softmax attention by hand, and its invariants."""

import os
from dataclasses import replace

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported: it asks the network otherwise

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from course_lib.config import MODELS, ModelConfig
from course_lib.model.transformer import KVCache, Transformer, rope_tables, rotate
from tests.tiny import sharpened

TINY = ModelConfig(
    vocab_size=97, context_length=24, dim=32, n_layers=3, n_heads=4, n_kv_heads=2, ffn_dim=48
)
VARIANTS = {
    "grouped, tied": TINY,
    "one key head, untied": replace(TINY, n_kv_heads=1, tied_embeddings=False),
    "multi-head, base 500000": replace(TINY, n_kv_heads=4, rope_theta=500_000.0),
}


def random_ids(rows: int, positions: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(TINY.vocab_size, (rows, positions), generator=generator)


def hugging_face_twin(model: Transformer) -> LlamaForCausalLM:
    c = model.config
    twin = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=c.vocab_size,
            max_position_embeddings=c.context_length,
            hidden_size=c.dim,
            num_hidden_layers=c.n_layers,
            num_attention_heads=c.n_heads,
            num_key_value_heads=c.n_kv_heads,
            intermediate_size=c.ffn_dim,
            rms_norm_eps=c.norm_eps,
            rope_parameters={"rope_type": "default", "rope_theta": c.rope_theta},
            tie_word_embeddings=c.tied_embeddings,
        )
    )
    names = {name if name.startswith("lm_head") else f"model.{name}" for name in model.state_dict()}
    assert names == set(twin.state_dict())
    twin.model.load_state_dict({k: v for k, v in model.state_dict().items() if "lm_head" not in k})
    twin.lm_head.load_state_dict(model.lm_head.state_dict())
    return twin.eval()


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_logits_equal_those_of_transformers(variant):
    model = sharpened(VARIANTS[variant])
    ids = random_ids(2, TINY.context_length)

    expected = hugging_face_twin(model)(ids).logits

    assert expected.std() > 0.5  # not a comparison of zeros
    torch.testing.assert_close(model(ids), expected, atol=1e-4, rtol=1e-4)


def test_gradients_equal_those_of_transformers():
    model = sharpened(TINY)
    twin = hugging_face_twin(model)
    ids = random_ids(2, 12)

    model(ids).logsumexp(-1).mean().backward()
    twin(ids).logits.logsumexp(-1).mean().backward()

    ours, theirs = model.layers[0].self_attn.k_proj, twin.model.layers[0].self_attn.k_proj
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad, atol=1e-5, rtol=1e-3)


@torch.no_grad()
def test_attention_equals_softmax_attention_written_out():
    model = sharpened(TINY)
    attention, D = model.layers[1].self_attn, TINY.head_dim
    x = torch.randn(1, 7, TINY.dim, generator=torch.Generator().manual_seed(2))
    cos, sin = rope_tables(7, D, TINY.rope_theta)

    heads = []
    for h in range(TINY.n_heads):
        kv = h // 2  # query heads 0 and 1 share key head 0, 2 and 3 share key head 1
        q = rotate(x[0] @ attention.q_proj.weight[h * D : (h + 1) * D].T, cos, sin)
        k = rotate(x[0] @ attention.k_proj.weight[kv * D : (kv + 1) * D].T, cos, sin)
        v = x[0] @ attention.v_proj.weight[kv * D : (kv + 1) * D].T
        rows = [torch.softmax(k[: t + 1] @ q[t] / D**0.5, 0) @ v[: t + 1] for t in range(7)]
        heads.append(torch.stack(rows))
    expected = torch.cat(heads, dim=-1) @ attention.o_proj.weight.T

    torch.testing.assert_close(attention(x, cos, sin)[0], expected, atol=1e-5, rtol=1e-4)


def test_rope_turns_a_pair_by_hand_worked_angles():
    # D = 4, base 100: frequencies 1 and 0.1; position 2 turns the pairs by 2 and 0.2 radians.
    cos, sin = rope_tables(3, 4, 100.0)

    turned = rotate(torch.tensor([[[1.0, 0.0, 0.0, 1.0]]]), cos[2], sin[2])

    # pair 0 is (x0, x2) = (1, 0), pair 1 is (x1, x3) = (0, 1)
    expected = torch.tensor([-0.41614684, -0.19866933, 0.90929743, 0.98006658])
    torch.testing.assert_close(turned[0, 0], expected)


@torch.no_grad()
def test_recorded_attention_is_causal_and_sums_to_one():
    trace = sharpened(TINY)(random_ids(2, 9), trace=True)

    maps = trace.attention
    assert maps.shape == (3, 2, 4, 9, 9)
    torch.testing.assert_close(maps.sum(-1), torch.ones(3, 2, 4, 9))
    assert maps.triu(diagonal=1).abs().max() == 0
    assert maps.tril().max(-1).values.std() > 0.01  # sharp enough to be worth showing


@torch.no_grad()
def test_record_holds_what_the_model_computed():
    model, ids = sharpened(TINY), random_ids(2, 9)

    trace = model(ids, trace=True)

    torch.testing.assert_close(trace.logits, model(ids))
    torch.testing.assert_close(trace.residual[0], model.embed_tokens(ids))
    torch.testing.assert_close(model.norm(trace.residual[-1]), model.hidden(ids))
    h = model.layers[0].input_layernorm(trace.residual[0])
    v = model.layers[0].self_attn.v_proj(h).view(2, 9, 2, 8).repeat_interleave(2, dim=2)
    mixed = torch.einsum("bhts,bshd->bthd", trace.attention[0], v).flatten(2)
    middle = trace.residual[0] + model.layers[0].self_attn.o_proj(mixed)
    after = middle + model.layers[0].mlp(model.layers[0].post_attention_layernorm(middle))
    torch.testing.assert_close(trace.residual[1], after, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_changing_a_token_leaves_earlier_logits_alone():
    model, ids = sharpened(TINY), random_ids(1, 12)
    changed = ids.clone()
    changed[0, 7] = (changed[0, 7] + 1) % TINY.vocab_size

    before, after = model(ids), model(changed)

    assert torch.equal(before[:, :7], after[:, :7])
    assert not torch.allclose(before[:, 7:], after[:, 7:], atol=1e-3)


@pytest.mark.parametrize("pieces", [[12], [1] * 12, [5, 1, 1, 5], [1, 11]])
@torch.no_grad()
def test_cached_passes_equal_one_whole_pass(pieces):
    model, ids = sharpened(TINY), random_ids(2, 12)
    cache = KVCache(TINY, batch_size=2)

    logits = torch.cat([model(part, cache) for part in ids.split(pieces, dim=1)], dim=1)

    assert cache.length == 12
    torch.testing.assert_close(logits, model(ids), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_rewound_cache_takes_another_continuation():
    model, ids, other = sharpened(TINY), random_ids(1, 10), random_ids(1, 10, seed=5)
    cache = KVCache(TINY, batch_size=1)
    model(ids, cache)

    cache.truncate(4)
    logits = model(other[:, 4:], cache)

    whole = model(torch.cat([ids[:, :4], other[:, 4:]], dim=1))
    torch.testing.assert_close(logits, whole[:, 4:], atol=1e-4, rtol=1e-4)
    cache.truncate(0)
    with pytest.raises(ValueError, match="holds 0 positions"):
        cache.truncate(1)


@torch.no_grad()
def test_a_cache_keeps_the_rows_it_is_told_to():
    model, ids = sharpened(TINY), random_ids(3, 10)
    cache = KVCache(TINY, batch_size=3)
    model(ids[:, :6], cache)

    cache.keep([2, 0])
    logits = model(ids[[2, 0], 6:], cache)

    torch.testing.assert_close(logits, model(ids[[2, 0]])[:, 6:], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_left_padding_changes_nothing_and_makes_no_nan():
    model, ids = sharpened(TINY), random_ids(3, 10)
    padding = torch.tensor([0, 4, 9])

    logits = model(ids, padding=padding)

    assert logits.isfinite().all()
    for row, n in enumerate(padding):
        alone = model(ids[row : row + 1, n:])[0]
        torch.testing.assert_close(logits[row, n:], alone, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_padded_record_looks_at_no_pad():
    trace = sharpened(TINY)(random_ids(1, 6), padding=torch.tensor([2]), trace=True)

    assert trace.attention[:, :, :, 2:, :2].abs().max() == 0
    torch.testing.assert_close(trace.attention.sum(-1), torch.ones(3, 1, 4, 6))


@pytest.mark.parametrize("name", MODELS)
def test_parameter_count_is_the_configs(name):
    config = replace(MODELS[name], n_layers=2)

    assert sum(p.numel() for p in Transformer(config).parameters()) == config.n_parameters


def test_initial_weights_follow_the_seed_and_leave_torchs_generator_alone():
    state = torch.get_rng_state()

    one, same, other = Transformer(TINY, seed=3), Transformer(TINY, seed=3), Transformer(TINY)

    assert torch.equal(one.layers[2].mlp.up_proj.weight, same.layers[2].mlp.up_proj.weight)
    assert not torch.equal(one.embed_tokens.weight, other.embed_tokens.weight)
    assert torch.equal(torch.get_rng_state(), state)


def test_initial_spread_is_smaller_where_the_stream_is_written():
    config = replace(TINY, dim=128, ffn_dim=256, n_layers=8)
    model = Transformer(config)

    assert model.layers[0].mlp.up_proj.weight.std().item() == pytest.approx(0.02, rel=0.03)
    assert model.layers[7].mlp.down_proj.weight.std().item() == pytest.approx(0.005, rel=0.03)
    assert model.layers[7].self_attn.o_proj.weight.std().item() == pytest.approx(0.005, rel=0.03)
    assert model.norm.weight.eq(1).all()


def test_tied_output_is_the_embedding_table():
    model = Transformer(TINY)
    untied = Transformer(replace(TINY, tied_embeddings=False))

    assert model.lm_head.weight is model.embed_tokens.weight
    assert untied.lm_head.weight is not untied.embed_tokens.weight


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (torch.tensor([[0, 97]]), "0 to 96, got 0 to 97"),
        (torch.tensor([[-1, 5]]), "got -1 to 5"),
        (torch.zeros(1, 25, dtype=torch.long), "25 positions exceed context_length 24"),
        (torch.zeros(5, dtype=torch.long), r"\(B, T\)"),
        (torch.zeros(1, 0, dtype=torch.long), "one id at least"),
    ],
)
def test_ids_that_do_not_fit_are_refused(ids, message):
    with pytest.raises(ValueError, match=message):
        Transformer(TINY)(ids)


def test_a_full_cache_and_a_recorded_cache_are_refused():
    model, cache = Transformer(TINY), KVCache(TINY, batch_size=1)
    model(random_ids(1, 24), cache)

    with pytest.raises(ValueError, match="25 positions"):
        model(random_ids(1, 1), cache)
    with pytest.raises(ValueError, match="without a cache"):
        model(random_ids(1, 1), cache, trace=True)
    with pytest.raises(ValueError, match="no cache goes with them"):
        model(random_ids(1, 4), KVCache(TINY, batch_size=1), segments=torch.zeros(1, 4))


@torch.no_grad()
def test_only_a_pass_through_all_layers_moves_a_cache_on():
    model, ids = sharpened(TINY), random_ids(1, 6)
    cache, x = KVCache(TINY, batch_size=1), model.embed_tokens(ids)
    cos, sin = model.cos[:6], model.sin[:6]

    for _ in range(2):  # a layer may be called alone, as often as one likes
        first = model.layers[0](x, cos, sin, None, cache)

    assert cache.length == 0
    torch.testing.assert_close(first, model(ids, trace=True).residual[1], atol=1e-4, rtol=1e-4)


def test_bfloat16_autocast_stays_close_and_gives_gradients():
    model, ids = Transformer(TINY), random_ids(2, 12)

    with torch.autocast("cpu", torch.bfloat16):
        logits = model(ids)
    logits.float().logsumexp(-1).mean().backward()

    assert logits.dtype == torch.bfloat16
    torch.testing.assert_close(logits.float(), model(ids), atol=0.02, rtol=0.05)
    assert all(
        p.grad.isfinite().all() and p.grad.dtype == torch.float32 for p in model.parameters()
    )


def test_a_bfloat16_model_stays_in_bfloat16():
    model, ids = Transformer(TINY), random_ids(2, 12)
    expected = model(ids)

    logits = model.bfloat16()(ids)

    assert logits.dtype == torch.bfloat16
    torch.testing.assert_close(logits.float(), expected, atol=0.02, rtol=0.05)


def test_the_model_is_one_graph_for_torch_compile():
    model, ids = Transformer(TINY), random_ids(2, 12)

    # "aot_eager" traces forward and backward like the default backend, but needs no C compiler
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    logits = compiled(ids)
    logits.mean().backward()

    torch.testing.assert_close(logits, model(ids))
    assert model.embed_tokens.weight.grad is not None


def test_a_tiny_model_learns_one_batch_by_heart():
    model, ids = Transformer(TINY), random_ids(4, 12)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)

    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(
            model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    assert loss.item() < 0.1  # it starts at ln 97 = 4.6
