"""What a frozen explorer or chat showed is read off the code, or nothing is said of it."""

import json
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from course_lib.pipeline.release import load_released
from course_lib.widgets import chat, explorer
from course_lib.world.documents import world_grammar  # noqa: F401 (loads it once, for the truth)
from tools.live_states import live_of

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
MODEL = 'model, tokenizer = load_released("sft")'
EXPLORER, CHAT = "Next token after “a”: b 1%.", "Question: a\nbase: b"


def lives(*sources: str, words: str = EXPLORER) -> list:
    """What is live in a notebook of these cells, the last of which shows one picture."""
    cells = [new_code_cell(source) for source in sources]
    data = {"image/png": "", "text/plain": words}
    cells[-1].outputs = [new_output("display_data", data)]
    return list(live_of(new_notebook(cells=cells)).values())


def seen(hash: str) -> dict:
    return json.loads(unquote(hash.removeprefix("#")))


def test_text_model_and_dials_are_found_over_several_cells():
    names = 'sentence, end = "The capital of", tokenizer.eot_id'
    [live] = lives(MODEL, names, "explorer((model, tokenizer), sentence, top_k=3)")

    assert seen(live.hash) == {"text": "The capital of", "model": "sft", "top_k": 3, "truth": False}


def test_several_models_keep_the_one_that_is_shown():
    pairs = 'both = {"first": load_released("base"), "then": load_released("rlhf")}'
    [live] = lives(pairs, 'explorer(both, "a", model="then", compare=True, truth=True)')

    assert seen(live.hash) == {"text": "a", "model": "rlhf", "compare": True, "truth": True}


@pytest.mark.parametrize(
    "change",
    [
        "model = train(model)",
        "for model in models:\n    pass",
        "import model",
        "def model():\n    pass",
        "model, loss = trained()",
    ],
)
def test_a_model_of_ones_own_is_not_taken_for_the_released_one(change):
    [live] = lives(MODEL, change, 'explorer((model, tokenizer), "a")')

    assert live.hash is None and seen(live.beside) == {"text": "a"}


def test_a_text_that_a_cell_computes_is_not_guessed_at():
    [live] = lives(MODEL, 'sentence = read("file")', "explorer((model, tokenizer), sentence)")

    assert live.hash is None and live.beside is None


def test_a_chat_has_its_questions_in_order():
    three = 'three = {n: load_released(n.lower()) for n in ("base", "SFT", "RLHF")}'
    [live] = lives(
        three, 'talk = chat(three, "Hello!", seed=3)', 'talk.ask("Who are you?")\ntalk', words=CHAT
    )

    assert seen(live.hash) == {
        "part": "chat", "asked": [["Hello!", 0, 3], ["Who are you?", 0, 3]],
    }  # fmt: skip


def test_what_an_address_cannot_tell_stays_a_picture():
    pair = 'both = {"base": load_released("base")}'
    for call in ('chat(both, "a", system="Be brief")', "chat(both, '')"):
        [live] = lives(pair, call, words=CHAT)
        assert live.hash is None
    [live] = lives(pair, 'c = chat(both, "a")\nc.ask("b", follow_up=True)\nc', words=CHAT)
    assert live.hash is None


def test_nothing_of_a_notebook_is_run(tmp_path):
    trap = tmp_path / "trap"
    lives(f'open("{trap}", "w")', f'x = __import__("pathlib").Path("{trap}").touch()', "x")

    assert not trap.exists()


def found() -> list:
    """(where, live, words) of all that is live in the committed notebooks."""
    return [
        (f"{path.stem}-{i}", live, notebook.cells[i].outputs[k].data["text/plain"])
        for path in sorted(NOTEBOOKS.glob("*.ipynb"))
        for notebook in [nbformat.read(path, as_version=4)]
        for (i, k), live in live_of(notebook).items()
        if live.hash
    ]


def test_the_states_of_the_notebooks_show_what_is_stored():
    """The widget itself, begun in the state that was read off the code, says the same words."""
    pairs = {stage: load_released(stage) for stage in ("base", "sft", "rlhf")}

    assert "explorer" in {live.kind for _, live, _ in found()}
    for where, live, words in found():
        state = seen(live.hash)
        if live.kind == "explorer":
            shown = repr(explorer(pairs, state.pop("text"), **state))
            words = words.replace(" model ", f" {state['model']} ")
        else:
            question, temperature, seed = state["asked"][0]
            widget = chat(pairs, question, temperature=temperature, seed=seed)
            for question, _, _ in state["asked"][1:]:
                widget.ask(question)
            shown, words = repr(widget).lower(), words.lower()  # SFT is sft on the page
        assert shown == words, where
