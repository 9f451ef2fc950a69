"""Knowledge distillation: a student learns what a teacher answers, on images or texts, with and without labels."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from tl_course.data.dataset import Dataset, Split
from tl_course.distill_inputs import check_views, pack, with_unlabelled
from tl_course.fit_options import (
    Augmentation,
    MixedPrecision,
    check_dataset,
    check_kd_options,
    check_options,
    check_text_options,
    progress_bar,
)
from tl_course.history import History
from tl_course.holdout import VAL_FRACTION, train_and_val
from tl_course.i18n import _
from tl_course.pytorch.augment import augmentation
from tl_course.pytorch.batches import Examples
from tl_course.pytorch.classifier import Classifier
from tl_course.pytorch.distill_losses import kd_rows
from tl_course.pytorch.fit import fit, on_kept_features, train_loop
from tl_course.pytorch.text_classifier import TextClassifier
from tl_course.pytorch.text_examples import TextExamples
from tl_course.teacher_cache import Teacher, TeacherCache, asker, check_answers, check_teacher

Student = TypeVar("Student", Classifier, TextClassifier)


def distill(
    teacher: Teacher,
    student: Classifier | TextClassifier,
    dataset: Dataset,
    *,
    num_epochs: int,
    temperature: float = 4.0,
    alpha: float = 0.5,
    unlabelled: np.ndarray | Sequence[str] | None = None,
    num_views: int = 1,
    cache: TeacherCache | None = None,
    lr: float = 1e-3,
    backbone_lr: float | None = None,
    layer_decay: float = 1.0,
    weight_decay: float = 0.05,
    batch_size: int = 32,
    warmup: float = 0.1,
    augment: Augmentation = "none",
    l2_sp: float = 0.0,
    patience: int | None = None,
    restore_best: bool = True,
    mixed_precision: MixedPrecision = "auto",
    seed: int = 0,
    val_fraction: float = VAL_FRACTION,
    progress: bool = True,
) -> History:
    """Train the student in place on the teacher's answers and the labels, by `distill_losses.kd_loss`.

    The teacher runs in evaluation mode, without gradients, once for every input (and view), and stays as it is. With
    augmentation the views are drawn first, and teacher and student see the same pixels: a teacher that answers for
    other pixels than the student sees teaches worse (Beyer et al., Knowledge distillation: a good teacher is patient
    and consistent, 2022). Epoch e trains on view e mod num_views. Validation is as in `fit`: by the labels.

    Args:
        teacher: a classifier of either framework with the same classes; or a function that takes images float32
            (N, H, W, C) in [0, 1], or texts, and gives logits (N, K), in evaluation mode; or an array of logits for
            `dataset.train` as it is, followed by those for `unlabelled` (then nothing can be augmented).
        student: trained in place, left in evaluation mode.
        dataset: as in `fit`. With alpha=1 the labels of train are not learnt from.
        num_epochs: rounds over train and unlabelled together; 0 changes nothing.
        temperature, alpha: see `distill_losses.kd_loss`.
        unlabelled: further images (M, H, W, C) of train's size, or texts. An example of them counts as much as a
            labelled one, but learns from the teacher alone.
        num_views: how many augmented views of every image there are; each costs a run of the teacher and memory for
            the pixels.
        cache: keeps the teacher's answers for other runs too, in memory or on disk; None: for this run.
        lr, backbone_lr, layer_decay, weight_decay, batch_size, warmup, augment, l2_sp, patience: see `fit`.
        restore_best, mixed_precision, seed, val_fraction, progress: see `fit`.

    Raises:
        BadInput: teacher, student and data do not fit, the teacher is the student or answers like it, gives
            probabilities or changes its answers, or an option is out of range.
        CourseError: the loss is not a number any more.
    """
    check_kd_options(temperature, alpha)
    check_options(num_epochs, batch_size, 0.0, 0.0, l2_sp, patience)
    check_teacher(teacher, student)
    check_views(num_views, augment, teacher)
    train, val = train_and_val(dataset, val_fraction, seed)
    check_dataset(student.class_names, dataset, train, val)
    if isinstance(student, TextClassifier):
        check_text_options(student.class_names, train, augment, 0.0)
    lesson = with_unlabelled(train, unlabelled)
    ask = asker(teacher, cache, dataset, len(lesson) - len(train), val_fraction, seed)

    def prepare() -> tuple[nn.Module, Views, Examples | TextExamples]:
        views = _views(student, lesson, ask, augment, num_views, seed, progress)
        model, (*known, unseen) = on_kept_features(student.model, [*views, _examples(student, val.x, val.y)])
        return model, Views(known), unseen

    return train_loop(
        student,
        prepare,
        partial(_objective, temperature=temperature, alpha=alpha),
        num_epochs=num_epochs,
        lr=lr,
        backbone_lr=backbone_lr,
        layer_decay=layer_decay,
        weight_decay=weight_decay,
        batch_size=batch_size,
        warmup=warmup,
        l2_sp=l2_sp,
        patience=patience,
        restore_best=restore_best,
        mixed_precision=mixed_precision,
        seed=seed,
        progress=progress,
    )


def self_distill(
    build: Callable[[int], Student],
    dataset: Dataset,
    *,
    num_generations: int = 1,
    temperature: float = 1.0,
    alpha: float = 0.5,
    **options: Any,
) -> list[tuple[Student, History]]:
    """Born-again networks (Furlanello et al., 2018): each generation learns from the one before it, built alike.

    Args:
        build: generation 0, 1, … -> a new classifier, trained on the labels (0) or on those and its predecessor.
        dataset: as in `fit`.
        num_generations: students after generation 0.
        temperature, alpha: see `distill_losses.kd_loss`.
        options: of both `fit` and `distill`: num_epochs, lr, seed, …

    Returns:
        Every generation with its history, in order.
    """
    first = build(0)
    generations = [(first, fit(first, dataset, **options))]
    for number in range(1, num_generations + 1):
        student = build(number)
        teacher = generations[-1][0]
        history = distill(teacher, student, dataset, temperature=temperature, alpha=alpha, **options)
        generations.append((student, history))
    return generations


def draw_views(images: np.ndarray, augment: Augmentation, num_views: int, seed: int) -> Iterator[np.ndarray]:
    """The augmented views of all images, one after the other; "none" gives the images themselves.

    View v depends on the images, the seed and v alone, so that more views keep the ones there were.

    Args:
        images: float32 (N, H, W, C) in [0, 1].
        augment: see `augment.augmentation`. The size stays.
        num_views: how many.
        seed: of all of them; the global random state is kept.
    """
    if augment == "none":
        yield from [images] * num_views
        return
    change = augmentation(augment)
    for view in range(num_views):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(np.random.default_rng([seed, view]).integers(2**62)))
            changed = np.empty_like(images)
            for i, image in enumerate(images):
                drawn = change(torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None])
                changed[i] = drawn[0].permute(1, 2, 0).clamp(0, 1).numpy()
        yield changed


@dataclass
class Views:
    """Examples to train on that come in several views of equal order: each epoch takes the next, in turn.

    Attributes:
        views: all with targets as `distill_inputs.pack` makes them.
    """

    views: Sequence[Examples | TextExamples]

    def __post_init__(self) -> None:
        self.turn = cycle(self.views)

    def __len__(self) -> int:
        return len(self.views[0])

    @property
    def y(self) -> Tensor:
        """Targets (N, 1 + K) of the first view."""
        return self.views[0].y

    def epoch(self, rng: np.random.Generator, batch_size: int) -> Iterator[tuple[Any, Tensor]]:
        """Every example of the next view once, in an order that `rng` draws."""
        return next(self.turn).epoch(rng, batch_size)


def _objective(logits: Tensor, targets: Tensor, *, temperature: float, alpha: float) -> Tensor:
    """`kd_loss` of a batch and of targets as `distill_inputs.pack` makes them."""
    return kd_rows(logits, targets[:, 1:], targets[:, 0].long(), temperature, alpha).mean()


def _views(
    student: Classifier | TextClassifier,
    lesson: Split,
    ask: Callable[[np.ndarray], np.ndarray],
    augment: Augmentation,
    num_views: int,
    seed: int,
    progress: bool,
) -> list[Examples | TextExamples]:
    """What the student sees and what the teacher says to it, view by view."""
    views: list[Examples | TextExamples] = []
    with progress_bar(progress, num_views) as show:
        for number, inputs in enumerate(draw_views(lesson.x, augment, num_views, seed)):
            answers = ask(inputs)
            if number == 0:
                check_answers(answers, student.logits(inputs[:32]))
            views.append(_examples(student, inputs, pack(lesson.y, answers)))
            show(number + 1, _("the teacher's answers"))
    return views


def _examples(student: Classifier | TextClassifier, x: np.ndarray, targets: np.ndarray) -> Examples | TextExamples:
    if isinstance(student, TextClassifier):
        return replace(student.examples(x), y=torch.from_numpy(targets).to(student.device))
    examples = Examples.of(student, Split(x, np.zeros(len(x), np.int64)))
    return replace(examples, y=torch.from_numpy(targets).to(student.device))
