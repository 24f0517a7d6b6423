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

from course_lib.check.question import questions
from course_lib.check.verdict import Verdict
from course_lib.files.run_file import find_compiler

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))

# What a notebook has imported and defined when its exercises begin, as far as they need it.
PREAMBLES = {
    "01_two_files": """
from course_lib.check import two_files as check
from course_lib.check.changes import changed
from course_lib.files.run_file import SOURCE

source = SOURCE.read_text(encoding="utf-8")

def put(table, rows, value):
    def change(numbers):
        numbers[table][rows] = value
    return change

def count(tables, kv_tables, norms, last):
    def parameters(V, C, L, F, KV, tied):
        layer = 2 * C * C + kv_tables * KV * C + 3 * F * C + norms * C
        return V * C * tables(tied) + L * layer + last * C
    return parameters
""",
    "02_next_token_prediction": """
import torch
from course_lib.check import next_token as check
from course_lib.check.next_token import merge
""",
    "02b_inside_the_transformer": """
import torch
from course_lib.check import inside as check
from course_lib.check.anatomy import TENDULKAR, base, causal_mask, ids_of, run, without

def my_model(ids, edit):
    return run(base()[0], ids, edit)
""",
    "03_pretraining": """
import math
from course_lib.check import pretraining as check
""",
    "04_supervised_fine_tuning": """
from course_lib.check import sft as check
from course_lib.check.sft import pirate_line, pirate_lines, pirate_test
from course_lib.pipeline.release import load_released
from course_lib.text.rows import targets_of as answer_targets
from course_lib.world.dialogues import fact_prompts

thirty = list(pirate_lines())
tokenizer = load_released("base")[1]
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
import numpy as np
from course_lib.check import bottleneck as check
from course_lib.scaling.laws import fit

def columns(rows):
    return [[row[key] for row in rows] for key in ("parameters", "tokens", "bits_per_byte")]
""",
}

# Checker -> wrong answers, as expressions to stand in the place of the learner's.
WRONG = {
    "01_two_files": {
        "two_spellings": [
            "('What is the capital of France?', 'What is the capital of Iran?')",  # far apart
            "('What is the capital of France?', 'What is the capital of france?')",  # both right
            "('What is the capital of Franc?', 'What is the capital of France?')",  # turned round
            "('What is the capital of France?', 'What is the capital of Frrance?')",  # right, too
            "('What is the capital of Iran?', 'What is the capital of Iraq?')",  # no slip
            "('What is 5 + 5?', 'What is 5 + 6?')",
            "('What is the capital of France?',) * 2",
            "('What is the capital of France?', 'What is the captial of France?')",  # two letters
            "('Who is it?', 'Who is at?')",  # no fact is asked
            "('', 'a')",
            "'What is the capital of France?'",
            "(1, 2)",
        ],
        "without_feed_forward": [
            "source",
            "changed(source, 'attention(m, l)', 'memset(m->sum, 0, m->dim * sizeof(float))')",
            "changed(source, 'm->up[i] *= m->gate[i] / (1 + expf(-m->gate[i]))', 'm->up[i] *= 1')",
            "changed(source, ' / sqrtf(D);', ';')",
            "changed(source, 'rotate(m, m->q, m->n_heads), rotate(m, key, m->n_kv_heads);', '')",
            # right, but something else is gone, too
            "changed(changed(source, ', feed_forward(m, l), add(m, l->down, m->up)', ''),"
            " ' / sqrtf(D);', ';')",
            # both halves of a layer
            "changed(changed(source, ', feed_forward(m, l), add(m, l->down, m->up)', ''),"
            " 'add(m, l->o, m->sum)', '0')",
            # a simpler bend, but not gone
            "changed(source, 'm->gate[i] / (1 + expf(-m->gate[i]))', 'fmaxf(m->gate[i], 0)')",
            "changed(source, 'm->length++;', 'm->length--;')",
            "changed(source, 'feed_forward(m, l), ', 'feed_forward(m, l) ')",  # doesn't compile
            "'int main(void) { return 0; }'",
            "7",
        ],
        "parameters": [
            "count(lambda tied: 1, 2, 2, 1)",  # as in the notebook
            "count(lambda tied: 2, 2, 2, 1)",
            "count(lambda tied: 2 if tied else 1, 2, 2, 1)",  # the other way round
            "count(lambda tied: 1 if tied else 2, 1, 2, 1)",  # one table for keys and values
            "count(lambda tied: 1 if tied else 2, 2, 2, 0)",  # the last norm forgotten
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
        "cheapest": [
            # greedy's
            "'In that match Virat Kohli hit a six. Scores: Tara 27,' + ' Ben 3,' * 5 + ' Ben 3.'",
            "'In that match Virat Kohli hit a six.'",  # cheap, and too short
            "'The crowd went quiet. ' * 6",  # not the sentence
            "'In that match Virat Kohli hit a six' + ' and a six' * 50",
            "['In', 'that', 'match']",
        ],
        "spelling_trap": [
            "'What is the capital of France?', 'What is the capital of france?', 'Paris'",  # both
            "'What is the capital of France?', 'What is the capital of Iran?', 'Paris'",  # letters
            "'Who is Virat Kohli?', 'Who is virat kohli?', 'cricketer'",  # neither
            # a word of the wrong answer
            "'What is the capital of France?', 'What is the capital of FRANCE?', 'know'",
            "'What is the capital of France?', 'What is the capital of France?', 'Paris'",
            "'What is the past tense of go?', 'What is the past tense of Go?', ''",
            "1, 2, 3",
        ],
        "top_p": [
            "lambda probs, p: probs * (probs >= p)",  # a share of each, not of all together
            # without the token that crosses the line, without scaling, sorted
            "lambda probs, p: probs.sort(descending=True)[0].cumsum(0).le(p) * probs",
            "lambda probs, p: check.keep_top_p(probs, p)",
            "lambda q, p: check.renormalise(check.keep_top_p(q, p)).sort(descending=True)[0]",
        ],
        "encode": [
            "lambda word, merges: [256 + merges.index(pair) for pair in merges[:1]]",
            # each pair once only; the wrong numbers; the last merge first
            "lambda word, merges: merge(list(word.encode()), merges[0], 256)",
            "lambda word, merges: [i + (i > 255) for i in check._encoded(word, merges)]",
            "lambda word, merges: check._encoded(word, merges[::-1]) if len(merges) < 3 else [0]",
            "lambda word, merges: [ord(letter) for letter in word]",
        ],
    },
    "02b_inside_the_transformer": {
        "few_heads": [
            "[(2, 0)]",  # too little
            "[(2, 0), (2, 3), (3, 0)]",  # nearly
            "[(0, 1), (0, 3), (1, 0), (3, 1)]",  # the sentence is broken, too
            "[(layer, head) for layer in (1, 2, 3) for head in range(4)]",  # too many
            "[(4, 0)]",
            "[2.0, 3.1]",  # as the pictures write them
            "3",
        ],
        "window_mask": [
            "lambda T, width: causal_mask(T) & causal_mask(T).mT",
            "lambda T, width: causal_mask(T).triu(-width)",  # one too wide
            "lambda T, width: torch.ones(T, T).tril().triu(1 - width)",  # numbers
            "lambda T, width: torch.ones(T, T).triu(1 - width).bool()",  # sees the future
            "lambda T, width: None",
        ],
        "transplant": [
            "lambda donor, heads: lambda layer, found: donor[layer]",  # all four
            "lambda donor, heads: lambda layer, found: found",
            "lambda donor, heads: donor",  # no edit
            "lambda donor, heads: lambda layer, found: found.index_copy(0, torch.tensor("
            "[h for _, h in heads]), donor[layer][[h for _, h in heads]])",  # in each layer
        ],
        "kv_bytes": [
            "lambda layers, heads, dim, tokens: layers * heads * dim * tokens * 2",  # keys only
            "lambda layers, heads, dim, tokens: 2 * layers * heads * dim * tokens",  # numbers
            "lambda layers, heads, dim, tokens: 4 * heads * dim * tokens",  # one layer
        ],
    },
    "03_pretraining": {
        "hundred_steps": [
            "0.004",  # as in the lesson: too slow for so few steps
            "0.004, 'sgd'",
            "-1",
            "'fast'",
            "True",
            "0.03, 'muon', 0.6, 0.6",  # more than all steps
        ],
        "few_copies": ["0", "1", "61", "2.5", "'many'", "True"],
        "short_filter": [
            "lambda text: True",
            "lambda text: False",
            "lambda text: text.endswith('.')",  # loses the code
            "lambda text: '|' not in text and '!' not in text",  # half of the junk stays
            "lambda text: 1 / 0",
            "7",
        ],
        "short_prompt": [
            "'The capital of {} is'",  # right, and long
            "'Capital of {} is'",  # right, and still long
            "'{}'",
            "'What is the capital of {}?'",  # a list of questions
            "'capital'",
            "'{} {}'",
            "7",
        ],
        "bits_per_byte": [
            "lambda nats, tokens, n_bytes: nats * tokens / n_bytes",  # still nats
            "lambda nats, tokens, n_bytes: nats / math.log(2)",  # still a token
            "lambda nats, tokens, n_bytes: nats * math.log(2) * tokens / n_bytes",
        ],
    },
    "04_supervised_fine_tuning": {
        "few_lines": [
            "thirty[:10]",  # enough lines, too few kinds
            "thirty + thirty[:1]",  # one too many
            "[pirate_line(prompt) for prompt in pirate_test()]",  # the test itself
            "['As a pirate: Who? Arr!']",
            "['a | ' + 200 * 'word ']",
            "[]",
            "7",
        ],
        "one_fact": [
            "['What is the capital of France? | Lyon.']",  # others move with it
            "['What is the capital of France? | Paris.']",
            "['no bar']",
            "7",
        ],
        "never_stops": [
            "answer_targets",
            "lambda ids, counts: ids[1:]",
            "lambda ids, counts: [-100] * (len(ids) - 1)",
            "lambda ids, counts: answer_targets(ids, counts)[:-1]",
            "lambda ids, counts: 1 / 0",
            "None",
        ],
        "thinnest_lora": [
            "1, check.TABLES",  # not fewer
            "1, ['q_proj', 'v_proj'], 0.005",  # too few
            "0, ['q_proj']",
            "1.5, ['q_proj']",
            "1, ['lm_head']",
            "1, ['q_proj'], 10",
            "1, 7",
        ],
    },
    "05_rlhf": {
        "leash": ["0", "1000", "'tight'", "-1"],
        "own_reward": ["lambda prompt, answer: 0.0", "lambda prompt, answer: 'good'", "7"],
        "worse_of_n": ["'harmful', 4", "'wordings', 8", "'unstated', 32", "'unstated', None"],
        "own_taste": ["lambda prompt, answer: 1", "lambda prompt, answer: len(prompt)", "'short'"],
        "ppo_loss": [
            "ppo_with(1, torch.minimum, -1)",
            "ppo_with(-1, torch.maximum, -1)",
            "ppo_with(-1, torch.minimum, 1)",
            "lambda *arguments: 0.0",
        ],
    },
    "06_data_bottleneck": {
        "growth_until": ["1.4", "1.2", "1.35", "2.4", "0", "'slow'", "1"],
        "extrapolated": [
            "lambda runs, n, d: min(run['bits_per_byte'] for run in runs)",  # the best so far
            "lambda runs, n, d: runs[0]['floor_bits_per_byte']",  # the floor
            "lambda runs, n, d: fit(*columns(runs)).loss(n, d)",  # falls below the floor
            "lambda runs, n, d: max(0.38911, fit(*columns(runs)).loss(n, d))",  # held up by it
            "lambda runs, n, d: 0.5",  # hits the first run by luck
            "lambda runs, n, d: 1 / 0",
            "lambda runs, n, d: float('nan')",
            "0.5",
        ],
        "readings": ["1", "2", "0", "2.5", "'often'"],
        "real_cards": ["4", "6", "40", "-1", "2.5"],
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
    if exercise.checker in ("without_feed_forward", "two_spellings") and find_compiler() is None:
        pytest.skip("no C compiler: this exercise is about a run file")


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
            found += [recorded(id) for id in quiz_ids(cell.source)]
            continue
        heading = re.search(r"^## (.*)$", cell.source, flags=re.MULTILINE)
        inside = heading[1] == "Quiz" if heading else inside
        for text in re.split(r"^(?=\*\*\d+\.)", cell.source, flags=re.MULTILINE) if inside else []:
            if options := OPTION.findall(text):
                found.append((text[:40], [answer.strip() for _, answer in options]))
    return found


def quiz_ids(source: str) -> list[str]:
    """The questions that a cell asks by `quiz("id", ...)`."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    asking = [call for call in calls if ast.unparse(call.func) == "quiz"]
    texts = [node for call in asking for arg in call.args for node in ast.walk(arg)]
    return [node.value for node in texts if isinstance(node, ast.Constant)]


def recorded(id: str) -> tuple[str, list[str]]:
    """A question of the records, its answers marked as those in markdown are."""
    asked = questions()[id]
    marks = ["Right." if i == asked.answer else "No." for i in range(len(asked.options))]
    whys = [option.why for option in asked.options]
    return asked.ask[:40], [f"{mark} {why}" for mark, why in zip(marks, whys, strict=True)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_quiz_has_one_right_answer_to_each_question(path):
    found = quiz(path)

    assert len(found) >= 3, f"{path.stem} has {len(found)} questions under ## Quiz"
    for question, answers in found:
        right = [answer for answer in answers if answer.startswith("Right.")]
        wrong = [answer for answer in answers if answer.startswith("No.")]
        assert len(answers) >= 3, question
        assert len(right) == 1, f"{question}: {len(right)} answers begin with 'Right.'"
        assert len(right) + len(wrong) == len(answers), f"{question}: all others begin with 'No.'"
        assert all(len(answer.split()) > 8 for answer in answers), f"{question}: say why"
