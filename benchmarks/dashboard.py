"""What does the training dashboard cost? python -m benchmarks.dashboard [--pairs N] [--steps N]

It runs in a real kernel, so that messages are made and sent. First it takes the processor time of
one update after some number of steps; the dashboard makes at most five per second. Then `nano`
trains in pairs, once in a bare loop and once under `train_live` with four lines and a sample of 16
tokens every 50 steps, as in notebook 03. What counts is the kernel's own processor time in user
mode. Pairs need a quiet machine: updates come by the clock, so a run that has to wait for a core
pays for more of them.
"""

import argparse
from statistics import mean

from jupyter_client.manager import start_new_kernel

PREPARE = """
from dataclasses import replace
import resource, time, torch
from course_lib.config import TrainConfig
from course_lib.machine.device import compute_dtype
from course_lib.text.rows import pack, text_batches
from course_lib.model.transformer import Transformer
from course_lib.model.sample import generate
from course_lib.pipeline.release import load_released
from course_lib.train.loop import TrainRecord, next_token_loss, train
from course_lib.widgets import train_live
from course_lib.world.documents import documents

torch.set_num_threads(1)
teacher, tokenizer = load_released("base")
config = TrainConfig(steps={steps}, batch_rows=16, learning_rate=4e-3)
if compute_dtype("cpu") == torch.bfloat16:
    config = replace(config, precision="bfloat16")
rows = pack(documents(seed=0), tokenizer, context_length=128, n_rows=16 * config.steps)
batch_at = text_batches(rows, config.batch_rows, tokenizer.eot_id)
lines = dict(uniform=10.0, unigram=7.97, bigram=3.66, floor=1.25)

def sample(model):
    return tokenizer.decode(generate(model, [[tokenizer.eot_id]], 16, stop=[tokenizer.eot_id])[0])

def update(n_steps):
    def record(i):
        return TrainRecord(i, 7 / i + 1, 1e-3, 1.0, 2048 * i, 0.1 * i, 2e4)

    board = train_live((record(i) for i in range(1, n_steps)), n_steps, lines)
    board.job.join()
    before = time.process_time()
    for i in range(20):
        board.job.records.append(record(n_steps + i))
        board._update()
    print((time.process_time() - before) / 20)

def run(live):
    model = Transformer(teacher.config, seed=0)
    records = train(model, batch_at, next_token_loss, config)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    if live:
        train_live(records, config.steps, lines, lambda: sample(model), sample_every=50).job.join()
    else:
        list(records)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_utime - before)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=300)
    options = parser.parse_args()
    manager, client = start_new_kernel(kernel_name="python3")
    told: list[str] = []

    def run(code: str) -> str:
        def keep(message: dict) -> None:
            if message["msg_type"] == "stream":
                told.append(message["content"]["text"])

        reply = client.execute_interactive(code, timeout=3600, output_hook=keep)
        if reply["content"]["status"] != "ok":
            raise RuntimeError(f"the kernel says {reply['content']}")
        return told[-1] if told else ""

    try:
        run(PREPARE.replace("{steps}", str(options.steps)))
        for n_steps in (250, 1400, 3600):
            seconds = float(run(f"update({n_steps})"))
            print(
                f"an update after {n_steps:,} steps: {1000 * seconds:.1f} ms of processor time, "
                f"five per second {5 * seconds:.1%} of a core",
                flush=True,
            )
        costs = []
        for pair in range(options.pairs):
            order = (False, True) if pair % 2 else (True, False)
            seconds = {live: float(run(f"run({live})")) for live in order}
            costs.append(seconds[True] / seconds[False] - 1)
            print(
                f"bare {seconds[False]:.1f} s, live {seconds[True]:.1f} s of processor time: "
                f"{costs[-1]:+.1%}",
                flush=True,
            )
        if costs:
            print(f"mean {mean(costs):+.1%} over {len(costs)} pairs of {options.steps} steps")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


if __name__ == "__main__":
    main()
