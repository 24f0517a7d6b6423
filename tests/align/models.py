"""What the tests of alignment share: a model that answers yes or no, and questions for it."""

from functools import cache

import torch

from course_lib.align.preferences import Preference
from course_lib.align.reward import RewardModel, reward_batches, reward_loss
from course_lib.config import ModelConfig, TrainConfig
from course_lib.model.transformer import Transformer
from course_lib.text.chat import encode_prompt, exchange
from course_lib.text.rows import pack, pack_dialogues
from course_lib.train.loop import next_token_loss, train
from course_lib.train.sft import sft_batches
from tests.tiny import YES_OR_NO as TOKENIZER

CONFIG = ModelConfig(
    vocab_size=280, context_length=48, dim=32, n_layers=2, n_heads=2, n_kv_heads=1, ffn_dim=64
)
QUESTIONS = ["Is it?", "What?", "Is it yes?", "no?"]


@cache
def yes_or_no() -> Transformer:
    """A model that answers yes or no to everything, as often one as the other: only to be read."""
    model = Transformer(CONFIG, seed=1)
    talk = [exchange(question, answer) for question in QUESTIONS for answer in ("yes", "no")] * 4
    rows = pack_dialogues(talk, TOKENIZER, CONFIG.context_length)
    text = pack(["It is yes. It is no. " * 3] * 20, TOKENIZER, CONFIG.context_length)
    config = TrainConfig(steps=150, batch_rows=8, learning_rate=5e-3)
    list(train(model, sft_batches(rows, text, config, TOKENIZER.eot_id), next_token_loss, config))
    return model.eval()


@cache
def likes_yes() -> RewardModel:
    """A reward model that likes yes: only to be read."""
    pairs = [Preference(question, "yes", "no") for question in QUESTIONS] * 4
    model = RewardModel.from_sft(yes_or_no(), TOKENIZER)
    config = TrainConfig(steps=30, batch_rows=4, learning_rate=2e-3)
    list(train(model, reward_batches(pairs, config), reward_loss, config))
    model.eval()
    model.normalise(QUESTIONS * 2, ["yes"] * 4 + ["no"] * 4)
    return model


def first_token_probs(model: Transformer) -> dict[str, float]:
    """P(first token) of either answer."""
    ids = torch.tensor([encode_prompt(TOKENIZER, exchange("What?", "")[:1])])
    probs = model(ids)[0, -1].softmax(-1)
    return {word: probs[TOKENIZER.encode(word)[0]].item() for word in ("yes", "no")}
