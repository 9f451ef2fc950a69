"""The estimate of what an answer covers: its measured quality is what the committed figures say, and where it fails."""

import tomllib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from tl_course import assets
from tl_course.errors import BadInput
from tl_course.practice import cards, key_points

ANSWERS = tomllib.loads(Path(__file__).with_name("labelled_answers.toml").read_text(encoding="utf-8"))["answer"]
CARDS = {card.id: card for card in cards.all_cards()}
MEASURED = key_points.fitted()["measured"]
CARD = CARDS["attention-scale-sqrt-d"]
RIGHT = next(a["text"] for a in ANSWERS if a["card"] == CARD.id and a["kind"] == "right")

needs_minilm = pytest.mark.skipif(assets.status("minilm") != "ready", reason="MiniLM is not on this computer")


@pytest.fixture(scope="module")
def ticks():
    """Kind -> (labels, estimates) of every key point of the test half's answers."""
    found = {}
    for answer in (answer for answer in ANSWERS if answer["split"] == "test"):
        covered = key_points.estimate(CARDS[answer["card"]], answer["text"]).covered
        kind = "swapped" if answer.get("swapped") else answer["kind"]
        labels, estimates = found.setdefault(kind, ([], []))
        labels += answer["covered"]
        estimates += covered
    return {kind: (np.array(labels), np.array(estimates)) for kind, (labels, estimates) in found.items()}


def test_the_labelled_answers_span_the_bank():
    asked = [CARDS[name] for name in {answer["card"] for answer in ANSWERS}]
    assert len(ANSWERS) >= 160 and len(asked) >= 32
    for part in ("topic", "level", "kind"):
        assert {getattr(card, part) for card in asked} == {getattr(card, part) for card in CARDS.values()}
    kinds = Counter(answer["kind"] for answer in ANSWERS)
    assert set(kinds) == {"right", "partial", "wrong", "off-topic", "vague"} and min(kinds.values()) >= 32
    assert len({answer["text"] for answer in ANSWERS}) == len(ANSWERS)


def test_every_key_point_has_its_label():
    for answer in ANSWERS:
        assert len(answer["covered"]) == len(CARDS[answer["card"]].key_points), answer["card"]
        if answer["kind"] in ("wrong", "off-topic", "vague"):
            assert not any(answer["covered"]), answer["text"]
        else:
            assert any(answer["covered"]), answer["text"]
        for point in CARDS[answer["card"]].key_points:
            assert point.en.rstrip(".").lower() not in answer["text"].lower(), "own words"


def test_no_card_is_in_both_halves():
    halves = {split: {a["card"] for a in ANSWERS if a["split"] == split} for split in ("fit", "test")}
    assert len(halves["fit"]) >= 16 and len(halves["test"]) >= 16
    assert not halves["fit"] & halves["test"]
    assert halves["fit"] | halves["test"] == {answer["card"] for answer in ANSWERS}


@needs_minilm
def test_the_committed_figures_are_what_comes_out(ticks):
    plain = [pair for kind, pair in ticks.items() if kind != "swapped"]
    labels, estimates = (np.concatenate(part) for part in zip(*plain, strict=True))
    found = precision_recall_fscore_support(labels, estimates, average="binary")[:3]
    committed = [MEASURED[name] for name in ("precision", "recall", "f1")]
    np.testing.assert_allclose(found, committed, atol=0.02, err_msg="run benchmarks/key_points.py anew")
    assert len(labels) == MEASURED["key_points"]
    for kind, (labels, estimates) in ticks.items():
        if kind in MEASURED["false_ticks"]:
            assert estimates[~labels].mean() == pytest.approx(MEASURED["false_ticks"][kind], abs=0.04), kind


@needs_minilm
def test_precise_enough_to_be_shown(ticks):
    assert MEASURED["precision"] >= 0.8 and MEASURED["recall"] >= 0.6
    assert MEASURED["intervals"]["precision"][0] < MEASURED["precision"] < MEASURED["intervals"]["precision"][1]
    assert ticks["off-topic"][1].mean() <= 0.03
    assert ticks["vague"][1].mean() <= 0.08
    assert ticks["wrong"][1].mean() <= 0.1
    assert ticks["right"][1].mean() >= 0.6


@needs_minilm
def test_it_does_not_notice_denials(ticks):
    """What the note warns of. Should this ever fail, the estimate has learned something: change the note."""
    assert ticks["swapped"][1].mean() > 0.5


@needs_minilm
def test_an_estimate_for_each_key_point():
    found = key_points.estimate(CARD, RIGHT)
    assert len(found.probabilities) == len(found.covered) == len(CARD.key_points)
    assert all(0 <= probability <= 1 for probability in found.probabilities)
    assert found.covered == tuple(p >= found.threshold for p in found.probabilities) and any(found.covered)


@pytest.mark.parametrize("answer", ["", "  \n", "…?!"])
def test_nothing_is_covered_by_an_empty_answer(answer):
    assert key_points.estimate(CARD, answer).covered == (False,) * len(CARD.key_points)


@needs_minilm
def test_what_stands_at_the_end_of_a_very_long_answer_counts():
    off_topic = next(a["text"] for a in ANSWERS if a["kind"] == "off-topic" and a["card"] == CARD.id)
    before = key_points.estimate(CARD, f"{off_topic} " * 8).probabilities
    after = key_points.estimate(CARD, f"{off_topic} " * 8 + RIGHT).probabilities
    assert not any(p >= key_points.fitted()["threshold"] for p in before)
    np.testing.assert_allclose(after, key_points.estimate(CARD, RIGHT).probabilities, atol=0.15)


def test_no_word_of_a_long_sentence_is_lost():
    words = [f"w{number}" for number in range(1000)]
    pieces = key_points.sentences(" ".join(words))
    assert max(len(piece.split()) for piece in pieces) <= key_points.LONGEST
    assert {word for piece in pieces for word in piece.split()} == set(words)
    assert key_points.windows("One, two. Three; four.") == [
        "One, two.",
        "Three;",
        "four.",
        "One, two. Three;",
        "Three; four.",
    ]


def test_chinese_answers_are_left_to_the_learner():
    assert key_points.available("en") and key_points.available("en_GB") and not key_points.available("zh")
    with pytest.raises(BadInput, match="trained on English"):
        key_points.estimate(CARD, "点积的方差是 d，所以除以 √d，否则 softmax 会饱和。")
    auc = key_points.fitted()["nearest_window_auc"]
    assert auc["en"] > 0.9 > 0.8 > auc["zh"], "why: key points are not found again in the same answers in Chinese"


def test_without_minilm_it_says_so(monkeypatch):
    monkeypatch.setattr(assets, "status", lambda name: "missing")
    with pytest.raises(BadInput, match="MiniLM on this computer"):
        key_points.encoder.__wrapped__()


def test_the_note_gives_the_measured_figures():
    note = key_points.Estimate((0.9, 0.1), 0.5).note()
    assert "estimate" in note and "Your own rating decides" in note and "\n" not in note
    assert all(f"{MEASURED[name]:.2f}" in note for name in ("precision", "recall")) and str(MEASURED["answers"]) in note
