"""Distillation: the loop one would write by hand, a teacher that stays as it is, answers that are never stale."""

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tl_course import data
from tl_course.data.dataset import Dataset
from tl_course.errors import BadInput
from tl_course.fit_options import batch_sizes
from tl_course.pytorch.classifier import Classifier
from tl_course.pytorch.distill import distill, draw_views, self_distill
from tl_course.pytorch.fit import fit
from tl_course.pytorch.freezing import freeze_backbone
from tl_course.pytorch.optim import param_groups
from tl_course.pytorch.students import shallow_student, small_cnn
from tl_course.pytorch.text_classifier import TextClassifier
from tl_course.schedules import warmup_cosine
from tl_course.teacher_cache import TeacherCache

Make = Callable[..., TextClassifier]
QUIET: dict[str, Any] = {"progress": False, "batch_size": 16}
EPOCHS: dict[str, Any] = {"num_epochs": 3, "restore_best": False, **QUIET}


def state(classifier: Classifier | TextClassifier) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in classifier.model.state_dict().items()}


def gap(one: Classifier | TextClassifier, other: Classifier | TextClassifier) -> float:
    """The largest difference of two classifiers' weights."""
    pairs = zip(state(one).values(), state(other).values(), strict=True)
    return max(float((a.double() - b.double()).abs().max()) for a, b in pairs)


def network(width: int = 4, seed: int = 0, names: tuple[str, ...] | None = None) -> Classifier:
    names = data.load("digits").class_names if names is None else names
    return small_cnn(names, channels=1, image_size=16, width=width, seed=seed, device="cpu")


@pytest.fixture(scope="module")
def digits() -> Dataset:
    """Real digits, 8x8: 40 to train on, 60 to validate on, and no test split to look at."""
    full = data.load("digits")
    assert full.val is not None
    train = full.train.take(data.few_shot(full.train.y, 4, seed=0))
    return dataclasses.replace(full, train=train, val=full.val.take(np.arange(60)), test=full.test.take(np.arange(0)))


@pytest.fixture(scope="module")
def more() -> np.ndarray:
    return data.load("digits").train.x[:24]


@pytest.fixture(scope="module")
def taught(digits: Dataset) -> Classifier:
    made = network(8)
    fit(made, digits, num_epochs=10, lr=1e-2, **QUIET)
    return made


@pytest.fixture
def teacher(taught: Classifier) -> Classifier:
    return copy.deepcopy(taught)


def by_hand(teacher: Classifier, student: Classifier, dataset: Dataset, unlabelled: np.ndarray, **how: Any) -> None:
    """A plain loop that asks the teacher again in every step, about the very pixels of the batch."""
    x, y = np.concatenate([dataset.train.x, unlabelled]), torch.from_numpy(dataset.train.y)
    views = list(draw_views(x, how["augment"], how["num_views"], seed=3))
    sizes, rng = batch_sizes(len(x), 16), np.random.default_rng(3)
    optimizer = torch.optim.AdamW(param_groups(student.model, 1e-2, weight_decay=0.05), fused=True)
    peaks = [group["lr"] for group in optimizer.param_groups]
    student.model.train()
    step, steps, t = 0, how["num_epochs"] * len(sizes), 3.0
    for epoch in range(how["num_epochs"]):
        for chosen in np.split(rng.permutation(len(x)), np.cumsum(sizes)[:-1]):
            pixels = views[epoch % len(views)][chosen]
            with torch.no_grad():
                wanted = teacher.model.eval()(teacher.preprocess(pixels))
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = warmup_cosine(step, steps, peak, 0.1)
            logits = student.model(student.preprocess(pixels))
            soft = nn.functional.kl_div((logits / t).log_softmax(1), (wanted / t).softmax(1), reduction="none")
            known = torch.from_numpy(chosen < len(y))
            loss = t**2 * soft.sum(1)
            hard = nn.functional.cross_entropy(logits[known], y[torch.from_numpy(chosen)[known]], reduction="none")
            total = (0.3 * loss[known] + 0.7 * hard).sum() + loss[~known].sum()
            optimizer.zero_grad()
            (total / len(chosen)).backward()
            optimizer.step()
            step += 1
    student.model.eval()


@pytest.mark.parametrize(("augment", "num_views"), [("none", 1), ("digit", 1), ("digit", 2), ("photo", 3)])
def test_cached_answers_give_what_a_loop_with_recomputed_ones_gives(
    teacher: Classifier, digits: Dataset, more: np.ndarray, augment: Any, num_views: int
) -> None:
    how: dict[str, Any] = {"num_epochs": 3, "augment": augment, "num_views": num_views}
    ours, theirs = network(seed=1), network(seed=1)
    start = copy.deepcopy(ours)
    options = {"temperature": 3.0, "alpha": 0.3, "lr": 1e-2, "seed": 3, "restore_best": False, **QUIET}
    distill(teacher, ours, digits, unlabelled=more, **how, **options)
    by_hand(teacher, theirs, digits, more, **how)
    assert gap(ours, theirs) < 2e-4
    assert gap(ours, start) > 0.02


@pytest.mark.parametrize("training", [True, False])
def test_the_teacher_stays_bit_identical_and_without_gradients(
    teacher: Classifier, digits: Dataset, training: bool
) -> None:
    before, flags = state(teacher), [p.requires_grad for p in teacher.model.parameters()]
    teacher.model.train(training)
    student, calm = network(seed=1), network(seed=1)
    distill(teacher, student, digits, augment="digit", num_views=2, **EPOCHS)
    after = state(teacher)
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert all(p.grad is None for p in teacher.model.parameters())
    assert [p.requires_grad for p in teacher.model.parameters()] == flags
    assert all(module.training == training for module in teacher.model.modules())
    teacher.model.eval()
    distill(teacher, calm, digits, augment="digit", num_views=2, **EPOCHS)
    assert gap(student, calm) == 0  # dropout and BatchNorm answered as in evaluation


def test_with_alpha_zero_it_is_fit(teacher: Classifier, digits: Dataset) -> None:
    ours, theirs = network(seed=1), network(seed=1)
    history = distill(teacher, ours, digits, alpha=0.0, lr=1e-2, seed=5, **EPOCHS)
    expected = fit(theirs, digits, lr=1e-2, seed=5, **EPOCHS)
    assert gap(ours, theirs) < 1e-5
    assert history.train_loss == pytest.approx(expected.train_loss, rel=1e-4)
    assert history.val_accuracy == expected.val_accuracy


def test_the_student_learns_from_answers_alone(teacher: Classifier, digits: Dataset) -> None:
    full = data.load("digits")
    wrong = dataclasses.replace(digits, train=dataclasses.replace(digits.train, y=np.zeros(40, np.int64)))
    student = network(seed=1)
    history = distill(
        teacher, student, wrong, alpha=1.0, unlabelled=full.train.x[:300], num_epochs=12, lr=1e-2, **QUIET
    )
    agreed = np.mean(student.predict(full.test.x) == teacher.predict(full.test.x))
    assert agreed > 0.6 and history.train_loss[-1] < 0.5 * history.train_loss[0]


def test_the_same_seed_gives_the_same_student_and_keeps_the_global_state(teacher: Classifier, digits: Dataset) -> None:
    first, second, third = (network(seed=1) for _ in range(3))
    torch.manual_seed(0)
    before = torch.get_rng_state()
    for student, seed in ((first, 0), (second, 0), (third, 1)):
        distill(teacher, student, digits, augment="digit", seed=seed, **EPOCHS)
    assert gap(first, second) == 0 < gap(first, third)
    assert torch.equal(torch.get_rng_state(), before)


def test_temperature_matters(teacher: Classifier, digits: Dataset) -> None:
    students = [network(seed=1) for _ in range(2)]
    for student, temperature in zip(students, (1.0, 8.0), strict=True):
        distill(teacher, student, digits, temperature=temperature, alpha=1.0, **EPOCHS)
    assert gap(*students) > 1e-4


def test_patience_stops_and_the_best_weights_are_kept(teacher: Classifier, digits: Dataset) -> None:
    student = network(seed=1)
    history = distill(teacher, student, digits, num_epochs=30, lr=1e-6, patience=2, **QUIET)
    assert history.stopped_early and len(history) < 30 and not student.model.training
    assert digits.val is not None
    assert np.mean(student.predict(digits.val.x) == digits.val.y) == pytest.approx(max(history.val_accuracy))


def test_a_frozen_student_trains_its_head_on_kept_features(teacher: Classifier, digits: Dataset) -> None:
    student = network(seed=1)
    freeze_backbone(student.model)
    before = state(student)
    distill(teacher, student, digits, augment="digit", num_views=2, lr=1e-2, **EPOCHS)
    moved = {name for name, tensor in state(student).items() if not torch.equal(tensor, before[name])}
    assert moved and all(before[name].shape[:1] == (10,) for name in moved)


def test_the_teacher_is_asked_once_for_every_image_and_view(teacher: Classifier, digits: Dataset) -> None:
    seen: list[int] = []

    def ask(images: np.ndarray) -> torch.Tensor:
        seen.append(len(images))
        return teacher.model(teacher.preprocess(images))

    students = [network(seed=1) for _ in range(2)]
    distill(ask, students[0], digits, augment="digit", num_views=2, **{**EPOCHS, "num_epochs": 5})
    assert seen == [40, 20] * 2  # each view, and half of it once more to see whether the answers repeat
    distill(teacher, students[1], digits, augment="digit", num_views=2, **{**EPOCHS, "num_epochs": 5})
    assert gap(*students) < 1e-4


@pytest.mark.parametrize("own_val", [True, False])
def test_an_array_of_logits_teaches_as_its_teacher_does(
    teacher: Classifier, digits: Dataset, more: np.ndarray, own_val: bool
) -> None:
    dataset = digits if own_val else dataclasses.replace(digits, val=None)
    answers = teacher.logits(np.concatenate([dataset.train.x, more]))
    students = [network(seed=1) for _ in range(3)]
    for student, source in zip(students, (teacher, answers, answers[::-1].copy()), strict=True):
        distill(source, student, dataset, unlabelled=more, seed=4, **EPOCHS)
    assert gap(students[0], students[1]) < 1e-4 < gap(students[0], students[2])  # in another order they teach otherwise


def test_a_cache_never_answers_for_other_pixels_or_another_teacher(teacher: Classifier, digits: Dataset) -> None:
    cache, options = TeacherCache(), {"augment": "digit", "num_views": 2, **EPOCHS}

    def taught_by(source: Classifier, dataset: Dataset, kept: TeacherCache | None, seed: int = 0) -> Classifier:
        student = network(seed=1)
        distill(source, student, dataset, cache=kept, seed=seed, **options)
        return student

    first = taught_by(teacher, digits, cache)
    assert (cache.hits, cache.misses) == (0, 2)
    assert gap(first, taught_by(teacher, digits, cache)) == 0 and (cache.hits, cache.misses) == (2, 2)
    turned = dataclasses.replace(digits, train=dataclasses.replace(digits.train, x=digits.train.x[:, ::-1].copy()))
    assert gap(taught_by(teacher, turned, cache), taught_by(teacher, turned, None)) == 0 and cache.misses == 4
    assert gap(taught_by(teacher, digits, cache, 1), taught_by(teacher, digits, None, 1)) == 0 and cache.misses == 6
    with torch.no_grad():
        next(teacher.model.parameters()).mul_(1.01)
    assert gap(taught_by(teacher, digits, cache), taught_by(teacher, digits, None)) == 0 and cache.misses == 8
    assert cache.hits == 2


def test_views_differ_by_image_and_number_and_depend_on_nothing_else(more: np.ndarray) -> None:
    same = np.repeat(more[:1], 3, axis=0)
    one, two = list(draw_views(same, "digit", 2, seed=0))
    assert not np.array_equal(one[0], one[1]) and not np.array_equal(one, two)
    np.testing.assert_array_equal(next(draw_views(same, "digit", 1, seed=0)), one)
    assert not np.array_equal(next(draw_views(same, "digit", 1, seed=1)), one)
    for view in draw_views(np.ones((4, 8, 8, 3), np.float32), "photo", 3, seed=0):
        assert view.shape == (4, 8, 8, 3) and view.dtype == np.float32 and 0 <= view.min() <= view.max() <= 1


def test_a_teacher_that_is_no_teacher_is_refused(teacher: Classifier, digits: Dataset) -> None:
    student, names = network(seed=1), digits.class_names

    def training(images: np.ndarray) -> torch.Tensor:
        return teacher.model.train()(teacher.preprocess(images))

    wrong: list[tuple[Any, str]] = [
        (student, "other than the student"),
        (student.model, "other than the student"),
        (copy.deepcopy(student), "equal answers"),
        (network(8, names=tuple(map(str, range(1000)))), "1000 classes"),
        (network(8, names=names[::-1]), "in their order"),
        (teacher.model, "Classifier"),
        (teacher.predict_proba, "before softmax"),
        (teacher.predict_proba(digits.train.x), "before softmax"),
        (teacher.logits(digits.train.x)[1:], r"shape \(40, K\)"),
        (np.full((40, 10), np.nan), "finite"),
        (lambda images: np.zeros((len(images), 1000)), "1000 from the teacher"),
        (lambda images: np.zeros(len(images)), r"got shape \(40,\)"),
        (training, "evaluation mode"),
    ]
    before = state(student)
    for source, message in wrong:
        with pytest.raises(BadInput, match=message):
            distill(source, student, digits, **EPOCHS)
    assert all(torch.equal(tensor, before[name]) for name, tensor in state(student).items())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0}, "temperature"),
        ({"alpha": 2}, "alpha"),
        ({"num_views": 0}, "num_views"),
        ({"num_views": 2}, "num_views"),
        ({"unlabelled": np.zeros((3, 9, 9, 1), np.float32)}, "unlabelled"),
        ({"num_epochs": -1}, "num_epochs"),
    ],
)
def test_options_out_of_range_are_refused(
    teacher: Classifier, digits: Dataset, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        distill(teacher, network(seed=1), digits, **{**EPOCHS, **options})


def test_answers_to_given_pixels_are_not_used_for_augmented_ones(teacher: Classifier, digits: Dataset) -> None:
    with pytest.raises(BadInput, match="other pixels"):
        distill(teacher.logits(digits.train.x), network(seed=1), digits, augment="digit", **EPOCHS)


def test_generations_are_built_alike_and_each_learns_from_the_last(digits: Dataset) -> None:
    made = self_distill(lambda number: network(seed=number), digits, num_generations=2, **EPOCHS)
    assert len(made) == 3 and all(len(history) == 3 for _made, history in made)
    again = network(seed=2)
    distill(made[1][0], again, digits, temperature=1.0, **EPOCHS)
    assert gap(again, made[2][0]) < 1e-6


def test_no_epochs_change_nothing_and_ask_nobody(teacher: Classifier, digits: Dataset) -> None:
    student = network(seed=1)
    before, cache = state(student), TeacherCache()
    assert len(distill(teacher, student, digits, cache=cache, **{**EPOCHS, "num_epochs": 0})) == 0
    assert cache.misses == 0 and all(torch.equal(tensor, before[name]) for name, tensor in state(student).items())


def test_texts_and_what_is_not_labelled(text_classifier: Make, tweets: Dataset) -> None:
    more = [str(text) for text in data.load("sentiment").train.x[100:140]]
    source = text_classifier(encoder_seed=2, dropout=0.1)
    fit(source, tweets, num_epochs=2, lr=1e-2, backbone_lr=1e-3, **QUIET)
    before = state(source)
    source.model.train()
    answers = source.logits([*map(str, tweets.train.x), *more])
    students = [shallow_student(source, (0, 2)) for _ in range(2)]
    for student, teacher in zip(students, (source, answers), strict=True):
        history = distill(teacher, student, tweets, unlabelled=more, lr=1e-2, backbone_lr=1e-3, **EPOCHS)
        assert history.train_loss[-1] < history.train_loss[0]
    assert gap(*students) < 1e-4
    assert all(torch.equal(tensor, before[name]) for name, tensor in state(source).items())
    with pytest.raises(BadInput, match="augment='none'"):
        distill(source, students[0], tweets, augment="photo", **EPOCHS)


def test_texts_with_alpha_zero_it_is_fit(text_classifier: Make, tweets: Dataset) -> None:
    source, ours, theirs = (text_classifier(encoder_seed=seed) for seed in (2, 1, 1))
    distill(source, ours, tweets, alpha=0.0, lr=1e-2, backbone_lr=1e-3, **EPOCHS)
    fit(theirs, tweets, lr=1e-2, backbone_lr=1e-3, **EPOCHS)
    assert gap(ours, theirs) < 1e-5
