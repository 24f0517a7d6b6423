"""A phone, and the board, in Firefox and in WebKit, as on many phones and every iPhone."""

import pytest

from tests.classroom.running import server
from tests.play.browsers import firefox, wait_for, webkit

NAME = "deciding-name"


@pytest.mark.browser
@pytest.mark.parametrize("kind", [firefox, webkit])
def test_it_votes_there_and_the_board_shows_it(kind, tmp_path):
    with server(tmp_path / "room") as room, kind(tmp_path) as browser:
        teacher = room.teacher()
        id = teacher.opened("guess", NAME)

        def text(selector: str) -> str:
            return browser.evaluate(f"(document.querySelector('{selector}')?.innerText ?? '')")

        browser.open(f"http://127.0.0.1:{room.port}/#{room.code}")
        wait_for(lambda: "Sachin" in text(".room-choices"), "the question")
        button = ".room-choice[data-value=b]"
        assert browser.names_a_button(text(button), button)
        # not by a key: a Firefox without a window has no focus, and then no key presses a button
        browser.evaluate(f"document.querySelector('{button}').click()")
        wait_for(lambda: "The room has it" in text("[role=status]"), "the vote")
        assert browser.evaluate(f"document.querySelector('{button}').ariaPressed") == "true"
        assert teacher.ask("GET", "/teacher/state").json["round"]["turnout"] == {"1": 1}

        teacher.do("close", round=id)
        wait_for(lambda: "You said:" in text(".room-mine"), "the end of the vote")
        teacher.do("show", round=id)
        wait_for(lambda: "The answer:" in text(".room-outcome"), "the right answer")
        assert browser.errors() == []

        browser.open(f"http://127.0.0.1:{room.port}/teacher#{room.secret}")
        wait_for(lambda: "Let the votes change" in text("#room, main"), "the teacher's page")
        browser.open(f"http://127.0.0.1:{room.port}/board")
        wait_for(lambda: "100% of you are right." in text(".board-main"), "the board")
        assert browser.evaluate("document.querySelectorAll('.board-row').length") == 3
        told = [each for each in browser.errors() if "403" not in each]  # before the secret is read
        assert told == []
