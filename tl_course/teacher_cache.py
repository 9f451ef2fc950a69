"""A teacher's logits, computed once for everything it saw; the same for both frameworks and free of either.

A teacher that does not change gives the same answer to the same input every time, so running it in every epoch is
wasted. What must never happen is that a kept answer is used for another input (other pixels, another order) or from
another teacher: so answers are kept under a SHA-256 of the inputs and of the teacher, and never under a position.
"""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from tl_course import feature_cache
from tl_course.data.dataset import Dataset, Split
from tl_course.errors import BadInput
from tl_course.fit_options import are_probabilities
from tl_course.holdout import train_and_val
from tl_course.i18n import _


@runtime_checkable
class AnyClassifier(Protocol):
    """A `Classifier` or `TextClassifier` of either framework."""

    class_names: tuple[str, ...]

    @property
    def model(self) -> Any:
        """The network."""
        ...

    def logits(self, inputs: Any, /) -> np.ndarray:
        """Images or texts (N, ...) -> logits (N, K), in evaluation mode and without gradients."""
        ...


Teacher = AnyClassifier | Callable[[Any], Any] | np.ndarray
"""Who teaches: a classifier of either framework; a function, images or texts (N, ...) -> logits (N, K); or logits."""


class TeacherCache:
    """Answers of teachers, kept in memory, and in a folder where one is given.

    Only a classifier's answers are kept: what a bare function depends on cannot be seen from outside.

    Args:
        folder: files that outlive the process go here; None keeps nothing on disk. A damaged file is computed again.

    Attributes:
        hits: how often an answer was known.
        misses: how often a classifier had to be run.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = None if folder is None else Path(folder)
        self.hits = 0
        self.misses = 0
        self.kept: dict[str, np.ndarray] = {}

    def logits(self, teacher: AnyClassifier | Callable[[Any], Any], inputs: np.ndarray) -> np.ndarray:
        """The teacher's logits float32 (N, K) for images (N, H, W, C) or texts (N,), run only if not known.

        Raises:
            BadInput: the teacher answers with something else, or not twice the same.
        """
        return (
            self._of_classifier(teacher, inputs)
            if isinstance(teacher, AnyClassifier)
            else _ask_function(teacher, inputs)
        )

    def _of_classifier(self, teacher: AnyClassifier, inputs: np.ndarray) -> np.ndarray:
        key = _key(teacher, inputs)
        known = self._find(key, len(inputs))
        if known is not None:
            self.hits += 1
            return known
        start = time.perf_counter()
        logits = _checked(teacher.logits(inputs), len(inputs))
        self.misses += 1
        self.kept[key] = logits
        if self.folder is not None:
            feature_cache.write(self.folder / f"{key}.npz", logits, time.perf_counter() - start)
        return logits

    def _find(self, key: str, count: int) -> np.ndarray | None:
        if key in self.kept or self.folder is None:
            return self.kept.get(key)
        stored = feature_cache.read(self.folder / f"{key}.npz", count)
        if stored is not None:
            self.kept[key] = stored[0]
        return self.kept.get(key)


def check_teacher(teacher: Teacher, student: AnyClassifier) -> None:
    """Raise BadInput for a teacher of other classes, for a bare network, and for the student itself."""
    if teacher is student or getattr(teacher, "model", teacher) is student.model:
        raise BadInput(_("a teacher other than the student"), _("one network as both"), _("build a second classifier"))
    if isinstance(teacher, AnyClassifier):
        names = tuple(teacher.class_names)
        if names != tuple(student.class_names):
            raise BadInput(
                _("a teacher with the student's {count} classes, in their order").format(
                    count=len(student.class_names)
                ),
                _("{count} classes: {names}").format(count=len(names), names=", ".join(names[:5])),
                _("give the teacher a head for these classes and train it first"),
            )
    elif not isinstance(teacher, np.ndarray) and (
        not callable(teacher) or hasattr(teacher, "trainable_variables") or hasattr(teacher, "parameters")
    ):
        raise BadInput(
            _("a classifier, a function inputs -> logits, or an array of logits as teacher"),
            type(teacher).__name__,
            _("a bare network lacks preprocessing and class names: put it into a Classifier"),
        )


def answers_for_train(
    logits: np.ndarray, dataset: Dataset, num_more: int, val_fraction: float, seed: int
) -> np.ndarray:
    """Of an array that answers for all of `dataset.train` and then `num_more` inputs, the rows that are trained on.

    Args:
        logits: (N + num_more, K).
        dataset: N training examples, some of which may be held out; see `holdout.train_and_val`.
        num_more: unlabelled inputs.
        val_fraction, seed: of the hold-out.

    Raises:
        BadInput: not as many rows, or not logits.
    """
    count = len(dataset.train)
    logits = _checked(logits, count + num_more)
    positions = replace(dataset, train=Split(np.arange(count), dataset.train.y))
    held_in = train_and_val(positions, val_fraction, seed)[0].x
    return np.concatenate([logits[held_in], logits[count:]])


def asker(
    teacher: Teacher, cache: TeacherCache | None, dataset: Dataset, num_more: int, val_fraction: float, seed: int
) -> Callable[[np.ndarray], np.ndarray]:
    """The inputs a student is trained on -> the teacher's logits: by asking through the cache, or as they were given.

    Args:
        teacher: who is asked; an array answers for `dataset.train` and then for `num_more` inputs.
        cache: None for one of its own.
        dataset, num_more, val_fraction, seed: see `answers_for_train`.
    """
    if isinstance(teacher, np.ndarray):
        given = answers_for_train(teacher, dataset, num_more, val_fraction, seed)
        return lambda _inputs: given
    return partial((cache or TeacherCache()).logits, teacher)


def check_answers(logits: np.ndarray, student_logits: np.ndarray) -> None:
    """Raise BadInput where teacher and student differ in the number of classes, or in nothing.

    Args:
        logits: the teacher's (N, K).
        student_logits: (n, K), of the first n inputs.
    """
    if logits.shape[1] != student_logits.shape[1]:
        raise BadInput(
            _("{count} logits, one for each of the student's classes").format(count=student_logits.shape[1]),
            _("{count} from the teacher").format(count=logits.shape[1]),
            _("give the teacher a head for these classes and train it first"),
        )
    if np.abs(logits[: len(student_logits)] - student_logits).max() < 1e-5:
        raise BadInput(
            _("a student that differs from its teacher"),
            _("two networks with equal answers: KL is 0 and teaches nothing"),
            _("take a smaller student, or fresh weights"),
        )


def _ask_function(function: Callable[[Any], Any], inputs: np.ndarray, batch_size: int = 64) -> np.ndarray:
    """Batch by batch. The first inputs are asked twice, in a batch of another size: dropout and BatchNorm show so."""
    starts = range(0, len(inputs), batch_size)
    logits = np.concatenate([_as_array(function(inputs[start : start + batch_size])) for start in starts])
    checked = _checked(logits, len(inputs))
    again = _as_array(function(inputs[: max(1, min(len(inputs), batch_size) // 2)]))
    if not np.allclose(again, checked[: len(again)], rtol=0.02, atol=0.02 * float(np.abs(checked).max())):
        raise BadInput(
            _("a teacher that gives one answer to one input"),
            _("different logits when asked again"),
            _("put it into evaluation mode: dropout and BatchNorm are still training"),
        )
    return checked


def _as_array(value: Any) -> np.ndarray:
    """An array or a tensor of either framework, without gradient."""
    value = value.detach().float().cpu() if hasattr(value, "detach") else value
    return np.asarray(value, dtype=np.float32)


def _checked(logits: Any, count: int) -> np.ndarray:
    """The logits as float32 (N, K), when they are finite and logits."""
    array = _as_array(logits)
    fits = array.ndim == 2 and len(array) == count
    if not fits or not np.isfinite(array).all():
        raise BadInput(
            _("finite teacher's logits of shape ({count}, K)").format(count=count),
            _("shape {shape}").format(shape=array.shape) if not fits else _("NaN or infinity"),
            _("one row for each training input, in their order; unlabelled inputs come after"),
        )
    if array.shape[1] > 1 and are_probabilities(array):
        raise BadInput(
            _("the teacher's logits, before softmax"),
            _("rows of probabilities, each of sum 1"),
            _("take the output before softmax, or pass np.log(probabilities), which are logits too"),
        )
    return array


def _key(teacher: Any, inputs: np.ndarray) -> str:
    """SHA-256 of the inputs, their order, and all that the classifier's answer depends on."""
    digest = hashlib.sha256(feature_cache.fingerprint(teacher, inputs).encode())
    for part in (teacher, getattr(teacher, "backbone", None), teacher.model):
        settings = {name: getattr(part, name, None) for name in ("pooling", "max_tokens", "image_size", "mean", "std")}
        digest.update(json.dumps(settings, default=str).encode())
    return digest.hexdigest()
