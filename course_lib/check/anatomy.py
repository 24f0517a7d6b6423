"""A Transformer's parts as plain functions of tensors, and what notebook 02b does with them.

They compute what `model.transformer` does, for one text at a time and without a cache. A learner
writes them, part by part; where one isn't written yet, these take its place.
"""

from collections.abc import Callable
from functools import cache, partial
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib.config import ModelConfig
from course_lib.model import transformer
from course_lib.model.transformer import Transformer, visible
from course_lib.pipeline.release import load_released
from course_lib.text.tokenizer import Tokenizer

NANO = ModelConfig()
KOHLI, TENDULKAR = "Virat Kohli", "Sachin Tendulkar"
ENDINGS = (" six", " century", " four", " ball")
Edit = Callable[[Tensor], Tensor]  # what the heads of a layer found (H, T, D), changed
Edits = Callable[[int, Tensor], Tensor]  # the same for a layer with its number


def causal_mask(T: int) -> Tensor:
    """True where a position (row) may look at a position (column), (T, T)."""
    return visible(T, T, None, None, torch.device("cpu"))[0, 0]


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Values mixed by how well each query fits the keys up to its own position, (..., T, D)."""
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def rms_norm(x: Tensor, gain: Tensor) -> Tensor:
    """x (..., C) over its root mean square, times a gain for each channel (C,)."""
    return F.rms_norm(x, gain.shape, gain, NANO.norm_eps)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Each pair (x_i, x_{i+D/2}) of x (..., T, D) turned by its position's angle."""
    return transformer.rotate(x, cos, sin).type_as(x)


def feed_forward(x: Tensor, gate: Tensor, up: Tensor, down: Tensor) -> Tensor:
    """SwiGLU: what each position of x (T, C) adds to itself."""
    return F.linear(F.silu(F.linear(x, gate)) * F.linear(x, up), down)


def block(x: Tensor, w: SimpleNamespace, cos: Tensor, sin: Tensor, edit: Edit) -> Tensor:
    """A layer on x (T, C). `w` are its `tables`; `edit` may change what its heads found."""
    n = rms_norm(x, w.norm1)
    q, k, v = split_heads(n @ w.q.T), split_heads(n @ w.k.T), split_heads(n @ w.v.T)
    found = edit(attention(rotate(q, cos, sin), rotate(k, cos, sin), v))  # (H, T, D)
    x = x + join_heads(found) @ w.o.T
    return x + feed_forward(rms_norm(x, w.norm2), w.gate, w.up, w.down)


def split_heads(y: Tensor, n_heads: int = NANO.n_heads, head_dim: int = NANO.head_dim) -> Tensor:
    """(T, K * D) as (H, T, D). Where there are fewer heads than H, neighbours share one."""
    heads = y.unflatten(-1, (-1, head_dim)).transpose(0, 1)  # (K, T, D)
    return heads.repeat_interleave(n_heads // len(heads), dim=0)


def join_heads(found: Tensor) -> Tensor:
    """What the heads found (H, T, D), side by side for each position (T, H * D)."""
    return found.transpose(0, 1).flatten(1)


def tables(model: Transformer, layer: int) -> SimpleNamespace:
    """The nine tables of a layer, by short names."""
    here = model.layers[layer]
    at, mlp = here.self_attn, here.mlp
    named = dict(norm1=here.input_layernorm, q=at.q_proj, k=at.k_proj, v=at.v_proj, o=at.o_proj)
    named |= dict(norm2=here.post_attention_layernorm)
    named |= dict(gate=mlp.gate_proj, up=mlp.up_proj, down=mlp.down_proj)
    return SimpleNamespace(**{name: part.weight.detach() for name, part in named.items()})


def without(*off: tuple[int, int]) -> Edits:
    """An edit that switches heads (layer, head) off: what they found becomes zeros."""

    def edit(layer: int, found: Tensor) -> Tensor:
        on = torch.tensor([(layer, head) not in off for head in range(len(found))])
        return found * on[:, None, None]

    return edit


@torch.no_grad()
def run(model: Transformer, ids: list[int], edit: Edits) -> Tensor:
    """Logits (T, V) of the course's own parts, put together."""
    cos, sin = model.cos[: len(ids)], model.sin[: len(ids)]
    x = model.embed_tokens.weight[ids]
    for layer in range(len(model.layers)):
        x = block(x, tables(model, layer), cos, sin, partial(edit, layer))
    return rms_norm(x, model.norm.weight) @ model.embed_tokens.weight.T


@cache
def base() -> tuple[Transformer, Tokenizer]:
    """The released base model and its tokenizer, loaded once."""
    return load_released("base")


def ids_of(player: str) -> list[int]:
    """The sentence about this player."""
    tokenizer = base()[1]
    return [tokenizer.eot_id, *tokenizer.encode(f"In that match {player} hit a")]


def probabilities(logits: Tensor) -> list[float]:
    """Of six, century, four and ball, from the logits (V,) of one position."""
    tokenizer = base()[1]
    return logits.softmax(-1)[[tokenizer.encode(word)[0] for word in ENDINGS]].tolist()


def shares(player: str, edit: Edits) -> list[float]:
    """What the released model gives the four endings, with its heads edited."""
    return probabilities(run(base()[0], ids_of(player), edit)[-1])


def gap(*off: tuple[int, int]) -> float:
    """How many points more six has after Kohli than after Tendulkar, with these heads off."""
    six = [shares(player, without(*off))[0] for player in (KOHLI, TENDULKAR)]
    return 100 * (six[0] - six[1])


def blindfolded(player: str, who: int, to: list[int]) -> list[float]:
    """`shares` where the position `who` may not look at the positions in `to`, in no layer."""
    mask = causal_mask(len(ids_of(player)))
    mask[who, to] = False
    return masked(player, mask)


@torch.no_grad()
def masked(player: str, mask: Tensor) -> list[float]:
    """`shares` where `mask` (T, T) is True at who (row) may look at whom (column), in each layer.

    A mask of another size or kind raises ValueError.
    """
    model, ids = base()[0], torch.tensor([ids_of(player)])
    T = ids.shape[1]
    is_tensor = isinstance(mask, Tensor)
    if not is_tensor or mask.dtype != torch.bool or mask.shape != (T, T):
        got = f"{tuple(mask.shape)} of {mask.dtype}" if is_tensor else f"{mask!r:.60}"
        raise ValueError(
            f"expected a table ({T}, {T}) of True and False, for the {T} tokens of the sentence, "
            f"got {got}: window_mask({T}, 3) gives one, once its check says it's right"
        )
    x = model.embed_tokens(ids)
    for layer in model.layers:
        x = layer(x, model.cos[:T], model.sin[:T], mask[None, None])
    return probabilities(model.lm_head(model.norm(x))[0, -1])
