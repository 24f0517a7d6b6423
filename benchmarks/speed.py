"""How fast are we beside `transformers`, `litgpt` and nanoGPT? Training and generation on the CPU.

    python -m benchmarks.speed                          # one thread; tens of minutes
    python -m benchmarks.speed --sizes nano --rounds 20 --threads 2
    python -m benchmarks.speed --clock cpu              # on a machine that others use too
    python -m benchmarks.speed --precisions float32 bfloat16

The two libraries hold our weights (it checks: same loss, same greedy ids). nanoGPT can't: it is
GPT-2, of the same width, depth, heads and vocabulary, and is only timed while it trains. All train
in the same precision and take turns, one step each, so that whatever else the machine does slows
them all alike. A step is forward, backward, clipping and a fused AdamW; ours is our training loop
as a learner runs it, once on rows of one document and once on rows of several, which may not see
each other. A library that isn't installed is skipped: `pip install transformers litgpt`. Prints
the tables for `benchmarks/RESULTS.md`.
"""

import argparse
import os
import platform
import random
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from importlib.metadata import version
from itertools import product
from statistics import median

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported: it asks the network otherwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.config import GREEDY, MODELS, ModelConfig, TrainConfig
from course_lib.files.pretrained import hf_config
from course_lib.model.sample import generate
from course_lib.model.transformer import Transformer
from course_lib.text.rows import segments_of
from course_lib.train.loop import next_token_loss, train

BATCH_ROWS = {"nano": (16, 32), "small": (16,)}
PROMPT, NEW = 16, 100  # tokens of the generation benchmark
DOCUMENT = 40  # tokens of a document, where several share a row
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


@dataclass(frozen=True)
class Peer:
    """Another library's model with our weights, and how its users run it."""

    model: nn.Module
    logits: Callable[[Tensor], Tensor]  # ids (B, T) -> (B, T, V), in training
    generate: Callable[[list[int], int], list[int]]  # prompt, n -> n new ids, greedy


def transformers_peer(ours: Transformer) -> Peer:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        **hf_config(ours.config),
        bos_token_id=None,
        eos_token_id=None,  # so that it doesn't stop early
        attn_implementation="sdpa",
    )
    model = LlamaForCausalLM(config)
    weights = ours.state_dict()
    model.model.load_state_dict({k: v for k, v in weights.items() if "lm_head" not in k})
    model.lm_head.load_state_dict(ours.lm_head.state_dict())

    @torch.inference_mode()
    def generated(prompt: list[int], n: int) -> list[int]:
        ids = torch.tensor([prompt])
        mask = torch.ones_like(ids)
        out = model.generate(ids, attention_mask=mask, max_new_tokens=n, do_sample=False)
        return out[0, len(prompt) :].tolist()

    return Peer(model, lambda ids: model(ids, use_cache=False).logits, generated)


def litgpt_peer(ours: Transformer) -> Peer:
    from litgpt.config import Config
    from litgpt.generate.base import generate as litgpt_generate
    from litgpt.model import GPT

    c = ours.config
    model = GPT(
        Config(
            block_size=c.context_length,
            vocab_size=c.vocab_size,
            padded_vocab_size=c.vocab_size,
            n_layer=c.n_layers,
            n_head=c.n_heads,
            n_query_groups=c.n_kv_heads,
            n_embd=c.dim,
            intermediate_size=c.ffn_dim,
            norm_class_name="RMSNorm",
            norm_eps=c.norm_eps,
            mlp_class_name="LLaMAMLP",
            rope_base=int(c.rope_theta),
            rotary_percentage=1.0,
            parallel_residual=False,
            bias=False,
        )
    )
    if c.tied_embeddings:
        model.lm_head.weight = model.transformer.wte.weight
    weights = {
        "lm_head.weight": ours.lm_head.weight,
        "transformer.wte.weight": ours.embed_tokens.weight,
        "transformer.ln_f.weight": ours.norm.weight,
    }
    for i, layer in enumerate(ours.layers):
        attention, mlp = layer.self_attn, layer.mlp
        qkv = (attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight)
        named = {
            "norm_1": layer.input_layernorm.weight,
            "norm_2": layer.post_attention_layernorm.weight,
            "attn.qkv": torch.cat(qkv),
            "attn.proj": attention.o_proj.weight,
            "mlp.fc_1": mlp.gate_proj.weight,
            "mlp.fc_2": mlp.up_proj.weight,
            "mlp.proj": mlp.down_proj.weight,
        }
        weights |= {f"transformer.h.{i}.{name}.weight": w for name, w in named.items()}
    model.load_state_dict(weights)

    def generated(prompt: list[int], n: int) -> list[int]:
        if model.mask_cache is None:  # its users allocate the cache once
            model.set_kv_cache(batch_size=1)
        ids = litgpt_generate(
            model, torch.tensor(prompt), len(prompt) + n, temperature=0.0, include_prompt=False
        )
        return ids.tolist()

    return Peer(model, model, generated)


PEERS = {"transformers": transformers_peer, "litgpt": litgpt_peer}  # those of Llama's shape


class NanoBlock(nn.Module):
    """A layer of GPT-2 as nanoGPT trains it: no biases, and here no dropout."""

    def __init__(self, dim: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.ln_1, self.ln_2 = nn.LayerNorm(dim, bias=False), nn.LayerNorm(dim, bias=False)
        self.c_attn = nn.Linear(dim, 3 * dim, bias=False)
        self.c_proj = nn.Linear(dim, dim, bias=False)
        self.mlp = nn.Sequential(
            nn.Linear(dim, 4 * dim, bias=False), nn.GELU(), nn.Linear(4 * dim, dim, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        B, T, C = x.shape
        parts = self.c_attn(self.ln_1(x)).split(C, dim=2)
        q, k, v = (part.view(B, T, self.n_heads, -1).transpose(1, 2) for part in parts)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.c_proj(y.transpose(1, 2).contiguous().view(B, T, C))
        return x + self.mlp(self.ln_2(x))


class NanoGPT(nn.Module):
    """The model of https://github.com/karpathy/nanoGPT: learned positions, a tied output layer."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.wte = nn.Embedding(config.vocab_size, config.dim)
        self.wpe = nn.Embedding(config.context_length, config.dim)
        self.layers = nn.Sequential(
            *(NanoBlock(config.dim, config.n_heads) for _ in range(config.n_layers))
        )
        self.ln_f = nn.LayerNorm(config.dim, bias=False)
        self.lm_head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.lm_head.weight = self.wte.weight
        for weight in self.parameters():
            if weight.dim() == 2:
                nn.init.normal_(weight, std=0.02)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1]))
        return self.lm_head(self.ln_f(self.layers(x)))


def installed_peers() -> list[str]:
    """The peers that can be imported; it prints which can't."""
    found = []
    for name in PEERS:
        try:
            __import__(name)
        except ImportError as error:
            print(f"{name} is skipped: {error}")
        else:
            found.append(name)
    return found


def plain_loop(
    model: nn.Module, logits: Callable, inputs: Tensor, targets: Tensor, plan: TrainConfig
) -> Iterator[float]:
    """Training as users of the peers write it; yields the loss of each step."""
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=plan.learning_rate, betas=(0.9, 0.95), fused=True
    )
    model.train()
    half = plan.precision == "bfloat16"
    while True:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = F.cross_entropy(logits(inputs).flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), plan.clip)
        optimizer.step()
        yield loss.item()


def our_loop(model: Transformer, batch: tuple, plan: TrainConfig) -> Iterator[float]:
    for record in train(model, lambda step: batch, next_token_loss, plan):
        yield record.loss


def take_turns(turns: dict[str, Callable], rounds: int, clock: Callable[[], float]) -> dict:
    """The seconds of each contender's turns; each round has another order."""
    names, seconds, order = list(turns), {name: [] for name in turns}, random.Random(0)
    for _ in range(rounds):
        order.shuffle(names)
        for name in names:
            started = clock()
            turns[name]()
            seconds[name].append(clock() - started)
    return seconds


def report(title: str, tokens: int, seconds: dict[str, list[float]], peers: list[str]) -> None:
    """A row for each contender: tokens/s, and its speed beside nanoGPT and the fastest Llama."""
    fastest = min(peers, key=lambda name: median(seconds[name]), default=None)
    for name, times in seconds.items():
        row = f"| {title} | {name} | {tokens / median(times):,.0f} |"
        for rival in ("nanoGPT", fastest):
            ratio = "-"
            if rival in seconds:  # in pairs: whatever slows a round slows both
                pairs = zip(seconds[rival], times, strict=True)
                ratio = f"{median(theirs / own for theirs, own in pairs):.2f}"
            row += f" {ratio} |"
        print(row, flush=True)


def check(ours: Transformer, peers: dict[str, Peer], inputs: Tensor, targets: Tensor) -> None:
    """Are all the same model? Same loss, and the same words when sampling greedily."""
    prompt = inputs[0, :PROMPT].tolist()
    with torch.no_grad():
        loss = next_token_loss(ours, (inputs, targets))[0].item()
        words = generate(ours, [prompt], 10, GREEDY)[0]
        for name, peer in peers.items():
            other = F.cross_entropy(peer.logits(inputs).flatten(0, 1), targets.flatten()).item()
            if abs(other - loss) > 1e-4 or peer.generate(prompt, 10) != words:
                raise AssertionError(f"{name} is another model: loss {other}, ours {loss}")


def contenders(config: ModelConfig, names: list[str]) -> tuple[Transformer, dict[str, Peer]]:
    """Our model and its copies, with 5 times the initial weights, or greedy words would be ties."""
    ours = Transformer(config).eval()
    with torch.no_grad():
        for weight in ours.parameters():
            if weight.dim() == 2:
                weight.mul_(5.0)
    peers = {name: PEERS[name](ours) for name in names}
    for peer in peers.values():
        peer.model.eval()
    return ours, peers


def generation(config: ModelConfig, names: list[str], rounds: int, clock) -> dict:
    ours, peers = contenders(config, names)
    prompt = torch.randint(config.vocab_size, (PROMPT,)).tolist()
    turns = {"ours": lambda: generate(ours, [prompt], NEW, GREEDY)}
    for name, peer in peers.items():
        turns[name] = lambda peer=peer: peer.generate(prompt, NEW)
    take_turns(turns, 1, clock)  # the first round warms up
    return take_turns(turns, rounds, clock)


def training(
    config: ModelConfig, rows: int, names: list[str], rounds: int, clock, precision: str
) -> dict:
    ids = torch.randint(1, config.vocab_size, (rows, config.context_length + 1))
    inputs, targets = ids[:, :-1], ids[:, 1:]
    ours, peers = contenders(config, names)
    check(ours, peers, inputs, targets)
    _, peers = contenders(config, names)  # without a cache
    plan = TrainConfig(steps=10**6, batch_rows=rows, learning_rate=1e-4, precision=precision)
    several = inputs.clone()
    several[:, ::DOCUMENT] = 0  # as if 0 were the token that begins a document
    documents = (several, targets, segments_of(several, 0))
    loops = {
        "ours": our_loop(ours, (inputs, targets), plan),
        "ours, several documents": our_loop(deepcopy(ours), documents, plan),
    }
    trained = {name: (peer.model, peer.logits) for name, peer in peers.items()}
    trained["nanoGPT"] = (NanoGPT(config),) * 2
    loops |= {name: plain_loop(*pair, inputs, targets, plan) for name, pair in trained.items()}
    turns = {name: lambda loop=loop: next(loop) for name, loop in loops.items()}
    take_turns(turns, 2, clock)
    return take_turns(turns, rounds, clock)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=list(BATCH_ROWS), choices=list(BATCH_ROWS))
    parser.add_argument("--rounds", type=int, default=15, help="timed turns of each")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall")
    parser.add_argument("--only", choices=("training", "generation"))
    parser.add_argument(
        "--precisions",
        nargs="+",
        default=["float32"],
        choices=("float32", "bfloat16"),
        help="bfloat16 is emulated, and very slow, on a processor that can't multiply it",
    )
    options = parser.parse_args()
    if options.clock == "cpu" and options.threads > 1:
        parser.error("the cpu clock adds up the threads' times: use it with one thread")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    names, clock = installed_peers(), CLOCKS[options.clock]
    found = ", ".join(f"{name} {version(name)}" for name in ("torch", *names))
    print(
        f"{platform.processor() or platform.machine()}, {found}, Python {platform.python_version()}"
    )
    print(f"{options.threads} thread(s), {options.rounds} rounds, {options.clock} clock\n")
    print("| what | who | tokens/s | beside nanoGPT | beside the fastest Llama |")
    print("|---|---|---|---|---|")
    for size in options.sizes:
        config = MODELS[size]
        shape = f"{config.dim} x {config.n_layers}"
        if options.only != "training":
            seconds = generation(config, names, options.rounds, clock)
            report(f"{shape}, generation", NEW, seconds, names)
        if options.only != "generation":
            for rows, precision in product(BATCH_ROWS[size], options.precisions):
                seconds = training(config, rows, names, options.rounds, clock, precision)
                title = f"{shape}, {precision} on {rows} x {config.context_length}"
                report(title, rows * config.context_length, seconds, names)


if __name__ == "__main__":
    main()
