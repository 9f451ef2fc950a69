"""Training: it learns, repeats, keeps the best, leaves the test split alone, and says what is wrong."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tl_course import data
from tl_course.data.dataset import Dataset, Split
from tl_course.errors import BadInput, CourseError
from tl_course.fit_options import batch_sizes
from tl_course.pytorch.batches import Examples, Preprocessing
from tl_course.pytorch.classifier import Classifier
from tl_course.pytorch.finetune import linear_probe
from tl_course.pytorch.fit import evaluate, fit
from tl_course.pytorch.freezing import freeze, freeze_backbone, unfreeze
from tl_course.pytorch.heads import head

QUIET = {"progress": False, "batch_size": 16}


class Untouchable(Dataset):
    """A data set that fails when anything looks at its test split."""

    def __getattribute__(self, name: str) -> object:
        if name in ("test", "splits"):
            raise AssertionError("the test split was looked at")
        return super().__getattribute__(name)


def few(per_class: int = 8, val: int | None = 60) -> Untouchable:
    """Real digits, 8x8 pixels, ten classes."""
    full = data.load("digits")
    train = full.train.take(data.few_shot(full.train.y, per_class, seed=0))
    own = None if val is None else full.val.take(np.arange(val))
    return Untouchable("digits", train, full.test, own, full.class_names, "", "")


def changed(dataset: Untouchable, **parts: Any) -> Untouchable:
    """The same with other parts; its test split is gone."""
    return Untouchable(
        **{**{name: value for name, value in vars(dataset).items() if name != "test"}, "test": None, **parts}
    )


@pytest.fixture(scope="module")
def digits() -> Untouchable:
    return few()


def build(weights: str | None = "pretrained", seed: int = 0) -> Classifier:
    names = data.load("digits").class_names
    return Classifier.build("fashion_resnet", names, weights=weights, image_size=16, seed=seed, device="cpu")


def state(classifier: Classifier) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in classifier.model.state_dict().items()}


def same(classifier: Classifier, before: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(tensor, before[name]) for name, tensor in classifier.model.state_dict().items())


def test_it_learns_real_digits_without_the_test_split(digits: Untouchable) -> None:
    classifier = build()
    history = fit(classifier, digits, num_epochs=8, lr=3e-3, **QUIET)
    assert history.train_loss[-1] < 0.3 * history.train_loss[0] and len(history) == 8
    test = data.load("digits").test
    found = evaluate(classifier, test)
    assert found.accuracy > 0.7 > 0.3 > found.majority
    assert found.accuracy == pytest.approx(np.mean(classifier.predict(test.x) == test.y))
    assert not classifier.model.training


def test_the_same_seed_gives_the_same_numbers(digits: Untouchable) -> None:
    runs = []
    torch.manual_seed(5)
    undisturbed = torch.rand(3)
    for seed in (1, 1, 2):
        classifier = build(seed=0)
        torch.manual_seed(5)
        options = {"augment": "digit", "mixup": 0.2, "label_smoothing": 0.1}
        history = fit(classifier, digits, num_epochs=2, seed=seed, **options, **QUIET)
        assert torch.equal(torch.rand(3), undisturbed)
        runs.append((history.train_loss, history.val_loss, state(classifier)))
    assert runs[0][:2] == runs[1][:2] != runs[2][:2]
    assert all(torch.equal(tensor, runs[1][2][name]) for name, tensor in runs[0][2].items())


def test_it_is_the_loop_one_would_write_by_hand(digits: Untouchable) -> None:
    """The same steps in plain PyTorch, without anything of the course but its preprocessing."""
    classifier = build()
    twin = copy.deepcopy(classifier.model)
    x, y = classifier.preprocess(digits.train.x), torch.from_numpy(digits.train.y)
    history = fit(classifier, digits, num_epochs=2, lr=1e-3, restore_best=False, **QUIET)
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in twin.parameters() if p.ndim > 1], "weight_decay": 0.05},
            {"params": [p for p in twin.parameters() if p.ndim <= 1], "weight_decay": 0.0},
        ]
    )
    rng, step, losses = np.random.default_rng(0), 0, []
    for _ in range(2):
        order, total = torch.from_numpy(rng.permutation(80)), 0.0
        twin.train()
        for chosen in order.split(16):
            for group in optimizer.param_groups:
                group["lr"] = 1e-3 if step == 0 else 1e-3 * (1 + np.cos(np.pi * (step - 1) / 9)) / 2
            loss = nn.functional.cross_entropy(twin(x[chosen]), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total, step = total + loss.item() * len(chosen) / 80, step + 1
        losses.append(total)
    assert history.train_loss == pytest.approx(losses, rel=1e-3)
    for ours, theirs in zip(classifier.model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-2, atol=2e-4)
    assert history.lr == pytest.approx([1e-3 * (1 + np.cos(np.pi * 3 / 9)) / 2, 1e-3 * (1 + np.cos(np.pi * 8 / 9)) / 2])


def test_the_recorded_validation_is_that_of_the_weights(digits: Untouchable) -> None:
    classifier = build()
    history = fit(classifier, digits, num_epochs=1, **QUIET)
    assert digits.val is not None
    probabilities = classifier.predict_proba(digits.val.x)
    assert history.val_accuracy == pytest.approx([np.mean(probabilities.argmax(axis=1) == digits.val.y)])
    expected = -np.log(probabilities[np.arange(60), digits.val.y]).mean()
    assert history.val_loss == pytest.approx([expected], rel=1e-3)


def test_early_stopping_gives_back_the_best_epoch(digits: Untouchable) -> None:
    """A rate so high that training soon gets worse: the weights must be those of an earlier epoch."""
    classifier = build()
    history = fit(classifier, digits, num_epochs=12, lr=0.3, warmup=0.5, patience=2, **QUIET)
    assert history.stopped_early and len(history) == history.best_epoch + 2 < 12
    assert digits.val is not None
    accuracy = np.mean(classifier.predict(digits.val.x) == digits.val.y)
    assert accuracy == pytest.approx(max(history.val_accuracy)) != pytest.approx(history.val_accuracy[-1])
    last = build()
    again = fit(last, digits, num_epochs=12, lr=0.3, warmup=0.5, patience=2, restore_best=False, **QUIET)
    assert again.val_accuracy == history.val_accuracy
    assert np.mean(last.predict(digits.val.x) == digits.val.y) == pytest.approx(history.val_accuracy[-1])


def test_validation_is_held_out_from_training_where_there_is_none() -> None:
    """Labels mean nothing here: what was trained on is known by heart, what was held out is guessed."""
    guesses = few(per_class=8, val=None)
    labels = np.random.default_rng(0).integers(0, 10, 80)
    odd = changed(guesses, train=Split(guesses.train.x, labels))
    classifier = build()
    history = fit(classifier, odd, num_epochs=15, lr=5e-3, val_fraction=0.5, restore_best=False, **QUIET)
    assert history.train_loss[-1] < 0.5 and history.val_accuracy[-1] < 0.4
    right = classifier.predict(guesses.train.x) == labels
    assert right.mean() == pytest.approx((1 + history.val_accuracy[-1]) / 2, abs=0.08)


def test_no_epochs_change_nothing(digits: Untouchable) -> None:
    classifier = build()
    before = state(classifier)
    assert len(fit(classifier, digits, num_epochs=0, **QUIET)) == 0 and same(classifier, before)


def test_a_loss_that_is_no_number_stops_and_gives_the_weights_back(digits: Untouchable) -> None:
    classifier = build()
    with torch.no_grad():
        classifier.model.get_submodule("stage1.conv1").weight.fill_(3e38)
    before = state(classifier)
    with pytest.raises(CourseError, match=r"the training loss is nan in epoch 1.*lower lr"):
        fit(classifier, digits, num_epochs=3, **QUIET)
    assert same(classifier, before)


@pytest.mark.parametrize(
    ("count", "size", "expected"),
    [(10, 4, [4, 4, 2]), (9, 4, [4, 5]), (8, 4, [4, 4]), (3, 4, [3]), (5, 4, [5]), (1, 4, [1]), (2, 1, [1, 1])],
)
def test_batches_hold_everything_and_leave_no_single_image(count: int, size: int, expected: list[int]) -> None:
    assert batch_sizes(count, size) == expected


def test_one_image_left_over_trains_and_batches_of_one_need_frozen_statistics(digits: Untouchable) -> None:
    seventeen = changed(digits, train=digits.train.take(np.arange(17)))
    assert len(fit(build(), seventeen, num_epochs=1, **QUIET)) == 1
    classifier = build()
    with pytest.raises(BadInput, match="batches of at least two images"):
        fit(classifier, seventeen, num_epochs=1, batch_size=1, progress=False)
    freeze(classifier.model)
    unfreeze(classifier.model)
    assert len(fit(classifier, seventeen, num_epochs=1, batch_size=1, progress=False)) == 1


def test_what_is_frozen_stays_and_the_optimizer_never_sees_it(digits: Untouchable) -> None:
    classifier = build()
    freeze(classifier.model.get_submodule("stem"))
    before = state(classifier)
    fit(classifier, digits, num_epochs=1, restore_best=False, **QUIET)
    moved = {name for name, tensor in classifier.model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved == {name for name in before if not name.startswith("stem.")}


def test_a_frozen_backbones_head_trains_as_in_a_loop_over_the_images(digits: Untouchable) -> None:
    """`fit` computes the features once; the plain loop sends every image through the whole model each time."""
    classifier = build()
    freeze_backbone(classifier.model)
    twin, before = copy.deepcopy(classifier.model), state(classifier)
    x, y = classifier.preprocess(digits.train.x), torch.from_numpy(digits.train.y)
    history = fit(classifier, digits, num_epochs=2, lr=1e-2, warmup=0.0, weight_decay=0.0, restore_best=False, **QUIET)
    optimizer, losses, step = torch.optim.AdamW(head(twin).parameters(), weight_decay=0.0), [], 0
    rng = np.random.default_rng(0)
    for _ in range(2):
        twin.train()
        total = 0.0
        for chosen in torch.from_numpy(rng.permutation(80)).split(16):
            optimizer.param_groups[0]["lr"] = 1e-2 * (1 + np.cos(np.pi * step / 10)) / 2
            loss = nn.functional.cross_entropy(twin(x[chosen]), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total, step = total + loss.item() / 5, step + 1
        losses.append(total)
    assert history.train_loss == pytest.approx(losses, rel=1e-3)
    torch.testing.assert_close(head(classifier.model).weight, head(twin).weight, rtol=1e-2, atol=1e-4)
    assert all(torch.equal(t, before[n]) for n, t in classifier.model.state_dict().items() if not n.startswith("fc."))


def test_l2_sp_keeps_the_weights_nearer_to_their_start(digits: Untouchable) -> None:
    distances = []
    for strength in (0.0, 1.0):
        classifier = build()
        before = state(classifier)
        fit(classifier, digits, num_epochs=2, lr=3e-3, l2_sp=strength, weight_decay=0.0, **QUIET)
        moved = [(p - before[n]).square().sum() for n, p in classifier.model.named_parameters() if "fc" not in n]
        distances.append(float(sum(moved).detach()))
    assert distances[1] < 0.7 * distances[0]


def test_images_prepared_in_tensors_are_the_images_prepared_in_numpy() -> None:
    classifier = Classifier.build("mobilenet_v2", ("a", "b"), weights=None, image_size=40, device="cpu")
    images = np.random.default_rng(0).random((3, 50, 30, 3), dtype=np.float32)
    expected = classifier.preprocess(images)
    tensors = torch.from_numpy(images).permute(0, 3, 1, 2)
    torch.testing.assert_close(Preprocessing(classifier)(tensors), expected)
    examples = Examples.of(classifier, Split(images, np.array([0, 1, 0])))
    x, y = next(examples.batches(np.array([2, 0]), [2]))
    torch.testing.assert_close(x, expected[[2, 0]])
    assert y.tolist() == [0, 0]


def test_a_frozen_backbones_features_are_those_of_the_zoo(digits: Untouchable) -> None:
    classifier = build()
    features = Examples.of(classifier, digits.train).features(classifier.model)
    assert features is not None
    expected = classifier.backbone.features(digits.train.x)
    np.testing.assert_allclose(features.inputs.numpy(), expected, rtol=1e-3, atol=1e-4)


def test_the_bar_is_drawn_only_when_wanted(digits: Untouchable, capsys: pytest.CaptureFixture[str]) -> None:
    fit(build(), digits, num_epochs=1, **QUIET)
    assert capsys.readouterr() == ("", "")
    fit(build(), digits, num_epochs=1, batch_size=16, progress=True)
    assert "epoch 1 of 1" in capsys.readouterr().out


def test_wrong_data_and_options_are_refused(digits: Untouchable) -> None:
    classifier = build()
    for wrong, message in (
        ({"num_epochs": -1}, "num_epochs of at least 0"),
        ({"num_epochs": 1, "batch_size": 0}, "batch_size of at least 1"),
        ({"num_epochs": 1, "patience": 0}, "patience of at least 1"),
        ({"num_epochs": 1, "label_smoothing": 1.0}, "label_smoothing from 0"),
        ({"num_epochs": 1, "mixup": -0.1}, "mixup of at least 0"),
        ({"num_epochs": 1, "mixed_precision": True}, "an accelerator with bfloat16"),
        ({"num_epochs": 1, "augment": "flip"}, "augment 'none'"),
    ):
        with pytest.raises(BadInput, match=message):
            fit(classifier, digits, progress=False, **wrong)
    names = digits.class_names
    with pytest.raises(BadInput, match=r"build the classifier with dataset\.class_names"):
        fit(classifier, changed(digits, class_names=(names[1], names[0], *names[2:])), num_epochs=1)
    with pytest.raises(BadInput, match="labels from 0 to 9"):
        fit(classifier, changed(digits, train=Split(digits.train.x, digits.train.y + 5)), num_epochs=1)
    freeze(classifier.model)
    with pytest.raises(BadInput, match="something to train"):
        fit(classifier, digits, num_epochs=1)
    assert linear_probe(classifier, digits, num_epochs=1, progress=False).stage == ["linear probe"]
