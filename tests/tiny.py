"""What many tests share: a recipe so small that all stages take seconds."""

from course_lib.config import ModelConfig, RLConfig, TrainConfig
from course_lib.stages import Recipe

PLAN = Recipe(
    model=ModelConfig(
        vocab_size=512, context_length=160, dim=32, n_layers=2, n_heads=2, n_kv_heads=1, ffn_dim=64
    ),
    base=TrainConfig(steps=40, batch_rows=8),
    sft=TrainConfig(steps=20, batch_rows=8),
    reward=TrainConfig(steps=3, batch_rows=8, learning_rate=1e-3),
    rl_train=TrainConfig(steps=3, learning_rate=1e-4),
    rl=RLConfig(prompts=3, answers=3, max_new_tokens=8),
    tokenizer_documents=600,
    n_dialogues=200,
    preference_prompts=40,
)
