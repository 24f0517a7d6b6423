"""Notebook 02: a checker knows right from nearly right, and what the page says is so."""

import ast
import math
from functools import partial
from pathlib import Path

import nbformat
import pytest
import torch

from course_lib.check import next_token
from course_lib.check.anatomy import base
from course_lib.check.parts import PARTS, use
from course_lib.check.question import questions
from course_lib.config import GREEDY
from course_lib.measure.held_out import world_log_prob
from course_lib.measure.log_probs import document_log_probs
from course_lib.model.sample import generate, next_token_probs, probs_at
from course_lib.pipeline.release import load_released
from course_lib.text.chat import decode_answer, encode_prompt
from course_lib.text.foreign import library_ids
from course_lib.text.tokenizer import merge
from course_lib.world.documents import HITS, documents, held_out_documents
from course_lib.world.facts import FACTS
from tests.check import lesson
from tests.check.test_exercises import WRONG, exercises, judged
from tools.class_time import class_time

PATH = Path(__file__).parents[2] / "notebooks" / "02_next_token_prediction.ipynb"
NOTEBOOK = nbformat.read(PATH, as_version=4)
written = partial(lesson.written, NOTEBOOK)
handed_out = partial(lesson.handed_out, NOTEBOOK)
SENTENCE = "In that match Virat Kohli hit a"
MODEL, TOKENIZER = base()


def defined(name: str, source: str):
    """The function that `source` defines, where the notebook's names are known."""
    names = {"torch": torch, "model": MODEL, "next_token_probs": next_token_probs}
    names |= {"end": TOKENIZER.eot_id, "tokenizer": TOKENIZER}
    exec(source, names)
    return names[name]


# Changed in one place each: what a learner may well write.
NEARLY = {
    "merge": [
        ("2 if found else 1", "1"),  # reads the second of the pair again
        ("== pair", "== pair[::-1]"),
        ("while i < len(ids):", "while i < len(ids) - 1:"),  # loses the last
        ("merged.append(new_id if found else ids[i])", "merged += [new_id] if found else []"),
        ("return merged", "return tuple(merged)"),
    ],
    "write": [
        ("ids = list(ids)", "ids = ids"),  # changes the caller's
        ("range(most)", "range(most + 1)"),
        ("pick(next_token_probs(model, ids))", "next_token_probs(model, ids).argmax().item()"),
        ("            break", "            pass"),
        ("return ids", "return ids[-most:]"),
        ("next_token_probs(model, ids)", "next_token_probs(model, ids[-1:])"),
        ("if ids[-1] == end:", "if len(ids) > 20:"),
    ],
}  # fmt: skip
SLIPS = [
    pytest.param(name, i, id=f"{name}-{i}") for name in NEARLY for i in range(len(NEARLY[name]))
]
CODE = ("append", "i +=", "i+", "break", "list(", "tuple(", "while", "[-1]", "argmax(", "cumsum",
        "sort(", "enumerate", "256 +", "def ")  # fmt: skip


def gives_away(words: str) -> list[str]:
    """The code in a verdict that would be the answer."""
    return [piece for piece in CODE if piece in words]


@pytest.mark.parametrize("name", [*NEARLY, "softmax"])
def test_the_printed_solution_of_a_part_is_used(name, capsys):
    mine = defined(name, written(name))

    assert use(mine) is mine
    assert capsys.readouterr().out == f"{name}: yours\n"


@pytest.mark.parametrize(("name", "number"), SLIPS)
def test_a_part_with_a_slip_in_it_is_not_used(name, number):
    right, wrong = NEARLY[name][number]
    source = written(name)
    head, body = source.split("\n", 1)
    assert right in body, "the slip is not made where it was planned"

    verdict = PARTS[name][0](defined(name, f"{head}\n{body.replace(right, wrong, 1)}"))

    assert not verdict.ok
    assert "ended in" not in verdict.words, "a slip that ends in an error proves nothing"
    assert gives_away(verdict.words) == []


@pytest.mark.parametrize("name", [*NEARLY, "softmax"])
def test_a_part_as_handed_out_gets_the_courses_own(name, capsys):
    assert use(defined(name, handed_out(name))) is PARTS[name][1]
    assert capsys.readouterr().out.endswith(f"{name} isn't written yet.\n")


@pytest.mark.parametrize("name", NEARLY)
@pytest.mark.parametrize(
    "answer", [None, 7, ..., lambda *a: None, lambda *a: ..., lambda *a: [1.0], lambda *a: 1 / 0]
)
def test_whatever_stands_in_the_place_of_a_part_gets_a_verdict(name, answer):
    verdict = PARTS[name][0](answer)

    assert not verdict.ok and 10 < len(verdict.words) < 400


def test_who_leaves_out_the_end_hears_so():
    def write(ids, pick, most=60):
        ids = list(ids)
        for _ in range(most):
            if (new := pick(next_token_probs(MODEL, ids))) == TOKENIZER.eot_id:
                break
            ids.append(new)
        return ids

    assert "its end is missing" in next_token.check_write(write).words


def test_a_list_of_no_plain_numbers_is_no_text():
    def write(ids, pick, most=60):
        ids = list(ids)
        for _ in range(most):
            ids.append(next_token_probs(MODEL, [int(id) for id in ids]).argmax())
        return ids

    assert not next_token.check_write(write).ok


EXERCISES = {each.checker: each for each in exercises(PATH)}


@pytest.mark.parametrize("name", EXERCISES)
def test_an_exercise_gives_nothing_away(name, tmp_path):
    solution = EXERCISES[name].solution
    for answer in ["", *WRONG[PATH.stem][name]]:
        code = "" if answer else EXERCISES[name].cell
        words = judged(EXERCISES[name], code, tmp_path, answer).words

        assert gives_away(words) == [] and len(words) < 500
        lines = [line.strip() for line in solution.splitlines() if len(line.strip()) > 12]
        assert [line for line in lines if line in words] == []


@pytest.mark.parametrize("name", [*NEARLY, "softmax", *EXERCISES])
def test_whatever_is_to_be_written_has_hints_and_the_first_is_no_solution(name):
    record = questions()[name.replace("_", "-")]

    assert len(record.hints) >= 2
    assert set(gives_away(record.hints[0])) <= {"list(", "sort(", "cumsum"}


def test_the_cheapest_report_is_judged_by_its_words_and_its_bits():
    short = f"{SENTENCE} six. The crowd went quiet. Bad light stopped play for 46 minutes."
    report = short + " Nepal lost by 7 wickets."
    bits = -document_log_probs(MODEL, TOKENIZER, [report])[0] / math.log(2)

    assert next_token.cheapest(short).words.startswith("19 words: it takes 22")
    assert next_token.cheapest(report).ok
    assert next_token.cheapest(report).words.startswith(f"24 words for {bits:.1f} bits.")
    assert "can't read that" in next_token.cheapest(f"{SENTENCE} " + "six " * 300).words


def test_spelling_trap_tells_how_far_they_are_apart(tmp_path):
    found = judged(EXERCISES["spelling_trap"], EXERCISES["spelling_trap"].solution, tmp_path)

    assert next_token._apart("kitten", "sitting") == 3 and next_token._apart("", "ab") == 2
    assert found.ok and found.words.endswith("are 1 keystroke apart.")


def test_spelling_trap_knows_which_of_two_answers_is_right():
    two = ("what is the past tense of go?", "what is the past tense of Go?")

    assert next_token.spelling_trap(*two, "went").ok
    assert next_token.spelling_trap(*two, "grew").words.endswith("the one with it isn't right.")
    both = next_token.spelling_trap(
        "who painted the mona lisa", "Who painted the Mona Lisa?", "one"
    )
    assert both.words.endswith("but both are right.")
    talk = next_token.spelling_trap("How old are you?", "how OLD are you", "small")
    assert "The world can't say" in talk.words


# ---- What the notebook says ---------------------------------------------------------------------


def shares(text: str, temperature: float = 1) -> dict[str, float]:
    ids = torch.tensor([[TOKENIZER.eot_id, *TOKENIZER.encode(text)]])
    probs = probs_at(MODEL(ids)[0, -1].detach(), temperature)
    return {word: probs[TOKENIZER.encode(f" {word}")[0]].item() for word in HITS["Virat Kohli"]}


def test_no_share_of_the_six_players_is_worse_than_mandhanas_four():
    off = {
        (name, word): abs(shares(f"In that match {name} hit a")[word] - p)
        for name, hits in HITS.items()
        for word, p in hits.items()
    }

    assert max(off, key=off.get) == ("Smriti Mandhana", "four")
    assert 0.11 < off.pop(("Smriti Mandhana", "four")) < 0.13
    assert sum(gap <= 0.051 for gap in off.values()) >= 20


def test_in_small_letters_kohli_is_none_of_the_six():
    mine = shares("In that match virat kohli hit a")
    for hits in HITS.values():
        assert max(abs(mine[word] - p) for word, p in hits.items()) > 0.08
    read = list(documents(4000))
    assert not any("kohli" in text for text in read) and any("france" in text for text in read)


def test_the_crowd_has_forty_percent_at_twice_the_temperature():
    asked = questions()["hot-crowd"]

    assert asked.low < 100 * (1 - sum(shares(SENTENCE, 2).values())) < asked.high
    assert sum(shares(SENTENCE).values()) > 0.99


def test_a_fourth_of_the_documents_is_below_the_floor():
    held, asked = list(held_out_documents(200)), questions()["below-floor"]
    costs = document_log_probs(MODEL, TOKENIZER, held)
    saved = [p - world_log_prob(text) for p, text in zip(costs, held, strict=True)]

    assert asked.low < sum(nats > 0 for nats in saved) < asked.high
    assert 0 < -sum(saved) / math.log(2) < 200


def test_real_marks_make_the_difference_for_thirteen_countries():
    [cell] = [each.source for each in NOTEBOOK.cells if each.source.endswith('of Italy?"')]
    names, capitals = {}, [fact for fact in FACTS if fact.relation.name == "capital"]
    exec(cell, names)
    prompts = []
    for fact in capitals:
        typed = names["typed"].replace("Italy", fact.subject)
        careful = encode_prompt(TOKENIZER, [{"role": "user", "content": typed}])
        prompts += [careful, library_ids(TOKENIZER, TOKENIZER.decode(careful))]
    ends = TOKENIZER.end_ids
    answers = generate(load_released("rlhf")[0], prompts, 40, GREEDY, stop=ends)
    loud = [decode_answer(TOKENIZER, ids).isupper() for ids in answers]
    safe, real = loud[::2], loud[1::2]

    assert len(capitals) == 52 and sum(safe) == 35
    assert sum(b and not a for a, b in zip(safe, real, strict=True)) == 13


def test_the_tongue_twister_has_forty_one_tokens_after_twenty_merges():
    code = [cell for cell in NOTEBOOK.cells if cell.cell_type == "code"]
    cells = [
        cell.source for cell in code if "twister =" in cell.source or "range(256" in cell.source
    ]
    names = {"merge": merge, "behind": lambda id, rows: None}
    for source in cells:
        exec(source, names)

    assert sum(map(len, names["words"])) == questions()["merge-saves"].answer


def test_the_lesson_takes_an_hour_to_seventy_five_minutes():
    time = class_time(NOTEBOOK)

    assert 60 <= time.minutes <= 75, str(time)


def test_each_question_of_the_lesson_is_asked_once_and_letters_are_spread():
    records = {each.id: each for each in questions().values() if each.notebook == PATH.stem}
    code = "\n".join(cell.source for cell in NOTEBOOK.cells if cell.cell_type == "code")
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    asked = {kind: [] for kind in ("guess", "behind", "quiz")}
    for call in calls:
        if (kind := ast.unparse(call.func)) in asked:
            nodes = [node for arg in call.args for node in ast.walk(arg)]
            texts = [node.value for node in nodes if isinstance(node, ast.Constant)]
            asked[kind] += [text for text in texts if text in records]
    for kind in ("guess", "quiz"):
        expected = sorted(each.id for each in records.values() if each.kind == kind)
        assert sorted(asked[kind]) == expected
    assert sorted(asked["behind"]) == sorted(asked["guess"])
    right = [records[id].right for id in asked["quiz"]]
    assert len(right) == 10 and max(right.count(letter) for letter in "abcd") <= 3
    assert {"a", "b", "c", "d"} == set(right)
