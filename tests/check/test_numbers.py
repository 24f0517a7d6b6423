"""Numbers as people write them."""

import math

import pytest

from course_lib.check.numbers import number_in


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("45", 45),
        (" 45.0 ", 45),
        ("0.45", 0.45),
        ("0,45", 0.45),
        (".5", 0.5),
        ("1,200", 1200),
        ("1,234,567.5", 1234567.5),
        ("1 200", 1200),
        ("1\u202f200", 1200),  # the narrow space of French and German books
        ("1.2e3", 1200),
        ("0,450", 0.45),  # no thousands begin with a zero
        ("-3", -3),
        ("\u22123", -3),
        ("+3", 3),
    ],
)
def test_a_number_is_read_as_it_was_meant(text, number):
    found = number_in(text)

    assert math.isclose(found, number)
    assert isinstance(found, int) == (number == int(number))


@pytest.mark.parametrize(
    "text",
    ["", "x", "45x", "nan", "inf", "1e999", "1_000", "1,2,3", "1.2.3", "0x10", "4\u00b2", "--3"],
)
def test_what_is_no_number_is_refused_in_a_sentence(text):
    with pytest.raises(ValueError, match=r"^expected a number such as 45, 0\.45, 1,200 or 1\.2e3"):
        number_in(text)
