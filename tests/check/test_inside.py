"""The parts of notebook 02b: ours are the model's, and a checker knows right from nearly right."""

import ast
import re
from functools import partial
from pathlib import Path

import nbformat
import pytest
import torch
import torch.nn.functional as F

from course_lib.check import anatomy, inside
from course_lib.check.anatomy import KOHLI, TENDULKAR, base, ids_of, shares, tables, without
from course_lib.check.parts import PARTS, use
from course_lib.check.question import questions
from course_lib.model.transformer import rope_tables
from course_lib.world.documents import HITS
from tests.check import lesson
from tests.check.test_exercises import WRONG, exercises, judged
from tools.class_time import class_time

PATH = Path(__file__).parents[2] / "notebooks" / "02b_inside_the_transformer.ipynb"
NOTEBOOK = nbformat.read(PATH, as_version=4)
written = partial(lesson.written, NOTEBOOK)
handed_out = partial(lesson.handed_out, NOTEBOOK)
FIVE = [(2, 0), (2, 3), (3, 0), (3, 1), (3, 3)]  # the heads that the notebook calls the carriers


def defined(name: str, source: str):
    """The function that `source` defines, where the notebook's names are known."""
    names = {"torch": torch, "F": F} | vars(anatomy)
    names["my_model"] = lambda ids, edit: anatomy.run(base()[0], ids, edit)
    exec(source, names)
    return names[name]


# Changed in one place each: what a learner may well write.
NEARLY = {
    "causal_mask": [("<=", "<"), ("<=", ">"), ("place[:, None]", "place[:, None] + 1")],
    "attention": [
        (" / q.shape[-1] ** 0.5", ""),
        ("** 0.5", ""),
        ("~causal_mask", "causal_mask"),
        ("dim=-1", "dim=-2"),
        ("q @ k.mT", "k @ q.mT"),
        ("-torch.inf", "0.0"),
    ],
    "rms_norm": [(".mean(dim=-1, keepdim=True)", ".mean()"), ("gain * ", ""), (".sqrt()", "")],
    "rotate": [
        ("x.chunk(2, dim=-1)", "(x[..., ::2], x[..., 1::2])"),
        ("b * cos + a", "b * cos - a"),
    ],
    "feed_forward": [
        ("F.silu(x @ gate.T)", "(x @ gate.T)"),
        ("F.silu", "F.relu"),
        ("F.silu", "F.gelu"),
    ],
    "block": [
        ("x = x + join_heads", "x = join_heads"),
        ("return x + feed", "return feed"),
        ("rms_norm(x, w.norm1)", "x"),
        ("rms_norm(x, w.norm2)", "x"),
        ("rms_norm(x, w.norm2)", "n"),
        ("rotate(q, cos, sin), rotate(k, cos, sin)", "q, k"),
        ("edit(attention(rotate(q, cos, sin), rotate(k, cos, sin), v))",
         "attention(rotate(q, cos, sin), rotate(k, cos, sin), v)"),
        ("w.norm2", "w.norm1"),
    ],
    "gap": [
        ("100 * ", ""),
        ("six[0] - six[1]", "six[1] - six[0]"),
        ("*off", ""),
        (" - six[1]", ""),
    ],
}  # fmt: skip
SLIPS = [
    pytest.param(name, i, id=f"{name}-{i}") for name in NEARLY for i in range(len(NEARLY[name]))
]


@pytest.mark.parametrize("name", NEARLY)
def test_the_printed_solution_of_a_part_is_used(name, capsys):
    mine = defined(name, written(name))

    assert use(mine) is mine
    assert capsys.readouterr().out == f"{name}: yours\n"


@pytest.mark.parametrize("name", NEARLY)
def test_a_part_fits_into_eight_lines(name):
    assert len(written(name).splitlines()) <= 8


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


@pytest.mark.parametrize("name", NEARLY)
def test_a_part_as_handed_out_gets_the_courses_own(name, capsys):
    assert use(defined(name, handed_out(name))) is PARTS[name][1]

    told = capsys.readouterr().out
    assert told.endswith(f"{name} isn't written yet.\n")
    assert gives_away(told) == []


@pytest.mark.parametrize("name", NEARLY)
@pytest.mark.parametrize(
    "answer", [None, 7, ..., lambda *a: None, lambda *a: ..., lambda *a: [1.0], lambda *a: 1 / 0]
)
def test_whatever_stands_in_the_place_of_a_part_gets_a_verdict(name, answer):
    verdict = PARTS[name][0](answer)

    assert not verdict.ok and len(verdict.words) < 400


def gives_away(words: str) -> list[str]:
    """The code in a verdict that would be the answer."""
    code = (
        "arange",
        "tril",
        "masked_fill",
        "softmax(",
        "sqrt",
        "** ",
        ".mT",
        "chunk",
        "cat(",
        "silu(",
    )
    return [piece for piece in (*code, "w.norm", "join_heads", "-inf") if piece in words]


def test_a_function_that_writes_into_its_arguments_is_compared_all_the_same():
    def attention(q, k, v):  # nothing but zeros, and compared with zeros if they were let in
        return v.zero_()

    assert not inside.check_attention(attention).ok
    assert inside.check_attention(defined("attention", written("attention"))).ok


def test_the_courses_own_parts_are_its_transformer():
    model, tokenizer = base()
    ids = tokenizer.encode("The capital of France is Paris. In that match")

    logits = anatomy.run(model, ids, lambda layer, found: found)

    assert torch.allclose(logits, model(torch.tensor([ids]))[0].detach(), atol=1e-4)


def test_a_block_of_the_courses_parts_is_its_block():
    model, _ = base()
    x = torch.randn(1, 7, model.config.dim)
    cos, sin = rope_tables(7, model.config.head_dim, model.config.rope_theta)
    for layer, theirs in enumerate(model.layers):
        ours = anatomy.block(x[0], tables(model, layer), cos, sin, lambda found: found)

        assert torch.allclose(ours, theirs(x, cos, sin)[0].detach(), atol=1e-4)


def test_a_head_that_is_switched_off_here_is_off_as_in_the_explorer():
    from course_lib.widgets.explorer_engine import switched_off

    model, _ = base()
    with switched_off(model, FIVE):
        logits = model(torch.tensor([ids_of(KOHLI)]))[0, -1].detach()

    assert shares(KOHLI, without(*FIVE)) == pytest.approx(anatomy.probabilities(logits), abs=1e-4)


def test_an_edit_sees_all_layers_in_order_and_what_it_gives_back_counts():
    seen = []

    def edit(layer, found):
        seen.append((layer, tuple(found.shape)))
        return 0 * found

    everything = [(layer, head) for layer in range(4) for head in range(4)]
    assert shares(KOHLI, edit) == pytest.approx(shares(KOHLI, without(*everything)))
    assert seen == [(layer, (4, 8, 32)) for layer in range(4)]


EXERCISES = {each.checker: each for each in exercises(PATH)}


@pytest.mark.parametrize("name", EXERCISES)
def test_an_exercise_gives_nothing_away(name, tmp_path):
    wrong = ["", *WRONG[PATH.stem][name]]
    for answer in wrong:
        code = "" if answer else EXERCISES[name].cell
        words = judged(EXERCISES[name], code, tmp_path, answer).words

        assert gives_away(words) == []
        assert [head for head in FIVE if str(head) in words] == [], "that is a head to switch off"
        assert "triu" not in words and "index_copy" not in words and "clone" not in words


@pytest.mark.parametrize("name", [*NEARLY, *EXERCISES])
def test_whatever_is_to_be_written_has_hints_and_the_first_is_no_code(name):
    record = questions()[name.replace("_", "-")]

    assert len(record.hints) >= 2
    assert gives_away(record.hints[0]) == []


# ---- What the notebook says ---------------------------------------------------------------------


def test_only_the_last_token_has_to_see_the_name():
    for name in HITS:
        free = shares(name, without())
        nobody = anatomy.blindfolded(KOHLI, 7, [4, 5])

        assert anatomy.blindfolded(name, 6, [4, 5]) == pytest.approx(free, abs=0.005)
        assert anatomy.blindfolded(name, 7, [4, 5]) == pytest.approx(nobody, abs=0.005)
        assert max(abs(a - b) for a, b in zip(free, nobody, strict=True)) > 0.05


def test_no_head_carries_the_name_alone_and_five_carry_nearly_all():
    every = [(layer, head) for layer in range(4) for head in range(4)]
    costs = {head: anatomy.gap() - anatomy.gap(head) for head in every}

    assert sorted(sorted(costs, key=costs.get)[-5:]) == FIVE
    assert 9 < costs[2, 0] < 11 and 6 < costs[3, 0] < 8 and costs[3, 1] < 3
    assert abs(costs[1, 0]) < 0.5
    assert anatomy.gap(*FIVE) < 3
    # what the record of the guess counts as found
    asked = questions()["inside-gap-without"]
    assert asked.low < anatomy.gap((2, 0)) < asked.high


def test_without_the_name_the_model_bets_on_the_average_player():
    off = [(layer, head) for layer in (1, 2, 3) for head in range(4)]
    average = [sum(hits[w.strip()] for hits in HITS.values()) / 6 for w in anatomy.ENDINGS]
    for name in HITS:
        assert shares(name, without(*off)) == pytest.approx(average, abs=0.04)


def test_two_heads_that_share_a_key_divide_the_players():
    model, _ = base()
    for name, hits in HITS.items():
        maps = model(torch.tensor([ids_of(name)]), trace=True).attention[3, 0, :2, 7, 5]
        assert (maps[0] > maps[1]).item() == (hits["six"] < 0.3), name


def test_the_last_name_decides_for_all_thirty_mixtures():
    likeness = {name: torch.tensor(shares(name, without())) for name in HITS}
    for first in HITS:
        for last in HITS:
            if first == last:
                continue
            mixed = torch.tensor(shares(f"{first.split()[0]} {last.split()[1]}", without()))
            assert (mixed - likeness[last]).norm() < (mixed - likeness[first]).norm()


def test_the_transplant_makes_kohli_bat_like_tendulkar():
    donor = []
    shares(TENDULKAR, lambda layer, found: donor.append(found) or found)
    transplant = defined("transplant", written("transplant"))

    moved = shares(KOHLI, transplant(donor, FIVE))

    assert moved == pytest.approx(shares(TENDULKAR, without()), abs=0.02)


@pytest.mark.parametrize(("width", "together"), [(2, (0, 0.05)), (3, (0.95, 1)), (8, (0.95, 1))])
def test_a_window_of_three_keeps_the_sentence(width, together):
    window_mask = defined("window_mask", written("window_mask"))

    low, high = together
    assert low <= sum(anatomy.masked(KOHLI, window_mask(8, width))) <= high


def test_the_printed_trial_shows_a_window_built_on_the_causal_mask_and_leaves_no_trace():
    source = """
def window_mask(T, width):
    place = torch.arange(T)
    return causal_mask(T) & (place[:, None] - place < width)
"""
    window_mask = defined("window_mask", source)
    names = window_mask.__globals__
    for name in ("attention", "block"):  # the learner's own, which know the learner's causal_mask
        exec(written(name), names)
    (text,) = [cell.source for cell in NOTEBOOK.cells if "**2. A narrow window**" in cell.source]
    (trial,) = [code for code in re.findall("`(.*?)`", text) if "3)" in code]

    def mine():
        x, w = torch.ones(8, 128), tables(base()[0], 2)
        return names["block"](x, w, *rope_tables(8, 32, 10_000.0), lambda found: found)

    before = mine()
    exec(f"found = {trial}", names)

    assert inside.window_mask(window_mask).ok
    assert 0.95 < sum(names["found"]) < 1
    assert torch.equal(mine(), before)


def test_what_is_no_mask_of_the_sentence_is_refused():
    for mask in (None, torch.ones(8, 8), anatomy.causal_mask(3)):
        with pytest.raises(ValueError, match="of True and False, for the 8 tokens"):
            anatomy.masked(KOHLI, mask)


def test_the_causal_mask_changes_nothing():
    assert anatomy.masked(KOHLI, anatomy.causal_mask(8)) == pytest.approx(
        shares(KOHLI, without()), abs=1e-4
    )


def test_the_lesson_takes_an_hour_to_seventy_five_minutes():
    time = class_time(NOTEBOOK)

    assert 60 <= time.minutes <= 75, str(time)


def test_each_question_of_the_lesson_is_asked_once_and_letters_are_spread():
    code = "\n".join(cell.source for cell in NOTEBOOK.cells if cell.cell_type == "code")
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    asked = {kind: [] for kind in ("guess", "behind", "quiz")}
    for call in calls:
        if (kind := ast.unparse(call.func)) in asked:
            nodes = [node for arg in call.args for node in ast.walk(arg)]
            texts = [node.value for node in nodes if isinstance(node, ast.Constant)]
            ids = [text for text in texts if str(text).startswith("inside-")]
            asked[kind] += ids
    records = [each for each in questions().values() if each.notebook == PATH.stem]
    for kind in ("guess", "quiz"):
        assert sorted(asked[kind]) == sorted(each.id for each in records if each.kind == kind)
    assert sorted(asked["behind"]) == sorted(asked["guess"])
    right = [each.right for each in records if each.kind == "quiz"]
    assert len(right) == 8 and max(right.count(letter) for letter in "abcd") <= 2
    assert {"a", "b", "c", "d"} == set(right)
