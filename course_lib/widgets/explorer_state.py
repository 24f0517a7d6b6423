"""What the explorer shows is decided by a `State`: the text and the dials.

In a notebook the page turns the dials and tells Python the state that it has come to
(`explorer_core.js`); here it is what `explorer(...)` begins with, and what `.state` gives back.
"""

from dataclasses import asdict, dataclass, fields

from course_lib.config import Sampling
from course_lib.widgets.shell import TEXT_SIZES

LARGEST = 2**53 - 1  # that a page's numbers hold exactly


@dataclass(frozen=True)
class State:
    """All that decides what is shown."""

    text: str
    picked: tuple[int, ...] = ()  # ids after the text; in a chat they begin the answer
    model: str = "model"
    compare: bool = False  # all models side by side; else only `model`
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    truth: bool = False
    chat: bool = False  # the text is a question in the chat template
    steps: bool = False  # the way from logits to what is drawn from, step by step
    bars: int = 6
    samples: int = 0  # drawn beside the bars; 0 is none
    seed: int = 0  # of the latest draw
    token: int | None = None  # whose attention is shown, counted from the start
    layer: int | None = None  # None is the mean over all
    head: int | None = None
    off: tuple[tuple[int, int], ...] = ()  # (layer, head) of heads that are switched off
    lens: bool = False  # what the model would say after each layer
    size: str = "normal"  # "large" is for a projector

    @property
    def sampling(self) -> Sampling:
        return Sampling(self.temperature, self.top_k, self.top_p, self.seed)

    def __post_init__(self) -> None:
        t, k, p = self.temperature, self.top_k, self.top_p
        for name, good, expected in (
            ("text", isinstance(self.text, str), "text: the prompt"),
            ("temperature", is_number(t) and 0 <= t < float("inf"), "zero or more"),
            ("top_k", k is None or is_int(k, 1), "a whole number from 1, or None for every token"),
            ("top_p", p is None or (is_number(p) and 0 < p <= 1), "above 0, at most 1, or None"),
            ("bars", is_int(self.bars, 1, 50), "a whole number from 1 to 50"),
            ("samples", is_int(self.samples, 0, 1000), "a whole number from 0 to 1000"),
            ("seed", is_int(self.seed, 0, LARGEST), "a whole number from 0"),
            ("size", self.size in TEXT_SIZES, f"one of {', '.join(TEXT_SIZES)}"),
            ("off", are_heads(self.off), "pairs of a layer and a head, ((0, 1), (2, 3)) say"),
        ):
            if not good:
                raise ValueError(f"{name} must be {expected}, got {getattr(self, name)!r:.200}")

    def to_page(self) -> dict:
        """The state as JSON has it."""
        return asdict(self)

    @classmethod
    def from_page(cls, told: dict) -> "State":
        """The state that the page tells; lists are tuples here, so that states can be compared."""
        names = {field.name for field in fields(cls)}
        state = {name: value for name, value in told.items() if name in names}
        picked, off = tuple(told["picked"]), tuple(tuple(head) for head in told["off"])
        return cls(**{**state, "picked": picked, "off": off})


def is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_int(value, low: int, high: float = float("inf")) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def are_heads(off) -> bool:
    pairs = off if isinstance(off, tuple | list) else (None,)
    return all(
        isinstance(pair, tuple | list) and len(pair) == 2 and all(is_int(n, 0) for n in pair)
        for pair in pairs
    )
