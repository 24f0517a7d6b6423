"""Bets, scores and rounds of the guessing game follow its rules, and honesty pays best."""

import math
from dataclasses import replace

import pytest
from matplotlib.colors import to_rgba

from course_lib.pipeline.release import load_released
from course_lib.plots import bit_bars, text_card
from course_lib.plots.picture import INK, PEOPLE
from course_lib.widgets import game
from course_lib.widgets.game import (
    CHIPS,
    ELSE,
    MOST_OPTIONS,
    Bet,
    GuessingGame,
    Round,
    Score,
    draw_rounds,
    expected,
    guessing_game,
    probabilities,
    score_in_words,
    surprise,
)
from course_lib.world.documents import world_grammar

OPTIONS = ("four", "six", ELSE)
TRUTH = {"four": 0.25, "six": 0.75, ELSE: 0.0}
MODEL = {"four": 0.5, "six": 0.375, ELSE: 0.125}
FOUR = Round("In that match <b>Ben</b> hit a", OPTIONS, "four", TRUTH, MODEL)
SIX = replace(FOUR, word="six")


@pytest.fixture(scope="module")
def pair():
    return load_released("base")


@pytest.fixture(scope="module")
def drawn(pair):
    return draw_rounds(pair)


def test_chips_and_free_ones_are_shares_of_all():
    # 10 chips and 3 free tenths: 10.3 in all
    assert probabilities({"six": 6, "four": 4}, OPTIONS) == pytest.approx(
        {"four": 4.1 / 10.3, "six": 6.1 / 10.3, ELSE: 0.1 / 10.3}
    )


def test_a_miss_costs_many_bits_and_no_infinity():
    all_on_six = {"six": 10}

    assert Bet(SIX, all_on_six).bits["you"] == pytest.approx(math.log2(10.3 / 10.1))
    assert Bet(FOUR, all_on_six).bits["you"] == pytest.approx(math.log2(103))


def test_surprise_is_the_logarithm_of_one_over_p():
    assert [surprise(p) for p in (1, 0.5, 0.125, 0)] == [0, 1, 3, math.inf]


def test_expected_bits_are_those_of_every_word_by_its_probability():
    assert expected(MODEL, TRUTH) == pytest.approx(0.25 * 1 + 0.75 * math.log2(8 / 3))
    assert expected(TRUTH, TRUTH) == pytest.approx(0.25 * 2 + 0.75 * math.log2(4 / 3))


@pytest.mark.parametrize(
    ("chips", "message"),
    [
        ({"six": 9}, "10 chips must be placed, none of them below 0, got {'six': 9}: 9 in all"),
        ({"six": 11, "four": -1}, "none of them below 0"),
        ({"six": math.nan}, "10 chips must be placed"),
        ({"seven": 10}, r"on four, six, something else: not on \['seven'\]"),
    ],
)
def test_a_bet_that_breaks_the_rule_is_refused(chips, message):
    with pytest.raises(ValueError, match=message):
        probabilities(chips, OPTIONS)


def test_a_score_adds_up_bit_by_bit():
    evenly = dict.fromkeys(OPTIONS, CHIPS / 3)
    score = Score().add(Bet(FOUR, evenly)).add(Bet(SIX, evenly))

    assert score.total() == pytest.approx(
        {"you": 2 * math.log2(3), "model": 1 + math.log2(8 / 3), "truth": 2 + math.log2(4 / 3)}
    )
    assert score.mean()["model"] == pytest.approx((1 + math.log2(8 / 3)) / 2)
    assert score.long_run()["you"] == pytest.approx(math.log2(3))


def test_the_end_tells_luck_from_skill():
    score = Score((Bet(FOUR, {"four": 10}),))

    assert repr(score) == score_in_words(score)
    assert score_in_words(score) == (
        "Mean bits of surprise in 1 round: you 0.03, model 1.00, truth 2.00. So you paid 1.97 less "
        "than the truth, the model paid 1.00 less than the truth. The truth's mean is a sample of "
        "the entropy: in a few rounds luck can beat it, in the long run nobody can. With these "
        "bets, were each round drawn again and again: you 5.02, model 1.31, truth 0.81."
    )
    assert "the model paid as much as the truth" in score_in_words(
        Score((Bet(replace(FOUR, model=TRUTH), {"four": 10}),))
    )


def test_no_strategy_beats_the_truth_in_the_long_run(drawn):
    for strategy in (
        lambda round: {max(round.truth, key=round.truth.get): 10},
        lambda round: {word: 10 * p for word, p in round.model.items()},
        lambda round: {word: 10 / len(round.options) for word in round.options},
        lambda round: {word: 10 * p for word, p in round.truth.items()},
    ):
        long_run = Score(tuple(Bet(round, strategy(round)) for round in drawn)).long_run()

        assert min(long_run, key=long_run.get) == "truth"


def test_a_game_begins_without_a_bet():
    assert repr(Score()) == "no bet yet"


def test_rounds_are_choices_of_the_world(drawn):
    assert len(drawn) == len({round.prefix for round in drawn}) == 8
    for round in drawn:
        truth = {w.strip(): p for w, p in world_grammar().next_word(round.prefix).items()}
        assert round.truth == truth | {ELSE: 0.0}
        assert 2 <= len(round.options) - 1 <= MOST_OPTIONS
        # the order gives nothing away
        assert round.options == (*sorted(truth, key=str.casefold), ELSE)
        assert round.word in truth
        assert sum(round.model.values()) == pytest.approx(1)


def test_a_seed_says_which_rounds_come(pair, drawn):
    assert draw_rounds(pair, 8, seed=0) == drawn
    few = {seed: [(r.prefix, r.word) for r in draw_rounds(pair, 3, seed)] for seed in (0, 1)}
    assert few[0] == [(round.prefix, round.word) for round in drawn[:3]] != few[1]


def test_words_come_as_often_as_the_truth_says(monkeypatch):
    # 300 rounds with one word far likelier than the other: no model is needed to draw them
    points = [
        (f"In match {i} Ben hit a", "reports", {" six": 0.9, " four": 0.1}) for i in range(300)
    ]
    monkeypatch.setattr(game, "choice_points", lambda n, seed: (points, 0))
    monkeypatch.setattr(game, "word_log_probs", lambda *args: [math.log(0.4)] * 600)

    found = draw_rounds((None, None), 300)

    # the standard deviation of the number of sixes is 5.2
    assert 250 <= sum(round.word == "six" for round in found) <= 290
    assert found[0].model == pytest.approx({"four": 0.4, "six": 0.4, ELSE: 0.2})


def press(widget: GuessingGame, do: str, **message) -> None:
    widget._on_message(widget, {"do": do, **message}, [])


def bet(widget: GuessingGame, *chips: int) -> None:
    for option, n in zip(widget.round.options, chips, strict=False):
        press(widget, "place", option=option, chips=n)
    press(widget, "bet")


def shown(widget: GuessingGame, name: str) -> list:
    return [option.get(name) for option in widget.view["options"]]


def test_a_bet_in_the_widget_is_a_bet_of_the_score():
    game = GuessingGame([FOUR, SIX])

    bet(game, 4, 6, 0)

    assert game.score == Score((Bet(FOUR, {"four": 4, "six": 6, ELSE: 0}),))
    assert game.view["said"] == ("“four” came. Bits of surprise: you 1.33, model 1.00, truth 2.00.")
    assert shown(game, "came") == [True, False, False]
    assert shown(game, "truth") == list(TRUTH.values())
    assert shown(game, "you") == pytest.approx([4.1 / 10.3, 6.1 / 10.3, 0.1 / 10.3])
    assert game.view["bits"] == pytest.approx(game.score.mean())


def test_chips_are_put_and_taken_one_by_one_and_there_are_ten():
    game = GuessingGame([FOUR])
    assert (game.view["left"], shown(game, "chips"), game.view["told"]) == (10, [0, 0, 0], False)

    for _ in range(12):
        press(game, "place", option="four", chips=1)
    assert (game.view["left"], shown(game, "chips")) == (0, [10, 0, 0])
    press(game, "place", option="four", chips=-1)
    press(game, "place", option="six", chips=-1)  # nobody owes chips
    press(game, "place", option="nine", chips=1)  # of a round that is over

    assert shown(game, "chips") == [9, 0, 0]
    assert game.view["said"] == "Chips left to place: 1."


def test_before_the_bet_the_page_knows_nothing_of_the_answer():
    game = GuessingGame([FOUR])

    assert not any({"truth", "model", "you"} & set(option) for option in game.view["options"])


def test_the_next_round_starts_with_no_chips():
    game = GuessingGame([FOUR, SIX])
    bet(game, 10, 0, 0)
    press(game, "place", option="six", chips=1)  # this round is over
    assert shown(game, "chips") == [10, 0, 0]

    press(game, "next")

    assert game.round == SIX and shown(game, "chips") == [0, 0, 0]
    assert game.view["said"] == "Chips left to place: 10." and not game.view["told"]


def test_a_bet_needs_all_chips():
    game = GuessingGame([FOUR])

    bet(game, 4, 5)

    assert game.view["said"] == "You have 10 chips: place 1 more, then bet."
    assert game.score == Score() and not game.view["told"]


def test_a_second_press_bets_no_second_time():
    game = GuessingGame([FOUR, SIX])
    bet(game, 10)

    press(game, "bet")

    assert len(game.score.bets) == 1


def test_the_last_round_ends_with_one_sentence_for_each_player():
    game = GuessingGame([FOUR])

    bet(game, 10)

    assert game.view["said"].endswith(
        "The game is over. Per round you paid 1.97 bits less than the truth, the model 1.00 bits "
        "less than the truth. Luck can beat the truth in a few rounds. Were each round drawn again "
        "and again, your bets would cost 4.21 bits more than the truth."
    )
    assert game.view["over"] and not game.view["again"]  # there are no other rounds
    press(game, "next")
    assert game.number == 0


def test_a_game_that_is_over_is_played_again_with_other_texts():
    asked = []
    game = GuessingGame([FOUR], lambda number: asked.append(number) or [SIX])
    assert not game.view["again"]
    bet(game, 10)
    assert game.view["again"]

    press(game, "again")

    assert game.round == SIX and game.score == Score() and shown(game, "chips") == [0, 0, 0]
    bet(game, 0, 10)
    press(game, "again")
    assert asked == [1, 2]


def test_the_next_game_has_the_texts_of_the_next_seed(pair):
    game = guessing_game(pair, rounds=1, seed=3)

    press(game, "again")

    assert game.rounds == tuple(draw_rounds(pair, 1, 4))


def test_a_round_with_fewer_options_shows_fewer_rows():
    game = GuessingGame([FOUR, replace(SIX, options=("six", ELSE))])
    bet(game, 10)

    press(game, "next")

    assert shown(game, "word") == ["six", ELSE]


def test_the_picture_is_the_first_round_then_the_means():
    game = GuessingGame([FOUR, SIX])

    assert repr(game) == (
        "Bars, Round 1 of 2: In that match <b>Ben</b> hit a ____; “four” came: the model pays 1.00 "
        "bits, the truth 2.00: model: four 50% (truth 25%), six 38% (truth 75%), all others 12% "
        "(truth 0%)."
    )
    bet(game, 10)

    assert repr(game) == (
        "Bars, bits a round after 1 of 2 rounds: you 0.03 bits, model 1.00 bits, truth 2.00 bits."
    )
    assert "image/png" in game._repr_mimebundle_()[0]


def test_the_widget_draws_its_rounds_from_a_seed(pair):
    assert guessing_game(pair, rounds=2, seed=3).rounds == tuple(draw_rounds(pair, 2, 3))
    for wrong in (0, 2.5, True):
        with pytest.raises(ValueError, match="rounds must be a whole number of 1 or more"):
            guessing_game(pair, rounds=wrong)


def test_bits_are_bars_and_texts_are_cards():
    bars = bit_bars("means", {"you": 2.0, "truth": 0.5}).figure.axes[0]
    card = text_card("a title", "cost $1_000$\nnext", "a note").figure.axes[0]

    assert [bar.get_width() for bar in bars.patches] == [2.0, 0.5]
    assert [label.get_text() for label in bars.get_yticklabels()] == ["you", "truth"]
    assert [bar.get_facecolor() for bar in bars.patches] == [to_rgba(PEOPLE), to_rgba(INK)]
    assert [text.get_text() for text in card.texts] == ["cost $1_000$\nnext", "a note"]
    assert not card.texts[0].get_parse_math()
