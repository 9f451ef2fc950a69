"""Distillation: a teacher whose answers are kept against one that is run in every step, and against torchdistill.

All sides train the same small CNN from the same weights on the same photographs, taught by the same MobileNetV2, with
the same loss, AdamW, rate and batch size, and score the same validation images after each epoch. Against torchdistill
there is one epoch, in which ours asks the teacher as often as theirs: that compares the steps, not the keeping.
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from tl_course.bench.timing import Comparison, compare, machine
from tl_course.data.dataset import Dataset
from tl_course.errors import CourseError

NUM_IMAGES = 128
NUM_VAL = 32
PHOTO_SIZE = 64
TEACHER_SIZE = 224  # MobileNetV2's own
STUDENT_SIZE = 32
BATCH_SIZE = 32
NUM_EPOCHS = 3
LR = 1e-3
WEIGHT_DECAY = 0.05
TEMPERATURE = 4.0
ALPHA = 0.5
ROUNDS = 5


def run(num_images: int = NUM_IMAGES, rounds: int = ROUNDS) -> dict[str, Any]:
    """Run both comparisons.

    Args:
        num_images: to train on.
        rounds: timed pairs for each comparison.

    Returns:
        name; ratios: {"cached teacher vs recomputed" over three epochs, "vs torchdistill" over one}, medians over the
        rounds of the ratio of images per second, ours over theirs; details: spread and times of each; runs; machine.

    Raises:
        CourseError: torchdistill is not installed, or a side did not train.
    """
    dataset = _photos(num_images)
    compared = {
        "cached teacher vs recomputed": _against(_bare_loop, dataset, NUM_EPOCHS, rounds),
        "vs torchdistill": _against(_torchdistill, dataset, 1, rounds),
    }
    return {
        "name": "distill",
        "ratios": {label: round(comparison.ratio, 3) for label, comparison in compared.items()},
        "runs": rounds,
        "machine": machine(),
        "details": {label: comparison.as_dict() for label, comparison in compared.items()},
    }


def _photos(count: int) -> Dataset:
    from dataclasses import replace

    from tl_course import data

    photos = data.load("photos", size=PHOTO_SIZE)
    assert photos.val is not None
    order = np.random.default_rng(0).permutation(len(photos.train))
    return replace(
        photos, train=photos.train.take(order[:count]), val=photos.val.take(np.arange(min(NUM_VAL, len(photos.val))))
    )


def _against(theirs: Callable[..., Callable[[], None]], dataset: Dataset, num_epochs: int, rounds: int) -> Comparison:
    """Our `distill` against another way to teach the same student on the processor."""
    from tl_course.pytorch.classifier import Classifier
    from tl_course.pytorch.distill import distill
    from tl_course.pytorch.students import small_cnn

    teacher = Classifier.build("mobilenet_v2", dataset.class_names, image_size=TEACHER_SIZE, device="cpu")
    ours = small_cnn(dataset.class_names, image_size=STUDENT_SIZE, device="cpu")
    other = copy.deepcopy(ours)
    options: dict[str, Any] = {"num_epochs": num_epochs, "temperature": TEMPERATURE, "alpha": ALPHA, "lr": LR}
    options |= {"batch_size": BATCH_SIZE, "weight_decay": WEIGHT_DECAY, "progress": False, "mixed_precision": False}

    def train_ours() -> None:
        distill(teacher, ours, dataset, **options)  # a new cache each time: every call asks the teacher again

    train_theirs = theirs(teacher, other, dataset, num_epochs)
    for student, train in ((ours, train_ours), (other, train_theirs)):
        before = next(student.model.parameters()).detach().clone()
        train()
        if next(student.model.parameters()).equal(before):
            raise CourseError("expected both sides to train; got weights that did not move; look at the settings")
    return compare(train_ours, train_theirs, rounds)


def _tensors(teacher: Any, student: Any, x: np.ndarray) -> tuple[Any, Any]:
    """The images as the teacher and as the student take them."""
    return teacher.preprocess(x), student.preprocess(x)


def _bare_loop(teacher: Any, student: Any, dataset: Dataset, num_epochs: int) -> Callable[[], None]:
    """The loop from any tutorial: the teacher runs in every step."""
    import torch

    from tl_course.pytorch.distill_losses import kd_loss

    def train() -> None:
        for_teacher, for_student = _tensors(teacher, student, dataset.train.x)
        y = torch.from_numpy(dataset.train.y)
        optimizer = torch.optim.AdamW(student.model.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)
        teacher.model.eval()
        for _epoch in range(num_epochs):
            student.model.train()
            for batch in torch.randperm(len(y)).split(BATCH_SIZE):
                with torch.no_grad():
                    answers = teacher.model(for_teacher[batch])
                logits = student.model(for_student[batch])
                loss = kd_loss(logits, answers, y[batch], temperature=TEMPERATURE, alpha=ALPHA)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            _score(student, dataset)

    return train


def _torchdistill(teacher: Any, student: Any, dataset: Dataset, num_epochs: int) -> Callable[[], None]:
    """torchdistill's DistillationBox, set up in each call as it would be in a script."""
    import torch
    from torch import nn

    from tl_course.compat import make_importable

    make_importable()  # torchdistill imports torchvision
    try:
        from torchdistill.core.distillation import DistillationBox
    except ImportError as error:
        raise CourseError("expected torchdistill to compare with; got none; pip install torchdistill") from error

    class Takes(nn.Module):
        """A network that takes its own of the two tensors of a batch: torchdistill gives both networks the same."""

        def __init__(self, model: nn.Module, which: int) -> None:
            super().__init__()
            self.model, self.which = model, which

        def forward(self, pair: Any) -> Any:
            return self.model(pair[self.which])

    def train() -> None:
        pairs = list(zip(*_tensors(teacher, student, dataset.train.x), strict=True))
        networks = Takes(teacher.model.eval(), 0), Takes(student.model, 1)
        examples = list(zip(pairs, dataset.train.y.tolist(), strict=True))
        settings = _torchdistill_settings(num_epochs)
        box = DistillationBox(*networks, {"train": examples}, settings, torch.device("cpu"), [0], False, 1)
        for epoch in range(num_epochs):
            box.pre_epoch_process(epoch=epoch)
            for sample, targets, extra in box.train_data_loader:
                box.post_forward_process(loss=box.forward_process(sample, targets, extra))
            box.post_epoch_process()
            _score(student, dataset)

    return train


def _torchdistill_settings(num_epochs: int) -> dict[str, Any]:
    """What its YAML files say; its alpha is the share of the labels."""
    from torch.utils.data import RandomSampler

    output = {"student_module_path": ".", "student_module_io": "output"}
    output |= {"teacher_module_path": ".", "teacher_module_io": "output"}
    loss = {"key": "KDLoss", "kwargs": {**output, "temperature": TEMPERATURE, "alpha": 1 - ALPHA}}
    return {
        "num_epochs": num_epochs,
        "train_data_loader": {
            "dataset_id": "train",
            "sampler": {"class_or_func": RandomSampler},
            "kwargs": {"batch_size": BATCH_SIZE},
        },
        "teacher": {"forward_proc": "forward_batch_only", "requires_grad": False},
        "student": {"forward_proc": "forward_batch_only"},
        "optimizer": {"key": "AdamW", "kwargs": {"lr": LR, "weight_decay": WEIGHT_DECAY}},
        "criterion": {"key": "WeightedSumLoss", "kwargs": {"sub_terms": {"kd": {"criterion": loss, "weight": 1.0}}}},
    }


def _score(student: Any, dataset: Dataset) -> float:
    """Accuracy on the validation images."""
    assert dataset.val is not None
    return float(np.mean(student.predict(dataset.val.x) == dataset.val.y))
