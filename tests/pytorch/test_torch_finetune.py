"""The strategies: what each one moves, in which order."""

import numpy as np
import pytest
import torch

from tl_course import data
from tl_course.data.dataset import Dataset
from tl_course.errors import BadInput
from tl_course.pytorch.classifier import Classifier
from tl_course.pytorch.finetune import fine_tune, gradual_unfreezing, linear_probe, lp_ft
from tl_course.pytorch.fit import evaluate
from tl_course.pytorch.freezing import freeze, has_free_statistics

QUIET = {"progress": False, "batch_size": 16}


@pytest.fixture(scope="module")
def digits() -> Dataset:
    full = data.load("digits")
    few = full.train.take(data.few_shot(full.train.y, 6, seed=0))
    return Dataset("digits", few, full.test, full.val, full.class_names, "", "")


@pytest.fixture
def classifier(digits: Dataset) -> Classifier:
    return Classifier.build("fashion_resnet", digits.class_names, image_size=16, device="cpu")


def state(classifier: Classifier) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in classifier.model.state_dict().items()}


def moved(classifier: Classifier, before: dict[str, torch.Tensor]) -> set[str]:
    """The top-level parts in which something changed; statistics by their own name."""
    changed = {n for n, t in classifier.model.state_dict().items() if not torch.equal(t, before[n])}
    return {"statistics" if "running_" in n or "num_batches" in n else n.split(".")[0] for n in changed}


ALL = {"stem", "stage1", "stage2", "stage3", "fc"}


def test_a_linear_probe_moves_the_head_and_beats_guessing(classifier: Classifier, digits: Dataset) -> None:
    before = state(classifier)
    history = linear_probe(classifier, digits, num_epochs=20, lr=3e-2, **QUIET)
    assert moved(classifier, before) == {"fc"} and history.stage == ["linear probe"] * 20
    assert evaluate(classifier, digits.test).accuracy > 0.4


def test_a_linear_probe_on_augmented_images_moves_the_head_alone_too(classifier: Classifier, digits: Dataset) -> None:
    before = state(classifier)
    linear_probe(classifier, digits, num_epochs=1, augment="digit", **QUIET)
    assert moved(classifier, before) == {"fc"}


def test_fine_tuning_moves_everything_and_statistics_on_request(classifier: Classifier, digits: Dataset) -> None:
    before = state(classifier)
    freeze(classifier.model)
    fine_tune(classifier, digits, num_epochs=1, statistics=False, **QUIET)
    assert moved(classifier, before) == ALL
    before = state(classifier)
    history = fine_tune(classifier, digits, num_epochs=1, restore_best=False, **QUIET)
    assert moved(classifier, before) == {*ALL, "statistics"} and history.stage == ["fine-tune"]


def test_lp_ft_trains_the_head_first_then_everything_gently(classifier: Classifier, digits: Dataset) -> None:
    before = state(classifier)
    history = lp_ft(classifier, digits, num_epochs=2, probe_epochs=20, lr=1e-3, probe_lr=3e-2, **QUIET)
    assert history.stage == ["linear probe"] * 20 + ["fine-tune"] * 2
    assert moved(classifier, before) == ALL and not has_free_statistics(classifier.model)
    assert history.val_loss[20] < history.val_loss[0]  # tuning starts where the probe ended
    assert history.val_accuracy[history.best_epoch - 1] == np.mean(
        classifier.predict(digits.val.x) == digits.val.y  # pyright: ignore[reportOptionalMemberAccess]
    )


def test_gradual_unfreezing_goes_down_from_the_head(
    classifier: Classifier, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tl_course.pytorch import finetune

    seen: list[set[str]] = []

    def watched(*args: object, **options: object) -> object:
        seen.append({n.split(".")[0] for n, p in classifier.model.named_parameters() if p.requires_grad})
        return real(*args, **options)

    real = finetune.fit
    monkeypatch.setattr(finetune, "fit", watched)
    history = gradual_unfreezing(classifier, digits, num_stages=4, num_epochs=1, **QUIET)
    order = ["fc", "stage3", "stage2", "stage1", "stem"]
    assert seen == [set(order[: i + 1]) for i in range(5)]
    assert history.stage == ["head", "stage3", "stage2", "stage1", "stem"]
    assert gradual_unfreezing(classifier, digits, num_stages=2, num_epochs=1, **QUIET).stage == [
        "head",
        "stage2 … stage3",
        "stem … stage1",
    ]
    with pytest.raises(BadInput, match="num_stages from 1 to 4"):
        gradual_unfreezing(classifier, digits, num_stages=5)


def test_a_frozen_backbones_dropout_rests_while_its_head_trains(classifier: Classifier, digits: Dataset) -> None:
    modes: list[tuple[bool, bool]] = []
    dropout = torch.nn.Dropout(0.5)
    classifier.model.set_submodule("stem.3", dropout)
    dropout.register_forward_hook(
        lambda *_: modes.append((dropout.training, classifier.model.get_submodule("fc").training))
    )
    linear_probe(classifier, digits, num_epochs=1, mixup=0.2, **QUIET)
    assert (False, True) in modes and not any(dropping for dropping, _ in modes)
    modes.clear()
    fine_tune(classifier, digits, num_epochs=1, **QUIET)
    assert (True, True) in modes
