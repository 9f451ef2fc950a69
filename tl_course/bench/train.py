"""Training: our `fit` against a bare loop, fastai, Lightning, and Keras's own `fit`.

All sides train the same network from the same weights on the same images, in batches of the same size, with AdamW, on
the same device, and score the same validation images after each epoch.
"""

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tl_course.bench.timing import Comparison, compare, machine
from tl_course.data.dataset import Dataset
from tl_course.errors import CourseError

NUM_IMAGES = 1024
NUM_VAL = 64
BATCH_SIZE = 32
NUM_EPOCHS = 1
LR = 1e-3
WEIGHT_DECAY = 0.05
ROUNDS = 7


def run(num_images: int = NUM_IMAGES, rounds: int = ROUNDS) -> dict[str, Any]:
    """Run all comparisons.

    Args:
        num_images: MNIST digits to train on, one epoch a call.
        rounds: timed pairs for each comparison.

    Returns:
        name; ratios: {"vs bare loop", "vs fastai", "vs lightning", "vs keras fit"}, medians over the rounds of the
        ratio of images per second, ours over theirs; details: spread and times of each; runs; machine.

    Raises:
        CourseError: fastai or Lightning is not installed, or a side did not train.
    """
    dataset = _digits(num_images)
    compared = {
        "vs bare loop": _against(_bare_loop, dataset, rounds),
        "vs fastai": _against(_fastai, dataset, rounds),
        "vs lightning": _against(_lightning, dataset, rounds),
        "vs keras fit": _against_keras(dataset, rounds),
    }
    return {
        "name": "train",
        "ratios": {label: round(comparison.ratio, 3) for label, comparison in compared.items()},
        "runs": rounds,
        "machine": machine(),
        "details": {label: comparison.as_dict() for label, comparison in compared.items()},
    }


def _digits(count: int) -> Dataset:
    from dataclasses import replace

    from tl_course import data

    mnist = data.load("mnist")
    assert mnist.val is not None
    chosen = np.random.default_rng(0).permutation(len(mnist.train))[:count]
    scored = np.random.default_rng(0).permutation(len(mnist.val))[:NUM_VAL]
    return replace(mnist, train=mnist.train.take(chosen), val=mnist.val.take(scored))


def _against(theirs: Callable[[Any, Dataset], Callable[[], Any]], dataset: Dataset, rounds: int) -> Comparison:
    """Our fit against another way to train the same PyTorch network on the processor."""
    from tl_course.pytorch.classifier import Classifier
    from tl_course.pytorch.fit import fit

    ours = Classifier.build("fashion_resnet", dataset.class_names, device="cpu")
    other = copy.deepcopy(ours)

    def train() -> None:
        fit(ours, dataset, **_settings())

    with _quiet():
        train_theirs = theirs(other, dataset)
        _learned(ours.model.state_dict, train)
        _learned(other.model.state_dict, train_theirs)
        return compare(train, train_theirs, rounds)


def _settings() -> dict[str, Any]:
    return {
        "num_epochs": NUM_EPOCHS,
        "batch_size": BATCH_SIZE,
        "lr": LR,
        "weight_decay": WEIGHT_DECAY,
        "progress": False,
        "mixed_precision": False,
    }


def _tensors(classifier: Any, dataset: Dataset) -> list[Any]:
    """Preprocessed images and labels: train x, train y, val x, val y."""
    import torch

    assert dataset.val is not None
    parts = []
    for split in (dataset.train, dataset.val):
        parts += [classifier.preprocess(split.x), torch.from_numpy(split.y)]
    return parts


def _bare_loop(classifier: Any, dataset: Dataset) -> Callable[[], None]:
    """The loop from any tutorial, without progress, history or checkpoints."""
    import torch
    from torch.nn.functional import cross_entropy

    model = classifier.model

    def train() -> None:
        x, y, val_x, val_y = _tensors(classifier, dataset)
        optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)
        for _epoch in range(NUM_EPOCHS):
            model.train()
            for batch in torch.randperm(len(x)).split(BATCH_SIZE):
                loss = cross_entropy(model(x[batch]), y[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                (model(val_x).argmax(1) == val_y).float().mean().item()

    return train


def _loaders(classifier: Any, dataset: Dataset, loader: Any) -> list[Any]:
    from torch.utils.data import TensorDataset

    x, y, val_x, val_y = _tensors(classifier, dataset)
    train, val = TensorDataset(x, y), TensorDataset(val_x, val_y)
    return [loader(train, batch_size=BATCH_SIZE, shuffle=True), loader(val, batch_size=NUM_VAL)]


def _fastai(classifier: Any, dataset: Dataset) -> Callable[[], None]:
    with _needed("fastai"):
        import fastai.callback.progress  # noqa: F401  (gives Learner its no_bar)
        from fastai.data.core import DataLoaders
        from fastai.data.load import DataLoader
        from fastai.learner import Learner
        from fastai.metrics import accuracy
        from fastai.optimizer import OptimWrapper
        from torch import nn
        from torch.optim import AdamW

    def optimizer(parameters: Any, **settings: Any) -> Any:
        return OptimWrapper(parameters, AdamW, weight_decay=WEIGHT_DECAY, **settings)

    def train() -> None:
        loaders = DataLoaders(*_loaders(classifier, dataset, DataLoader), device="cpu")
        learner = Learner(
            loaders, classifier.model, loss_func=nn.CrossEntropyLoss(), opt_func=optimizer, metrics=accuracy
        )
        with learner.no_bar(), learner.no_logging():
            learner.fit(NUM_EPOCHS, lr=LR)

    return train


def _lightning(classifier: Any, dataset: Dataset) -> Callable[[], None]:
    with _needed("lightning"):
        import lightning
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)  # no hints, no tables
    import torch
    from torch.nn.functional import cross_entropy
    from torch.utils.data import DataLoader

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = classifier.model

        def training_step(self, batch: Any, _index: int) -> Any:
            x, y = batch
            return cross_entropy(self.model(x), y)

        def validation_step(self, batch: Any, _index: int) -> None:
            x, y = batch
            self.log("accuracy", (self.model(x).argmax(1) == y).float().mean())

        def configure_optimizers(self) -> Any:
            return torch.optim.AdamW(self.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)

    def train() -> None:
        train_loader, val_loader = _loaders(classifier, dataset, DataLoader)
        trainer = lightning.Trainer(
            max_epochs=NUM_EPOCHS,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        trainer.fit(Module(), train_loader, val_loader)

    return train


def _against_keras(dataset: Dataset, rounds: int) -> Comparison:
    """Our Keras fit against compile and Model.fit on preprocessed arrays; both trace their graph in every call."""
    import keras

    from tl_course.keras.classifier import Classifier
    from tl_course.keras.fit import fit

    assert dataset.val is not None
    ours = Classifier.build("fashion_resnet", dataset.class_names)
    other = Classifier.build("fashion_resnet", dataset.class_names)
    val = dataset.val

    def train() -> None:
        fit(ours, dataset, **_settings())

    def train_theirs() -> None:
        x, val_x = (np.asarray(other.preprocess(images)) for images in (dataset.train.x, val.x))
        other.model.compile(
            keras.optimizers.AdamW(LR, weight_decay=WEIGHT_DECAY),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        other.model.fit(x, dataset.train.y, BATCH_SIZE, NUM_EPOCHS, verbose=0, validation_data=(val_x, val.y))

    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # that compiling again and again is slow: it is measured
    _learned(lambda: {w.path: np.asarray(w) for w in ours.model.weights}, train)
    _learned(lambda: {w.path: np.asarray(w) for w in other.model.weights}, train_theirs)
    return compare(train, train_theirs, rounds)


def _learned(weights: Callable[[], dict[str, Any]], train: Callable[[], Any]) -> None:
    """Train once, and refuse to time what does not train."""
    before = {name: np.array(values) for name, values in weights().items()}
    train()
    if all(np.array_equal(before[name], np.array(values)) for name, values in weights().items()):
        raise CourseError("expected training to move the weights; got the same weights; nothing was compared")


@contextlib.contextmanager
def _needed(package: str) -> Iterator[None]:
    """Imports of a package that itself imports torchvision, with a clear error where it is not installed."""
    from tl_course.compat import make_importable

    make_importable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what other packages deprecate is not this benchmark's business
            yield
    except ImportError as error:
        raise CourseError(
            f"expected {package} beside the course; got {error}; pip install -c constraints.txt {package}"
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Nothing from other packages on the screen: neither progress nor warnings."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
