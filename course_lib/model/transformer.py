"""The Transformer of the course: Llama's architecture in one file, KV cache included.

Pre-norm blocks of grouped-query attention with rotary positions (RoPE) and SwiGLU, RMSNorm, no
biases (Touvron et al. 2023, arXiv 2307.09288). Modules carry the names of Hugging Face's
`LlamaForCausalLM`, so `transformers` can read our weights. Nothing here knows optimizers, data or
devices. Left out: dropout, and RoPE scaled for longer contexts.

Shapes: B rows of the batch, T positions fed now, S positions seen (the cached ones and T),
C channels (dim), H query heads, K key/value heads, D channels of a head, L layers, V vocabulary.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.config import ModelConfig


def linear(n_in: int, n_out: int) -> nn.Linear:
    """A matrix without bias, not filled yet: `Transformer.initialise` draws every weight."""
    # nn.Linear would first draw weights of its own, from torch's global dice, only for us to
    # overwrite them. skip_init doesn't; but left alone it takes the CPU even where somebody asks
    # for "meta", the device of shapes without numbers.
    device = torch.get_default_device()
    return nn.utils.skip_init(nn.Linear, n_in, n_out, bias=False, device=device)


def rope_tables(context_length: int, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the angle m * theta^(-2i/D) of position m and pair i, each (S, D/2).

    Angles are in radians. Su et al. 2021, arXiv 2104.09864.
    """
    # Think of a clock with D/2 hands. The first turns by a radian per position, the last takes
    # thousands of positions for it: fast hands tell neighbours apart, slow ones near from far.
    frequencies = theta ** (-torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    angles = torch.outer(torch.arange(context_length, dtype=torch.float32), frequencies)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Each pair (x_i, x_{i+D/2}) of x (B, heads, T, D) turned by its position's angle, float32.

    The pairs are a head's two halves, as in Hugging Face; GGUF and Meta pair neighbours instead.
    """
    # Why turn at all? The product of a query and a key that are turned by m and n angles depends on
    # m - n alone. So a head can learn "three tokens back" once, for the whole context.
    # Which two numbers make a pair is pure convention, as long as q and k keep to the same one.
    a, b = x.float().chunk(2, dim=-1)  # far positions need float32's digits
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


def visible(
    T: int, S: int, padding: Tensor | None, segments: Tensor | None, device: torch.device
) -> Tensor:
    """True where a query may look at a key, (1 or B, 1, T, S); the queries are the last T of S."""
    query = torch.arange(S - T, S, device=device)[:, None]
    key = torch.arange(S, device=device)
    # The past and itself, never the future. This one comparison lets T positions be T exercises in
    # a single pass: each has to predict its next token, and none can peek at the answer.
    mask = (key <= query)[None, None]
    if segments is not None:
        # Documents that share a row are strangers. Without this the model would look for a
        # connection between Paris and the cricket match that happens to stand before it.
        mask = mask & (segments[:, None, :, None] == segments[:, None, None, :])
    if padding is not None:
        # Pads stand on the left, so "not a pad" means "at or after the first real position".
        # A pad sees itself: nobody reads its output, but a softmax over nothing would be NaN.
        mask = mask & (key >= padding.view(-1, 1, 1, 1)) | (key == query)
    return mask


class KVCache:
    """Keys and values of the positions read so far, so that each is computed only once.

    Two tensors (L, B, K, context_length, D), of which the first `length` positions are filled.
    """

    # Queries aren't kept: a past position has asked its question, and nobody will ask it again.
    # The tensors are allocated whole, because growing them by torch.cat would copy all of the past
    # for each new token.

    def __init__(
        self, config: ModelConfig, batch_size: int, dtype=torch.float32, device=None
    ) -> None:
        heads = (config.n_layers, batch_size, config.n_kv_heads)
        shape = (*heads, config.context_length, config.head_dim)
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    def extend(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """One layer's keys and values up to now, (B, K, S, D), the new (B, K, T, D) included.

        Every layer writes its own at the same positions, so none may move `length`: whoever runs
        the layers calls `advance` once, after the last.
        """
        start, end = self.length, self.length + k.shape[2]
        self.keys[layer, :, :, start:end] = k
        self.values[layer, :, :, start:end] = v
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]

    def advance(self, n: int) -> None:
        """Count `n` more positions as filled, now that every layer has written them."""
        self.length += n

    def truncate(self, n: int) -> None:
        """Rewind to the first `n` positions."""
        if not 0 <= n <= self.length:
            raise ValueError(f"the cache holds {self.length} positions, so it can't rewind to {n}")
        self.length = n

    def reset(self) -> None:
        """Forget everything."""
        self.truncate(0)

    def keep(self, rows: list[int]) -> None:
        """Go on with these rows of the batch only, in this order; all else is forgotten."""
        self.keys, self.values = self.keys[:, rows], self.values[:, rows]


@dataclass(frozen=True)
class Trace:
    """What one pass computed on its way: `model(ids, trace=True)`."""

    logits: Tensor  # (B, T, V)
    attention: Tensor  # (L, B, H, T, T); each row is a distribution over the keys
    residual: Tensor  # (L + 1, B, T, C): the embedding, then the stream after each layer


class RMSNorm(nn.Module):
    """x over its root mean square, times a learned gain (Zhang & Sennrich 2019, 1910.07467)."""

    # LayerNorm would also take off the mean and add a bias. Leaving both out costs nothing that
    # anybody has found, and it is cheaper.

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """x (..., C) at its usual size, whatever its own was."""
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


class Attention(nn.Module):
    """Causal attention; H/K query heads share one key/value head (Ainslie 2023, 2305.13245)."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer  # its place in the cache
        self.head_dim = config.head_dim
        self.q_proj = linear(config.dim, config.n_heads * config.head_dim)
        self.k_proj = linear(config.dim, config.n_kv_heads * config.head_dim)
        self.v_proj = linear(config.dim, config.n_kv_heads * config.head_dim)
        self.o_proj = linear(config.n_heads * config.head_dim, config.dim)

    def queries_keys_values(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, ...]:
        """What each head asks, offers and passes on: (B, H, T, D) and twice (B, K, T, D)."""
        B, T, _ = x.shape
        # Heads come before positions, so that each head's (T, D) is one matrix to multiply.
        q = self.q_proj(x).view(B, T, -1, self.head_dim).transpose(1, 2)  # (B, H, T, D)
        k = self.k_proj(x).view(B, T, -1, self.head_dim).transpose(1, 2)  # (B, K, T, D)
        v = self.v_proj(x).view(B, T, -1, self.head_dim).transpose(1, 2)  # (B, K, T, D)
        # Positions turn what is compared, not what is passed on: values stay as they are.
        return rotate(q, cos, sin).type_as(x), rotate(k, cos, sin).type_as(x), v.type_as(x)

    def forward(self, x, cos, sin, mask=None, cache: KVCache | None = None) -> Tensor:
        """What the heads found, mixed into one vector per position, (B, T, C)."""
        B, T, C = x.shape
        q, k, v = self.queries_keys_values(x, cos, sin)
        if cache is not None:
            k, v = cache.extend(self.layer, k, v)  # (B, K, S, D)
        # No mask is plain causal attention, or one new position, which sees all there is. Kernels
        # know the causal case and skip the half of the work that a mask would only throw away.
        # A CPU's fused attention is slower in bfloat16 than in float32: no autocast here.
        with torch.autocast("cpu", enabled=False):
            y = F.scaled_dot_product_attention(
                q, k, v, attn_mask=mask, is_causal=mask is None and T > 1, enable_gqa=True
            )  # (B, H, T, D)
        return self.o_proj(y.transpose(1, 2).reshape(B, T, C))

    def attention_map(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        """softmax(q k^T / sqrt(D)) over the visible keys, (B, H, T, T).

        The fused kernel in `forward` never forms this map; here it is written out to be looked at.
        """
        q, k, _ = self.queries_keys_values(x, cos, sin)
        # Neighbouring query heads share a key head: here it is copied for each of them. enable_gqa
        # does the same without the copies.
        k = k.repeat_interleave(q.shape[1] // k.shape[1], dim=1)  # (B, H, T, D)
        # A product of D random pairs has a spread of sqrt(D). Undivided it would grow with the size
        # of the heads, until softmax gave everything to one key and hardly any gradient came back.
        scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
        return scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)


class MLP(nn.Module):
    """SwiGLU: down(silu(gate(x)) * up(x)) (Shazeer 2020, arXiv 2002.05202)."""

    # GPT-2 has two matrices here, 4 C wide; the gate makes a third, so 8/3 C wide costs the same.
    # Why gates do better nobody can say: Shazeer's paper puts it down to divine benevolence.

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_proj = linear(config.dim, config.ffn_dim)
        self.up_proj = linear(config.dim, config.ffn_dim)
        self.down_proj = linear(config.ffn_dim, config.dim)

    def forward(self, x: Tensor) -> Tensor:
        """What it adds at each position, (B, T, C)."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    """One layer: attention moves information between positions, the MLP works on each alone."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.dim, config.norm_eps)
        self.self_attn = Attention(config, layer)
        self.post_attention_layernorm = RMSNorm(config.dim, config.norm_eps)
        self.mlp = MLP(config)

    def forward(self, x: Tensor, cos, sin, mask=None, cache: KVCache | None = None) -> Tensor:
        """The residual stream (B, T, C) after the layer has added to it."""
        # Each part reads a normed copy and only ever adds. The stream itself runs through from the
        # embedding to the output, so gradients have a straight road back, however many layers.
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask, cache)
        return x + self.mlp(self.post_attention_layernorm(x))


class Transformer(nn.Module):
    """A Llama-style language model: ids (B, T) in, logits of the next token (B, T, V) out."""

    def __init__(self, config: ModelConfig, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        # Empty, as it is filled below. (skip_init would import a compiler for that: two seconds.)
        table = torch.empty(config.vocab_size, config.dim)
        self.embed_tokens = nn.Embedding.from_pretrained(table, freeze=False)
        self.layers = nn.ModuleList(Block(config, layer) for layer in range(config.n_layers))
        self.norm = RMSNorm(config.dim, config.norm_eps)
        self.lm_head = linear(config.dim, config.vocab_size)
        if config.tied_embeddings:
            # One table, read row by row on the way in and multiplied with on the way out. Our
            # smallest model would grow by 15% with a second one.
            self.lm_head.weight = self.embed_tokens.weight
        cos, sin = rope_tables(config.context_length, config.head_dim, config.rope_theta)
        self.register_buffer("cos", cos, persistent=False)  # derived: not part of a checkpoint
        self.register_buffer("sin", sin, persistent=False)
        self.initialise(seed)

    @torch.no_grad()
    def initialise(self, seed: int) -> None:
        """Draw every matrix with a standard deviation of 0.02, as GPT-2 does; norms start at 1.

        The 2 L matrices that write to the residual stream get 0.02 / sqrt(2 L): it sums up what
        they write, and its variance shouldn't grow with the depth.
        """
        # Dice of its own: a seed means the same model, whatever was drawn before it.
        generator = torch.Generator().manual_seed(seed)
        for name, weight in self.named_parameters():
            writes = name.endswith(("o_proj.weight", "down_proj.weight"))
            std = 0.02 / (2 * self.config.n_layers) ** 0.5 if writes else 0.02
            if weight.dim() == 2:
                weight.normal_(0.0, std, generator=generator)

    def hidden(self, ids: Tensor, cache=None, padding=None, segments=None) -> Tensor:
        """The residual stream after the last layer and the final norm, (B, T, C)."""
        return self.norm(self._run_layers(ids, cache, padding, segments))

    def next_logits(self, ids: Tensor, cache=None, padding=None) -> Tensor:
        """Logits of the token after the last position, (B, V).

        Only that position goes through the output layer: V products instead of T times V.
        """
        return self.lm_head(self.hidden(ids, cache, padding)[:, -1])

    def forward(
        self,
        ids: Tensor,
        cache: KVCache | None = None,
        padding: Tensor | None = None,
        segments: Tensor | None = None,
        trace: bool = False,
        only: Tensor | None = None,
    ) -> Tensor | Trace:
        """Logits of the token after each position, (B, T, V), or the whole pass as a `Trace`.

        With a `cache`, the new positions follow the cached ones and join them. `padding` (B,)
        counts the pads at the LEFT of each row: they are masked, and as RoPE knows only
        distances, nothing else changes. `segments` (B, T) numbers the documents that share a row:
        a token sees its own document only, as if each stood alone. `only` (N,) numbers positions,
        row after row: their logits come back, (N, V), and no others are computed.
        """
        if not trace:
            hidden = self.hidden(ids, cache, padding, segments)
            return self.lm_head(hidden if only is None else hidden.flatten(0, 1)[only])
        if cache is not None:
            raise ValueError("trace=True shows one whole pass: call the model without a cache")
        return self._trace(ids, padding, segments)

    def _run_layers(self, ids, cache, padding, segments) -> Tensor:
        """The residual stream before the final norm, (B, T, C)."""
        T = ids.shape[-1]
        start = 0 if cache is None else cache.length
        self._check(ids, cache, segments)
        # Mostly no mask is needed. It is with padding, with documents that share a row, and where
        # several new positions follow cached ones: is_causal would line those up with the start.
        mask = None
        if padding is not None or segments is not None or (start > 0 and T > 1):
            mask = visible(T, start + T, padding, segments, ids.device)
        cos, sin = self.cos[start : start + T], self.sin[start : start + T]
        x = self.embed_tokens(ids)  # (B, T, C)
        for layer in self.layers:
            x = layer(x, cos, sin, mask, cache)
        if cache is not None:
            cache.advance(T)
        return x

    def _trace(self, ids, padding, segments) -> Trace:
        """The same pass, keeping what it computes on its way.

        A pass of its own, so that the one that trains carries nothing for those who only look. It
        computes queries and keys twice, which nobody notices in one prompt.
        """
        T = ids.shape[-1]
        self._check(ids, None, segments)
        mask = visible(T, T, padding, segments, ids.device)
        cos, sin = self.cos[:T], self.sin[:T]
        maps, stream = [], [self.embed_tokens(ids)]
        for layer in self.layers:
            x = stream[-1]
            maps.append(layer.self_attn.attention_map(layer.input_layernorm(x), cos, sin, mask))
            stream.append(layer(x, cos, sin, mask))
        logits = self.lm_head(self.norm(stream[-1]))
        return Trace(logits, torch.stack(maps), torch.stack(stream))

    def _check(self, ids: Tensor, cache: KVCache | None, segments: Tensor | None) -> None:
        """Raises ValueError where ids, cache, segments and model don't go together."""
        limit, last = self.config.context_length, self.config.vocab_size - 1
        if ids.dim() != 2 or ids.numel() == 0:
            raise ValueError(f"ids must be (B, T) with one id at least, got {tuple(ids.shape)}")
        n = ids.shape[1] + (0 if cache is None else cache.length)
        if n > limit:
            raise ValueError(f"{n} positions exceed context_length {limit}: feed fewer")
        if segments is not None and (cache is not None or segments.shape != ids.shape):
            raise ValueError("segments must have the shape of ids, and no cache goes with them")
        if torch.compiler.is_compiling():
            return  # reading values would split the compiled graph
        # On a GPU this waits for the numbers. Still better than what CUDA says about a bad index:
        # an assertion in a kernel, after which the whole process is lost.
        low, high = ids.min().item(), ids.max().item()
        if low < 0 or high > last:
            raise ValueError(
                f"ids must be 0 to {last}, got {low} to {high}: made by another tokenizer?"
            )
