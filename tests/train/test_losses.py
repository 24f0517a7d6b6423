"""Each loss equals a value worked out by hand, or a reference."""

import math

import pytest
import torch
import torch.nn.functional as F

from course_lib.text.rows import IGNORE
from course_lib.train import losses


def test_cross_entropy_equals_a_value_worked_out_by_hand():
    # three tokens of two choices each: odds 3:1 for the target, even odds, and one that is ignored
    logits = torch.tensor([[[math.log(3), 0.0], [0.0, 0.0], [9.0, -9.0]]])
    targets = torch.tensor([[0, 1, IGNORE]])

    assert losses.cross_entropy(logits, targets).item() == pytest.approx(
        (-math.log(3 / 4) - math.log(1 / 2)) / 2
    )


def test_cross_entropy_equals_torch_also_at_large_logits():
    generator = torch.Generator().manual_seed(0)
    logits = 1000 * torch.randn(3, 7, 11, generator=generator)
    targets = torch.randint(0, 11, (3, 7), generator=generator)
    targets[0, :4] = IGNORE

    expected = F.cross_entropy(logits.view(-1, 11), targets.view(-1), ignore_index=IGNORE)
    torch.testing.assert_close(losses.cross_entropy(logits, targets), expected)


def test_ignored_targets_get_no_gradient():
    logits = torch.randn(1, 3, 5, generator=torch.Generator().manual_seed(1), requires_grad=True)

    losses.cross_entropy(logits, torch.tensor([[2, IGNORE, 4]])).backward()

    assert logits.grad[0, 1].abs().max() == 0
    assert logits.grad[0, 0].abs().max() > 0


def test_a_batch_without_targets_is_refused():
    with pytest.raises(ValueError, match="no target counts"):
        losses.cross_entropy(torch.zeros(1, 2, 3), torch.full((1, 2), IGNORE))


def test_bradley_terry_equals_a_value_worked_out_by_hand():
    chosen, rejected = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 0.0])

    expected = (math.log(1 + math.exp(-1)) + math.log(2)) / 2
    assert losses.bradley_terry(chosen, rejected).item() == pytest.approx(expected)
    # only differences of rewards count
    assert losses.bradley_terry(chosen + 5, rejected + 5).item() == pytest.approx(expected)


def test_dpo_is_bradley_terry_on_implicit_rewards():
    chosen, rejected = torch.tensor([-3.0]), torch.tensor([-5.0])
    reference_chosen, reference_rejected = torch.tensor([-4.0]), torch.tensor([-4.0])

    found = losses.dpo(chosen, rejected, reference_chosen, reference_rejected, beta=0.1)

    assert found.item() == pytest.approx(math.log(1 + math.exp(-0.1 * (1.0 - -1.0))))


def test_ppo_clip_stops_where_the_ratio_has_gone_far_enough():
    old = torch.zeros(4)
    new = torch.tensor([math.log(1.1), math.log(1.5), math.log(0.5), math.log(0.5)])
    advantage = torch.tensor([2.0, 2.0, 2.0, -2.0])

    found = losses.ppo_clip(new, old, advantage, clip=0.2)

    # inside; clipped at 1.2; not clipped, as going back would help; clipped at 0.8
    torch.testing.assert_close(found, torch.tensor([-2.2, -2.4, -1.0, 1.6]))


def test_kl_estimators_agree_with_the_exact_kl_on_average():
    generator = torch.Generator().manual_seed(2)
    policy = torch.randn(6, generator=generator).log_softmax(0)
    reference = torch.randn(6, generator=generator).log_softmax(0)
    exact = F.kl_div(reference, policy, log_target=True, reduction="sum")  # KL(policy || reference)

    # the mean over all tokens by their probability, so exact, not sampled
    for estimator in (losses.kl_k1, losses.kl_k3):
        mean = (policy.exp() * estimator(policy, reference)).sum()
        torch.testing.assert_close(mean, exact)
    assert losses.kl_k3(policy, reference).min() >= 0
    assert losses.kl_k3(policy, policy).abs().max() == 0


def test_group_advantages_equal_a_value_worked_out_by_hand():
    rewards = torch.tensor([[1.0, 2.0, 3.0], [5.0, 5.0, 5.0]])

    found = losses.group_advantages(10 * rewards)
    in_deviations = losses.group_advantages(10 * rewards, divide_by_std=True)

    torch.testing.assert_close(found[0], torch.tensor([-10.0, 0.0, 10.0]))
    # the deviation of 10, 20, 30 is 10; the paper adds a little, so that nothing divides by zero
    torch.testing.assert_close(in_deviations[0], torch.tensor([-10.0, 0.0, 10.0]) / 10.0001)
    assert found[1].abs().max() == in_deviations[1].abs().max() == 0
    with pytest.raises(ValueError, match="2 or more answers"):
        losses.group_advantages(torch.zeros(4, 1))


@pytest.mark.parametrize("lam", [0.0, 0.5, 0.95, 1.0])
def test_gae_is_the_sum_that_defines_it(lam):
    generator = torch.Generator().manual_seed(2)
    rewards, values = (torch.randn(3, 6, generator=generator) for _ in range(2))
    lengths = [6, 4, 1]
    mask = torch.arange(6) < torch.tensor(lengths)[:, None]

    advantages, returns = losses.gae(rewards * mask, values, mask, lam)

    for row, n in enumerate(lengths):
        r, v = rewards[row].tolist(), [*values[row, :n].tolist(), 0.0]
        for t in range(n):
            expected = sum(lam ** (k - t) * (r[k] + v[k + 1] - v[k]) for k in range(t, n))
            assert advantages[row, t].item() == pytest.approx(expected, abs=1e-5)
            assert returns[row, t].item() == pytest.approx(expected + v[t], abs=1e-5)
        assert not advantages[row, n:].any() and not returns[row, n:].any()


def test_with_lambda_one_a_return_is_the_reward_still_to_come():
    rewards = torch.tensor([[0.0, -0.5, 2.0]])

    _, returns = losses.gae(rewards, torch.tensor([[7.0, 8.0, 9.0]]), torch.ones(1, 3), lam=1.0)

    assert returns[0].tolist() == pytest.approx([1.5, 1.5, 2.0])
