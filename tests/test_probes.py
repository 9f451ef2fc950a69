"""The probes find what is there, look at training data only, and refuse what they cannot use."""

from typing import Literal

import numpy as np
import pytest

from tl_course.errors import BadInput
from tl_course.probes import DEFAULT_C, ProbeResult, knn_probe, linear_probe, tfidf_probe


def blobs(per_class: int, seed: int, classes: int = 3, width: int = 20, spread: float = 1.0) -> tuple:
    """Gaussian clouds around fixed centres."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(classes, width))
    y = np.repeat(np.arange(classes), per_class)
    x = centres[y] + spread * rng.normal(size=(len(y), width))
    return x.astype("float32"), y.astype("int64")


@pytest.mark.parametrize("per_class", [1, 20])
@pytest.mark.parametrize("scale", ["rows", "columns"])
def test_linear_probe_separates_clouds(per_class: int, scale: Literal["rows", "columns"]) -> None:
    units = 1.0 if scale == "rows" else np.logspace(-3, 3, 20)
    (train_x, train_y), (test_x, test_y) = blobs(per_class, 0, spread=0.3), blobs(50, 1, spread=0.3)
    result = linear_probe(train_x * units, train_y, test_x * units, test_y, scale=scale)
    assert result.accuracy > 0.9 and float(result) == result.accuracy
    np.testing.assert_allclose(result.accuracy, np.mean(result.predictions == blobs(50, 1, spread=0.3)[1]))
    assert (result.C == DEFAULT_C) == (per_class == 1)
    assert result.predictions.dtype == np.int64


def test_the_length_of_a_row_does_not_matter_when_rows_are_scaled() -> None:
    (train_x, train_y), (test_x, test_y) = blobs(1, 0), blobs(50, 1)
    brightness = np.random.default_rng(2).uniform(0.1, 10, (len(test_x), 1))
    same = linear_probe(train_x, train_y, test_x, test_y)
    np.testing.assert_array_equal(
        same.predictions, linear_probe(train_x, train_y, test_x * brightness, test_y).predictions
    )


def test_test_features_are_scaled_by_the_training_set() -> None:
    (train_x, train_y), (test_x, test_y) = blobs(10, 0), blobs(50, 1)
    together = linear_probe(train_x, train_y, test_x, test_y, scale="columns").predictions
    alone = linear_probe(train_x, train_y, test_x[:1], test_y[:1], scale="columns").predictions
    assert alone[0] == together[0]


def test_noise_gets_strong_regularisation_and_structure_gets_weak() -> None:
    x, y = blobs(30, 0, spread=0.3)
    noise = np.random.default_rng(5).permutation(y)
    structured, shuffled = linear_probe(x, y, x, y).C, linear_probe(x, noise, x, y).C
    assert structured is not None and shuffled is not None and structured > shuffled


def test_the_test_labels_change_nothing_but_the_score() -> None:
    train, (test_x, test_y) = blobs(10, 0), blobs(30, 1)
    right, wrong = linear_probe(*train, test_x, test_y), linear_probe(*train, test_x, (test_y + 1) % 3)
    np.testing.assert_array_equal(right.predictions, wrong.predictions)
    assert right.C == wrong.C and right.accuracy > wrong.accuracy


def test_knn_uses_the_angle_not_the_length() -> None:
    train_x = np.array([[1.0, 0.0], [0.0, 100.0]])
    result = knn_probe(train_x, np.array([0, 1]), np.array([[90.0, 20.0], [0.1, 0.4]]), np.array([0, 1]))
    assert result.accuracy == 1.0 and result.k == 1


def test_knn_default_k_lets_the_smallest_class_win() -> None:
    x, y = blobs(30, 0)
    keep = np.concatenate([np.flatnonzero(y == 0)[:2], np.flatnonzero(y > 0)])
    assert knn_probe(x[keep], y[keep], x, y).k == 2
    assert knn_probe(x, y, x, y).k == 5
    with pytest.raises(BadInput, match="k from 1"):
        knn_probe(x, y, x, y, k=91)


def sentences(per_class: int, seed: int) -> tuple[list[str], np.ndarray]:
    """Sentences whose class shows in a word pair and an emoticon, never in a single word."""
    rng = np.random.default_rng(seed)
    filler = ["plot", "actor", "camera", "sound", "scene"]
    texts, labels = [], []
    for label, pairs in enumerate([["not good", "so bad"], ["so good", "not bad"]]):
        for _ in range(per_class):
            texts.append(f"{rng.choice(filler)} {rng.choice(pairs)} {rng.choice(filler)}")
            labels.append(label)
    return texts, np.array(labels)


def test_tfidf_reads_word_pairs() -> None:
    result = tfidf_probe(*sentences(30, 0), *sentences(50, 1))
    assert result.accuracy > 0.95 and result.C is not None


def test_tfidf_sees_emoticons() -> None:
    texts = ["today :)", "today :("] * 6
    assert tfidf_probe(texts, np.array([1, 0] * 6), texts, np.array([1, 0] * 6)).accuracy == 1.0


def test_bad_features_are_named() -> None:
    x, y = blobs(5, 0)
    broken = x.copy()
    broken[3, 2] = np.nan
    with pytest.raises(BadInput, match=r"train_x without NaN.*first at 3"):
        linear_probe(broken, y, x, y)
    with pytest.raises(BadInput, match="at least two classes"):
        linear_probe(x, np.zeros_like(y), x, y)
    with pytest.raises(BadInput, match=r"test_y of shape \(15,\)"):
        knn_probe(x, y, x, y[:-1])
    with pytest.raises(BadInput, match="same width"):
        linear_probe(x, y, x[:, :5], y)
    with pytest.raises(BadInput, match="shape"):
        linear_probe(x[:, None], y, x, y)
    with pytest.raises(BadInput, match="'rows' or 'columns'"):
        linear_probe(x, y, x, y, scale="none")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="whole class numbers"):
        linear_probe(x, y + 0.5, x, y)


def test_bad_texts_are_named() -> None:
    texts, y = sentences(5, 0)
    with pytest.raises(BadInput, match="strings; got NoneType"):
        tfidf_probe([*texts[:-1], None], y, texts, y)  # type: ignore[list-item]
    with pytest.raises(BadInput, match="one string"):
        tfidf_probe("abc", y, texts, y)
    with pytest.raises(BadInput, match="only blank"):
        tfidf_probe([" "] * 10, y, texts, y)


def test_result_is_a_plain_value() -> None:
    assert float(ProbeResult(0.5, np.array([0, 1]))) == 0.5
