"""The teacher's page holds every question of the course, as the notebooks ask it."""

from course_lib.check.question import questions
from tools.answer_key import KEY, answer_key


def test_the_page_is_made_from_the_questions():
    assert KEY.read_text(encoding="utf-8") == answer_key(), "write it: python -m tools.answer_key"


def test_each_question_stands_there_with_every_reason():
    page = answer_key()

    for each in questions().values():
        assert (f"**`{each.id}`**" in page) == (each.kind != "exercise")
        if each.kind == "exercise":
            continue
        assert each.ask in page and page.count(each.ask) >= 1
        for option in each.options:
            assert option.text in page and option.why in page
        assert all(trap.why in page for trap in each.traps)
        if each.options:
            assert f"**{each.options[each.answer].text}** ✓" in page
