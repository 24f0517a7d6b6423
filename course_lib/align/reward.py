"""The reward model: the SFT model with its output layer replaced by one number.

It is trained on pairs by the loss of Bradley and Terry; the number is read at the answer's
`<|im_end|>` (Ouyang et al. 2022, arXiv 2203.02155, section 3.5). Only differences of rewards mean
anything, so after training the scale is fixed: the SFT model's own answers get mean 0 and standard
deviation 1.

Shapes: B answers, T positions, C channels.
"""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor, nn

from course_lib.align.preferences import Preference
from course_lib.config import TrainConfig
from course_lib.files.pretrained import load_pretrained, save_pretrained
from course_lib.files.tensors import read_safetensors, write_safetensors
from course_lib.machine.disk import whole_file
from course_lib.model.transformer import Transformer
from course_lib.text.chat import Question, encode_dialogue, exchange
from course_lib.text.rows import Batches, pad_right
from course_lib.text.tokenizer import Tokenizer
from course_lib.train.losses import bradley_terry


class RewardModel(nn.Module):
    """(prompt, answer) -> how much people would like the answer, one number."""

    def __init__(self, backbone: Transformer, tokenizer: Tokenizer, seed: int = 0) -> None:
        super().__init__()
        self.backbone, self.tokenizer = backbone, tokenizer
        self.head = nn.Linear(backbone.config.dim, 1, bias=False)
        generator = torch.Generator().manual_seed(seed)
        # Small, so that the first rewards are near zero and no answer has a head start (Stiennon et
        # al. 2020, arXiv 2009.01325).
        nn.init.normal_(
            self.head.weight, std=(backbone.config.dim + 1) ** -0.5, generator=generator
        )
        # Buffers, not weights: training never moves the scale, `normalise` fixes it afterwards.
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("std", torch.ones(()))

    @classmethod
    def from_sft(cls, sft: Transformer, tokenizer: Tokenizer, seed: int = 0) -> "RewardModel":
        """A fresh reward model on a copy of the SFT model."""
        # A copy, as the SFT model itself is needed later: it holds the other end of the leash.
        return cls(deepcopy(sft), tokenizer, seed)

    def forward(self, ids: Tensor, ends: Tensor) -> Tensor:
        """Rewards (B,) of the dialogues `ids` (B, T), each read where its answer ends, `ends` (B,).

        That is the answer's `<|im_end|>`: the one place where the model has seen all of the answer
        and knows that nothing more will come.
        """
        hidden = self.backbone.hidden(ids)  # (B, T, C)
        at_end = hidden[torch.arange(len(ids), device=ids.device), ends]  # (B, C)
        # float32 even if the model runs in bfloat16: what counts is a small difference of rewards.
        return (self.head(at_end.float()).squeeze(-1) - self.mean) / self.std

    def __call__(self, prompts: list[Question], answers: list[str]) -> Tensor:
        """Rewards (B,) of the answers to the prompts: a door for text, as `forward` takes ids."""
        return super().__call__(*self.encoded(prompts, answers))

    def encoded(self, prompts: list[Question], answers: list[str]) -> tuple[Tensor, Tensor]:
        """The dialogues as `forward` takes them: ids (B, T), and where each answer ends (B,)."""
        rows, ends = [], []
        for prompt, answer in zip(prompts, answers, strict=True):
            ids, said = encode_dialogue(self.tokenizer, exchange(prompt, answer))
            end = max(place for place, by_assistant in enumerate(said) if by_assistant)
            # Any text may come in here, also one that is longer than the context: a sampled answer
            # with broken bytes grows when it is decoded, since each of them becomes a "\ufffd" of
            # three bytes. What has to stay is the end, where the reward is read.
            rows.append(ids[: end + 1][-self.backbone.config.context_length :])
            ends.append(len(rows[-1]) - 1)
        # Padding goes to the right, where a causal model never looks.
        padded = pad_right(rows, self.tokenizer.eot_id, self.backbone.config.context_length)
        device = self.head.weight.device
        return padded.to(device), torch.tensor(ends, device=device)

    @torch.no_grad()
    def score(
        self, prompts: list[Question], answers: list[str], batch_rows: int = 64
    ) -> list[float]:
        """Rewards as plain numbers, to look at: no gradients are kept, so memory stays small."""
        # Who shares a batch decides the padding, and with it the last digits of a reward.
        pairs = list(zip(prompts, answers, strict=True))
        batches = (pairs[i : i + batch_rows] for i in range(0, len(pairs), batch_rows))
        return [reward for batch in batches for reward in self(*zip(*batch, strict=True)).tolist()]

    @torch.no_grad()
    def normalise(self, prompts: list[Question], answers: list[str]) -> None:
        """Fix the scale: these answers get mean 0 and standard deviation 1 from now on."""
        # First undo the scale of today, so that a second call doesn't scale what is scaled already.
        rewards = torch.tensor(self.score(prompts, answers)).to(self.mean) * self.std + self.mean
        self.mean.copy_(rewards.mean())
        # A model that gives everything the same reward has no scale; leave it silly, not infinite.
        self.std.copy_(rewards.std().clamp(min=1e-6))

    def save(self, directory: str | Path, dtype: torch.dtype = torch.float32) -> None:
        """Writes the backbone in `dtype` as a Hugging Face directory and the head beside it."""
        # `LlamaForCausalLM` has no place for a head of one row, so that gets a file of its own. The
        # rest of the folder is any Llama's.
        save_pretrained(directory, self.backbone, self.tokenizer, dtype)
        tensors = {"score.weight": self.head.weight, "mean": self.mean, "std": self.std}
        tensors = {name: tensor.detach().cpu() for name, tensor in tensors.items()}
        with whole_file(Path(directory) / HEAD) as partial:
            write_safetensors(partial, tensors)

    @classmethod
    def load(cls, directory: str | Path) -> "RewardModel":
        """The reward model of a directory that `save` wrote."""
        if not (Path(directory) / HEAD).exists():
            raise ValueError(f"{directory} holds no {HEAD}: it is no reward model of this course")
        found, _ = read_safetensors(Path(directory) / HEAD)
        model = cls(*load_pretrained(directory))
        with torch.no_grad():
            model.head.weight.copy_(found["score.weight"])
            model.mean.copy_(found["mean"])
            model.std.copy_(found["std"])
        return model.eval()


HEAD = "reward_head.safetensors"


def reward_batches(
    pairs: list[Preference], config: TrainConfig
) -> Callable[[int], list[Preference]]:
    """step -> the `config.batch_rows` pairs of that step, as texts."""
    order = Batches(torch.arange(len(pairs)), config.batch_rows, config.seed)
    return lambda step: [pairs[i] for i in order(step)]


def reward_loss(model: RewardModel, batch: list[Preference]) -> tuple[Tensor, int, dict]:
    """-ln P(chosen beats rejected), the number of pairs, and how often the chosen scores higher."""
    # Both answers in one batch: 2 B rows, the chosen ones first.
    prompts = [pair.prompt for pair in batch]
    rewards = model(prompts * 2, [p.chosen for p in batch] + [p.rejected for p in batch])
    chosen, rejected = rewards.chunk(2)
    accuracy = (chosen > rejected).float().mean()
    return bradley_terry(chosen, rejected), len(batch), {"accuracy": accuracy}


@torch.no_grad()
def pair_accuracy(model: RewardModel, pairs: list[Preference]) -> float:
    """The share of pairs whose chosen answer gets the higher reward."""
    right = 0.0
    for start in range(0, len(pairs), 64):  # few enough at a time to fit any memory
        batch = pairs[start : start + 64]
        right += reward_loss(model, batch)[2]["accuracy"].item() * len(batch)
    return right / len(pairs)
