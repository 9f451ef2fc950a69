"""Every figure has what a reader needs, and draws the numbers it was given."""

import itertools
from collections.abc import Callable

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from matplotlib.figure import Figure
from nbclient import NotebookClient

from tl_course import plots
from tl_course.errors import BadInput
from tl_course.history import History

RNG = np.random.default_rng(0)
RUNS = {"features": RNG.normal(0.7, 0.02, (5, 4)), "scratch": RNG.normal(0.5, 0.05, (5, 4))}


def learning_curve() -> Figure:
    return plots.learning_curve([1, 5, 10, 50], RUNS, "MNIST", chance=0.1)


def bars() -> Figure:
    return plots.bar_with_spread({name: runs[:, 0] for name, runs in RUNS.items()}, "Five labels a class")


def heat_map() -> Figure:
    return plots.matrix(RUNS["features"][:2, :3], ["a", "b"], ["x", "y", "z"], "Transfer", "test", "train")


def confusion() -> Figure:
    return plots.confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), ["cat", "dog"])


def grid() -> Figure:
    return plots.image_grid(RNG.random((5, 8, 8, 3)), list("abcde"), "Samples", columns=3)


@pytest.mark.parametrize("make", [learning_curve, bars, heat_map, confusion])
def test_figures_have_title_and_axis_labels_and_readable_fonts(make: Callable[[], Figure]) -> None:
    figure = make()
    axes = figure.axes[0]
    assert axes.get_title() and axes.get_xlabel() and axes.get_ylabel()
    texts = [axes.title, axes.xaxis.label, axes.yaxis.label, *axes.get_xticklabels(), *axes.get_yticklabels()]
    assert min(text.get_fontsize() for text in texts) >= 11
    figure.canvas.draw()
    assert plt.get_fignums() == []  # nothing is left open for pyplot, so nothing is shown twice


def test_the_curve_shows_mean_and_every_seed() -> None:
    axes = learning_curve().axes[0]
    lines = {line.get_label(): line for line in axes.get_lines()}
    for name, runs in RUNS.items():
        np.testing.assert_allclose(lines[name].get_ydata(), runs.mean(axis=0))
    for band, runs in zip(axes.collections, RUNS.values(), strict=True):
        edge = band.get_paths()[0].vertices[:, 1]
        assert edge.max() == pytest.approx((runs.mean(axis=0) + runs.std(axis=0, ddof=1)).max())
        assert edge.min() == pytest.approx((runs.mean(axis=0) - runs.std(axis=0, ddof=1)).min())
    dots = [line for line in axes.get_lines() if line.get_marker() == "."]
    assert sorted(len(line.get_ydata()) for line in dots) == [20, 20]
    assert axes.get_xscale() == "log"


def test_long_method_names_do_not_run_into_each_other() -> None:
    names = ["MobileNetV2 + linear probe", "MobileNetV2 + k-NN", "small CNN from scratch"]
    figure = plots.bar_with_spread(dict.fromkeys(names, RUNS["features"][:, 0]), "Names")
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_methods_differ_in_colour_marker_and_line() -> None:
    lines = [line for line in learning_curve().axes[0].get_lines() if line.get_label() in RUNS]
    for look in ("get_color", "get_marker", "get_linestyle"):
        assert len({getattr(line, look)() for line in lines}) == 2


def test_confusion_matrix_counts_rows_as_truth() -> None:
    axes = confusion().axes[0]
    np.testing.assert_array_equal(axes.get_images()[0].get_array(), [[1, 1], [0, 1]])
    assert [text.get_text() for text in axes.texts] == ["1", "1", "0", "1"]


def test_image_grid_keeps_titles_and_hides_unused_axes() -> None:
    figure = grid()
    assert [axes.get_title() for axes in figure.axes] == ["a", "b", "c", "d", "e", ""]
    assert figure.get_suptitle() == "Samples" and not any(axes.axison for axes in figure.axes)


def test_alt_text_says_what_is_drawn() -> None:
    text = plots.alt_text(learning_curve())
    assert "MNIST" in text and "labels per class" in text and "features: from" in text and "guessing" in text
    assert "scratch: 0." in plots.alt_text(bars())
    assert "a: x 0.70, y 0.70, z 0.71. b: x 0.69" in plots.alt_text(heat_map())
    assert plots.alt_text(grid()).startswith("Samples. a. b.")
    names = [str(number) for number in range(11)]
    assert plots.alt_text(plots.matrix(np.eye(11), names, names, "Large", "x", "y")).endswith("Values from 0 to 1.")


def test_a_notebook_describes_figures_and_still_shows_the_learners_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Matplotlib first loaded by the course: its style must not take along what makes figures show by themselves."""
    monkeypatch.delenv("MPLBACKEND", raising=False)
    drawn = "from tl_course import plots\nplots.bar_with_spread({'tree': [0.5, 0.7]}, 'Two seeds')"
    own = "import matplotlib.pyplot as plt\nplt.plot([1, 2], label='mine')\nplt.title('By hand');"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in (drawn, own)])
    NotebookClient(notebook, kernel_name="python3").execute()
    pictures = [output for cell in notebook.cells for output in cell.outputs if "image/png" in output.get("data", {})]
    said = [picture.metadata["image/png"]["alt"] for picture in pictures]
    assert said[0].startswith("Two seeds. Horizontal: method;") and said[1:] == ["By hand. mine: from 1 to 2."]


def test_one_seed_and_one_image_work() -> None:
    plots.learning_curve([1, 5], {"one": np.array([[0.5, 0.6]])}, "One seed").canvas.draw()
    plots.image_grid(np.zeros((1, 8, 8))).canvas.draw()


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(BadInput, match="one row a seed"):
        plots.learning_curve([1, 5], {"one": np.array([0.5, 0.6])}, "t")
    with pytest.raises(BadInput, match="one name per row"):
        plots.matrix(np.zeros((2, 2)), ["a"], ["b"], "t", "x", "y")
    with pytest.raises(BadInput, match="class numbers"):
        plots.confusion_matrix(np.array([0, 2]), np.array([0, 1]), ["a", "b"])
    with pytest.raises(BadInput, match="as many titles"):
        plots.image_grid(np.zeros((2, 8, 8)), ["only one"])
    with pytest.raises(BadInput, match="at least one epoch"):
        plots.training_curves(History())


def test_training_curves_star_the_best_epoch_and_part_the_stages() -> None:
    history = History(
        train_loss=[2.0, 1.0, 0.5],
        val_loss=[1.9, 1.2, 1.3],
        val_accuracy=[0.3, 0.7, 0.6],
        lr=[1e-3] * 3,
        seconds=[1.0] * 3,
        stage=["linear probe", "fine-tune", "fine-tune"],
        best_epoch=2,
    )
    figure = plots.training_curves(history)
    figure.canvas.draw()
    loss, accuracy = figure.axes
    drawn = {line.get_label(): np.asarray(line.get_ydata()).tolist() for line in loss.get_lines()}
    assert drawn["training"] == history.train_loss and drawn["validation"] == history.val_loss
    assert drawn["best epoch, 2"] == [1.2]
    stars = [line for line in accuracy.get_lines() if line.get_marker() == "*"]
    assert [(list(star.get_xdata()), list(star.get_ydata())) for star in stars] == [([2], [0.7])]
    assert [line.get_xdata() for line in loss.get_lines() if str(line.get_label()).startswith("_")] == [[1.5, 1.5]]
    assert all(axes.get_xlabel() == "epoch" and axes.get_ylabel() for axes in figure.axes)
    assert "validation: from 0.3 to 0.6" in plots.alt_text(figure) and plt.get_fignums() == []
