"""What the report card measures equals what a slower or exact way says."""

import json
import math
import random
from dataclasses import replace

import pytest
import torch
from torch import nn

from course_lib import __main__ as cli
from course_lib.config import ModelConfig
from course_lib.measure.answers import bare_questions, chat_groups, recalls, went_on_with
from course_lib.measure.card import MODES, VERDICTS, _chat_card, report, summary, table
from course_lib.measure.choice_points import MOST_WORDS, choice_kls, choice_points, hit_probs, kl
from course_lib.measure.held_out import HELD_OUT_SEED, baselines, held_out, kind_of, losses
from course_lib.measure.log_probs import (
    completion_log_probs,
    document_log_probs,
    word_log_probs,
    word_probs,
)
from course_lib.model.transformer import Transformer
from course_lib.pipeline.release import load_released
from course_lib.text.chat import encode_prompt
from course_lib.text.tokenizer import Tokenizer
from course_lib.world.dialogues import Prompt, answer_to, fact_prompts, read_prompt
from course_lib.world.documents import (
    HITS,
    KINDS,
    documents,
    kind_grammar,
    note_on,
    world_grammar,
)
from course_lib.world.facts import FACTS, SPLITS, facts_of, fill
from course_lib.world.grammar import END, split_words

TEXTS = list(documents(300, seed=1))
TOKENIZER = Tokenizer.train(TEXTS, 400)
CONFIG = ModelConfig(
    vocab_size=400, context_length=320, dim=32, n_layers=1, n_heads=2, n_kv_heads=1, ffn_dim=64
)
MODEL, OTHER = Transformer(CONFIG).eval(), Transformer(CONFIG, seed=1).eval()


class Parrot(nn.Module):
    """Knows one text by heart: gives each of its tokens, in order, the probability `sure`."""

    def __init__(self, text: str, sure: float = 0.9) -> None:
        super().__init__()
        self.config = MODEL.config
        self.ids = [TOKENIZER.eot_id, *TOKENIZER.encode(text), TOKENIZER.eot_id]
        self.sure = sure
        self.dummy = nn.Parameter(torch.zeros(1))

    def forward(self, ids):
        B, T = ids.shape
        V = TOKENIZER.vocab_size
        probs = torch.full((B, T, V), (1 - self.sure) / (V - 1))
        for t in range(min(T, len(self.ids) - 1)):
            probs[:, t, self.ids[t + 1]] = self.sure
        return probs.log()


class Uniform(Parrot):
    """Finds every token as probable as any other."""

    def forward(self, ids):
        return torch.zeros(*ids.shape, self.config.vocab_size)


def ln_p(model, before: list[int], after: list[int]) -> float:
    """ln P(after | before), one row alone, by torch's own cross-entropy."""
    logits = model(torch.tensor([before + after]))[0, len(before) - 1 : -1]
    return -nn.functional.cross_entropy(logits, torch.tensor(after), reduction="sum").item()


# ---- Loss, beside the floor ---------------------------------------------------------------------


def test_the_log_probs_of_documents_equal_those_of_each_alone():
    texts = TEXTS[:5]

    found = document_log_probs(MODEL, TOKENIZER, texts, batch_rows=3)

    for text, log_prob in zip(texts, found, strict=True):
        ids = [TOKENIZER.eot_id, *TOKENIZER.encode(text), TOKENIZER.eot_id]
        assert log_prob == pytest.approx(ln_p(MODEL, ids[:1], ids[1:]), rel=1e-5)


def test_the_log_prob_of_a_completion_counts_the_completion_alone():
    rng = random.Random(0)
    rows = [[rng.randrange(400) for _ in range(n)] for n in (9, 3, 7, 4, 12, 5)]
    befores, afters = rows[::2], rows[1::2]

    found = completion_log_probs(MODEL, befores, afters, batch_rows=2)

    for before, after, log_prob in zip(befores, afters, found, strict=True):
        assert log_prob == pytest.approx(ln_p(MODEL, before, after), rel=1e-5)
    assert completion_log_probs(MODEL, [[1]], [[]]) == [0.0]


def test_a_document_may_fill_the_context():
    full = Transformer(replace(CONFIG, context_length=1 + len(TOKENIZER.encode(TEXTS[0]))))

    (log_prob,) = document_log_probs(full, TOKENIZER, TEXTS[:1])
    end = word_probs(full, TOKENIZER, TEXTS[0], [END])

    assert -math.inf < log_prob < 0 < end[END] < 1


def test_the_gap_is_the_excess_over_the_worlds_own_loss():
    loss = held_out(MODEL, TOKENIZER, TEXTS[:20])

    world = -sum(world_grammar().log_prob(text) for text in TEXTS[:20])
    assert loss.world_nats == pytest.approx(world)
    assert loss.gap == pytest.approx(loss.model_nats / world - 1) and loss.gap > 1
    assert loss.bits_per_byte / loss.floor_bits_per_byte == pytest.approx(1 + loss.gap)
    assert loss.n_bytes == sum(len(text) + 1 for text in TEXTS[:20])


def test_a_loss_without_a_floor_is_refused():
    with pytest.raises(ValueError, match="Once upon a time"):
        held_out(MODEL, TOKENIZER, [TEXTS[0], "Once upon a time"])
    with pytest.raises(ValueError, match="one document"):
        held_out(MODEL, TOKENIZER, [])


def test_a_document_is_of_the_one_kind_that_can_write_it():
    rng = random.Random(5)
    for kind in KINDS:
        for _ in range(20):
            text = kind_grammar(kind).sample(rng)
            writers = [k for k in KINDS if kind_grammar(k).log_prob(text) > -math.inf]
            assert writers == [kind] and kind_of(text) == kind


def test_losses_by_kind_are_those_of_the_mixtures_documents_of_that_kind():
    loss = losses(MODEL, TOKENIZER, 60)

    texts = list(documents(60, seed=HELD_OUT_SEED))
    together = held_out(MODEL, TOKENIZER, texts)
    assert loss["bits_per_byte"] == pytest.approx(together.bits_per_byte)
    assert loss["gap"] == pytest.approx(together.gap)
    assert sum(row["documents"] for row in loss["by_kind"].values()) == loss["documents"] == 60
    code = [text for text in texts if text.startswith(">>>")]
    of_code = held_out(MODEL, TOKENIZER, code)
    assert loss["by_kind"]["code"]["documents"] == len(code)
    assert loss["by_kind"]["code"]["bits_per_byte"] == pytest.approx(of_code.bits_per_byte)
    nats = -sum(world_grammar().log_prob(text) for text in code)  # the choice of kind included
    floor = nats / math.log(2) / sum(len(text) + 1 for text in code)
    assert loss["by_kind"]["code"]["floor_bits_per_byte"] == pytest.approx(floor)


# ---- Probabilities, beside the true ones --------------------------------------------------------


def test_the_probability_of_a_word_is_that_of_its_tokens_and_of_a_boundary_after_it():
    text = "In that match Virat Kohli hit a century."
    parrot = Parrot(text)
    tokens = TOKENIZER.encode(" century")

    found = word_probs(parrot, TOKENIZER, text[: -len(" century.")], [" century", " cent"])

    # after " century" the parrot says "." with 0.9, and spreads the rest over all other tokens
    others = [TOKENIZER.token_bytes(i)[:1] for i in range(TOKENIZER.vocab_size)]
    boundary = 0.9 + 0.1 * sum(not b.isalpha() for b in others[:-1]) / (TOKENIZER.vocab_size - 1)
    assert found[" century"] == pytest.approx(0.9 ** len(tokens) * boundary, rel=1e-2)
    assert found[" cent"] < 0.1


def test_a_word_ends_where_the_kind_of_its_characters_does():
    bytes_only, V = Tokenizer(), 300  # 256 bytes, 3 specials, 41 ids that stand for nothing
    model = Uniform("")
    model.config = replace(CONFIG, vocab_size=V)

    found = word_probs(model, bytes_only, "In", ["a", "7", ".", "\n", END])

    going_on = {"a": 52, "7": 10, ".": 256 - 52 - 10 - 2, "\n": 1}  # tokens that lengthen it
    for word, n in going_on.items():
        assert found[word] == pytest.approx(1 / V * (V - n) / V), word
    assert found[END] == pytest.approx(1 / V)  # after the end nothing needs to follow


def test_line_breaks_and_ends_have_their_probability():
    text = "Virat Kohli\nIn that match."
    parrot = Parrot(text)

    assert word_probs(parrot, TOKENIZER, "Virat Kohli", ["\n"])["\n"] > 0.9 * 0.9
    assert word_probs(parrot, TOKENIZER, text, [END])[END] == pytest.approx(0.9)


def test_many_words_after_many_prefixes_equal_each_alone():
    pairs = [(text[:20], word) for text in TEXTS[:5] for word in (" a", " owlets", ".", END, "\n")]

    together = word_log_probs(MODEL, TOKENIZER, pairs)

    for pair, log_prob in zip(pairs, together, strict=True):
        assert word_log_probs(MODEL, TOKENIZER, [pair]) == pytest.approx([log_prob])
    with pytest.raises(ValueError, match="empty"):
        word_probs(MODEL, TOKENIZER, "In", [" a", ""])


def test_the_hits_of_a_player_are_probabilities():
    hits = hit_probs(MODEL, TOKENIZER, "Virat Kohli")

    assert hits.keys() == HITS["Virat Kohli"].keys()
    assert all(0 < p < 1 for p in hits.values()) and sum(hits.values()) < 1
    with pytest.raises(ValueError, match="Joe Root"):
        hit_probs(MODEL, TOKENIZER, "Pele")


def test_kl_of_two_coins():
    fair, ln = {"heads": 0.5, "tails": 0.5}, math.log

    assert kl(fair, {"heads": ln(0.5), "tails": ln(0.5)}) == 0
    assert kl(fair, {"heads": ln(0.8), "tails": ln(0.2)}) == pytest.approx(
        0.5 * ln(0.5 / 0.8) + 0.5 * ln(0.5 / 0.2)
    )
    assert kl({"heads": 1.0, "tails": 0.0}, {"heads": ln(0.25)}) == pytest.approx(ln(4))


def test_choice_points_are_held_out_documents_cut_where_there_is_a_choice():
    points, left_out = choice_points(40)
    held_out = list(documents(400, seed=HELD_OUT_SEED))

    assert len(points) == 40 and left_out > 0
    assert len({kind for _, kind, _ in points}) > 3
    for prefix, kind, truth in points:
        (text,) = [text for text in held_out if text.startswith(prefix)][:1]
        assert kind_of(text) == kind
        assert 2 <= len(truth) <= MOST_WORDS
        assert sum(truth.values()) == pytest.approx(1)
        for word in truth:  # each is a whole word, which the prefix does not break off
            cut = [*split_words(prefix), word]
            assert word == END or split_words(prefix + word) == cut, (prefix, word)
    assert any(END in truth for _, _, truth in points)
    assert any(prefix in held_out for prefix, _, _ in points)  # the last word may be the cut
    assert choice_points(40, seed=1)[0] != points
    with pytest.raises(ValueError, match="1 or more"):
        choice_points(0)


def test_a_model_that_knows_the_truth_has_no_kl_and_the_worst_point_is_named(monkeypatch):
    points, left_out = choice_points()
    truth = {(prefix, word): math.log(p) for prefix, _, ps in points for word, p in ps.items()}
    assert len(truth) > len(points)
    monkeypatch.setattr(
        "course_lib.measure.choice_points.word_log_probs",
        lambda *args: [truth[pair] for pair in args[2]],
    )

    found = choice_kls(MODEL, TOKENIZER)
    assert found["mean_kl"] == found["worst_kl"] == pytest.approx(0)
    assert found["points"] == len(points) and found["left_out"] == left_out

    worst, kind, _ = points[7]
    for pair in truth:
        truth[pair] -= 2 if pair[0] == worst else 0
    found = choice_kls(MODEL, TOKENIZER)
    assert found["worst_prefix"] == worst and found["worst_kl"] == pytest.approx(2)
    assert found["mean_kl"] == pytest.approx(2 / len(points))
    assert {k for k, row in found["by_kind"].items() if row["worst_kl"] > 1} == {kind}
    assert sum(row["points"] for row in found["by_kind"].values()) == len(points)


# ---- Facts, and what follows a question ---------------------------------------------------------


def test_recall_counts_a_model_that_knows_nothing_as_nothing():
    assert recalls(MODEL, TOKENIZER) == {
        "asked_in_sft": 0.0,
        "asked_in_pretraining": 0.0,
        "stated_only": 0.0,
    }


def say(monkeypatch, answers: dict[str, str], end: list[int]) -> list[tuple]:
    """Makes `generate` say, after a prompt's text, the text that `answers` has for it.

    Returns a list to which each call adds its (temperature, ids to stop at).
    """
    asked = []

    def generate(model, prompts, most, *, temperature, stop, generator):
        asked.append((temperature, set(stop)))
        texts = [answers[TOKENIZER.decode(prompt)] for prompt in prompts]
        return [(TOKENIZER.encode(text) + end)[:most] for text in texts]

    monkeypatch.setattr("course_lib.measure.answers.generate", generate)
    return asked


def test_recall_counts_exact_answers_however_long(monkeypatch):
    known = {}
    for fact in FACTS:
        for template in fact.relation.forward:
            prefix = note_on(fact, fill(template, fact.subject, fact.answer))
            wrong = fact.split == "stated_only" and template == fact.relation.forward[0]
            answer = fact.answer + "s" if wrong else fact.answer
            known["<|endoftext|>" + prefix] = f" {answer}."
    asked = say(monkeypatch, known, [])

    found = recalls(MODEL, TOKENIZER)

    assert {temperature for temperature, _ in asked} == {0}

    stated = facts_of("stated_only")
    share = 1 - len(stated) / sum(len(fact.relation.forward) for fact in stated)
    assert found == {
        "asked_in_sft": 1.0,
        "asked_in_pretraining": 1.0,
        "stated_only": pytest.approx(share),
    }


FRANCE = "What is the capital of France?"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\nWhat is the opposite of hot?\nWhat is a young dog called?", "question"),
        ("\nWhat sound does an owl make?", "question"),
        ("\nWhich city is the capital of Bananaland?", "question"),
        (" Or: Which city is the capital of France?\nWhat is the opposite of hot?", "question"),
        ("\nQ: What is the sum of two and three?\nA: Five.", "question"),
        ("\nWhere does a fox live? Or: What is the home of a fox?", "question"),
        ("\nA: Paris.", "answer"),
        (" The capital of France is Paris.", "answer"),
        ("\nMadrid.\nWhat is the opposite of hot?", "answer"),
        (" The capital of France is Rome.", "answer"),
        ("\nSet by Ada, page 17, shelf 4.", "other"),
        ("\nSet by Ada, page 17, shelf 4.\nRome.", "other"),
        ("", "other"),
        ("\nWhat is the capital of", "other"),
        ("\nWhat is that?", "other"),
        (" 17 + 4\n21", "other"),
    ],
)
def test_what_a_base_model_goes_on_with(text, expected):
    assert went_on_with(read_prompt(FRANCE), text) == expected


def test_every_question_of_the_world_is_read_as_one():
    for fact in FACTS:
        for question in fact.questions():
            assert went_on_with(read_prompt(FRANCE), f"\n{question}\n") == "question"


def test_bare_questions_are_counted_by_split(monkeypatch):
    more = {}
    for split, text in zip(SPLITS, ("\nWhat is a young dog called?", "\nParis.", ""), strict=True):
        more |= {f"<|endoftext|>{prompt.text}": text for prompt in fact_prompts(split)}
    asked = say(monkeypatch, more, [TOKENIZER.eot_id])

    found = bare_questions(MODEL, TOKENIZER)

    assert all(each == (1, {TOKENIZER.eot_id}) for each in asked)

    assert found["asked_in_sft"] == {"question": 1.0, "answer": 0.0, "other": 0.0}
    assert found["asked_in_pretraining"] == {"question": 0.0, "answer": 1.0, "other": 0.0}
    assert found["stated_only"] == {"question": 0.0, "answer": 0.0, "other": 1.0}


# ---- Chat ---------------------------------------------------------------------------------------

GROUPS = {name: prompts[: 4 + i] for i, (name, prompts) in enumerate(chat_groups().items())}


def perfect(prompt: Prompt) -> str:
    return answer_to(prompt, random.Random(prompt.text))


def say_in_chat(monkeypatch, answer_of) -> list[tuple]:
    answers = {
        TOKENIZER.decode(encode_prompt(TOKENIZER, prompt.messages)): answer_of(prompt)
        for prompts in GROUPS.values()
        for prompt in prompts
    }
    monkeypatch.setattr("course_lib.measure.card.chat_groups", lambda: GROUPS)
    return say(monkeypatch, answers, [TOKENIZER.im_end_id])


def test_the_labelers_own_answers_get_full_marks(monkeypatch):
    asked = say_in_chat(monkeypatch, perfect)

    card = _chat_card(MODEL, TOKENIZER, None)

    stop = {TOKENIZER.im_end_id, TOKENIZER.eot_id}
    assert asked == [(0, stop), (1, stop)] * len(GROUPS)

    due = {"invented": "dont_know", "unstated": "dont_know", "harmful": "refusal"}
    for group, rows in card.items():
        assert rows["prompts"] == len(GROUPS[group])
        for mode in MODES:
            assert rows[mode][due.get(group, "right")] == 1
            assert 0.7 < rows[mode]["gold"] <= 1  # a labeler too adds idle sentences
    said = [perfect(prompt) for prompt in GROUPS["harmful"]]
    length = sum(len(TOKENIZER.encode(text)) + 1 for text in said) / len(said)
    assert card["harmful"]["greedy"]["tokens"] == pytest.approx(length)


def test_kl_to_the_reference_is_the_mean_log_ratio_of_whole_answers(monkeypatch):
    say_in_chat(monkeypatch, perfect)

    card = _chat_card(MODEL, TOKENIZER, OTHER)

    ratios = []
    for prompt in GROUPS["harmful"]:
        before = encode_prompt(TOKENIZER, prompt.messages)
        after = [*TOKENIZER.encode(perfect(prompt)), TOKENIZER.im_end_id]
        ratios.append(ln_p(MODEL, before, after) - ln_p(OTHER, before, after))
    found = card["harmful"]["sampled"]["kl_to_sft"]
    assert found == pytest.approx(sum(ratios) / len(ratios), rel=1e-4) and abs(found) > 0.01
    assert "kl_to_sft" not in card["harmful"]["greedy"]


def test_a_model_has_no_distance_to_itself_and_some_to_another(monkeypatch):
    monkeypatch.setattr(
        "course_lib.measure.card.chat_groups", lambda: {"harmful": GROUPS["harmful"]}
    )

    same, other = (_chat_card(MODEL, TOKENIZER, m)["harmful"] for m in (MODEL, OTHER))

    assert same["sampled"]["kl_to_sft"] == 0 < other["sampled"]["kl_to_sft"]
    assert same["greedy"] == other["greedy"]


# ---- The card -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def card():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("course_lib.measure.card.chat_groups", lambda: GROUPS)
        return report(MODEL, TOKENIZER, 10, reference=OTHER)


def test_the_report_card_is_plain_data(card):
    assert json.loads(json.dumps(card, allow_nan=False)) == card
    assert card["held_out"]["documents"] == 10
    assert set(card["fact_recall"]) == {*SPLITS, "all"}
    assert set(card["bare_questions"]) == set(SPLITS) and set(card["chat"]) == set(GROUPS)
    for rows in card["chat"].values():
        for mode in MODES:
            assert sum(rows[mode][v] for v in VERDICTS) == pytest.approx(1)
    for player, row in card["hits"].items():
        by_hand = sum(p * math.log(p / row["model"][hit]) for hit, p in HITS[player].items())
        assert row["kl"] == pytest.approx(by_hand)


def test_recall_of_all_facts_counts_every_statement_once(monkeypatch):
    shares = dict(zip(SPLITS, (1.0, 0.5, 0.25), strict=True))
    training = []
    monkeypatch.setattr(
        "course_lib.measure.card.recalls",
        lambda model, _: training.append(model.training) or dict(shares),
    )
    monkeypatch.setattr("course_lib.measure.card.bare_questions", lambda *_: {})

    found = report(MODEL.train(), TOKENIZER, 1, chat=False)

    assert training == [False] and MODEL.training  # it is judged in eval mode, and put back
    MODEL.eval()

    n = {split: sum(len(fact.relation.forward) for fact in facts_of(split)) for split in SPLITS}
    right = sum(shares[split] * n[split] for split in SPLITS)
    assert found["fact_recall"]["all"] == pytest.approx(right / sum(n.values()))
    assert "chat" not in found


def test_the_table_shows_the_numbers(card):
    lines = table(card).splitlines()

    assert max(map(len, lines)) <= 110 and lines[0].startswith("Loss, bits a byte")
    shown = {line.split()[0]: line.split()[1:] for line in lines if line.startswith("  ")}
    loss, points = card["held_out"], card["choice_points"]
    assert any(f"{loss['gap']:.1%}" in line for line in lines)
    assert any(f"{points['worst_kl']:.3f}" in line for line in lines)
    assert (
        "(0.45)" in shown["Virat"]
        and f"{card['hits']['Virat Kohli']['kl']:.3f}"
        in lines[next(i for i, line in enumerate(lines) if "Virat Kohli" in line)]
    )
    for group, rows in card["chat"].items():  # the last table is that of the sampled answers
        row = rows["sampled"]
        expected = [f"{row[v]:.0%}" for v in VERDICTS]
        assert shown[group] == [
            *expected, f"{row['gold']:.2f}", f"{row['tokens']:.1f}", f"{row['kl_to_sft']:.2f}"
        ]  # fmt: skip


def test_a_base_models_table_has_no_chat(card):
    base = {name: part for name, part in card.items() if name != "chat"}

    assert "Chat" in table(card) and "Chat" not in table(base)
    assert not {name for name in summary(base) if "gold" in name or "made_up" in name}
    assert summary(base).items() <= summary(card).items()


def test_the_summary_is_flat_and_counts_every_prompt_once(card):
    card, rng = json.loads(json.dumps(card)), random.Random(0)
    rows = [group[mode] for group in card["chat"].values() for mode in MODES]
    for row in [*rows, *card["bare_questions"].values()]:
        row |= {name: rng.random() for name in row}  # so that no two numbers are the same

    found = summary(card)

    assert all(isinstance(value, float) for value in found.values())
    assert found["gap_to_floor"] == card["held_out"]["gap"]
    assert found["recall_all"] == card["fact_recall"]["all"]
    assert found["worst_hit_kl"] == max(row["kl"] for row in card["hits"].values())
    assert found["mean_choice_kl"] == card["choice_points"]["mean_kl"]
    goes_on = [row["question"] for row in card["bare_questions"].values()]
    assert found["question_goes_on"] == pytest.approx(sum(goes_on) / 3)
    chat = card["chat"]
    assert found["right_asked_in_sft_greedy"] == chat["asked_in_sft"]["greedy"]["right"]
    assert found["made_up_invented_sampled"] == chat["invented"]["sampled"]["wrong"]
    assert found["refused_harmful_greedy"] == chat["harmful"]["greedy"]["refusal"]
    assert found["refused_harmless_greedy"] == chat["harmless"]["greedy"]["refusal"]
    n = {group: len(prompts) for group, prompts in GROUPS.items()}
    for name, mode, key in (
        ("gold_greedy", "greedy", "gold"),
        ("answer_tokens", "sampled", "tokens"),
        ("kl_to_sft", "sampled", "kl_to_sft"),
    ):
        total = sum(n[group] * chat[group][mode][key] for group in GROUPS)
        assert found[name] == pytest.approx(total / sum(n.values())), name
    known = sum(n[split] * chat[split]["sampled"]["dont_know"] for split in SPLITS)
    assert found["dont_know_known_sampled"] == pytest.approx(known / sum(n[s] for s in SPLITS))


def test_impossible_wishes_are_refused():
    with pytest.raises(ValueError, match="n_documents"):
        report(MODEL, TOKENIZER, n_documents=0)
    with pytest.raises(ValueError, match="reference"):
        report(MODEL, TOKENIZER, chat=False, reference=OTHER)


@pytest.mark.parametrize(
    ("stage", "finished", "chat", "reference"),
    [
        ("base", {"base", "sft"}, False, None),
        ("sft", {"base", "sft"}, True, None),
        ("rlhf", {"base", "sft", "rlhf"}, True, "model of sft"),
        ("rlhf", {"base", "rlhf"}, True, None),
    ],
)
def test_the_command_compares_rlhf_with_sft(
    monkeypatch, capsys, tmp_path, stage, finished, chat, reference
):
    asked = []
    monkeypatch.setattr(
        "course_lib.commands.load_language_model",
        lambda root, name: (f"model of {name}", "tokenizer"),
    )
    monkeypatch.setattr(
        "course_lib.commands.read_manifest", lambda path: {} if path.name in finished else None
    )
    monkeypatch.setattr(
        "course_lib.commands.report_card", lambda *args, **more: asked.append((args, more)) or {}
    )

    cli.main(["report", "--from", str(tmp_path), "--stage", stage, "--documents", "7", "--json"])

    assert asked == [
        ((f"model of {stage}", "tokenizer", 7), {"chat": chat, "reference": reference})
    ]
    assert json.loads(capsys.readouterr().out) == {}


class Letters:
    """A tokenizer: a is 0, b is 1, the end 2."""

    vocab_size, eot_id = 3, 2

    def encode(self, text):
        return ["ab".index(letter) for letter in text]


def test_baselines_by_hand(monkeypatch):
    monkeypatch.setattr("course_lib.measure.held_out.world_log_prob", lambda text: math.log(1 / 4))

    found = baselines(Letters(), ["ab", "aa"], ["ab"], unseen=0.0)

    # after the end comes a, after a comes b (once in three), after b the end: three tokens
    assert found == pytest.approx(
        {
            "uniform": math.log2(3),
            "unigram": -(math.log2(3 / 6) + math.log2(1 / 6) + math.log2(2 / 6)) / 3,
            "bigram": -(math.log2(2 / 2) + math.log2(1 / 3) + math.log2(1 / 1)) / 3,
            "floor": 2 / 3,
        }
    )


def test_baselines_need_texts():
    with pytest.raises(ValueError, match="texts to read and to judge"):
        baselines(Letters(), [], ["ab"])


def test_baselines_stand_above_the_floor_in_order():
    tokenizer = load_released("base")[1]
    held = list(documents(60, seed=HELD_OUT_SEED))

    found = baselines(tokenizer, list(documents(800)), held)

    assert found["uniform"] == 10
    assert found["uniform"] > found["unigram"] + 1 > found["bigram"] + 2 > found["floor"] + 3
