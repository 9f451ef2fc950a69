"""Ranking real models on real data: what is used, what is left alone, and what is refused."""

from collections.abc import Callable
from dataclasses import replace

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
import torch
from torch import nn

from tl_course import data, selection_plots, zoo
from tl_course.data.dataset import Dataset, Split
from tl_course.errors import BadInput
from tl_course.selection import Ranking, rank_models, score_features
from tl_course.selection_models import source_head
from tl_course.selection_scores import RankAgreement, h_score, linear_cka, logme


@pytest.fixture(scope="module")
def few() -> Dataset:
    """Six digits a class to choose on; test and validation labels that no ranking may look at."""
    mnist = data.load("mnist")
    train = mnist.train.take(data.few_shot(mnist.train.y, 6, seed=0))
    forbidden = Split(np.full((3, 28, 28, 1), np.nan, np.float32), np.zeros(3, np.int64))
    return replace(mnist, train=train, val=forbidden, test=forbidden)


def pixels(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1)


def noise(images: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(len(images), 20))


@pytest.fixture(scope="module")
def ranked(few: Dataset) -> Ranking:
    torch.manual_seed(0)
    bare = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.BatchNorm2d(4))
    bare.train()
    models = {
        "noise": noise,
        "fashion": "fashion_resnet",
        "in Keras": zoo.load("fashion_resnet", "keras"),
        "pixels": pixels,
        "bare module": bare,
    }
    before = {name: value.clone() for name, value in bare.state_dict().items()}
    found = rank_models(models, few)
    assert bare.training and all(torch.equal(before[name], value) for name, value in bare.state_dict().items())
    return found


def test_the_best_comes_first_and_noise_last(ranked: Ranking) -> None:
    probe = ranked.column("linear_probe")
    assert (np.diff(probe) <= 0).all() and ranked.names[-1] == "noise"
    assert probe[0] > 0.4 > 0.25 > probe[-1]
    assert ranked.num_examples == 60 and ranked.num_folds == 5


def test_both_frameworks_get_the_same_row(ranked: Ranking) -> None:
    rows = {candidate.name: candidate for candidate in ranked.candidates}
    torch_row, keras_row = rows["fashion"], rows["in Keras"]
    assert (torch_row.framework, keras_row.framework, rows["pixels"].framework) == ("pytorch", "keras", "")
    assert torch_row.parameters == keras_row.parameters == 308_074
    assert torch_row.feature_dim == keras_row.feature_dim == 128
    for score in ("logme", "h_score", "leep", "linear_probe"):
        assert getattr(torch_row.scores, score) == pytest.approx(getattr(keras_row.scores, score), abs=1e-3)
    at = {name: i for i, name in enumerate(ranked.names)}
    assert ranked.cka[at["fashion"], at["in Keras"]] == pytest.approx(1, abs=1e-5)
    assert keras_row.megabytes == pytest.approx(torch_row.megabytes, rel=0.01)


def test_scores_are_those_of_the_features(few: Dataset, ranked: Ranking) -> None:
    row = {candidate.name: candidate for candidate in ranked.candidates}["pixels"]
    features = pixels(few.train.x)
    assert row.scores.logme == logme(features, few.train.y) and row.scores.h_score == h_score(features, few.train.y)
    assert row.scores.leep is None and row.parameters is None
    at = {name: i for i, name in enumerate(ranked.names)}
    assert ranked.cka[at["pixels"], at["noise"]] == pytest.approx(linear_cka(features, noise(features)))


def test_leep_comes_from_the_source_head(few: Dataset) -> None:
    model = zoo.load("fashion_resnet", device="cpu")
    head = source_head(model)
    assert head is not None
    probabilities = head(few.train.x)
    assert probabilities.shape == (60, 10)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    with torch.inference_mode():
        direct = model.model(model.preprocess(few.train.x)).softmax(dim=1).numpy()
    np.testing.assert_allclose(probabilities, direct, atol=1e-5)
    assert source_head(zoo.load("mobilenet_v2", weights=None, device="cpu")) is None
    told = rank_models({"a": pixels, "b": noise}, few, source_probabilities={"a": lambda x: np.eye(10)[few.train.y]})
    assert dict(zip(told.names, told.column("leep"), strict=True))["a"] == pytest.approx(0)
    assert told.by("leep").names == ("a", "b")  # those without the score come last


def test_another_order_keeps_rows_and_alignment_together(ranked: Ranking) -> None:
    by_h = ranked.by("h_score")
    assert by_h.score == "h_score" and (np.diff(by_h.column("h_score")) <= 0).all()
    assert sorted(by_h.names) == sorted(ranked.names)
    first, second = (list(order.names) for order in (ranked, by_h))
    moved = [first.index(name) for name in second]
    np.testing.assert_array_equal(by_h.cka, ranked.cka[np.ix_(moved, moved)])


def test_cross_validation_holds_every_example_out_once() -> None:
    y = np.repeat([0, 1], 20)
    fits_anything = np.random.default_rng(0).normal(size=(40, 100))
    honest = score_features(fits_anything, y)
    assert honest.linear_probe < 0.75 and honest.knn < 0.75  # on the examples they were fitted to: 1
    leaking = score_features(np.tile(fits_anything, (6, 1)), np.tile(y, 6))  # copies stand in several folds
    assert leaking.linear_probe == leaking.knn == 1


def test_the_table_has_a_row_for_each_and_dashes_for_what_is_missing(ranked: Ranking) -> None:
    lines = ranked.render_text().splitlines()
    assert len(lines) == 1 + 5 + 1
    assert [line.split("  ")[0].strip() for line in lines[1:-1]] == list(ranked.names)
    assert next(line for line in lines if line.startswith("pixels")).split()[-4:-1] == ["-", "-", "-"]


def test_figures_have_what_a_reader_needs(ranked: Ranking) -> None:
    figure = selection_plots.ranking(ranked)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == list(ranked.names)
    np.testing.assert_allclose(np.asarray(figure.axes[0].get_lines()[0].get_xdata()), ranked.column("linear_probe"))
    scores = {"a": np.array([1.0, 2.0, np.nan]), "b": np.arange(3.0)}
    dots = selection_plots.score_against_result(scores, scores, "Scores", "score", "result")
    assert [axes.get_title() for axes in dots.axes] == ["a", "b"] and dots.axes[0].get_ylabel() == "result"
    with pytest.raises(BadInput, match="same targets"):
        selection_plots.score_against_result(scores, {"a": scores["a"]}, "Scores", "score", "result")
    bars = selection_plots.agreement({"LogME": RankAgreement(0.5, 0.1, 0.8, 0.01, {})}, "Agreement")
    assert bars.axes[0].get_title() == "Agreement" and bars.axes[0].get_yticklabels()[0].get_text() == "LogME"


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda few: rank_models({"a": pixels}, few), "at least two candidates"),
        (lambda few: rank_models(["fashion_resnet"] * 2, few), "names of their own"),
        (
            lambda few: rank_models({"a": pixels, "b": noise}, few, score="size"),  # pyright: ignore[reportArgumentType]
            "a score out of",
        ),
        (lambda few: rank_models({"a": pixels, "b": 3}, few), "int for b"),
        (lambda few: rank_models({"a": pixels, "b": lambda x: x}, few), r"features \(60, D\) from b"),
        (lambda few: rank_models({"a": pixels, "b": "resnet_18"}, few), "a model name"),
        (lambda few: rank_models({"a": pixels, "b": noise}, few, source_probabilities={"c": noise}), "for candidates"),
        (lambda few: rank_models({"a": pixels, "b": lambda x: np.ones((len(x), 3))}, few), "differ between examples"),
        (lambda few: score_features(np.eye(3), np.array([0, 0, 1])), "two training examples of every class"),
    ],
)
def test_what_cannot_be_ranked_is_refused(few: Dataset, call: Callable[[Dataset], object], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        call(few)
