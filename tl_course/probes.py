"""How good are frozen features? Linear probe, k-nearest neighbours, and TF-IDF as the fair baseline for text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from tl_course.errors import BadInput

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

C_GRID = (0.001, 0.01, 0.1, 1.0, 10.0)
"""Inverse regularisation strengths tried on scaled features."""

TEXT_C_GRID = (0.1, 1.0, 10.0, 100.0)
"""The same for TF-IDF rows, which have length 1 and so need larger weights."""

DEFAULT_C = 1.0
"""C of the linear probe where the training data are too few to choose it by cross-validation."""

DEFAULT_TEXT_C = 10.0
"""The same for TF-IDF."""

MIN_PER_CLASS = 5
"""Cross-validation needs at least this many training samples in every class."""


@dataclass(frozen=True)
class ProbeResult:
    """What a probe found on the test data.

    Attributes:
        accuracy: fraction of the test samples that were right, 0 to 1. `float(result)` gives it too.
        predictions: int64 (M,), the predicted class of each test sample.
        C: inverse regularisation strength that was used (linear probe and TF-IDF).
        k: number of neighbours that was used (k-NN).
    """

    accuracy: float
    predictions: np.ndarray
    C: float | None = None
    k: int | None = None

    def __float__(self) -> float:
        return self.accuracy


def linear_probe(
    train_x: np.ndarray,
    train_y: np.ndarray,
    test_x: np.ndarray,
    test_y: np.ndarray,
    C: float | None = None,
    seed: int = 0,
    scale: Literal["rows", "columns"] = "rows",
) -> ProbeResult:
    """Logistic regression on frozen features (Alain & Bengio, 2016; Kornblith et al., 2019).

    C is chosen by stratified cross-validation on the training data alone, or is `DEFAULT_C` where a class has fewer
    than `MIN_PER_CLASS` samples. Mean and spread for scaling come from the training data too.

    Scaling decides much when labels are few. "rows" gives every sample length 1, then centres and divides all columns
    by one number. "columns" divides each column by its own standard deviation, which a handful of samples estimates
    badly: with one label a class it cost MobileNetV2's features 13 to 17 points on the validation splits of mnist and
    photos, and it was behind at 5, 10 and 50 labels too.

    Args:
        train_x: float (N, D).
        train_y: int (N,), at least two classes.
        test_x: float (M, D).
        test_y: int (M,).
        C: inverse regularisation strength; given, nothing is searched.
        seed: shuffles the folds.
        scale: "rows" for a network's features; "columns" where columns are measured in different units.

    Raises:
        BadInput: lengths or widths differ, a value is NaN or infinite, or there is one class only.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from threadpoolctl import threadpool_limits

    train_x, train_y, test_x, test_y = _checked_features(train_x, train_y, test_x, test_y)
    if scale not in ("rows", "columns"):
        raise BadInput("scale 'rows' or 'columns'", repr(scale), "leave it out for a network's features")
    train_x, test_x = _scaled(train_x, test_x, scale)
    pipeline = make_pipeline(LogisticRegression(max_iter=2000))
    with threadpool_limits(limits=1):  # more threads gain nothing at this size and lose much on a busy machine
        chosen = C if C is not None else _choose_C(pipeline, train_x, train_y, C_GRID, DEFAULT_C, seed)
        pipeline.set_params(logisticregression__C=chosen).fit(train_x, train_y)
    return _result(pipeline.predict(test_x), test_y, C=chosen)


def _scaled(train_x: np.ndarray, test_x: np.ndarray, scale: str) -> tuple[np.ndarray, np.ndarray]:
    """Both sets centred and scaled by what the training set says; see `linear_probe`."""
    if scale == "rows":
        train_x, test_x = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (train_x, test_x))
    mean, spread = train_x.mean(axis=0), train_x.std(axis=0)
    unit = np.sqrt(np.mean(spread**2)) if scale == "rows" else spread
    unit = np.where(unit > 0, unit, 1.0)
    return (train_x - mean) / unit, (test_x - mean) / unit


def knn_probe(
    train_x: np.ndarray, train_y: np.ndarray, test_x: np.ndarray, test_y: np.ndarray, k: int | None = None
) -> ProbeResult:
    """Vote of the k nearest training samples by cosine similarity, nearer ones counting more. Nothing is trained.

    Args:
        train_x: float (N, D).
        train_y: int (N,), at least two classes.
        test_x: float (M, D).
        test_y: int (M,).
        k: number of neighbours; default the size of the smallest class, at most 5, so that a class can win a vote.

    Raises:
        BadInput: as `linear_probe`, or k outside 1 to N.
    """
    from sklearn.neighbors import KNeighborsClassifier

    train_x, train_y, test_x, test_y = _checked_features(train_x, train_y, test_x, test_y)
    neighbours = k if k is not None else min(5, _smallest_class(train_y))
    if not 1 <= neighbours <= len(train_y):
        raise BadInput(f"k from 1 to {len(train_y)}", str(neighbours), "use at most as many neighbours as samples")
    model = KNeighborsClassifier(neighbours, metric="cosine", weights="distance").fit(train_x, train_y)
    return _result(model.predict(test_x), test_y, k=neighbours)


def tfidf_probe(
    train_texts: Sequence[str] | np.ndarray,
    train_y: np.ndarray,
    test_texts: Sequence[str] | np.ndarray,
    test_y: np.ndarray,
    C: float | None = None,
    seed: int = 0,
) -> ProbeResult:
    """The fair baseline for text: TF-IDF of words and word pairs, then logistic regression, no pretraining.

    C is chosen as in `linear_probe`; vocabulary and document frequencies come from the training texts alone.

    Args:
        train_texts: N strings.
        train_y: int (N,), at least two classes.
        test_texts: M strings.
        test_y: int (M,).
        C: inverse regularisation strength; given, nothing is searched.
        seed: shuffles the folds.

    Raises:
        BadInput: lengths differ, an entry is not a string, there is one class only, or no text has a word.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from threadpoolctl import threadpool_limits

    train, test = _checked_texts(train_texts, "train_texts"), _checked_texts(test_texts, "test_texts")
    train_y = _checked_labels(train_y, len(train), "train_y")
    test_y = _checked_labels(test_y, len(test), "test_y")
    _check_classes(train_y)
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b|[^\w\s]+")
    pipeline = make_pipeline(words, LogisticRegression(max_iter=2000))
    if not any(text.strip() for text in train):
        raise BadInput("training texts with words in them", "only blank texts", "check the column you loaded")
    with threadpool_limits(limits=1):
        chosen = C if C is not None else _choose_C(pipeline, train, train_y, TEXT_C_GRID, DEFAULT_TEXT_C, seed)
        pipeline.set_params(logisticregression__C=chosen).fit(train, train_y)
    return _result(pipeline.predict(test), test_y, C=chosen)


def _choose_C(
    pipeline: "Pipeline",
    train_x: np.ndarray | list[str],
    train_y: np.ndarray,
    grid: tuple[float, ...],
    default: float,
    seed: int,
) -> float:
    """The C with the lowest cross-validated log loss on the training data; the stronger regularisation wins a tie."""
    from sklearn.model_selection import GridSearchCV, StratifiedKFold

    if _smallest_class(train_y) < MIN_PER_CLASS:
        return default
    folds = StratifiedKFold(n_splits=5, shuffle=True, random_state=seed)
    search = GridSearchCV(pipeline, {"logisticregression__C": grid}, scoring="neg_log_loss", cv=folds, refit=False)
    return float(search.fit(train_x, train_y).best_params_["logisticregression__C"])


def _result(predictions: np.ndarray, test_y: np.ndarray, C: float | None = None, k: int | None = None) -> ProbeResult:
    return ProbeResult(float(np.mean(predictions == test_y)), predictions.astype(np.int64), C=C, k=k)


def _smallest_class(labels: np.ndarray) -> int:
    return int(np.unique(labels, return_counts=True)[1].min())


def _checked_features(
    train_x: np.ndarray, train_y: np.ndarray, test_x: np.ndarray, test_y: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The four arrays, or BadInput that names the one that is wrong."""
    train_x, test_x = _checked_matrix(train_x, "train_x"), _checked_matrix(test_x, "test_x")
    if train_x.shape[1] != test_x.shape[1]:
        raise BadInput(
            "train_x and test_x of the same width",
            f"{train_x.shape[1]} and {test_x.shape[1]} columns",
            "extract both with the same model",
        )
    train_y = _checked_labels(train_y, len(train_x), "train_y")
    test_y = _checked_labels(test_y, len(test_x), "test_y")
    _check_classes(train_y)
    return train_x, train_y, test_x, test_y


def _checked_matrix(values: np.ndarray, name: str) -> np.ndarray:
    matrix = np.asarray(values)
    if matrix.ndim != 2 or 0 in matrix.shape or not np.issubdtype(matrix.dtype, np.number):
        raise BadInput(
            f"{name} as numbers of shape (N, D)",
            f"{matrix.dtype} of shape {matrix.shape}",
            "extract features first, or flatten images with x.reshape(len(x), -1)",
        )
    if not np.isfinite(matrix).all():
        rows = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
        raise BadInput(
            f"{name} without NaN or infinity",
            f"{len(rows)} such rows, the first at {rows[0]}",
            "look at the inputs of these rows and at the model's preprocessing",
        )
    return matrix


def _checked_labels(values: np.ndarray, length: int, name: str) -> np.ndarray:
    labels = np.asarray(values)
    if labels.ndim != 1 or len(labels) != length:
        raise BadInput(
            f"{name} of shape ({length},)", f"shape {labels.shape}", "select inputs and labels with the same indices"
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise BadInput(f"{name} as whole class numbers", f"dtype {labels.dtype}", "use y.astype('int64')")
    return labels


def _check_classes(train_y: np.ndarray) -> None:
    if len(np.unique(train_y)) < 2:
        raise BadInput(
            "training labels of at least two classes",
            f"only class {train_y[0]}" if len(train_y) else "no labels",
            "draw the training set with data.few_shot, which takes some of every class",
        )


def _checked_texts(values: Sequence[str] | np.ndarray, name: str) -> list[str]:
    if isinstance(values, str):
        raise BadInput(f"{name} as a list of strings", "one string", "put it in a list")
    texts = [str(value) if isinstance(value, str) else value for value in values]
    if not texts or not all(isinstance(text, str) for text in texts):
        odd = next((type(text).__name__ for text in texts if not isinstance(text, str)), "nothing")
        raise BadInput(f"{name} as strings", odd, "clean missing values out first")
    return texts
