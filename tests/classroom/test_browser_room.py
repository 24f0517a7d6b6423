"""A class in real browsers: the teacher's page, the board, and two phones 320 pixels wide."""

import json
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect

from course_lib.align.preferences import load_preferences
from course_lib.check.question import question
from course_lib.plans import load_plans
from tests.axe import violations
from tests.browser import HERE, real_browser
from tests.classroom.running import Server, server

pytestmark = pytest.mark.browser

NAME = "deciding-name"
REFUSED = ("401 (Unauthorized)", "403 (Forbidden)")  # how a page learns that it isn't in yet
AWAY = ("net::ERR_", "Failed to fetch")


class Class:
    """Browsers in a room: the teacher's with two pages, and phones, each a browser of its own."""

    def __init__(self, browser: Browser, room: Server) -> None:
        self.browser, self.room, self.said, self.asked = browser, room, [], []
        self.base = f"http://127.0.0.1:{room.port}/"
        wide = browser.new_context(viewport={"width": 1280, "height": 720})
        self.teacher, self.board = self.watched(wide.new_page()), self.watched(wide.new_page())
        self.teacher.goto(f"{self.base}teacher#{room.secret}")
        expect(self.teacher.get_by_role("heading", name="Ask something")).to_be_visible()
        self.board.goto(f"{self.base}board")

    def watched(self, page: Page) -> Page:
        page.set_default_timeout(30_000)
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        page.on("request", lambda request: self.asked.append(request.url))
        return page

    def phone(self, theme: str = "light") -> Page:
        narrow = self.browser.new_context(
            viewport={"width": 320, "height": 568}, color_scheme=theme, has_touch=True
        )
        return self.watched(narrow.new_page())

    def joined(self, theme: str = "light") -> Page:
        """A phone that scanned the QR code."""
        page = self.phone(theme)
        page.goto(f"{self.base}#{self.room.code}")
        expect(page.get_by_role("button", name="Delete my votes")).to_be_visible()
        return page

    def add(self, place: int) -> None:
        """The teacher adds a round (a guess, a word, pairs, done or stuck) and opens it."""
        before = self.teacher.locator(".teacher-round").count()
        self.teacher.get_by_role("button", name="Add", exact=True).nth(place).click()
        expect(self.teacher.locator(".teacher-round")).to_have_count(before + 1)
        self.press("Open the vote")

    def guess(self, id: str) -> None:
        self.teacher.get_by_label("Guess", exact=True).select_option(id)
        self.add(0)

    def press(self, name: str) -> None:
        """A button of the latest round, which changes what it can do."""
        one = self.teacher.locator(".teacher-round").first.get_by_role("button", name=name)
        one.click()
        expect(one).to_have_count(0)

    def saw_nothing_odd(self) -> None:
        odd = [text for text in self.said if not any(sign in text for sign in (*REFUSED, *AWAY))]
        assert odd == []
        assert [url for url in self.asked if not url.startswith(HERE)] == []


@pytest.fixture(scope="module")
def browser():
    expect.set_options(timeout=20_000)  # 5 s is too short beside other tests
    with real_browser() as browser:
        yield browser


@contextmanager
def a_class(browser: Browser, folder):
    with server(folder) as room:
        yield Class(browser, room)
    for context in browser.contexts:
        context.close()


def fits(page: Page) -> bool:
    """Whether nobody has to scroll sideways."""
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_class_votes_twice_while_one_phone_is_in_a_tunnel(browser, tmp_path):
    with a_class(browser, tmp_path) as here:
        teacher, board, room = here.teacher, here.board, here.room
        assert room.secret not in teacher.url  # nobody reads it on the wall
        expect(board.get_by_text(room.code, exact=True)).to_be_visible()
        expect(board.get_by_role("img", name="QR code")).to_be_visible()

        first, second = here.joined(), here.phone("dark")
        second.goto(here.base)
        second.get_by_label("Code on the board").fill("AAAAA")
        second.keyboard.press("Enter")
        expect(second.get_by_role("alert")).to_contain_text("not the code on the board")
        second.get_by_label("Code on the board").fill(room.code.lower())
        second.get_by_role("button", name="Join").click()
        expect(second.get_by_role("heading", name="You are in.")).to_be_visible()
        assert room.code not in first.url
        expect(board.get_by_text("2 phones are in.")).to_be_visible()

        here.guess(NAME)
        first.get_by_role("button", name="Sachin").click()
        expect(first.get_by_role("status")).to_contain_text("The room has it")
        expect(board.get_by_text("1 vote, 2 phones")).to_be_visible()

        # into the tunnel: what is pressed there is kept, even when the page is loaded anew
        expect(second.get_by_role("button", name="Virat")).to_be_visible()
        second.context.set_offline(True)
        second.get_by_role("button", name="Virat").click()
        expect(second.get_by_role("alert")).to_contain_text("No connection")
        expect(second.get_by_role("button", name="Virat")).to_have_attribute("aria-pressed", "true")
        expect(board.get_by_text("1 vote, 2 phones")).to_be_visible()
        second.context.set_offline(False)
        expect(board.get_by_text("2 votes, 2 phones")).to_be_visible()
        expect(second.get_by_role("status")).to_contain_text("The room has it")
        expect(second.get_by_role("alert")).to_be_empty()

        assert board.locator(".board-bar").count() == 0  # nobody sees how the others vote
        here.press("Convince your neighbour")
        expect(board.get_by_text("Convince your neighbour, then vote again.")).to_be_visible()
        expect(second.get_by_text("Second vote")).to_be_visible()
        for phone in (first, second):
            for name in ("Sachin", "Virat"):
                expect(phone.get_by_role("button", name=name)).to_have_attribute(
                    "aria-pressed", "false"
                )
        first.get_by_role("button", name="Sachin").click()
        second.get_by_role("button", name="Sachin").focus()  # by keyboard
        second.keyboard.press("Enter")
        expect(board.get_by_text("2 votes, 2 phones")).to_be_visible()

        room.kill()
        expect(first.get_by_role("alert")).to_contain_text("No connection")
        expect(board.get_by_role("alert")).to_contain_text("doesn't answer")
        room.start()
        for page in (first, second, board):  # they go on by themselves
            expect(page.get_by_role("alert")).to_be_empty()
        expect(board.get_by_text("2 votes, 2 phones")).to_be_visible()

        here.press("Close the vote")
        expect(first.get_by_role("heading", name="The vote is closed.")).to_be_visible()
        expect(board.locator(".board-row")).to_have_count(3)
        expect(board.locator(".board-row").nth(1)).to_contain_text("50% → 100%")
        assert board.get_by_text("Right:").count() == 0
        here.press("Show the answer")
        expect(board.get_by_text("Right: 50%, and 100% after you talked.")).to_be_visible()
        expect(first.get_by_text("The answer: “Sachin Tendulkar's”.")).to_be_visible()

        with teacher.expect_download() as coming:
            teacher.get_by_role("link", name="votes.jsonl").click()
        coming.value.save_as(tmp_path / "votes.jsonl")
        lines = (tmp_path / "votes.jsonl").read_text().splitlines()
        votes = sorted((json.loads(line)["ballot"], json.loads(line)["value"]) for line in lines)
        assert votes == [(1, "a"), (1, "b"), (2, "b"), (2, "b")]
        assert fits(first) and fits(second) and fits(board)
        here.saw_nothing_odd()


def test_a_class_judges_answers_and_lesson_05_reads_it(browser, tmp_path):
    with a_class(browser, tmp_path) as here:
        phone, teacher = here.joined(), here.teacher
        teacher.get_by_label("Which answer is better?").fill("3")
        here.add(2)

        asked = []
        for i in range(3):
            expect(phone.get_by_text(f"Which answer is better? {i + 1} of 3")).to_be_visible()
            asked.append(phone.locator("h1").inner_text())
            name = "First" if i < 2 else "As good as each other"
            phone.get_by_role("button", name=name).click()
        expect(phone.get_by_role("status")).to_contain_text("The room has it")
        phone.get_by_role("button", name="Back").click()
        expect(phone.locator("h1")).to_have_text(asked[1])
        expect(phone.get_by_role("button", name="First")).to_have_attribute("aria-pressed", "true")
        phone.reload()  # as after a night in a pocket
        expect(phone.get_by_role("button", name="First")).to_have_attribute("aria-pressed", "true")
        assert len(set(asked)) == 3 and fits(phone)

        here.press("Close the vote")
        here.press("Show the answer")
        expect(here.board.get_by_text("with the gold reward")).to_be_visible()
        expect(here.board.locator(".board-pair").first).to_be_visible()
        with teacher.expect_download() as coming:
            teacher.get_by_role("link", name="preferences.jsonl").click()
        coming.value.save_as(tmp_path / "preferences.jsonl")
        assert {p.prompt for p in load_preferences(tmp_path / "preferences.jsonl")} == {*asked[:2]}
        here.saw_nothing_odd()


def test_the_votes_change_the_assistant_on_the_board(browser, tmp_path):
    """Two phones prefer what is shorter. Nobody voted on the six questions that the board asks."""
    with a_class(browser, tmp_path) as here:
        phones, teacher, board = [here.joined(), here.joined("dark")], here.teacher, here.board
        start = teacher.get_by_role("button", name="Practise on these votes")
        start.click()
        expect(teacher.get_by_role("alert")).to_contain_text("nothing to learn from")
        assert "409 (Conflict)" in here.said.pop()
        teacher.get_by_label("Which answer is better?").fill("6")
        here.add(2)
        for phone in phones:
            for i in range(6):
                expect(phone.get_by_text(f"Which answer is better? {i + 1} of 6")).to_be_visible()
                both = phone.locator(".room-answer")
                words = [len(text.split()) for text in both.all_inner_texts()]
                both.nth(words.index(min(words))).click()
            expect(phone.get_by_role("status")).to_contain_text("The room has it")
        here.press("Close the vote")

        start.focus()
        teacher.keyboard.press("Enter")
        expect(teacher.get_by_role("button", name="Stop")).to_be_focused()
        expect(phones[0].get_by_role("heading", name="You are in.")).to_be_visible()
        expect(board.get_by_role("row")).to_have_count(7, timeout=90_000)  # torch has to start
        expect(board.get_by_text("The assistant is practising: step")).to_be_visible(timeout=90_000)
        expect(board.get_by_text("It learns from 12 votes.")).to_be_visible()
        expect(board.locator(".board-scores li")).to_have_count(4, timeout=240_000)
        expect(board.get_by_role("heading")).to_contain_text("of its 6 answers have changed.")
        norway = board.get_by_role("row", name="Norway")
        before = norway.locator("td").all_inner_texts()[0]
        assert before == "The capital city of Norway is called Oslo. right"
        changed = board.locator("tr[data-changed=true]").count()
        expect(board.get_by_role("heading")).to_contain_text(f"{changed} of its")
        assert changed and fits(board) and fits(phones[0])
        assert [each for page in (board, teacher) for each in violations(page)] == []
        assert board.evaluate("document.documentElement.scrollHeight <= innerHeight + 1")
        expect(teacher.get_by_text("Done, with 12 votes.")).to_be_visible()
        here.saw_nothing_odd()


def test_what_is_typed_is_never_html(browser, tmp_path):
    with a_class(browser, tmp_path) as here:
        phone, poison = here.phone(), "<img src=x onerror='window.hit = 1'>"
        phone.goto(f"{here.base}#{poison}")
        expect(phone.get_by_role("alert")).to_contain_text("not the code")
        phone.get_by_label("Code on the board").fill("<b>" * 4)
        phone.keyboard.press("Enter")
        phone.get_by_label("Code on the board").fill(here.room.code)
        phone.keyboard.press("Enter")
        here.guess("six-share")
        phone.get_by_label("Your number (%)").fill(poison)
        phone.keyboard.press("Enter")
        expect(phone.get_by_role("status")).to_contain_text("Expected a percentage")
        phone.get_by_label("Your number (%)").fill("45%")
        phone.keyboard.press("Enter")
        expect(here.board.get_by_text("1 vote, 1 phone")).to_be_visible()
        for page in (phone, here.board, here.teacher):
            assert page.evaluate("window.hit") is None and page.locator("img[src=x]").count() == 0
        assert [text for text in here.said if "Content Security" in text] == []


def test_the_votes_of_a_plan_are_made_in_its_order(browser, tmp_path):
    plan = load_plans()["90-minutes"]
    votes = [vote for step in plan.steps for vote in step.votes]
    with a_class(browser, tmp_path) as here:
        teacher = here.teacher
        teacher.get_by_label("The votes of a plan").select_option(f"{plan.title} ({len(votes)})")
        teacher.get_by_role("button", name="Add them all").click()
        rounds = teacher.locator(".teacher-round")
        expect(rounds).to_have_count(len(votes))
        names = rounds.locator(".course-lead").all_inner_texts()
        assert names == [question(vote).ask for vote in votes] and fits(teacher)
        here.saw_nothing_odd()


def test_hands_and_the_votes_of_another_room(browser, tmp_path):
    with a_class(browser, tmp_path / "one") as here:
        teacher, board = here.teacher, here.board
        here.guess(NAME)
        teacher.get_by_text("Hands, counted in the room").click()
        teacher.get_by_label("Virat Kohli's").fill("4")
        teacher.get_by_label("Sachin Tendulkar's").fill("12")
        teacher.get_by_role("button", name="Count them").click()
        expect(board.get_by_text("16 votes, 0 phones")).to_be_visible()
        here.press("Close the vote")
        expect(board.locator(".board-row").nth(1)).to_contain_text("75%")

        line = {"room": "0123456789ab", "kind": "guess", "about": NAME, "ballot": 1, "item": "",
                "voter": "ba9876543210", "value": "a", "count": 1}  # fmt: skip
        for text, told in (
            (json.dumps(line), "Taken in: 1 vote."),
            ("<html>", "line 1: expected one JSON object"),
        ):
            (tmp_path / "votes.jsonl").write_text(text)
            teacher.get_by_label("Votes of another room").set_input_files(tmp_path / "votes.jsonl")
            expect(teacher.get_by_text(told)).to_be_visible()
        expect(board.locator(".board-row").first).to_contain_text("29%")

        teacher.get_by_role("button", name="Reset").click()
        expect(board.locator(".board-row")).to_have_count(3)  # it asks once more
        teacher.get_by_role("button", name="sure?").click()
        expect(board.get_by_role("heading", name="Join the room")).to_be_visible()


def test_a_phone_is_forgotten_when_it_asks_for_it(browser, tmp_path):
    with a_class(browser, tmp_path) as here:
        phone = here.joined()
        here.add(3)
        phone.get_by_role("button", name="Stuck").click()
        expect(here.board.locator(".board-row").nth(1)).to_contain_text("100%")
        phone.get_by_role("button", name="Delete my votes").click()
        phone.get_by_role("button", name="Yes, delete them").click()

        expect(phone.get_by_text("Deleted: 1 vote. This phone is forgotten.")).to_be_visible()
        expect(phone.get_by_label("Code on the board")).to_be_visible()
        expect(here.board.locator(".board-row").nth(1)).to_contain_text("0%")
        assert phone.context.cookies() == []


def test_all_of_the_board_is_on_the_wall(browser, tmp_path):
    """A projector of 1024 by 768 shows the largest result, and its words are large."""
    with a_class(browser, tmp_path) as here:
        here.board.set_viewport_size({"width": 1024, "height": 768})
        phone = here.joined()
        here.add(1)
        phone.get_by_role("button", name="six").click()
        expect(here.board.get_by_text("1 vote, 1 phone")).to_be_visible()
        here.press("Convince your neighbour")
        expect(phone.get_by_text("Second vote")).to_be_visible()
        phone.get_by_role("button", name="four").click()
        expect(here.board.get_by_text("1 vote, 1 phone")).to_be_visible()
        here.press("Close the vote")
        here.press("Show the answer")
        expect(here.board.get_by_text("the truth itself")).to_be_visible()
        board = here.board
        assert board.evaluate("document.documentElement.scrollHeight <= innerHeight + 1")
        size = "one => parseFloat(getComputedStyle(one).fontSize)"
        assert board.locator("h1").evaluate(size) >= 24
        assert min(board.locator(".board-text").evaluate_all(f"all => all.map({size})")) >= 13


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_on_any_page(browser, tmp_path, theme):
    found = []
    with a_class(browser, tmp_path) as here:
        for page in (here.teacher, here.board):
            page.emulate_media(color_scheme=theme)
        stranger = here.phone(theme)
        stranger.goto(here.base)
        expect(stranger.get_by_label("Code on the board")).to_be_visible()
        phone = here.joined(theme)
        pages = (phone, here.board, here.teacher)

        def look(name: str) -> None:
            for page in pages:
                page.mouse.move(0, 0)
                found.extend(f"{name}: {each}" for each in violations(page))
            assert fits(phone), name

        found += violations(stranger)
        look("waiting")
        for place, press in ((0, "Virat"), (1, "six"), (2, "First"), (3, "Done")):
            if place == 0:
                here.teacher.get_by_label("Guess", exact=True).select_option(NAME)
            here.add(place)
            phone.get_by_role("button", name=press).click()
            expect(phone.get_by_role("status")).to_contain_text("The room has it")
            here.teacher.get_by_text("Hands, counted in the room").first.click()
            look(f"open {place}")
            here.press("Close the vote")
            expect(phone.get_by_role("heading", name="The vote is closed.")).to_be_visible()
            if place < 3:
                here.press("Show the answer")
                here.board.wait_for_timeout(1500)
            look(f"shown {place}")
        here.guess("six-share")
        phone.get_by_label("Your number (%)").fill("45")
        phone.keyboard.press("Enter")
        expect(phone.get_by_role("status")).to_contain_text("The room has it")
        look("a number")
        here.press("Close the vote")
        here.press("Show the answer")
        expect(here.board.locator(".board-hist")).to_be_visible()
        phone.get_by_role("button", name="Delete my votes").click()
        look("a number, shown")

        # and it sees what is wrong
        here.board.locator(".board-code").evaluate("one => (one.style.color = '#8888')")
        phone.get_by_role("button", name="No", exact=True).evaluate("one => (one.textContent = '')")
        assert any(each.startswith("color-contrast") for each in violations(here.board))
        assert any(each.startswith("button-name") for each in violations(phone))
    assert found == []
