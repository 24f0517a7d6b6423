"""What the tests of this folder share: small models, some of which say what we tell them to."""

import torch
from torch import nn

from course_lib.config import ModelConfig
from course_lib.model.transformer import Transformer
from course_lib.text.tokenizer import Tokenizer
from course_lib.world.documents import documents

TEXTS = list(documents(300, seed=1))
TOKENIZER = Tokenizer.train(TEXTS, 400)
CONFIG = ModelConfig(
    vocab_size=400, context_length=320, dim=32, n_layers=1, n_heads=2, n_kv_heads=1, ffn_dim=64
)
MODEL, OTHER = Transformer(CONFIG).eval(), Transformer(CONFIG, seed=1).eval()


class Parrot(nn.Module):
    """Knows one text by heart: gives each of its tokens, in order, the probability `sure`."""

    def __init__(self, text: str, sure: float = 0.9) -> None:
        super().__init__()
        self.config = MODEL.config
        self.ids = [TOKENIZER.eot_id, *TOKENIZER.encode(text), TOKENIZER.eot_id]
        self.sure = sure
        self.dummy = nn.Parameter(torch.zeros(1))

    def forward(self, ids):
        B, T = ids.shape
        V = TOKENIZER.vocab_size
        probs = torch.full((B, T, V), (1 - self.sure) / (V - 1))
        for t in range(min(T, len(self.ids) - 1)):
            probs[:, t, self.ids[t + 1]] = self.sure
        return probs.log()


class Uniform(Parrot):
    """Finds every token as probable as any other."""

    def forward(self, ids):
        return torch.zeros(*ids.shape, self.config.vocab_size)


def ln_p(model, before: list[int], after: list[int]) -> float:
    """ln P(after | before), one row alone, by torch's own cross-entropy."""
    logits = model(torch.tensor([before + after]))[0, len(before) - 1 : -1]
    return -nn.functional.cross_entropy(logits, torch.tensor(after), reduction="sum").item()


def say(monkeypatch, answers: dict[str, str], end: list[int]) -> list[tuple]:
    """Makes `generate` say, after a prompt's text, the text that `answers` has for it.

    Returns a list to which each call adds its (temperature, ids to stop at).
    """
    asked = []

    def generate(model, prompts, most, sampling, *, stop, generator):
        asked.append((sampling.temperature, set(stop)))
        texts = [answers[TOKENIZER.decode(prompt)] for prompt in prompts]
        return [(TOKENIZER.encode(text) + end)[:most] for text in texts]

    monkeypatch.setattr("course_lib.measure.answers.generate", generate)
    return asked
