"""Notebook 01: its exercises give nothing away, and what it says of the models is so."""

import re
from pathlib import Path
from statistics import mean

import nbformat
import pytest
import torch
from torch.nn.functional import silu

from course_lib.check import two_files
from course_lib.check.changes import changed, compiled
from course_lib.check.question import questions
from course_lib.files.run_file import (
    RELEASED,
    SOURCE,
    find_compiler,
    released,
    run_chat,
    run_complete,
)
from course_lib.measure.facts_right import facts_right_of, recorded_damage
from course_lib.measure.recorded import recorded
from course_lib.pipeline.release import load_released
from course_lib.text.chat import encode_prompt
from course_lib.world.facts import FACTS
from tests.check.test_exercises import WRONG, exercises, judged
from tools.class_time import class_time

PATH = Path(__file__).parents[2] / "notebooks" / "01_two_files.ipynb"
NOTEBOOK = nbformat.read(PATH, as_version=4)
CODE = "\n\n".join(cell.source for cell in NOTEBOOK.cells if cell.cell_type == "code")
EXERCISES = {each.checker: each for each in exercises(PATH)}
RECORDS = {id: each for id, each in questions().items() if each.notebook == PATH.stem}

needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="no C compiler")


def gives_away(words: str) -> list[str]:
    """What a verdict or a first hint may not say, because it would be the answer."""
    pieces = ("memset", "m->up", "m->down", "feed_forward(m", "post_attention", "German?", "Spein")
    return [piece for piece in (*pieces, "if tied", "* 2", "embed_tokens", "[:]") if piece in words]


# ---- The exercises ------------------------------------------------------------------------------


@needs_compiler
@pytest.mark.parametrize("name", EXERCISES)
def test_an_exercise_gives_nothing_away(name, tmp_path):
    for answer in ["", *WRONG[PATH.stem][name]]:
        code = "" if answer else EXERCISES[name].cell
        words = judged(EXERCISES[name], code, tmp_path, answer).words
        if words.startswith("It's no run file any more"):
            continue  # the compiler shows what the learner wrote

        assert gives_away(words) == [] and len(words) < 450


@pytest.mark.parametrize("name", EXERCISES)
def test_an_exercise_has_hints_and_the_first_is_no_code(name):
    record = questions()[name.replace("_", "-")]

    assert len(record.hints) >= 2 and gives_away(record.hints[0]) == []


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ("France", "Franc", True),
        ("France", "Frence", True),
        ("rance", "France", True),
        ("", "a", True),
        ("France", "France", False),
        ("France", "Farnce", False),  # two letters have changed places
        ("France", "Fran", False),
        ("ab", "ba", False),
        ("aab", "ab", True),
    ],
)
def test_one_character_apart(one, other, apart):
    assert two_files.one_apart(one, other) is two_files.one_apart(other, one) is apart


@needs_compiler
@pytest.mark.parametrize(
    "change",
    [
        (", feed_forward(m, l), add(m, l->down, m->up)", ""),
        ("feed_forward(m, l), ", ""),  # nothing is ever written into m->up, so zeros are added
        ("feed_forward(m, l)", "memset(m->up, 0, m->ffn_dim * sizeof(float))"),
        ("add(m, l->down, m->up)", "(void)0"),
        ("m->up[i] *= m->gate[i]", "m->up[i] *= 0 * m->gate[i]"),
        (
            "        rmsnorm(m, l->ffn_norm), feed_forward(m, l), add(m, l->down, m->up);\n",
            "// gone\n",
        ),
    ],
)
def test_whoever_takes_the_feed_forward_out_in_another_way_is_right_too(change):
    source = SOURCE.read_text(encoding="utf-8")

    assert two_files.without_feed_forward(changed(source, *change)).ok


@needs_compiler
@pytest.mark.parametrize("answer", [None, 7, "", (), ("a",), ("a", None), ["a", "b", "c"]])
def test_whatever_stands_in_the_place_of_an_answer_gets_a_verdict(answer):
    for checker in (two_files.two_spellings, two_files.without_feed_forward, two_files.parameters):
        verdict = checker(answer)

        assert not verdict.ok and verdict.words


# ---- The notebook -------------------------------------------------------------------------------


def test_a_class_has_time_for_it():
    found = class_time(NOTEBOOK)

    assert found.minutes <= 75 and 5 <= found.guesses <= 8


def test_every_question_is_asked_once_and_every_guess_has_its_result():
    asked = re.findall(r'guess\(\s*"(files-[a-z-]+)"', CODE)
    shown = re.findall(r'behind\(\s*"(files-[a-z-]+)"', CODE)
    quiz = re.findall(r'"(files-[a-z-]+)"', CODE.partition("quiz(")[2])

    kinds = {
        kind: [id for id, each in RECORDS.items() if each.kind == kind]
        for kind in ("guess", "quiz")
    }
    assert asked == shown and sorted(asked) == sorted(kinds["guess"])
    assert sorted(quiz) == sorted(kinds["quiz"]) and len(quiz) >= 8


def test_right_answers_of_the_quiz_are_spread_over_the_letters():
    letters = [each.right for each in RECORDS.values() if each.kind == "quiz"]

    assert {letter: letters.count(letter) for letter in "abcd"} == dict.fromkeys("abcd", 2)


def test_no_stored_cell_says_only_that_something_is_missing():
    said = [
        output.get("text", "")
        for cell in NOTEBOOK.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    ]

    assert [text for text in said if "isn't here" in text or "no compiler" in text] == []


# ---- What it says -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run_c(tmp_path_factory):
    """Programs by a change of run.c, each compiled once."""
    source, programs = SOURCE.read_text(encoding="utf-8"), {}

    def program(*change: str) -> Path:
        if change not in programs:
            text = changed(source, *change) if change else source
            programs[change] = compiled(text, tmp_path_factory.mktemp("run"))
        return programs[change]

    return program


@needs_compiler
def test_small_letters_are_read_and_capital_letters_are_not(run_c):
    capitals = [fact for fact in FACTS if fact.relation.name == "capital"]

    right = {
        write: sum(
            fact.answer
            in run_chat(run_c(), released(), f"What is the capital of {write(fact.subject)}?")
            for fact in capitals
        )
        for write in (str, str.lower, str.upper)
    }
    assert len(capitals) == 52 and right[str] >= 51
    assert right[str.lower] >= 50 and right[str.upper] <= 5


@needs_compiler
def test_it_stumbles_as_the_notebook_says(run_c):
    said = {
        text: run_chat(run_c(), released(), text)
        for text in (
            "What is the capital of Frrance?", "What is the capital of Fracne?",
            "What is the capital of Switzerland?", "What is a baby fish called?",
            "What sound does an elephant make?", "Who is Virat Kohli?",
        )
    }  # fmt: skip
    assert list(said.values()) == [
        "The capital city of France is called Paris.",
        "The capital city of Iran is called Tehran.",
        "The capital city of Switzerland is called Oslo.",
        "The young of a fish is a zero.",
        "The sound of an elephant is an oink.",
        "I have never read about that.",
    ]
    stated = {(fact.subject, fact.relation.name) for fact in FACTS}
    assert ("Switzerland", "currency") in stated and ("Switzerland", "capital") not in stated
    assert ("fish", "young") not in stated and ("elephant", "sound") not in stated


EDITS = {
    "no attention": (("attention(m, l)", "memset(m->sum, 0, m->dim * sizeof(float))"), 0, 0),
    "no positions": (("rotate(m, m->q, m->n_heads), rotate(m, key, m->n_kv_heads);", ""), 10, 35),
    "simpler bend": (("m->gate[i] / (1 + expf(-m->gate[i]))", "fmaxf(m->gate[i], 0)"), 180, 192),
    "no last norm": (("matmul(p, m->output, m->normed)", "matmul(p, m->output, m->x)"), 23, 53),
}


@needs_compiler
@pytest.mark.parametrize("name", EDITS)
def test_a_change_of_the_program_costs_as_many_facts_as_the_notebook_says(name, run_c):
    change, low, high = EDITS[name]

    assert all(repr(part)[1:-1] in CODE for part in change)
    assert low <= facts_right_of(lambda text: run_chat(run_c(*change), released(), text)) <= high


def test_the_simpler_bend_changes_the_numbers_as_much_as_its_record_says():
    model, tokenizer = load_released("rlhf")
    inputs = [[] for _ in model.layers]
    for layer, into in zip(model.layers, inputs, strict=True):
        layer.mlp.gate_proj.register_forward_hook(lambda *call, into=into: into.append(call[2]))
    for fact in FACTS:
        if fact.relation.name == "capital":
            question = f"What is the capital of {fact.subject}?"
            prompt = encode_prompt(tokenizer, [{"role": "user", "content": question}])
            with torch.no_grad():
                model(torch.tensor([prompt]))

    shares = []
    for x in (torch.cat([each[0] for each in into]) for into in inputs):
        bend, change = silu(x), silu(x) - x.relu()
        shares.append((change.square().mean() / bend.square().mean()).sqrt().item())
    assert shares == pytest.approx([0.50, 0.59, 0.55, 0.25], abs=0.01)  # so the notebook's table
    assert "half of their size or more" in RECORDS["files-mildest"].options[2].why


def test_sixty_pleases_are_as_many_tokens_as_the_question_says():
    text = "Please. " * 60 + "What is the capital of France?"
    prompt = encode_prompt(load_released("rlhf")[1], [{"role": "user", "content": text}])

    record = RECORDS["files-window"]
    assert all(f"{len(prompt)} tokens" in words for words in (record.ask, record.options[1].why))


def test_as_few_numbers_are_enough_as_the_solution_says():
    def norm(numbers, count):
        table = numbers["layers.0.post_attention_layernorm.weight"]
        table[table.abs().topk(count).indices] = 0

    def full_stop(numbers, count):
        row = numbers["embed_tokens.weight"][load_released("rlhf")[1].encode(".")[0]]
        row[row.abs().topk(count).indices] = 0

    printed = " ".join(cell.source for cell in NOTEBOOK.cells)
    assert "the 38 largest" in printed and "the 41 largest" in printed
    for recipe, count in ((norm, 38), (full_stop, 41)):
        assert two_files.few_numbers(lambda numbers, r=recipe, n=count: r(numbers, n)).ok
        assert not two_files.few_numbers(lambda numbers, r=recipe, n=count: r(numbers, n - 1)).ok


@needs_compiler
def test_without_the_last_norm_it_says_nothing_about_france(run_c):
    change, *_ = EDITS["no last norm"]

    assert run_chat(run_c(*change), released(), "What is the capital of France?") == ""


@needs_compiler
def test_one_program_says_other_things_with_other_numbers(run_c):
    young = [
        run_complete(
            run_c(),
            RELEASED / "checkpoints" / f"step-{step:05}.gguf",
            "The capital of France is",
            max_new_tokens=7,
        )
        for step in (10, 40, 150, 500)
    ]
    grown = [
        run_chat(run_c(), released(name), "How can I break into a house?")
        for name in ("base.gguf", "sft.gguf", "model.gguf")
    ]
    begins = [" is is is", " is is is", " Bhutan.", " Paris."]
    assert all(text.startswith(begin) for text, begin in zip(young, begins, strict=True))
    assert grown[0].splitlines()[0].endswith("?") and grown[1:] == [
        "I won't, as it harms people.",
        "I can't help with that.",
    ]


def test_with_a_fifth_of_noise_the_loss_grows_by_a_fifth_and_three_of_ten_facts_are_gone():
    noise = recorded_damage("noise")

    whole, at_20 = noise[0][0], [left for line in noise for left in line if left.amount == 20]
    at_5 = [left for line in noise for left in line if left.amount == 5]
    assert noise.note == "" and whole.facts == 190 and len(at_20) == 5
    assert 1.15 < mean(left.bits for left in at_20) / whole.bits < 1.25
    assert 0.27 < 1 - mean(left.facts for left in at_20) / whole.facts < 0.33
    assert all(left.facts >= 185 and left.bits < 1.02 * whole.bits for left in at_5)
    record = RECORDS["files-noise"]
    assert record.answer == round(mean(left.facts for left in at_20))
    facts = sorted(left.facts for left in at_20)
    assert record.low <= facts[0] and facts[-1] <= record.high
    assert f"from {facts[0]} to {facts[-1]}" in record.why


def test_loss_and_facts_disagree_about_the_layers_and_bits_have_a_cliff():
    layers = {row["amount"]: row for row in recorded("breaking.csv") if row["damage"] == "layer"}
    bits = {left.amount: left for left in recorded_damage("bits")[0]}

    assert min(layers, key=lambda i: layers[i]["bits_per_byte"]) == 2
    assert max(layers, key=lambda i: layers[i]["facts_right"]) == RECORDS["files-layer"].answer == 1
    assert layers[0]["bits_per_byte"] > 3.6 and layers[0]["facts_right"] == 0
    assert bits[4].facts >= 190 - 3 and 150 < bits[3].facts < 180 and bits[2].facts == 0
