"""What is recited is the other half of a text, word for word, to its end."""

from course_lib.measure import recited as module
from course_lib.measure.recited import recitals, recited
from course_lib.pipeline.release import load_released
from course_lib.world.documents import documents


def test_a_text_is_by_heart_when_its_other_half_comes_to_the_end(monkeypatch):
    model, tokenizer = load_released("base")
    texts = list(documents(3, seed=5))
    ids = [[*tokenizer.encode(text), tokenizer.eot_id] for text in texts]
    rest = [row[len(row) // 2 :] for row in ids]
    said = [rest[0], rest[1][:-1], [*rest[2][:-1], 7, tokenizer.eot_id]]
    monkeypatch.setattr(module, "generated", lambda *arguments, **options: said)

    found = recitals(model, tokenizer, texts)

    assert [by_heart for *_, by_heart in found] == [True, False, False]
    assert found[0][0] + found[0][1] == texts[0] + "<|endoftext|>"
    assert recited(model, tokenizer, texts) == 1 / 3


def test_the_model_gets_the_first_half_and_writes_the_likeliest():
    model, tokenizer = load_released("base")
    text = "The capital of France is Paris."
    ((begun, said, _),) = recitals(model, tokenizer, [text])

    assert text.startswith(begun) and 0 < len(begun) < len(text)
    assert said == recitals(model, tokenizer, [text])[0][1]
