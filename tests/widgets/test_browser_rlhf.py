"""Ranked by keys and by mouse, the reward model adapted, practice stopped, answers compared."""

import json

import pytest
from playwright.sync_api import expect

from tests.browser import ERRORS, HERE, opened_notebook

CELLS = [
    """from course_lib.widgets import ranker
prompts = ["What is the capital of France?", "Hello!"]
groups = [
    ["Paris.", "The capital of France is Paris.", "I don't know.", "<b>Lima</b> & so on"],
    ["Hello! Ask me something.", "Hi! What would you like to know?", "Lima."],
]
ask = ranker(prompts, groups, "rankings.jsonl")
ask""",
    # waits for the rankings as a learner does, and trains on them when they are there
    """import asyncio
while not ask.done:
    await asyncio.sleep(0.1)
from course_lib.align.reward import RewardModel
from course_lib.align.taste import adapted
from course_lib.pipeline.release import RELEASED, load_released
reward = adapted(RewardModel.load(RELEASED / "reward"), ask.preferences, steps=3)
print(len(ask.preferences), "pairs, adapted")""",
    """from copy import deepcopy
from course_lib.measure.answers import WATCHED, chat_answers, watched
from course_lib.pipeline import tastes
from course_lib.widgets import answers, train_live
from course_lib.world.dialogues import read_prompt
sft, tokenizer = load_released("sft")
policy = deepcopy(sft)
run = tastes.practice(policy, sft, tokenizer, reward, steps=5000, watch=watched)
board = train_live(run, 5000, watch=WATCHED)
board""",
    # waits for Stop, as the lesson does, and shows what has become of the answers
    """await board.job
asked = list(map(read_prompt, prompts))
before, after = (chat_answers(m, tokenizer, asked) for m in (sft, policy.eval()))
answers(prompts, before=before, after=after)""",
]


@pytest.mark.browser
@pytest.mark.slow
def test_a_learner_ranks_trains_stops_and_sees_the_answers(tmp_path):
    expect.set_options(timeout=60_000)  # 5 s is too short beside other tests
    requests = []

    with opened_notebook(tmp_path, CELLS, 1400, requests) as page:
        rank = page.locator(".course-rank")
        page.locator(ERRORS).or_(rank).first.wait_for(timeout=60_000)
        rows, status = rank.get_by_role("listitem"), rank.get_by_role("status")
        letters, texts = rank.locator(".rank-letter"), rank.locator(".rank-text")
        expect(letters).to_have_text(["A", "B", "C", "D"])  # in the order of the lot
        expect(rank).to_contain_text("<b>Lima</b> & so on")  # shown, not run
        first = texts.all_inner_texts()

        # by keyboard: C to the top, D as good as B, undone, done again, stored
        rank.get_by_role("button", name="Answer C: drag").focus()
        for _ in range(2):
            page.keyboard.press("ArrowUp")
            page.wait_for_timeout(400)
        expect(letters).to_have_text(["C", "A", "B", "D"])
        expect(status).to_have_text("C is now number 1 of 4.")
        expect(rank.get_by_role("button", name="Answer C: drag")).to_be_focused()
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
        tie = rank.get_by_role("button", name="Answer D is as good")
        tie.focus()
        page.keyboard.press("Enter")
        expect(tie).to_have_attribute("aria-pressed", "true")
        expect(status).to_have_text("D is as good as B.")
        rank.get_by_role("button", name="Undo").focus()
        page.keyboard.press("Space")
        expect(tie).to_have_attribute("aria-pressed", "false")
        tie.focus()
        page.keyboard.press("Enter")
        expect(tie).to_have_attribute("aria-pressed", "true")
        page.screenshot(path=tmp_path / "rank.png")
        rank.get_by_role("button", name="Store and go on").focus()
        page.keyboard.press("Enter")
        expect(rank).to_contain_text("1 of 2 prompts ranked, 5 pairs")
        kept = [
            json.loads(line)
            for line in (tmp_path / "course" / "rankings.jsonl").read_text().splitlines()
        ]

        # by mouse: the last one dragged to the top, a button, stored
        expect(rows).to_have_count(3)
        before = texts.all_inner_texts()
        # the keyboard goes on at the first answer of the next prompt
        expect(rank.get_by_role("button", name="Answer A: drag")).to_be_focused()
        expect(rank).not_to_contain_text("Decided alike")
        last = texts.last  # the words, not the handle: the whole row is to be dragged
        last.scroll_into_view_if_needed()
        box, top = last.bounding_box(), rows.first.bounding_box()
        page.mouse.move(box["x"] + 5, box["y"] + 10)
        page.mouse.down()
        page.mouse.move(box["x"] + 5, top["y"] + 2, steps=8)
        page.mouse.up()
        expect(letters).to_have_text(["C", "A", "B"])
        rank.get_by_role("button", name="Answer B one up").click()
        expect(letters).to_have_text(["C", "B", "A"])
        rank.get_by_role("button", name="Store and go on").click()
        expect(rank).to_contain_text("2 of 2 prompts ranked, 8 pairs")
        expect(rank).to_contain_text("Decided alike: you and gold")
        expect(rank.get_by_role("button", name="Rank anew")).to_be_visible()

        # the reward model has learned from it, and the policy practises until Stop is pressed
        board = page.locator(".live")
        page.locator(ERRORS).or_(board).first.wait_for(timeout=120_000)
        assert page.locator(ERRORS).all_inner_texts() == []
        expect(page.locator(".jp-OutputArea-output", has_text="8 pairs, adapted")).to_be_visible()
        expect(board.get_by_text("running: step")).to_be_visible(timeout=120_000)
        expect(board.locator(".live-panel")).to_have_count(6)
        gold = board.get_by_role("img", name="gold reward")
        page.wait_for_function("document.querySelectorAll('.live-panel text').length > 12")
        expect(gold.locator("polyline.live-smooth")).to_be_attached()
        page.screenshot(path=tmp_path / "ppo.png")
        board.get_by_role("button", name="Stop").focus()
        page.keyboard.press("Enter")
        expect(board.get_by_text("stopped: step")).to_be_visible(timeout=60_000)
        compared = page.locator(".jp-OutputArea-output table", has_text="before")
        expect(compared).to_be_visible(timeout=60_000)
        expect(compared.locator("tbody tr")).to_have_count(2)
        verdicts = compared.locator("tbody td").all_inner_texts()

        page.set_viewport_size({"width": 480, "height": 1200})
        page.locator(".jp-SideBar .lm-mod-current").first.click()  # closes the list of files
        page.wait_for_function("document.querySelector('.jp-Notebook').clientWidth > 350")
        too_wide = [part.evaluate("x => x.scrollWidth > x.clientWidth") for part in (rank, board)]
        errors = page.locator(ERRORS).all_inner_texts()

    assert len(verdicts) == 4 and verdicts[0].endswith("Paris. (right)"), verdicts
    assert errors == [] and outline == "3px" and too_wide == [False, False]
    assert [url for url in requests if not url.startswith(HERE)] == []
    assert len(kept) == 4 * 3 // 2 - 1
    assert {row["chosen"][0]["content"] for row in kept} == {first[2], first[0]}
    stored = [
        json.loads(line)
        for line in (tmp_path / "course" / "rankings.jsonl").read_text().splitlines()
    ]
    assert [row["chosen"][0]["content"] for row in stored[5:]] == [before[2], before[2], before[1]]
