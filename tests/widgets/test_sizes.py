"""The size widget says which device holds which model, in numbers, words and a picture."""

import re

import pytest

from course_lib.plots import sizes_and_devices
from course_lib.scaling.sizes import DEVICES, NONE_OF_THEM, PUBLISHED_MODELS, published_parameters
from course_lib.widgets import sizes
from course_lib.widgets.sizes import Fit, count_on_meta, fits, fits_in_words, fits_table

COUNTS = {"ours": 1_000_000, "Llama-2-70B": 68_976_648_192}


@pytest.mark.parametrize("name", PUBLISHED_MODELS)
def test_a_published_model_is_counted_without_its_memory(name):
    # the largest would take 1.6 TB: on a device with memory this test can't pass
    assert count_on_meta(PUBLISHED_MODELS[name]) == published_parameters()[name]


def test_a_fit_tells_bytes_and_device():
    assert fits(COUNTS, "F16", {"box": 3e6, "tower": 138e9}) == (
        Fit("ours", 1_000_000, 2_000_000, "box"),
        Fit("Llama-2-70B", 68_976_648_192, 137_953_296_384, "tower"),
    )
    assert fits(COUNTS, "F32", {"box": 3e6})[0].device == NONE_OF_THEM


def test_the_sentence_counts_what_each_device_holds():
    devices = {"tower": 138e9, "box": 3e6}

    said = [fits_in_words(fits(COUNTS, p, devices), p, devices) for p in ("F16", "F32")]

    assert said == [
        "F16, 2 bytes a parameter. Of 2 models fit: 1 in box; 2 in tower. "
        "Each model fits in one of these.",
        "F32, 4 bytes a parameter. Of 2 models fit: 0 in box; 1 in tower. "
        "In none of these: Llama-2-70B.",
    ]


def test_dots_stand_where_the_logarithm_says():
    devices = {"box": 10_000}

    shown = fits_table(
        (Fit("a", 500, 1000, "box"), Fit("b", 10**6, 10**6, NONE_OF_THEM)), devices, 1, 1e6
    )

    # 2 % of margin on either side: 10^3 lies in the middle, 10^4 at 2 + 96 * 4 / 6
    assert re.findall(r"<b( class=over)? style=\"left:([\d.]+)%", shown) == [
        ("", "50.0"),
        (" class=over", "98.0"),
    ]
    assert shown.count('<span style="left:66.0%">') == 2 and '<i style="left:66.0%;' in shown


def test_names_are_shown_as_text():
    widget = sizes({"<b>big": 10}, extra={"<i>mine": 100})

    assert "&lt;b&gt;big" in widget.shown.value and "&lt;i&gt;mine" in widget.shown.value
    assert "<b>big" not in widget.shown.value and "<i>mine" not in widget.shown.value


def test_another_precision_changes_table_and_picture():
    widget = sizes(COUNTS)

    assert "137.95 GB" in widget.shown.value and "137.95 GB" in repr(widget)
    widget.precision.value = "Q4_0"

    assert "38.80 GB" in widget.shown.value and "38.80 GB" in repr(widget)
    assert "137.95 GB" not in widget.shown.value + repr(widget)
    assert 'aria-live="polite">Q4_0, 0.5625 bytes a parameter' in widget.shown.value


def test_a_device_of_ones_own_joins_the_list():
    widget = sizes(COUNTS, extra={"my tower": 138e9})

    assert '<td role="cell" class="device">my tower</td>' in widget.shown.value
    assert "my tower (138.00 GB)" in repr(widget)
    assert "my tower" not in DEVICES


def test_what_is_stored_is_a_picture_in_words():
    data, metadata = sizes(COUNTS)._repr_mimebundle_()

    assert data["text/plain"] == metadata["image/png"]["alt"] == repr(sizes(COUNTS))
    assert "image/png" in data


def test_the_chart_has_a_line_and_a_label_for_each_device():
    axes = sizes_and_devices("sizes", {"a": 10}, {"tower": 1000, "box": 100}).figure.axes[0]

    assert [line.get_xdata()[0] for line in axes.lines[1:]] == [100, 1000]
    assert [text.get_text() for text in axes.texts if text.get_text()] == [
        "10 bytes",
        "box",
        "tower",
    ]
    assert axes.get_xlim()[1] >= 1000


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sizes({}), "one model or more"),
        (lambda: sizes({"a": 0}), "of 1 parameter or more each, expected: got {'a': 0}"),
        (lambda: sizes(COUNTS, extra={"none": -1}), "memory in bytes, above 0"),
    ],
)
def test_what_has_no_size_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_mixture_shows_what_works_beside_what_must_be_in_memory():
    counts = {"small": 1000, "mixture": 1_000_000}
    plain, mixed = sizes(counts, "F16"), sizes(counts, "F16", active={"mixture": 1000, "x": 5})

    shown = mixed.shown.value
    assert shown.count(" at work<") == 1 and ">1,000 at work<" in shown
    # the bar begins where the small model's dot is, and ends at its own
    dots = re.findall(r'<b[^>]* style="left:([\d.]+%)"', shown)
    assert f'<u style="left:{dots[0]};width:calc({dots[1]} - {dots[0]})">' in shown
    assert "At work on any one token: mixture 2.00 kB." in repr(mixed)
    assert " at work<" not in plain.shown.value and "work" not in repr(plain)


def test_a_picture_draws_the_bar_from_what_works_to_the_dot():
    picture = sizes_and_devices("sizes", {"a": 10, "b": 1000}, {"box": 100}, {"b": 20})

    lines = picture.figure.axes[0].lines
    assert [20, 1000] in [list(line.get_xdata()) for line in lines]
