"""SFT, the reward model, GRPO and DPO against TRL: the same weights and texts, loss and gradient.

TRL gets the folder that `save_pretrained` writes and plain messages. It tokenizes, masks, pads and
computes the loss by its own code, so all of that is compared. PPO isn't: TRL has no trainer for it
any more.
"""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from course_lib.align.dpo import dpo_batches, dpo_loss
from course_lib.align.preferences import Preference, load_preferences, save_preferences
from course_lib.align.reward import RewardModel, reward_loss
from course_lib.align.rlhf import Rollout, answer_log_probs, policy_loss, rollout
from course_lib.config import DPOConfig, GRPOConfig, ModelConfig, TrainConfig
from course_lib.files.pretrained import save_pretrained
from course_lib.model.transformer import Transformer
from course_lib.text.rows import IGNORE, pack_dialogues
from course_lib.train.loop import next_token_loss
from course_lib.train.sft import sft_batches
from tests.tiny import YES_OR_NO, sharpened

# TRL says gradient_checkpointing, which transformers has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning")

TOKENIZER = YES_OR_NO
CONFIG = ModelConfig(
    vocab_size=280, context_length=100, dim=16, n_layers=2, n_heads=2, n_kv_heads=1, ffn_dim=24
)
PAIRS = [
    Preference("Is it?", "yes", "no, it is not"),
    Preference("What?", "It is no. I am sure.", "I"),
    Preference("Is it yes or no?", "not sure", "yes"),
    Preference(("What?", "It is no.", "Is it?"), "I am not sure.", "It is yes."),
    Preference(("Is it yes or no?", "What?"), "no", "I am not sure."),  # a system message first
    Preference(("Yes or no.", "What?", "It is no.", "Is it?"), "yes", "It is not."),
]
ANSWERS = {
    "Is it?": ["yes", "no", "I am not sure."],
    "What?": ["It is it.", "What is it?", ""],
    "no?": ["no", "no", "no"],  # equally good: nothing to learn
    "Is it yes or no?": ["yes", "not yes", "It is no"],
}


@pytest.fixture(scope="module")
def trl():
    """TRL, imported only by the process that runs these tests: it takes six seconds."""
    import datasets
    import transformers
    import trl

    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    return trl


def tiny(seed: int) -> Transformer:
    """A model with 20 times the initial weights, whose tokens are far from equally likely."""
    return sharpened(CONFIG, seed, by=20.0)


def as_transformers(model: Transformer, folder: Path, kind="AutoModelForCausalLM", **options):
    """The model as `transformers` reads it from the folder that we write."""
    import transformers

    save_pretrained(folder, model, TOKENIZER)
    theirs = getattr(transformers, kind).from_pretrained(folder, **options)
    # Its pads get no gradient, and our pad is the <|endoftext|> that each text begins with.
    theirs.get_input_embeddings().padding_idx = None
    return theirs


def trainer_of(trl, kind: str, model, folder: Path, rows: list[dict], options: dict, **others):
    """TRL's trainer of that kind: on the CPU, in float32, computing nothing twice, silent."""
    from datasets import Dataset
    from transformers import AutoTokenizer

    plain = dict(use_cpu=True, bf16=False, gradient_checkpointing=False, report_to="none")
    return getattr(trl, f"{kind}Trainer")(
        model,
        args=getattr(trl, f"{kind}Config")(str(folder), disable_tqdm=True, **plain, **options),
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(folder),
        **others,
    )


def the_batch(trainer) -> dict[str, Tensor]:
    (batch,) = trainer.get_train_dataloader()
    return batch


def saved_pairs(path: Path, pairs: list[Preference] = PAIRS) -> list[dict]:
    """The lines of the file that we write of the pairs."""
    save_preferences(path, pairs)
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def dialogue(*texts: str) -> list[dict]:
    roles = ("user", "assistant") * len(texts)
    return [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]


def gradients(model: nn.Module) -> dict[str, Tensor]:
    """Of every weight, under one name for ours and theirs."""
    named = {
        name.removeprefix("model.").removeprefix("backbone."): weight.grad
        for name, weight in model.named_parameters()
    }
    return {"score.weight" if name == "head.weight" else name: g for name, g in named.items()}


def assert_same_loss(model: nn.Module, loss: Tensor, theirs: nn.Module, their_loss: Tensor):
    """The losses agree and, weight by weight, their gradients."""
    torch.testing.assert_close(loss, their_loss, atol=1e-5, rtol=1e-5)
    loss.backward()
    their_loss.backward()
    torch.testing.assert_close(gradients(model), gradients(theirs), atol=1e-5, rtol=1e-4)


def test_sft_learns_from_the_same_tokens_as_trl(trl, tmp_path):
    dialogues = [
        dialogue("Is it?", "It is yes."),
        dialogue("What?", " no ", "What is it?", "I am not sure."),
        dialogue("Is it yes or no?", "yes"),
        [{"role": "system", "content": " Yes or no. "}, *dialogue("Is it?", "no")],
    ]
    model = tiny(1)
    theirs = as_transformers(model, tmp_path)
    rows = [{"messages": messages} for messages in dialogues]
    trainer = trainer_of(trl, "SFT", theirs, tmp_path, rows, dict(assistant_only_loss=True))
    their_batch = the_batch(trainer)

    packed = pack_dialogues(dialogues, TOKENIZER, CONFIG.context_length)
    assert len(packed) < len(dialogues)  # two share a row; with TRL each has its own
    config = TrainConfig(1, batch_rows=len(packed))
    batch = sft_batches(packed, packed[:, 0], config, TOKENIZER.eot_id, text_share=0)(0)
    loss, n_tokens, _ = next_token_loss(model, batch)

    assert n_tokens == (their_batch["labels"] != IGNORE).sum()
    assert_same_loss(model, loss, theirs, trainer.compute_loss(theirs, their_batch))


def test_the_reward_model_has_the_loss_of_trl(trl, tmp_path):
    model = RewardModel.from_sft(tiny(1), TOKENIZER)
    kind = "AutoModelForSequenceClassification"
    theirs = as_transformers(model.backbone, tmp_path, kind, num_labels=1)
    theirs.score.load_state_dict(model.head.state_dict())
    pairs = saved_pairs(tmp_path / "pairs.jsonl")
    trainer = trainer_of(trl, "Reward", theirs, tmp_path, pairs, {})
    # TRL reads the reward at the last token, the template's newline; we at the <|im_end|> before.
    names = ["chosen_ids", "rejected_ids"]
    rows = trainer.train_dataset.select_columns(names)
    ends = {tuple(row[name][-2:]) for row in rows for name in names}
    assert ends == {(TOKENIZER.im_end_id, *TOKENIZER.encode("\n"))}
    trainer.train_dataset = rows.map(lambda row: {name: row[name][:-1] for name in names})

    loss, _, extra = reward_loss(model, PAIRS)

    assert_same_loss(model, loss, theirs, trainer.compute_loss(theirs, the_batch(trainer)))
    assert trainer._metrics["eval"]["accuracy"] == pytest.approx([float(extra["accuracy"])])


def test_prompts_without_a_field_are_those_that_trl_extracts(trl, tmp_path):
    from trl.data_utils import maybe_extract_prompt

    asked = dialogue("What?", "It is no.", "Is it?")
    chosen, rejected = (dialogue("What?", answer)[1:] for answer in ("yes", "no"))
    whole = {"chosen": asked + chosen, "rejected": asked + rejected}
    records = [whole, whole | {"prompt": "Is it?"}]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (tmp_path / "pairs.jsonl").write_text(lines, encoding="utf-8")

    pairs = load_preferences(tmp_path / "pairs.jsonl")

    assert saved_pairs(tmp_path / "ours.jsonl", pairs) == [maybe_extract_prompt(r) for r in records]


def test_dpo_has_the_loss_of_trl(trl, tmp_path):
    model, reference = tiny(1), tiny(2)
    theirs, before = as_transformers(model, tmp_path), as_transformers(reference, tmp_path / "sft")
    pairs = saved_pairs(tmp_path / "pairs.jsonl")
    trainer = trainer_of(trl, "DPO", theirs, tmp_path, pairs, dict(beta=0.1), ref_model=before)
    their_batch = the_batch(trainer)
    # TRL counts the newline after <|im_end|> too, which the template writes and no model.
    after_end = their_batch["input_ids"][:, :-1] == TOKENIZER.im_end_id
    their_batch["completion_mask"][:, 1:][after_end] = 0

    batch = dpo_batches(reference, TOKENIZER, PAIRS, TrainConfig(1, batch_rows=len(PAIRS)))(0)
    loss, n_tokens, extra = dpo_loss(model, batch, DPOConfig(beta=0.1))

    assert n_tokens == their_batch["completion_mask"].sum()
    assert_same_loss(model, loss, theirs, trainer.compute_loss(theirs, their_batch))
    metrics = trainer._metrics["eval"]
    assert metrics["rewards/accuracies"] == pytest.approx([float(extra["accuracy"])])
    for which in ("chosen", "rejected"):
        expected = 0.1 * extra[f"{which}_gain"].item()
        assert metrics[f"rewards/{which}"] == pytest.approx([expected], abs=1e-5)


def our_rollout(
    monkeypatch, model, reference, config: GRPOConfig
) -> tuple[Rollout, list[list[int]]]:
    """A rollout whose answers are `ANSWERS`, and their tokens; the last is cut off."""
    texts = [text for group in ANSWERS.values() for text in group]
    new = [[*TOKENIZER.encode(text), TOKENIZER.im_end_id] for text in texts]
    new[-1].pop()
    monkeypatch.setattr("course_lib.align.rlhf.generate", lambda *args, **kwargs: new)
    judge = RewardModel.from_sft(tiny(3), TOKENIZER)
    generator = torch.Generator()
    return rollout(model, reference, judge, TOKENIZER, list(ANSWERS), config, generator), new


def copy_weights(model: Transformer, theirs: nn.Module, folder: Path) -> None:
    theirs.load_state_dict(as_transformers(model, folder).state_dict())


def their_rollout(monkeypatch, trl, folder, model, reference, batch, new, config, loss_type):
    """TRL's trainer, and what it makes of the same answers and rewards."""
    prompts = [dialogue(prompt) for prompt in batch.prompts]
    options = dict(
        num_generations=config.answers,
        per_device_train_batch_size=len(new),
        per_device_eval_batch_size=len(new),
        num_iterations=config.updates,
        epsilon=config.clip,
        beta=config.kl,
        use_bias_correction_kl=False,  # it would multiply the KL term by the ratio
        scale_rewards="group" if config.divide_by_std else "none",
        loss_type=loss_type,
    )
    trainer = trainer_of(
        trl, "GRPO", as_transformers(model, folder), folder,
        [{"prompt": prompt} for prompt in prompts], options,
        reward_funcs=lambda reward, **others: reward,
    )  # fmt: skip
    copy_weights(reference, trainer.ref_model, folder / "reference")
    monkeypatch.setattr(trainer, "_generate_single_turn", lambda *args: (new, None))
    rows = zip(prompts, batch.reward.tolist(), strict=True)
    rows = [{"prompt": prompt, "reward": reward} for prompt, reward in rows]
    return trainer, trainer._generate_and_score_completions(rows)


# Both loss types count every token of the batch equally, as we do.
@pytest.mark.parametrize(("divide_by_std", "loss_type"), [(False, "dapo"), (True, "bnpo")])
def test_grpo_has_the_advantages_and_the_loss_of_trl(
    trl, tmp_path, monkeypatch, divide_by_std, loss_type
):
    config = GRPOConfig(prompts=4, answers=3, kl=0.3, updates=2, divide_by_std=divide_by_std)
    model, reference = tiny(1), tiny(2)
    batch, new = our_rollout(monkeypatch, model, reference, config)
    trainer, theirs = their_rollout(
        monkeypatch, trl, tmp_path, model, reference, batch, new, config, loss_type
    )

    # Ours are filled up further on both sides, to one of few lengths.
    ids = torch.cat((theirs["prompt_ids"], theirs["completion_ids"]), 1)
    A = theirs["completion_ids"].shape[1]
    end = batch.ids.shape[1] - batch.targets.shape[1] + A
    assert torch.equal(ids, batch.ids[:, end - ids.shape[1] : end])
    assert (batch.targets[:, A:] == IGNORE).all()
    mask = batch.targets[:, :A] != IGNORE
    assert torch.equal(theirs["completion_mask"].bool(), mask)
    torch.testing.assert_close(theirs["advantages"], batch.advantage[:, 0])
    for name, ours in (("old", batch.log_prob), ("ref", batch.reference)):
        found = theirs[f"{name}_per_token_logps"]
        torch.testing.assert_close(found[mask], ours[:, :A][mask], atol=1e-5, rtol=1e-5)

    with torch.no_grad():  # the model moves on: ratios leave 1, and some the clip range
        for i, weight in enumerate(model.parameters()):
            noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(i))
            weight.add_(0.02 * noise)
    copy_weights(model, trainer.model, tmp_path / "moved")
    log_prob = answer_log_probs(model, batch.ids, batch.padding, batch.targets)
    ratio = (log_prob - batch.log_prob).exp()
    assert ratio.max() > 1 + config.clip and ratio.min() < 1 - config.clip

    loss, n_tokens, _ = policy_loss(model, batch, config)

    assert n_tokens == theirs["num_items_in_batch"]
    assert_same_loss(model, loss, trainer.model, trainer.compute_loss(trainer.model, theirs))
