"""LoRA: nothing changes at first, only the thin tables learn, and few numbers are remembered."""

import pytest
import torch

from course_lib.config import TrainConfig
from course_lib.text.chat import exchange
from course_lib.text.rows import pack_dialogues
from course_lib.train.loop import next_token_loss, train
from course_lib.train.lora import LoRA, low_rank, n_trained, with_lora
from course_lib.train.sft import sft_batches
from tests.tiny import PLAN, YES_OR_NO, sharpened


def test_a_table_with_lora_is_the_sum_of_table_and_product():
    layer = LoRA(torch.nn.Linear(6, 4, bias=False), rank=2)
    with torch.no_grad():
        layer.up.normal_()
    x = torch.randn(3, 5, 6)

    merged = layer.table.weight + layer.up @ layer.down

    assert torch.allclose(layer(x), x @ merged.T, atol=1e-5)


def test_at_first_the_model_is_what_it_was_and_so_is_the_one_it_came_from():
    model = sharpened(PLAN.model)
    ids = torch.randint(0, 500, (2, 9))

    small = with_lora(model, rank=3)

    assert torch.equal(small(ids), model(ids))
    assert n_trained(model) == sum(weights.numel() for weights in model.parameters())


def test_n_trained_counts_the_thin_tables_alone():
    model = sharpened(PLAN.model)  # dim 32, two heads of 16, one of them for keys; ffn 64

    shapes = {"q_proj": 32 + 32, "k_proj": 32 + 16, "v_proj": 32 + 16, "o_proj": 32 + 32}
    shapes |= dict.fromkeys(("gate_proj", "up_proj", "down_proj"), 32 + 64)
    assert n_trained(with_lora(model, 3)) == 2 * 3 * sum(shapes.values())
    for name, numbers in shapes.items():
        assert n_trained(with_lora(model, 2, [name])) == 2 * 2 * numbers


def test_training_changes_the_thin_tables_and_nothing_else():
    model = with_lora(sharpened(PLAN.model, by=1.0), rank=2)
    before = {name: weights.clone() for name, weights in model.named_parameters()}
    rows = pack_dialogues([exchange("What is it?", "It is yes.")] * 40, YES_OR_NO, 48)
    config = TrainConfig(steps=3, batch_rows=4)

    batch_at = sft_batches(rows, None, config, YES_OR_NO.eot_id, text_share=0)
    for _ in train(model, batch_at, next_token_loss, config):
        pass

    for name, weights in model.named_parameters():
        thin = name.endswith((".down", ".up"))
        assert torch.equal(weights, before[name]) is not thin, name


def test_another_line_may_stand_in_for_the_courses():
    model, ids = sharpened(PLAN.model), torch.randint(0, 500, (1, 9))

    def nothing(x, table, down, up):
        return 0 * low_rank(x, table, down, up)

    assert not torch.equal(with_lora(model, 1, adapted=nothing)(ids), model(ids))


def test_bad_choices_are_told():
    model = sharpened(PLAN.model)
    for rank, tables in ((0, ["q_proj"]), (1, []), (1, ["lm_head"]), (1, "q_proj")):
        with pytest.raises(ValueError, match="LoRA needs a rank of 1 or more and some of the"):
            with_lora(model, rank, tables)
