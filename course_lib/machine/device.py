"""Where to compute, and in which number format: the best device that passes a few known sums.

Importing this picks no device, and doesn't even import torch: `doctor` uses it to help a learner
whose torch is missing or broken.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# The largest difference from float64 that the self-test lets pass, as a share of the largest value.
# float32 stays near 1e-6; TF32 and bf16 products, which a user may have switched on, near 5e-3; a
# wrong kernel is off by 1 and more.
TOLERANCE = 2e-2


@dataclass(frozen=True)
class SelfTest:
    """What a device computed, against the same sums in float64 on the CPU."""

    device: str
    errors: dict[str, float]  # name of the check -> largest difference / largest value
    reason: str  # empty where all is well

    @property
    def passed(self) -> bool:
        return not self.reason


# -- device ---------------------------------------------------------------------------------------


def pick_device(preference: str | None = None) -> torch.device:
    """The device to compute on: a CUDA GPU, else an Apple GPU, else the CPU.

    A GPU is taken only if it passes `numeric_self_test`: some torch versions are silently wrong on
    some Apple GPUs. A GPU that fails is left out with a warning; asked for by name, with an error.
    """
    import torch

    if preference is not None:
        device = _named_device(preference)
        test = numeric_self_test(device)
        if not test.passed:
            raise ValueError(
                f"the device {preference!r} computes wrongly ({test.reason}): "
                "update torch and the driver, or use pick_device('cpu')"
            )
        return device
    for name in gpus():
        test = numeric_self_test(name)
        if test.passed:
            return torch.device(name)
        warnings.warn(
            f"the device {name!r} is here but not used: {test.reason}", RuntimeWarning, stacklevel=2
        )
    return torch.device("cpu")


def gpus() -> list[str]:
    """The kinds of GPU that torch sees here, best first."""
    import torch

    seen = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return [name for name, available in seen.items() if available]


def _named_device(preference: str) -> torch.device:
    import torch

    choices = ["cpu", *gpus()]
    kind, _, index = preference.partition(":")
    if kind not in choices or (index and not index.isdecimal()):
        raise ValueError(
            f"there is no device {preference!r} here: choose one of {', '.join(choices)}"
        )
    if kind == "cuda" and index and int(index) >= torch.cuda.device_count():
        raise ValueError(
            f"there is no {preference!r} here: this machine has {torch.cuda.device_count()} "
            "CUDA device(s), counted from cuda:0"
        )
    return torch.device(preference)


def numeric_self_test(device: str | torch.device) -> SelfTest:
    """Whether `device` computes what a Transformer needs as a CPU does in float64; takes a moment.

    Five short sums in float32: a product, a softmax of large numbers, causal attention with its
    gradients, and an in-place update of a transposed tensor (the last was left undone,
    without an error, by torch before 2.4 on Apple GPUs).
    """
    import torch

    try:
        ours = {
            name: values.cpu().double()
            for name, values in _sums(torch.device(device), torch.float32).items()
        }
    except (RuntimeError, NotImplementedError, AssertionError) as error:  # what torch raises
        return SelfTest(str(device), {}, f"torch stopped with: {error}")
    truth = _sums(torch.device("cpu"), torch.float64)
    errors = {
        name: ((ours[name] - true).abs().max() / true.abs().max()).item()
        for name, true in truth.items()
    }
    # "not <=" rather than ">": a NaN has to count as wrong
    wrong = [f"{name} is off by {e:.2g}" for name, e in errors.items() if not e <= TOLERANCE]
    return SelfTest(str(device), errors, "; ".join(wrong))


def _sums(device: torch.device, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The self-test's results by name; the same inputs whatever the device and dtype."""
    import torch
    import torch.nn.functional as F

    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).to(device)

    left, right = noise(96, 160), noise(160, 64)
    table = noise(50, 64).requires_grad_()
    ids = torch.arange(48, device=device).remainder(7).view(2, 24)  # repeated ids: gradients add up
    heads = F.embedding(ids, table).view(2, 24, 4, 16).transpose(1, 2)  # (B, H, T, D), strided
    attended = F.scaled_dot_product_attention(heads, heads, heads, is_causal=True)
    logits = attended.transpose(1, 2).reshape(2, 24, 64) @ right[:64]
    loss = F.cross_entropy(logits.flatten(0, 1), ids.flatten())
    (gradient,) = torch.autograd.grad(loss, table)
    update = torch.zeros(64, 96, device=device, dtype=dtype).t()  # (96, 64), strided
    update.addcmul_(left[:, :64], left[:, 64:128], value=0.5)
    return {
        "a product": left @ right,
        "a softmax": torch.softmax(100 * left, dim=-1),
        "attention": attended.detach(),
        "a gradient": gradient,
        "an in-place update": update,
    }


def compute_dtype(device: str | torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it faster than float32, else float32.

    Never float16: on a CPU it is some 70 times slower, and it would need loss scaling.
    """
    import torch

    device = torch.device(device)
    if device.type == "cuda":
        # before compute capability 8 (Ampere) bf16 works, but is emulated
        fast = torch.version.hip is not None or torch.cuda.get_device_capability(device) >= (8, 0)
    elif device.type == "cpu":
        capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # newer than our oldest torch
        fast = any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16"))
    else:
        fast = False
    return torch.bfloat16 if fast else torch.float32


# -- cores ----------------------------------------------------------------------------------------


# -- doctor ---------------------------------------------------------------------------------------
