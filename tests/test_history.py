"""The record of a training run: which epoch was best, and nothing lost on the way to JSON."""

import json

from tl_course.history import History


def recorded(*epochs: tuple[float, float]) -> tuple[History, list[bool]]:
    """A history of (val_loss, val_accuracy) and what `add` answered each time."""
    history = History()
    return history, [history.add(1.0, loss, accuracy, 1e-3, 0.5) for loss, accuracy in epochs]


def test_the_best_epoch_has_the_highest_accuracy_then_the_lowest_loss_then_comes_first() -> None:
    history, best = recorded((0.9, 0.5), (0.5, 0.7), (0.6, 0.7), (0.4, 0.7), (0.4, 0.7), (0.1, 0.6))
    assert best == [True, True, False, True, False, False]
    assert (history.best_epoch, history.epochs_since_best, len(history)) == (4, 2, 6)


def test_an_empty_history_has_no_best_epoch() -> None:
    assert (len(History()), History().best_epoch, History().rows()) == (0, 0, [])


def test_rows_and_dictionary_hold_everything() -> None:
    history, _ = recorded((0.9, 0.5), (0.5, 0.7))
    assert history.rows()[1] == {
        "epoch": 2,
        "stage": "",
        "train_loss": 1.0,
        "val_loss": 0.5,
        "val_accuracy": 0.7,
        "lr": 1e-3,
        "seconds": 0.5,
        "best": True,
    }
    assert History(**json.loads(json.dumps(history.to_dict()))) == history


def test_joined_stages_follow_each_other_and_the_last_decides() -> None:
    probe, _ = recorded((0.9, 0.9), (0.5, 0.7))
    tuned, _ = recorded((0.5, 0.6), (0.5, 0.8), (0.5, 0.7))
    tuned.stopped_early = True
    joined = History.join([("probe", probe), ("tune", tuned)])
    assert joined.stage == ["probe"] * 2 + ["tune"] * 3
    assert joined.val_accuracy == [0.9, 0.7, 0.6, 0.8, 0.7]
    assert (joined.best_epoch, joined.stopped_early, len(joined.seconds)) == (4, True, 5)
    assert History.join([("probe", probe), ("nothing", History())]).best_epoch == 1
    assert probe.stage == ["", ""]
