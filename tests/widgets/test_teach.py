"""The editor for one's own examples: what it reads, keeps in files, and that a model learns it."""

import json
import re
import sys
import threading
import warnings

import pytest
import torch

from course_lib.config import GREEDY
from course_lib.model.sample import generate
from course_lib.pipeline.release import RELEASED, load_released
from course_lib.text.chat import decode_answer, encode_dialogue, encode_prompt, exchange
from course_lib.text.rows import IGNORE
from course_lib.train.sft import load_dialogues, save_dialogues
from course_lib.widgets import live
from course_lib.widgets.live import Job
from course_lib.widgets.teach import (
    answers_table,
    as_lines,
    parse_examples,
    parse_held_out,
    results,
    teach,
)

MINE = "What is your favourite number? | My favourite number is seven."


@pytest.fixture(scope="module")
def pair():
    return load_released("sft")


def test_a_line_is_a_dialogue():
    assert parse_examples("Who are you? | A model.\n\n 2 | 3 | 4 ") == [
        [
            {"role": "user", "content": "Who are you?"},
            {"role": "assistant", "content": "A model."},
        ],
        [{"role": "user", "content": "2"}, {"role": "assistant", "content": "3 | 4"}],
    ]


ONE_WORD = "[Answer in one word.] What is the capital of Peru? | Lima."


def with_system(text, messages):
    return [{"role": "system", "content": text}, *messages]


def test_a_line_may_begin_with_a_system_message():
    assert parse_examples(ONE_WORD + "\n [a | b]c|[d] | e\n1 [2] | 3") == [
        with_system("Answer in one word.", exchange("What is the capital of Peru?", "Lima.")),
        with_system("a | b", exchange("c", "[d] | e")),
        exchange("1 [2]", "3"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[] a | b", "line 1 must be `question | answer`, got '[] a"),
        ("a | b\n[a | b] c", "line 2 must be"),
        ("[a | b", "line 1 must be"),
        ("", "no example yet"),
        ("a | b\nno bar", "line 2 must be `question | answer`, got 'no bar'"),
        ("| response", "line 1 must be"),
        ("prompt |", "line 1 must be"),
    ],
)
def test_what_is_no_example_is_told(text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_examples(text)


def test_a_held_out_line_may_say_how_it_is_to_be_answered():
    asked = parse_held_out("Who?\n\n 1 + 1? | 2. \n[Be brief.] Who? | I.")

    assert asked == [
        (exchange("Who?", "")[:1], ""),
        (exchange("1 + 1?", "")[:1], "2."),
        (with_system("Be brief.", exchange("Who?", "")[:1]), "I."),
    ]
    assert parse_held_out(" \n") == []


def test_held_out_lines_are_scored_and_never_taught(pair):
    said = ["Paris.", "Tehran."]
    lines = [
        f"What is the capital of {x}? | {y}" for x, y in zip(("France", "Peru"), said, strict=False)
    ]
    widget = teach(pair, MINE, "\n".join([*lines, "Who are you?"]), steps=1)

    widget.teach()

    before, after, n = widget.score
    answers = [row[1:] for row in widget.rows[1:3]]
    assert n == 2
    for i, found in enumerate((before, after)):
        assert found == sum(answer[i] == want for answer, want in zip(answers, said, strict=True))
    assert widget.examples == parse_examples(MINE) and len(widget.rows) == 4
    assert f"{after} of 2 held out, before {before}" in widget._said.value


def test_many_examples_are_folded_below_what_was_held_out():
    rows = [(f"q{i}", "a", "b") for i in range(8)]

    page = results(rows, 6)

    assert page.index("q6") < page.index("<details>") < page.index("q0")
    assert "The 6 examples" in page and "<details>" not in results(rows, 4)
    assert results(rows[:2], 2) == answers_table("Your examples", rows[:2])


@pytest.mark.slow
def test_a_model_learns_an_example_and_keeps_what_it_knew(pair):
    before = [weights.clone() for weights in pair[0].parameters()]

    widget = teach(pair, MINE).teach()

    asked, said_before, said_after = widget.rows[0]
    assert asked == "What is your favourite number?"
    assert said_before != said_after == "My favourite number is seven."
    assert "Paris" in widget.rows[1][2]
    same = (torch.equal(a, b) for a, b in zip(before, pair[0].parameters(), strict=True))
    assert all(same) and widget.model is not pair[0]
    assert "Taught; answered as written: 1 of 1 examples, before 0." in widget._said.value
    assert widget.score == (0, 0, 0)  # nobody wrote how that question is to be answered
    assert widget.button.description == "Teach"
    picture = widget.picture()
    assert "after:  My favourite number is seven." in picture.figure.axes[0].texts[0]._text
    assert f"{asked} Before: {said_before} After: {said_after}" in picture.words
    assert "\\n" not in picture.words and "\n" not in picture.words


def test_the_picture_begins_with_what_is_not_answered_as_written(pair):
    widget = teach(pair, MINE, steps=1).teach()
    widget.rows = [(f"q{i}?", "a.", "b.") for i in range(10)]
    widget._wanted, widget._n_examples = [*["b."] * 8, "", "c."], 1

    words = widget.picture().words

    assert words.startswith("what teaching changed. q9? Before: a. After: b. q1? Before: a.")
    assert "q0?" in words and "q5?" not in words


def test_a_wrong_line_is_shown_and_trains_nothing(pair):
    widget = teach(pair, "no bar <script>alert(1)</script>")

    widget.press()

    assert "must be `question | answer`" in widget._said.value
    assert "<script>" not in widget._said.value
    assert widget.job is None and not widget.button.disabled


def test_an_example_that_fits_no_context_is_told(pair):
    widget = teach(pair, "long | " + "word " * 200)

    widget.press()

    assert "doesn&#x27;t fit a context" in widget._said.value


def test_bad_arguments_are_refused(pair):
    with pytest.raises(ValueError, match=r"needs a \(model, tokenizer\)"):
        teach(pair[0])
    with pytest.raises(ValueError, match="one step or more"):
        teach(pair, steps=0)


def test_a_question_without_room_for_an_answer_is_told(pair):
    widget = teach(pair, MINE)
    widget.held_out.value = "word " * 200

    widget.press()

    assert "leaves no room for an answer, 128 are the most" in widget._said.value
    assert widget.job is None and widget.button.description == "Teach"


def test_beside_another_job_it_waits_for_a_second_press(pair):
    go, widget = threading.Event(), teach(pair, MINE)
    other = Job((go.wait() for _ in range(1)), 1).start()

    widget.press()

    assert "another job is training" in widget._said.value
    assert widget.job is None and widget.button.description == "Teach"
    go.set()
    other._thread.join()
    assert not live._one_job.locked()


def test_a_second_press_stops_and_shows_what_was_learned_so_far(pair):
    widget = teach(pair, MINE, steps=10_000)

    widget.press()
    assert widget.button.description == "Stop"
    widget.press()
    widget.job.join(60)

    assert widget.job.state == "stopped"
    assert "Stopped after" in widget._said.value and len(widget.rows) == 2
    assert widget.button.description == "Teach"


def test_what_fails_while_answering_is_shown_and_raised(pair, monkeypatch):
    def fail(*args, **options):
        raise RuntimeError("no <answers>")

    monkeypatch.setattr(sys.modules[parse_examples.__module__], "generated", fail)
    widget = teach(pair, MINE, steps=1)

    with pytest.raises(RuntimeError, match="no <answers>"):
        widget.teach()

    assert "RuntimeError: no &lt;answers&gt;" in widget._said.value
    assert widget.button.description == "Teach"


def test_the_table_marks_what_changed_in_words_too_and_runs_no_html():
    table = answers_table("Held out", [("q", "a", "<b>c</b>"), ("r", "same", "same")])

    assert '<td class="changed">→ &lt;b&gt;c&lt;/b&gt;</td>' in table
    assert "<td>= same</td>" in table and '<th scope="row">q</th>' in table


# ---- Files in the `messages` format -------------------------------------------------------------

TWO_TURNS = exchange("Hi", "Hello!") + exchange("Who?", "A model.")


def test_dialogues_come_back_from_their_file(tmp_path):
    dialogues = [exchange("Größe?\n", 'Say "hé" \u2028 now.'), TWO_TURNS]

    save_dialogues(tmp_path / "a.jsonl", dialogues)

    assert load_dialogues(tmp_path / "a.jsonl") == dialogues
    lines = (tmp_path / "a.jsonl").read_bytes().decode().split("\n")
    assert json.loads(lines[1]) == {"messages": TWO_TURNS} and len(lines) == 3


def test_datasets_reads_the_file_as_trl_expects_it(tmp_path):
    datasets = pytest.importorskip("datasets")
    dialogues = [exchange("Who are you?", "A small model."), TWO_TURNS]
    save_dialogues(tmp_path / "a.jsonl", dialogues)

    read = datasets.load_dataset(
        "json", data_files=str(tmp_path / "a.jsonl"), split="train", cache_dir=str(tmp_path)
    )

    assert read.column_names == ["messages"] and read["messages"][:] == dialogues


@pytest.mark.slow
def test_trl_counts_the_same_tokens_of_the_file(pair, tmp_path):
    datasets, trl = pytest.importorskip("datasets"), pytest.importorskip("trl")
    dialogues = [exchange("Who are you?", "A small model."), TWO_TURNS]
    save_dialogues(tmp_path / "a.jsonl", dialogues)
    options = dict(data_files=str(tmp_path / "a.jsonl"), split="train", cache_dir=str(tmp_path))
    settings = dict(use_cpu=True, bf16=False, report_to=[], max_steps=1)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of transformers, about itself
        data = datasets.load_dataset("json", **options)
        config = trl.SFTConfig(str(tmp_path / "out"), assistant_only_loss=True, **settings)
        trainer = trl.SFTTrainer(str(RELEASED / "base"), args=config, train_dataset=data)

    for row, messages in zip(trainer.train_dataset, dialogues, strict=True):
        ids, counted = encode_dialogue(pair[1], messages)
        assert row["input_ids"] == ids
        assert row["labels"] == [i if c else IGNORE for i, c in zip(ids, counted, strict=True)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no dialogue"),
        ("{", r"a.jsonl, line 1: expected .*\{\"messages\""),
        ("[1]", "line 1: expected"),
        ('{"messages": 3}', "line 1: expected"),
        ('\n{"prompt": "a"}', "line 2: expected"),
        ('{"messages": [{"role": "system", "content": "a"}]}', "a system message alone is no"),
        ('{"messages": [{"role": "user", "content": "a"}]}', "no answer to its last question"),
    ],
)
def test_a_file_that_is_no_dialogues_is_told_with_its_line(tmp_path, text, message):
    (tmp_path / "a.jsonl").write_text(text)

    with pytest.raises(ValueError, match=message):
        load_dialogues(tmp_path / "a.jsonl")


def test_a_file_that_is_no_text_is_told(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b"\xff\xfe")

    with pytest.raises(ValueError, match="not UTF-8: save the file as UTF-8"):
        load_dialogues(tmp_path / "a.jsonl")


def test_the_editor_keeps_system_messages_in_a_file(pair, tmp_path):
    path = tmp_path / "mine.jsonl"
    told = with_system(" Answer in one word.", exchange("What is the capital of Peru?", "Lima."))
    save_dialogues(path, [told, exchange("Who?", "Me.")])
    widget = teach(pair)

    widget.load(path)

    assert widget.editor.value == ONE_WORD + "\nWho? | Me."
    widget.editor.value += "\n[Be brief.] Who? | I."
    widget.save(path)
    by_class = with_system("Be brief.", exchange("Who?", "I."))
    assert load_dialogues(path) == [*parse_examples(ONE_WORD), exchange("Who?", "Me."), by_class]


def test_what_is_taught_with_a_system_message_is_asked_with_it(pair):
    widget = teach(pair, ONE_WORD, steps=1)
    widget.held_out.value = "What is the capital of Peru?"

    widget.teach()

    asked = [row[0] for row in widget.rows]
    assert asked == ["[Answer in one word.] What is the capital of Peru?", widget.held_out.value]
    model, tokenizer = pair
    prompts = [
        encode_prompt(tokenizer, parse_examples(ONE_WORD)[0][:2]),
        encode_prompt(tokenizer, exchange(asked[1], "")[:1]),
    ]
    said = [generate(model, [ids], 40, GREEDY, stop=tokenizer.end_ids)[0] for ids in prompts]
    assert [row[1] for row in widget.rows] == [decode_answer(tokenizer, ids) for ids in said]


def test_the_editor_keeps_its_examples_in_a_file(pair, tmp_path):
    path = tmp_path / "new folder" / "mine.jsonl"
    teach(pair, MINE + "\n2 | 3 | 4").save(path)

    widget = teach(pair)
    widget.load(path)

    assert load_dialogues(path) == widget.examples == parse_examples(MINE + "\n2 | 3 | 4")
    assert "2 examples were read" in widget._said.value


def test_saving_leaves_what_this_editor_did_not_write(pair, tmp_path):
    path = tmp_path / "mine.jsonl"
    last_week, here, there = teach(pair, "Hello? | Hi."), teach(pair, MINE), teach(pair, "1 | 2")
    last_week.save(path)
    save_dialogues(path, [*load_dialogues(path), TWO_TURNS])

    here.save(path)
    assert "beside 2 that were there" in here._said.value
    there.save(path)
    here.editor.value = "Who? | Nobody."
    here.save(path)

    kept = [exchange("Hello?", "Hi."), TWO_TURNS, exchange("1", "2"), exchange("Who?", "Nobody.")]
    assert load_dialogues(path) == kept
    again = teach(pair, MINE)
    save_dialogues(path, [exchange(" spaces ", "around\n")])
    again.load(path)
    again.editor.value = "spaces | gone"
    again.save(path)
    assert load_dialogues(path) == [exchange("spaces", "gone")]


@pytest.mark.parametrize(
    ("dialogue", "message"),
    [
        (TWO_TURNS, "4 messages: the editor takes one question"),
        (exchange("a | b", "c"), "doesn't fit a line"),
        (exchange("a", "b\nc"), "doesn't fit a line"),
        (exchange("a", " "), "doesn't fit a line"),
        (exchange("[a] b", "c"), "doesn't fit a line"),
        (with_system("a]", exchange("b", "c")), "doesn't fit a line"),
        (with_system("a", TWO_TURNS), "5 messages: .* after a system message if you like"),
    ],
)
def test_what_the_editor_can_not_show_stays_in_its_file(pair, tmp_path, dialogue, message):
    save_dialogues(tmp_path / "a.jsonl", [dialogue])
    widget = teach(pair, MINE)
    widget.file.value = str(tmp_path / "a.jsonl")

    with pytest.raises(ValueError, match=message):
        as_lines([dialogue])
    widget._try(lambda: widget.load(widget.file.value))

    assert "That didn&#x27;t work: dialogue 1" in widget._said.value
    assert widget.editor.value == MINE


def test_a_missing_file_is_shown(pair, tmp_path):
    widget = teach(pair, MINE)

    widget._try(lambda: widget.load(tmp_path / "none.jsonl"))

    assert "No such file" in widget._said.value and "course-wrong" in widget._said.value
