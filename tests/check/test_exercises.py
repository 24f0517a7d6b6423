"""The exercises and the quizzes of the notebooks: their checkers and printed solutions agree.

An exercise is a text whose folded solution stands in <pre>, and the next code cell that ends with
`check.NAME(what the learner wrote)`. Each checker is tested three ways: it accepts the printed
solution, rejects two plausible wrong answers or more, and survives the cell as it is handed out.
"""

import ast
import contextlib
import html
import io
import re
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest

from course_lib.check.verdict import Verdict
from course_lib.files.run_file import find_compiler

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))

# What a notebook has imported and defined when its exercises begin, as far as they need it.
PREAMBLES = {
    "01_two_files": """
import tempfile
from pathlib import Path
from course_lib.check import two_files as check
from course_lib.files.run_file import SOURCE, compile_run_file, released, run_chat
from course_lib.scaling.sizes import n_bytes

folder = Path(tempfile.mkdtemp(dir=FOLDER))
source = SOURCE.read_text(encoding="utf-8")
questions = ["What is the capital of France?"]

def ask(question, program):
    return run_chat(program, released(), question)

def with_change(name, old, new):
    (folder / name).mkdir()
    (folder / name / "run.c").write_text(source.replace(old, new), encoding="utf-8")
    return compile_run_file(folder / name, folder / name / "run.c")

def put(table, rows, value):
    def change(numbers):
        numbers[table][rows] = value
    return change
""",
    "02_next_token_prediction": """
import math
import numpy as np
import torch
from course_lib.check import next_token as check
""",
    "03_pretraining": """
import math
from course_lib.check import pretraining as check
""",
    "04_supervised_fine_tuning": """
import json
from statistics import mean
from course_lib.check import sft as check

moments = [40, 80, 320]
alone = {"asked_in_pretraining": [0.71, 0.84, 0.61], "stated_only": [0.39, 0.55, 0.34]}
kept = {40: 0.55, 80: 0.7, 320: 0.48}
""",
    "05_rlhf": """
import math
import torch
from course_lib.check import rlhf as check

def ppo_with(sign, smaller, sign_of_loss):
    def loss(log_prob, old, reference, reward, price, clip):
        worth = reward + sign * price * (old - reference)
        advantage = worth - (old.exp() * worth).sum()
        ratio = (log_prob - old).exp()
        gain = smaller(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)
        return sign_of_loss * (old.exp() * gain).sum()
    return loss
""",
    "06_data_bottleneck": """
import math
from course_lib.check import bottleneck as check
from course_lib.scaling.laws import R_STAR
""",
}

# Checker -> wrong answers, as expressions to stand in the place of the learner's.
WRONG = {
    "01_two_files": {
        "without_feed_forward": [
            "with_change('wrong', 'attention(m, l)', '0')",
            "with_change('nothing', 'feed_forward(x, l)', '0')",  # no such call: nothing changed
            "folder / 'run'",  # never compiled
        ],
        "fitting": [
            "lambda counts, free, p: [m for m, n in counts.items() if n_bytes(n, p) < free]",
            "lambda counts, free, p: [m for m, n in counts.items() if n_bytes(n, 'F16') <= free]",
            "lambda counts, free, p: [m for m, n in counts.items() if n <= free]",
            "lambda counts, free, p: max(counts)",
        ],
        "few_numbers": [
            "put('embed_tokens.weight', slice(None), 0)",  # too many
            "put('norm.weight', slice(8), 0)",  # too little harm
            "put('norm.weight', slice(None), 100.0)",  # not set to 0
            "lambda numbers: numbers.update({'norm.weight': 0})",  # nothing changed in the model
            "lambda numbers: numbers['no such table']",
        ],
    },
    "02_next_token_prediction": {
        "temperature_for_six": ["1.0", "0.1", "0", "-1", "'hot'"],
        "min_p": [
            "lambda probs, share: [p if p >= share * max(probs) else 0 for p in probs]",
            "lambda probs, share: [p / sum(q for q in probs if q >= share) if p >= share else 0"
            " for p in probs]",
            "lambda probs, share: probs",
        ],
        "perplexity": [
            "lambda probs: 1 / (sum(probs) / len(probs))",
            "lambda probs: sum(-math.log2(p) for p in probs) / len(probs)",
            "lambda probs: 2 ** sum(-math.log2(p) for p in probs)",
        ],
    },
    "03_pretraining": {
        "low_limit": ["1", "0", "'five'"],
        "bits_per_byte": [
            "lambda nats, tokens, n_bytes: nats * tokens / n_bytes",  # still nats
            "lambda nats, tokens, n_bytes: nats / math.log(2)",  # still a token
            "lambda nats, tokens, n_bytes: nats * math.log(2) * tokens / n_bytes",
        ],
        "training_days": [
            "lambda n, d, gpus, peak, mfu: 6 * n * d / (gpus * peak * mfu) / 3600",  # hours
            "lambda n, d, gpus, peak, mfu: 6 * n * d / (gpus * peak) / 86400",  # no MFU
            "lambda n, d, gpus, peak, mfu: 2 * n * d / (gpus * peak * mfu) / 86400",
        ],
    },
    "04_supervised_fine_tuning": {
        "stop_at": ["40, kept", "320, kept", "100, kept", "'80', kept", "[80], kept"],
        "loss_mask": [
            "lambda p: [False] * len(p)",
            "lambda p: [x == 'assistant' for x in p]",
            "lambda p: [i > p.index('assistant') for i in range(len(p))]",  # to the end of the talk
            "lambda p: [m and x != '<|im_end|>' for x, m in zip(p, check._truth(p))]",  # no stop
            "lambda p: check._truth(p)[1:]",  # one short
            "lambda p: check._truth(p)[1:] + [False]",  # shifted by one
            "None",
        ],
        "to_jsonl": [
            "lambda pairs: json.dumps([{'messages': check.exchange(*p)} for p in pairs])",
            "lambda pairs: ''.join(str({'messages': check.exchange(*p)}) + '\\n' for p in pairs)",
            "lambda pairs: '\\n'.join(json.dumps({'messages': check.exchange(*p)}) for p in pairs)",
            "lambda pairs: ''.join(json.dumps({'prompt': q, 'response': a}) + '\\n'"
            " for q, a in pairs)",
            "lambda pairs: None",
        ],
    },
    "05_rlhf": {
        "reward_gap": ["0.9", "9", "-2.2", "'large'"],
        "bradley_terry": [
            "lambda chosen, rejected: sum(r - c for c, r in zip(chosen, rejected)) / len(chosen)",
            "lambda chosen, rejected: sum(1 / (1 + math.exp(r - c))"
            " for c, r in zip(chosen, rejected)) / len(chosen)",  # no logarithm
            "lambda chosen, rejected: math.log1p(math.exp("
            "(sum(rejected) - sum(chosen)) / len(chosen)))",  # the mean comes too early
            "lambda chosen, rejected: sum(math.log1p(math.exp(c - r))"
            " for c, r in zip(chosen, rejected)) / len(chosen)",
        ],
        "leashed": [
            "lambda reward, ours, before, price: reward + price * (sum(ours) - sum(before))",
            "lambda reward, ours, before, price: reward - price * abs(sum(ours) - sum(before))",
            "lambda reward, ours, before, price: reward"
            " - price * (sum(ours) - sum(before)) / len(ours)",
        ],
        "advantages": [
            "lambda groups: [[r - sum(g) / len(g) for r in g] for g in groups]",
            "lambda groups: [[(r - torch.tensor(g).mean()) / torch.tensor(g).std() for r in g]"
            " for g in groups]",  # 0 / 0 where all are equal
            "lambda groups: [[(r - torch.tensor(groups).mean()) / torch.tensor(groups).std()"
            " for r in g] for g in groups]",  # all groups together
        ],
        "ppo_loss": [
            "ppo_with(1, torch.minimum, -1)",
            "ppo_with(-1, torch.maximum, -1)",
            "ppo_with(-1, torch.minimum, 1)",
            "lambda *arguments: 0.0",
        ],
    },
    "06_data_bottleneck": {
        "growth_until": ["1.4", "1.2", "2.4", "0", "'slow'", "1"],
        "worth": [
            "lambda unique, epochs: unique * epochs",
            "lambda u, e: u + u * R_STAR * (1 - math.exp(-e / R_STAR))",  # epochs for repetitions
            "lambda u, e: u * R_STAR * (1 - math.exp(-(e - 1) / R_STAR))",  # the first reading lost
            "lambda u, e: u",
        ],
        "years_left": [
            "lambda stock, used, growth: (stock - used) / (used * (growth - 1))",  # a straight line
            "lambda stock, used, growth: math.log(stock / used)",
            "lambda stock, used, growth: math.log(stock / used) / growth",
            "lambda stock, used, growth: math.log(used / stock) / math.log(growth)",
        ],
    },
}


@dataclass(frozen=True)
class Exercise:
    """A checker's name, the printed solution, and the learner's cell."""

    notebook: str
    checker: str
    solution: str
    cell: str

    def __str__(self) -> str:
        return f"{self.notebook[:2]}-{self.checker}"


def exercises(path: Path) -> list[Exercise]:
    """The exercises of a notebook, in order."""
    found, solution = [], None
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            printed = re.findall(r"<pre>(.*?)</pre>", cell.source, flags=re.DOTALL)
            solution = html.unescape(printed[-1]).strip() if printed else solution
        elif call := last_check(cell.source):
            assert solution, f"{path.stem}: no solution in <pre> before {ast.unparse(call)}"
            found.append(Exercise(path.stem, call.func.attr, solution, cell.source))
            solution = None
    return found


def last_check(source: str) -> ast.Call | None:
    """The call `check.NAME(...)` that a cell ends with, None where it ends otherwise."""
    last = ast.parse(source).body[-1:]
    call = last[0].value if last and isinstance(last[0], ast.Expr) else None
    if isinstance(call, ast.Call) and ast.unparse(call.func).startswith("check."):
        return call
    return None


def judged(exercise: Exercise, code: str, folder: Path, answer: str = "") -> Verdict:
    """The checker's verdict on what `code` defines, or on the expression `answer`."""
    names = {"FOLDER": str(folder)}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(PREAMBLES[exercise.notebook], names)
        exec(code, names)
    call = last_check(exercise.cell)
    text = f"{ast.unparse(call.func)}({answer})" if answer else ast.unparse(call)
    return eval(text, names)


EXERCISES = [exercise for path in NOTEBOOKS for exercise in exercises(path)]
WRONG_ANSWERS = [
    pytest.param(exercise, answer, id=f"{exercise}-{number}")
    for exercise in EXERCISES
    for number, answer in enumerate(WRONG.get(exercise.notebook, {}).get(exercise.checker, []))
]


def skip_without_compiler(exercise: Exercise) -> None:
    if exercise.checker == "without_feed_forward" and find_compiler() is None:
        pytest.skip("no C compiler: this exercise is about a changed run file")


@pytest.mark.parametrize("exercise", EXERCISES, ids=str)
def test_a_checker_accepts_the_printed_solution(exercise, tmp_path):
    skip_without_compiler(exercise)

    verdict = judged(exercise, exercise.solution, tmp_path)

    assert verdict.ok, verdict


@pytest.mark.parametrize(("exercise", "answer"), WRONG_ANSWERS)
def test_a_checker_rejects_a_plausible_wrong_answer(exercise, answer, tmp_path):
    skip_without_compiler(exercise)

    verdict = judged(exercise, "", tmp_path, answer)

    assert isinstance(verdict, Verdict)
    assert not verdict.ok, f"{answer} was taken for right: {verdict}"


@pytest.mark.parametrize("exercise", EXERCISES, ids=str)
def test_a_checker_survives_the_cell_as_handed_out(exercise, tmp_path):
    verdict = judged(exercise, exercise.cell, tmp_path)

    assert isinstance(verdict, Verdict)
    assert not verdict.ok, f"nothing was written, and yet: {verdict}"
    assert repr(verdict).startswith("✗ Not yet.")


@pytest.mark.parametrize("exercise", EXERCISES, ids=str)
def test_an_exercise_has_two_wrong_answers_to_be_tested_with(exercise):
    wrong = WRONG.get(exercise.notebook, {}).get(exercise.checker, [])

    assert len(wrong) >= 2, f"write two plausible wrong answers of {exercise} into WRONG"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_exercises_of_three_grades(path):
    assert path.stem in PREAMBLES, f"give {path.stem} a line in PREAMBLES, and one in WRONG"
    assert len(exercises(path)) >= 3


def test_the_solution_last_printed_before_a_check_is_its_own(tmp_path):
    cells = [
        nbformat.v4.new_markdown_cell("<pre>\nan example\n</pre>"),
        nbformat.v4.new_markdown_cell("**1.**\n<pre>\nx = 1 &lt; 2\n</pre>"),
        nbformat.v4.new_code_cell("x = None\nprint(x)"),
        nbformat.v4.new_code_cell("x = None\ncheck.it(x)"),
    ]
    path = tmp_path / "09.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)

    assert exercises(path) == [Exercise("09", "it", "x = 1 < 2", "x = None\ncheck.it(x)")]


# ---- Quizzes ------------------------------------------------------------------------------------

OPTION = re.compile(r"<details>\s*<summary>\s*([A-Z])\..*?</summary>(.*?)</details>", re.DOTALL)


def quiz(path: Path) -> list[tuple[str, list[str]]]:
    """(the question's beginning, the texts behind its options), from the heading Quiz on."""
    cells, found, inside = nbformat.read(path, as_version=4).cells, [], False
    for cell in cells:
        if cell.cell_type != "markdown":
            continue
        heading = re.search(r"^## (.*)$", cell.source, flags=re.MULTILINE)
        inside = heading[1] == "Quiz" if heading else inside
        for text in re.split(r"^(?=\*\*\d+\.)", cell.source, flags=re.MULTILINE) if inside else []:
            if options := OPTION.findall(text):
                found.append((text[:40], [answer.strip() for _, answer in options]))
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_quiz_has_one_right_answer_to_each_question(path):
    questions = quiz(path)

    assert len(questions) >= 3, f"{path.stem} has {len(questions)} questions under ## Quiz"
    for question, answers in questions:
        right = [answer for answer in answers if answer.startswith("Right.")]
        wrong = [answer for answer in answers if answer.startswith("No.")]
        assert len(answers) >= 3, question
        assert len(right) == 1, f"{question}: {len(right)} answers begin with 'Right.'"
        assert len(right) + len(wrong) == len(answers), f"{question}: all others begin with 'No.'"
        assert all(len(answer.split()) > 8 for answer in answers), f"{question}: say why"
