"""What a learner wrote is used once it is right; until then the course's own is."""

import pytest
import torch

from course_lib.check import use
from course_lib.check.parts import PARTS


def softmax(scores):
    powers = (scores - scores.max(dim=-1, keepdim=True).values).exp()
    return powers / powers.sum(dim=-1, keepdim=True)


def rms_norm(x, gain):
    return gain * x / (x.square().mean(dim=-1, keepdim=True) + 1e-5).sqrt()


WRONG = {
    "softmax": [
        lambda scores: scores.exp() / scores.exp().sum(),  # over all rows
        lambda scores: scores.exp() / scores.exp().sum(dim=-1, keepdim=True),  # too large
        lambda scores: scores / scores.sum(dim=-1, keepdim=True),
        lambda scores: scores.log_softmax(dim=-1),
    ],
    "rms_norm": [
        lambda x, gain: gain * x / x.square().mean(dim=-1, keepdim=True).sqrt(),  # 0 / 0
        lambda x, gain: gain * x / (x.square().mean() + 1e-5).sqrt(),  # over all positions
        lambda x, gain: x / (x.square().mean(dim=-1, keepdim=True) + 1e-5).sqrt(),  # no gain
        lambda x, gain: gain * (x - x.mean(dim=-1, keepdim=True)) / x.std(dim=-1, keepdim=True),
    ],
}


@pytest.mark.parametrize("mine", [softmax, rms_norm])
def test_a_right_function_is_used(mine, capsys):
    assert use(mine) is mine
    assert capsys.readouterr().out == f"{mine.__name__}: yours\n"
    assert use(mine, mine.__name__.replace("_", " ")) is mine  # the name may be written as words


@pytest.mark.parametrize(
    ("name", "mine"), [(name, mine) for name, several in WRONG.items() for mine in several]
)
def test_a_wrong_function_is_not_used_and_told_why_without_the_answer(name, mine, capsys):
    assert use(mine, name) is PARTS[name][1]

    told = capsys.readouterr().out
    assert told.startswith(f"{name}: the course's, until yours passes: ")
    assert ", expected [" in told and len(told) < 400
    assert [word for word in ("exp(", "sqrt", "mean", "sum", "square") if word in told] == []


@pytest.mark.parametrize("stub", [None, 7, lambda: None, lambda *arguments: ..., lambda *a: 1 / 0])
def test_a_stub_is_not_used(stub, capsys):
    assert use(stub, "softmax") is PARTS["softmax"][1]
    assert capsys.readouterr().out.startswith("softmax: the course's, until yours passes: ")


def test_the_courses_own_parts_do_what_torch_does():
    x, gain = torch.randn(2, 3, 8), torch.randn(8)

    assert torch.equal(PARTS["softmax"][1](x), torch.softmax(x, -1))
    assert torch.allclose(PARTS["rms_norm"][1](x, gain), rms_norm(x, gain), atol=1e-6)
    for name, (checker, ours) in PARTS.items():
        assert checker(ours).ok, name


def test_an_unknown_part_is_met_with_the_known_ones():
    with pytest.raises(
        ValueError, match=r"expected one of the parts softmax, rms_norm.*, got 'atention'"
    ):
        use(softmax, "atention")
    with pytest.raises(ValueError, match="got '<lambda>': write use"):
        use(lambda scores: scores)
