"""From logits to tokens: the next-token distribution, its filters, generation with a KV cache.

Everything here works on token ids; text and chat belong to `text`. The one strategy is sampling
(temperature 0 is greedy). Left out: beam search, repetition penalties, speculation.

Shapes: B rows of the batch, T positions, V vocabulary; "..." stands for any leading axes.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from course_lib.config import PLAIN, Sampling
from course_lib.model.transformer import KVCache, Transformer


def probs_at(logits: Tensor, temperature: float) -> Tensor:
    """softmax(logits / temperature), (..., V); at 0 its limit: all for the best token.

    In float32, or in float64 where the logits are.
    """
    if not 0 <= temperature < float("inf"):
        raise ValueError(f"temperature must be zero or more, got {temperature}")
    logits = logits if logits.dtype == torch.float64 else logits.float()
    if temperature == 0:
        # Nothing can be divided by 0, but we know where ever smaller temperatures lead.
        best = logits.argmax(dim=-1, keepdim=True)
        return torch.zeros_like(logits).scatter(-1, best, 1.0)
    # softmax doesn't care what is added to all logits. With the best at 0 a tiny temperature can
    # only make the others very negative; else it would drive the best one to infinity.
    below_best = logits - logits.amax(dim=-1, keepdim=True)
    return (below_best / temperature).softmax(dim=-1)


def finite(logits: Tensor) -> Tensor:
    """The same `logits`; ValueError where one of them is not a finite number."""
    # One look at the sum sees them all: NaN and infinity stay in it.
    if not math.isfinite(logits.sum(dtype=torch.float32).item()):
        raise ValueError(
            "the model computes what is not a number: its weights are damaged, or its training has "
            "diverged. Go back to an earlier checkpoint, or train with a lower learning rate"
        )
    return logits


def keep_top_k(probs: Tensor, k: int) -> Tensor:
    """`probs` (..., V) with zero for all but the k likeliest; equals of the k-th stay too."""
    if k < 1:
        raise ValueError(f"top_k must be 1 or more, got {k}: leave it out to keep every token")
    # k is blunt: it cuts as deep where the model is sure as where twenty tokens would do.
    smallest = probs.topk(min(k, probs.shape[-1]), dim=-1).values[..., -1:]
    return probs.where(probs >= smallest, 0.0)


def keep_top_p(probs: Tensor, p: float) -> Tensor:
    """`probs` (..., V) with zero outside the nucleus: the fewest likeliest that reach p together.

    Holtzman et al. 2019, arXiv 1904.09751. Of equals the smaller id is the likelier.
    """
    if not 0 < p <= 1:
        raise ValueError(f"top_p must be above 0 and at most 1, got {p}")
    if p == 1:
        return probs
    ordered, order = probs.sort(dim=-1, descending=True, stable=True)
    # A token stays if the likelier ones have not reached p without it. So the one that crosses p is
    # in, and at least one always is.
    before = ordered.cumsum(dim=-1) - ordered  # what the likelier ones sum to
    kept = ordered.where(before < p, 0.0)
    return torch.zeros_like(probs).scatter(-1, order, kept)


def renormalise(probs: Tensor) -> Tensor:
    """`probs` (..., V) scaled to sum to 1."""
    return probs / probs.sum(dim=-1, keepdim=True)


def sampling_probs(logits: Tensor, sampling: Sampling) -> Tensor:
    """What is sampled from, (..., V): temperature, then top-k, then top-p, each renormalised."""
    probs = probs_at(logits, sampling.temperature)
    # The order is that of `transformers`, and it matters: top-p counts in what top-k has left.
    if sampling.top_k is not None:
        probs = renormalise(keep_top_k(probs, sampling.top_k))
    if sampling.top_p is not None:
        probs = renormalise(keep_top_p(probs, sampling.top_p))
    return probs


def draw(probs: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """One id from each distribution: (B, V) -> (B, 1).

    The ids lie side by side on a line, each as wide as it is probable; a random point of the line
    picks one. `torch.multinomial` draws V random numbers for an id, this way needs one.
    """
    # The dice decide where: a generator of the CPU throws the same on a machine with a GPU.
    device = probs.device if generator is None else generator.device
    ends = probs.to(device).cumsum(dim=-1)  # (B, V): where each id's stretch of the line ends
    # The line is as long as its last end says, which is 1 but for rounding.
    point = torch.rand(len(probs), 1, generator=generator, device=device) * ends[:, -1:]
    # right=True: the first end beyond the point. An id without width is never it, even at 0.
    return torch.searchsorted(ends, point, right=True).to(probs.device)


@torch.no_grad()
def next_token_probs(model: Transformer, ids: Iterable[int]) -> Tensor:
    """The distribution of the token after `ids`, (V,) float32, as the model has it: no dials."""
    row = torch.as_tensor(ids, device=model.embed_tokens.weight.device).view(1, -1)  # (1, T)
    return probs_at(finite(model.next_logits(row)[0]), 1.0)


def generate(
    model: Transformer,
    prompts: list[list[int]],
    max_new_tokens: int,
    sampling: Sampling = PLAIN,
    *,
    stop: Iterable[int] = (),
    generator: torch.Generator | None = None,
) -> list[list[int]]:
    """The new ids that follow each prompt, in one batch; an id of `stop` ends its row and is kept.

    There are at most `max_new_tokens`, and no more than fit the context after the longest prompt.
    A `generator` takes the place of the seed, so that several calls go on with the same dice.
    """
    answers = [[] for _ in prompts]
    for drawn in _steps(model, prompts, max_new_tokens, sampling, set(stop), generator):
        for number, id in drawn:
            answers[number].append(id)
    return answers


def stream(
    model: Transformer,
    prompt: list[int],
    max_new_tokens: int,
    sampling: Sampling = PLAIN,
    *,
    stop: Iterable[int] = (),
    generator: torch.Generator | None = None,
) -> Iterator[int]:
    """The ids of `generate` for one prompt, each handed out as soon as it is drawn."""
    for [(_, id)] in _steps(model, [prompt], max_new_tokens, sampling, set(stop), generator):
        yield id


@torch.inference_mode()  # a fifth faster than no_grad where a step is short
def _steps(
    model: Transformer,
    prompts: list[list[int]],
    max_new_tokens: int,
    sampling: Sampling,
    stop: set[int],
    generator: torch.Generator | None,
) -> Iterator[list[tuple[int, int]]]:
    """For each step, the number of every prompt that still goes on, with its next id."""
    if not prompts:
        return
    shortest, longest = min(map(len, prompts)), max(map(len, prompts))
    room = model.config.context_length - longest
    if shortest == 0:
        raise ValueError("a prompt is empty: start it with the tokenizer's eot_id")
    if room < 1:
        raise ValueError(
            f"a prompt of {longest} ids leaves no room in context_length "
            f"{model.config.context_length}: drop what came first, such as the oldest turns "
            "of a conversation"
        )
    if max_new_tokens < 0:
        raise ValueError(f"max_new_tokens must be zero or more, got {max_new_tokens}")
    n_steps = min(max_new_tokens, room)
    if generator is None and sampling.seed is not None:
        generator = torch.Generator().manual_seed(sampling.seed)

    weight = model.embed_tokens.weight
    # Pads go to the left. Then all prompts end in the same column, and the next token of every row
    # is read off the last one. Which id a pad has doesn't matter, as nobody looks at it.
    pads = [longest - len(prompt) for prompt in prompts]
    padding = torch.tensor(pads, device=weight.device) if any(pads) else None
    ids = [[0] * n + list(prompt) for n, prompt in zip(pads, prompts, strict=True)]
    ids = torch.tensor(ids, device=weight.device)  # (B, T)
    # Only as long as needed: a cache for the whole context would be zeroed for nothing.
    needed = replace(model.config, context_length=longest + n_steps)
    cache = KVCache(needed, len(prompts), weight.dtype, weight.device)
    numbers = list(range(len(prompts)))  # the prompt of each row; None once it has stopped
    for _ in range(n_steps):
        # First `ids` are the whole prompts, then one column: the cache remembers the rest.
        logits = finite(model.next_logits(ids, cache, padding))  # (B, V)
        if sampling.temperature == 0:
            # No dice for a choice without a choice: a seed stays where it was.
            ids = logits.argmax(dim=-1, keepdim=True)  # (B, 1)
        else:
            ids = draw(sampling_probs(logits, sampling), generator)
        drawn = list(zip(numbers, ids[:, 0].tolist(), strict=True))
        yield [(number, id) for number, id in drawn if number is not None]
        numbers = [None if id in stop else number for number, id in drawn]
        going = [row for row, number in enumerate(numbers) if number is not None]
        if not going:
            return
        # Finished rows could be dropped at once, but each time the whole cache is copied. So they
        # keep computing, for nobody, until they are a quarter of the batch.
        if len(going) <= 0.75 * len(numbers):
            numbers, ids = [numbers[row] for row in going], ids[going]
            padding = None if padding is None else padding[going]
            cache.keep(going)
