"""Your guesses of the whole course, taken together: how good a forecaster are you?"""

from course_lib.check.asking import Sentences, answer_to
from course_lib.check.question import questions


def bets() -> Sentences:
    """How many of the kept guesses were right, beside what blind luck would have got."""
    kept = [(q, answer_to(q)) for q in questions().values() if q.kind == "guess"]
    kept = [(asked, value) for asked, value in kept if value is not None]
    choices = [(asked, value) for asked, value in kept if asked.options]
    numbers = [(asked, value) for asked, value in kept if not asked.options]
    lines = []
    if choices:
        right = sum(value == asked.right for asked, value in choices)
        luck = sum(1 / len(asked.options) for asked, _ in choices)
        lines.append(f"Choices: {right} of {len(choices)} right. Blind luck would get {luck:.1f}.")
    if numbers:
        high = sum(value > asked.high for asked, value in numbers)
        low = sum(value < asked.low for asked, value in numbers)
        close = len(numbers) - high - low
        lines.append(
            f"Numbers: {close} of {len(numbers)} close enough, {high} too high, {low} too low."
        )
        if max(high, low) >= 3 * max(1, min(high, low)):
            lines.append(f"You mostly guess too {'high' if high > low else 'low'}.")
    return Sentences(
        "\n".join(lines) or "No guess is kept yet. Make some, here or in any other notebook."
    )
