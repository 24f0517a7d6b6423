"""How fast does a GPU train each preset? Tokens/s, MFU and loss, in bf16 with torch.compile.

    python -m benchmarks.gpu --out results            # all presets: two minutes each, and compiling
    python -m benchmarks.gpu --presets nano --seconds 10 --device cpu --no-compile

Writes results/gpu.json and results/gpu_curves.csv and prints the table for `benchmarks/RESULTS.md`.
It times our training loop as a learner runs it, data loading and record keeping included, and
leaves out only the first steps, in which torch compiles.
"""

import argparse
import json
import platform
import time
from pathlib import Path

import torch

from benchmarks.table import Table
from course_lib.config import GREEDY, MODELS, TrainConfig
from course_lib.machine.device import numeric_self_test, pick_device
from course_lib.measure.held_out import held_out
from course_lib.model.sample import generate
from course_lib.model.transformer import Transformer
from course_lib.text.rows import pack, text_batches
from course_lib.text.tokenizer import Tokenizer
from course_lib.train.loop import next_token_loss, train
from course_lib.world.documents import documents, held_out_documents

# rows per batch, learning rate, most steps
RUNS = {"nano": (64, 4e-3, 1500), "small": (128, 1.5e-3, 1500), "gpt2": (32, 6e-4, 1500)}
CURVE = "preset,step,tokens,loss,seconds"
WARMUP = 20  # steps that are not timed

# Dense bf16 operations per second, from the makers' data sheets (beware of the sparse figures
# there, twice as large). A key is part of the name that torch gives; the first that fits counts.
PEAK_FLOPS = {
    "B200": 2250e12,
    "GH200": 989e12,
    "H200 NVL": 836e12,
    "H200": 989e12,
    "H100 NVL": 835e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "A40": 150e12,
    "A10G": 70e12,
    "A10": 125e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
    "MI300X": 1307e12,
}


def peak_flops(device_name: str) -> float | None:
    """Dense bf16 operations per second of the GPU called `device_name`; None if it isn't known.

    The denominator of MFU; `device_name` is what `torch.cuda.get_device_name()` says.
    """
    words = device_name.replace("-", " ")
    if " MIG " in f" {words} ":  # a slice of a GPU: the name doesn't tell its speed
        return None
    for fragment, peak in PEAK_FLOPS.items():
        if f" {fragment} " in f" {words} ":
            return peak
    return None


def check(device: torch.device) -> dict:
    """Does the GPU compute what the CPU does? The largest differences of logits; greedy tokens."""
    found = {"self_test": numeric_self_test(device).errors}
    model = Transformer(MODELS["nano"], seed=0)
    ids = torch.randint(0, 1024, (4, 128), generator=torch.Generator().manual_seed(0))
    prompts = [row[:n].tolist() for row, n in zip(ids, (5, 20, 60, 33), strict=True)]
    with torch.no_grad():
        expected, greedy = model(ids), generate(model, prompts, 20, GREEDY)
        model.to(device)
        found["logits_fp32"] = (model(ids.to(device)).cpu() - expected).abs().max().item()
        with torch.autocast(device.type, torch.bfloat16):
            logits = model(ids.to(device)).float().cpu()
        found["logits_bf16"] = (logits - expected).abs().max().item()
        found["same_greedy_tokens"] = generate(model, prompts, 20, GREEDY) == greedy
    return found


def measure(name: str, device: torch.device, seconds: float, compile: bool, texts) -> dict:
    """One preset, trained for at most `seconds` after the warm-up: its speed, and its curve."""
    config = MODELS[name]
    batch_rows, learning_rate, steps = RUNS[name]
    tokenizer = Tokenizer.train(texts[:12_000], min(config.vocab_size, 2048))
    rows = pack(texts, tokenizer, config.context_length)
    batches = text_batches(rows, batch_rows, tokenizer.eot_id)
    plan = TrainConfig(
        steps=steps, batch_rows=batch_rows, learning_rate=learning_rate, precision="bfloat16"
    )
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    model = Transformer(config).to(device)
    started, curve, warm = time.perf_counter(), [], None
    for record in train(
        model,
        batches,
        next_token_loss,
        plan,
        compile=compile,
    ):
        now = time.perf_counter()
        curve.append((name, record.step, record.tokens, record.loss, now - started))
        if record.step == WARMUP:
            warm = (now, record.tokens)
        if warm is not None and now - warm[0] > seconds and record.step > WARMUP + 10:
            break
    speed = (record.tokens - warm[1]) / (now - warm[0])
    peak = peak_flops(torch.cuda.get_device_name()) if device.type == "cuda" else None
    loss = held_out(model.eval(), tokenizer, held_out_documents(300))
    return {
        "preset": name,
        "parameters": config.n_parameters,
        "batch": f"{batch_rows} x {config.context_length}",
        "steps": record.step,
        "finished": record.step == steps,
        "tokens": record.tokens,
        "seconds": round(now - started, 1),
        "warmup_seconds": round(warm[0] - started, 1),
        "tokens_per_second": round(speed),
        "mfu": round(speed * config.flops_per_token / peak, 4) if peak else None,
        "gib": round(torch.cuda.max_memory_allocated() / 2**30, 2)
        if device.type == "cuda"
        else None,
        "last_loss": round(sum(row[3] for row in curve[-20:]) / len(curve[-20:]), 4),
        "gap_to_floor": round(loss.gap, 4),
        "curve": curve,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", nargs="+", default=list(RUNS), choices=list(RUNS))
    parser.add_argument("--seconds", type=float, default=100, help="longest training after warm-up")
    parser.add_argument("--documents", type=int, default=400_000, help="corpus of all presets")
    parser.add_argument("--device")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("results"))
    options = parser.parse_args()
    device = pick_device(options.device)
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_float32_matmul_precision("high")
    title = torch.cuda.get_device_name() if device.type == "cuda" else platform.processor() or "cpu"
    print(f"{title}, torch {torch.__version__}, Python {platform.python_version()}")
    print("check:", json.dumps(check(device)))
    texts = list(documents(options.documents, seed=0))
    results, curves = [], Table(options.out / "gpu_curves.csv", CURVE, show=False)
    print("| preset | parameters | batch | steps | tokens/s | MFU | GiB | last loss | gap |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in options.presets:
        r = measure(name, device, options.seconds, not options.no_compile, texts)
        curve = r.pop("curve")
        results.append(r)
        mfu = "-" if r["mfu"] is None else f"{r['mfu']:.1%}"
        print(
            f"| {name} | {r['parameters']:,} | {r['batch']} | {r['steps']} "
            f"| {r['tokens_per_second']:,} | {mfu} "
            f"| {r['gib']} | {r['last_loss']} | {r['gap_to_floor']:.1%} |",
            flush=True,
        )
        (options.out / "gpu.json").write_text(
            json.dumps({"device": title, "results": results}, indent=1)
        )
        for row in curve:
            curves.add(*row)


if __name__ == "__main__":
    main()
