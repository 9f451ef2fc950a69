"""Which pretrained model for this data? Rank candidates by frozen features before anything is trained.

>>> from tl_course import data, selection
>>> print(selection.rank_models(["mobilenet_v2", my_extractor], dataset).render_text())

Only the training split is used. What a ranking is worth is measured in lesson 09.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from tl_course.data.dataset import Dataset
from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.probes import DEFAULT_C, knn_probe, linear_probe
from tl_course.selection_models import Extractor, features_of, framework_of, loaded, size_of, source_head
from tl_course.selection_scores import h_score, leep, linear_cka, logme
from tl_course.zoo.pretrained import Framework, Pretrained

Score = Literal["knn", "linear_probe", "logme", "h_score", "leep"]

SCORES: tuple[Score, ...] = ("knn", "linear_probe", "logme", "h_score", "leep")
"""The columns a ranking can be ordered by; larger is better in all of them."""

_TITLES = ("k-NN", "probe", "LogME", "H-score", "LEEP", "parameters", "MB", "inputs/s")


@dataclass(frozen=True)
class FeatureScores:
    """What frozen features and labels say about a model.

    Attributes:
        knn: accuracy of nearest neighbours, cross-validated.
        linear_probe: accuracy of logistic regression, cross-validated.
        probe_spread: standard deviation of that accuracy over the folds.
        logme, h_score: see `selection_scores`.
        leep: see `selection_scores`; None without a source head.
    """

    knn: float
    linear_probe: float
    probe_spread: float
    logme: float
    h_score: float
    leep: float | None


@dataclass(frozen=True)
class Candidate:
    """One row of a ranking.

    Attributes:
        name: as it was given.
        framework: "pytorch", "keras", or "" for a bare function.
        scores: of its features.
        feature_dim: their width D.
        parameters: how many weights the model has; None for a bare function.
        megabytes: what they take in memory.
        inputs_per_second: through the frozen model, now and here.
    """

    name: str
    framework: str
    scores: FeatureScores
    feature_dim: int
    parameters: int | None
    megabytes: float | None
    inputs_per_second: float


@dataclass(frozen=True)
class Ranking:
    """Candidates, best first.

    Attributes:
        candidates: ordered by `score`; those without it come last.
        score: which column decides.
        cka: linear CKA between the candidates' features, (M, M), in their order.
        num_examples: how many training examples were used.
        num_folds: of the cross-validation.
        seconds: what the ranking took, features included.
    """

    candidates: tuple[Candidate, ...]
    score: Score
    cka: np.ndarray
    num_examples: int
    num_folds: int
    seconds: float

    @property
    def names(self) -> tuple[str, ...]:
        """The candidates' names, best first."""
        return tuple(candidate.name for candidate in self.candidates)

    def column(self, score: Score) -> np.ndarray:
        """One score of every candidate, float (M,), NaN where it has none."""
        values = [getattr(candidate.scores, _checked_score(score)) for candidate in self.candidates]
        return np.array([np.nan if value is None else value for value in values])

    def by(self, score: Score) -> "Ranking":
        """The same candidates in the order of another score."""
        order = np.argsort(-np.nan_to_num(self.column(score), nan=-np.inf), kind="stable")
        candidates = tuple(self.candidates[i] for i in order)
        return replace(self, candidates=candidates, score=score, cka=self.cka[np.ix_(order, order)])

    def render_text(self) -> str:
        """A table of plain text, best first; a dash marks what cannot be had."""
        width = max(len(name) for name in (*self.names, _("model")))
        lines = [f"{_('model'):<{width}} " + " ".join(f"{title:>10}" for title in _TITLES)]
        lines += [f"{candidate.name:<{width}} " + " ".join(_cells(candidate)) for candidate in self.candidates]
        note = _("ordered by {score}; {count} training examples, {folds} folds; {seconds:.0f} s in all")
        lines.append(note.format(score=self.score, count=self.num_examples, folds=self.num_folds, seconds=self.seconds))
        return "\n".join(lines)


def score_features(
    features: np.ndarray,
    labels: np.ndarray,
    source_probabilities: np.ndarray | None = None,
    *,
    num_folds: int = 5,
    C: float | None = DEFAULT_C,
    seed: int = 0,
) -> FeatureScores:
    """All scores of one model's features.

    Args:
        features: float (N, D) of training examples.
        labels: int (N,), at least two of each class.
        source_probabilities: (N, Z), the source head's answers on the same examples, for LEEP.
        num_folds: of the cross-validation behind k-NN and the probe; fewer where a class has fewer examples.
        C: of the probe; None searches it in every fold, which takes 25 times as long.
        seed: draws the folds.

    Raises:
        BadInput: see `selection_scores`; or a class with one example, or fewer than two folds.
    """
    h = h_score(features, labels)  # checks both arrays
    folds = _folds(labels, num_folds, seed)
    neighbours, probes = [], []
    for held_out in folds:
        rest = np.setdiff1d(np.arange(len(labels)), held_out)
        parts = features[rest], labels[rest], features[held_out], labels[held_out]
        neighbours.append(knn_probe(*parts).accuracy)
        probes.append(linear_probe(*parts, C=C, seed=seed).accuracy)
    return FeatureScores(
        knn=float(np.mean(neighbours)),
        linear_probe=float(np.mean(probes)),
        probe_spread=float(np.std(probes, ddof=1)),
        logme=logme(features, labels),
        h_score=h,
        leep=None if source_probabilities is None else leep(source_probabilities, labels),
    )


def rank_models(
    models: "Sequence[str | Pretrained] | Mapping[str, Any]",
    dataset: Dataset,
    *,
    score: Score = "linear_probe",
    framework: Framework = "pytorch",
    source_probabilities: Mapping[str, Extractor] | None = None,
    num_folds: int = 5,
    C: float | None = DEFAULT_C,
    batch_size: int = 64,
    seed: int = 0,
    progress: bool = False,
) -> Ranking:
    """Score every candidate on the training split and put the best first. No candidate is trained or changed.

    Args:
        models: names of the zoo and models it loaded, of both frameworks; or a mapping from a name of yours to one of
            these, to a bare torch module or Keras model (inputs as they are), or to a function inputs -> (N, D).
        dataset: its `train` split is used, by cross-validation; `val` and `test` are not looked at.
        score: orders the result.
        framework: of the models that are given by name.
        source_probabilities: for LEEP, by name: a function inputs -> (N, Z), the model's source head after its softmax.
            The zoo's image models that come with a head (`source_head`) need none.
        num_folds, C: see `score_features`.
        batch_size: inputs per forward pass.
        seed: draws the folds.
        progress: show a progress bar over the candidates.

    Raises:
        BadInput: fewer than two candidates, a name twice or unknown, an unknown score, or a candidate whose features
            cannot be used.
    """
    begin = time.perf_counter()
    _checked_score(score)
    named = _named(models)
    train, heads = dataset.train, dict(source_probabilities or {})
    if unknown := set(heads) - set(named):
        raise BadInput(
            _("source_probabilities for candidates: {names}").format(names=", ".join(named)),
            ", ".join(sorted(unknown)),
            _("name them as in models"),
        )
    found, features = [], []
    for name, given in _tracked(named, progress):
        model = loaded(given, framework)
        start = time.perf_counter()
        features.append(features_of(model, train, batch_size, name))
        seconds = time.perf_counter() - start
        head = heads.get(name) or source_head(model)
        probabilities = None if head is None else head(train.x)
        scores = score_features(features[-1], train.y, probabilities, num_folds=num_folds, C=C, seed=seed)
        parameters, megabytes = size_of(model)
        speed = len(train) / seconds
        width = features[-1].shape[1]
        found.append(Candidate(name, framework_of(model), scores, width, parameters, megabytes, speed))
    cka = np.array([[linear_cka(x, y) for y in features] for x in features])
    folds = min(num_folds, int(np.unique(train.y, return_counts=True)[1].min()))
    return Ranking(tuple(found), score, cka, len(train), folds, time.perf_counter() - begin).by(score)


def _named(models: "Sequence[str | Pretrained] | Mapping[str, Any]") -> dict[str, Any]:
    """Candidates by name."""
    if isinstance(models, Mapping):
        named = dict(models)
    else:
        names = [model if isinstance(model, str) else getattr(model, "name", "") for model in models]
        named = dict(zip(names, models, strict=True))
        if len(named) < len(names) or "" in named:
            raise BadInput(
                _("candidates with names of their own"),
                ", ".join(names),
                _("give a mapping from a name of yours to each model"),
            )
    if len(named) < 2:
        raise BadInput(_("at least two candidates"), str(len(named)), _("there is nothing to choose between"))
    return named


def _tracked(named: dict[str, Any], progress: bool) -> Any:
    if not progress:
        return named.items()
    from rich.progress import track

    return track(list(named.items()), description=_("candidates"))


def _folds(labels: np.ndarray, num_folds: int, seed: int) -> list[np.ndarray]:
    """Indices of each fold, every class in all of them."""
    from sklearn.model_selection import StratifiedKFold

    fewest = int(np.unique(labels, return_counts=True)[1].min())
    count = min(num_folds, fewest)
    if count < 2:
        raise BadInput(
            _("two folds and two training examples of every class, to hold one out"),
            _("{folds} folds, {fewest} examples of the smallest class").format(folds=num_folds, fewest=fewest),
            _("label more examples, or leave the class out"),
        )
    splitter = StratifiedKFold(n_splits=count, shuffle=True, random_state=seed)
    return [held_out for _rest, held_out in splitter.split(np.zeros(len(labels)), labels)]


def _checked_score(score: str) -> str:
    if score not in SCORES:
        raise BadInput(_("a score out of {names}").format(names=", ".join(SCORES)), repr(score), _("name one of these"))
    return score


def _cells(candidate: Candidate) -> list[str]:
    """The numbers of one row, each 10 wide."""
    scores = candidate.scores
    return [
        f"{scores.knn:>10.1%}",
        f"{scores.linear_probe:>10.1%}",
        f"{scores.logme:>10.3f}",
        f"{scores.h_score:>10.2f}",
        f"{'-':>10}" if scores.leep is None else f"{scores.leep:>10.3f}",
        f"{'-':>10}" if candidate.parameters is None else f"{candidate.parameters:>10,}",
        f"{'-':>10}" if candidate.megabytes is None else f"{candidate.megabytes:>10.1f}",
        f"{candidate.inputs_per_second:>10,.0f}",
    ]
