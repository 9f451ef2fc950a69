"""The strategies: what each one moves, in which order."""

import numpy as np
import pytest

from tl_course import data
from tl_course.data.dataset import Dataset
from tl_course.errors import BadInput
from tl_course.keras.classifier import Classifier
from tl_course.keras.finetune import fine_tune, gradual_unfreezing, linear_probe, lp_ft
from tl_course.keras.fit import evaluate
from tl_course.keras.freezing import freeze, has_free_statistics

QUIET = {"progress": False, "batch_size": 16}
ALL = {"stem", "stage1", "stage2", "stage3", "head"}


@pytest.fixture(scope="module")
def digits() -> Dataset:
    full = data.load("digits")
    few = full.train.take(data.few_shot(full.train.y, 6, seed=0))
    return Dataset("digits", few, full.test, full.val, full.class_names, "", "")


@pytest.fixture
def classifier(digits: Dataset) -> Classifier:
    return Classifier.build("fashion_resnet", digits.class_names, image_size=16)


def moved(classifier: Classifier, before: list[np.ndarray]) -> set[str]:
    """The stages in which something changed; statistics by their own name."""
    pairs = zip(classifier.model.weights, before, strict=True)
    changed = {weight.path for weight, old in pairs if not np.array_equal(weight, old)}
    return {"statistics" if "moving" in path else path.split("/")[0].split(".")[0] for path in changed}


def test_a_linear_probe_moves_the_head_and_beats_guessing(classifier: Classifier, digits: Dataset) -> None:
    before = classifier.model.get_weights()
    history = linear_probe(classifier, digits, num_epochs=20, lr=3e-2, **QUIET)
    assert moved(classifier, before) == {"head"} and history.stage == ["linear probe"] * 20
    assert evaluate(classifier, digits.test).accuracy > 0.4


def test_fine_tuning_moves_everything_and_statistics_on_request(classifier: Classifier, digits: Dataset) -> None:
    before = classifier.model.get_weights()
    freeze(classifier.model)
    fine_tune(classifier, digits, num_epochs=1, statistics=False, **QUIET)
    assert moved(classifier, before) == ALL
    before = classifier.model.get_weights()
    history = fine_tune(classifier, digits, num_epochs=1, restore_best=False, **QUIET)
    assert moved(classifier, before) == {*ALL, "statistics"} and history.stage == ["fine-tune"]


def test_lp_ft_trains_the_head_first_then_everything_gently(classifier: Classifier, digits: Dataset) -> None:
    before = classifier.model.get_weights()
    history = lp_ft(classifier, digits, num_epochs=2, probe_epochs=20, lr=1e-3, probe_lr=3e-2, **QUIET)
    assert history.stage == ["linear probe"] * 20 + ["fine-tune"] * 2
    assert moved(classifier, before) == ALL and not has_free_statistics(classifier.model)
    assert history.val_loss[20] < history.val_loss[0]  # tuning starts where the probe ended


def test_gradual_unfreezing_goes_down_from_the_head(
    classifier: Classifier, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tl_course.keras import finetune

    seen: list[set[str]] = []
    state = [classifier.model.get_weights()]

    def watched(*args: object, **options: object) -> object:
        history = real(*args, **options)
        seen.append(moved(classifier, state[-1]))
        state.append(classifier.model.get_weights())
        return history

    real = finetune.fit
    monkeypatch.setattr(finetune, "fit", watched)
    history = gradual_unfreezing(classifier, digits, num_stages=2, num_epochs=1, restore_best=False, **QUIET)
    assert seen == [{"head"}, {"head", "stage2", "stage3"}, ALL]
    assert history.stage == ["head", "stage2 … stage3", "stem … stage1"]
    with pytest.raises(BadInput, match="num_stages from 1 to 4"):
        gradual_unfreezing(classifier, digits, num_stages=5)
