"""Temperature against soft targets, and against what they pull at a student."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tl_course.errors import BadInput
from tl_course.flipbook import Control, FlipBook, flipbook
from tl_course.i18n import _
from tl_course.plots import OKABE_ITO
from tl_course.plots_to_play.panels import decades, mark, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TEMPERATURES = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 20.0)


@dataclass(frozen=True)
class _Teacher:
    """Logits (N, K) of a teacher on images (N, H, W, C) of known classes (N,), and K names."""

    logits: np.ndarray
    labels: np.ndarray
    class_names: Sequence[str]
    images: np.ndarray
    temperatures: tuple[float, ...]

    def softened(self, row: int, temperature: float) -> np.ndarray:
        """softmax(logits / T), (K,)."""
        powers = np.exp((self.logits[row] - self.logits[row].max()) / temperature)
        return powers / powers.sum()

    def gradient(self, row: int, temperature: float) -> float:
        """Length of the gradient of KL(p || q) in a student's logits, |q - p| / T; untrained, it gives all the same."""
        p = self.softened(row, temperature)
        return float(np.linalg.norm(p - 1 / len(p)) / temperature)

    def draw(self, temperature: float, row: int) -> "tuple[Figure, str]":
        with panels(f"Soft targets at T = {temperature:g}", (0.11, 0.58), (0.73, 0.97)) as (figure, bars, curve):
            self._bars(bars, row, temperature)
            self._gradients(curve, row, temperature)
            curve.set_position((0.73, 0.17, 0.24, 0.4))
            picture = figure.add_axes((0.76, 0.7, 0.18, 0.19))
            picture.imshow(self.images[row].squeeze(), cmap="gray", vmin=0, vmax=1, interpolation="none")
            picture.set_axis_off()
        return figure, self._words(row, temperature)

    def _bars(self, axes: "Axes", row: int, temperature: float) -> None:
        p, right = self.softened(row, temperature), self.labels[row]
        places = np.arange(len(p))
        axes.bar(places, p, color=[OKABE_ITO[0] if k == right else OKABE_ITO[4] for k in places])
        axes.annotate(f"{p[right]:.0%}", (right, p[right]), ha="center", va="bottom", color=OKABE_ITO[0])
        axes.set_xticks(places, self.class_names)
        axes.set(ylim=(0, 1.12), yticks=(0, 0.5, 1), xlabel="class (blue: the right one)", ylabel="probability")
        axes.grid(visible=False, axis="x")

    def _gradients(self, axes: "Axes", row: int, temperature: float) -> None:
        every = np.array(self.temperatures)
        plain = np.array([self.gradient(row, T) for T in every])
        at = self.temperatures.index(temperature)
        for values, marker in ((plain * every**2, "o"), (plain, "s")):
            axes.plot(every, values, color="black", linewidth=1.5)
            axes.plot(every[at], values[at], marker, color=OKABE_ITO[1], markersize=8)
        axes.text(1, 1, "with T²", transform=axes.transAxes, ha="right", va="top", fontsize=10)
        axes.text(0.05, 0.05, "without", transform=axes.transAxes, va="bottom", fontsize=10)
        mark(axes, temperature)
        decades(axes, across=(1, 4, 20), up=(0.01, 0.1, 1, 10))
        axes.set_xlabel("T")
        axes.set_title("length of the gradient", fontsize=11)

    def _words(self, row: int, temperature: float) -> str:
        p, right = self.softened(row, temperature), self.labels[row]
        second, third = [k for k in np.argsort(-p) if k != right][:2]
        gradient = self.gradient(row, temperature)
        return _(
            "Right class {right} {share:.1%}; others: {second} {second_share:.1%}, {third} {third_share:.1%}. Entropy "
            "{entropy:.2f} of at most {most:.2f} nats. Gradient on an untrained student {plain:.4f}, times T² "
            "{weighted:.3f}."
        ).format(
            right=self.class_names[right],
            share=p[right],
            second=self.class_names[second],
            second_share=p[second],
            third=self.class_names[third],
            third_share=p[third],
            entropy=-(p * np.log(np.maximum(p, np.finfo(float).tiny))).sum(),
            most=np.log(len(p)),
            plain=gradient,
            weighted=gradient * temperature**2,
        )


def soft_targets(
    logits: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    images: np.ndarray,
    temperatures: Sequence[float] = TEMPERATURES,
) -> FlipBook:
    """What a teacher says of a few images at each temperature, and how hard that pulls at an untrained student.

    Args:
        logits: the teacher's, (N, K), K at least 3.
        labels: the right classes, int (N,).
        class_names: K names.
        images: what the teacher saw, (N, H, W, 1) or (N, H, W, 3) in [0, 1].
        temperatures: positive, ascending.

    Raises:
        BadInput: rows or columns that do not go together, or no ascending positive temperatures.
    """
    if not (len(logits) == len(labels) == len(images) and logits.shape[1] == len(class_names)):
        raise BadInput(
            _("logits (N, K), N labels, N images and K names"),
            f"{logits.shape}, {len(labels)}, {len(images)}, {len(class_names)}",
            _("take all of them at the same places"),
        )
    if not (len(temperatures) and temperatures[0] > 0 and (np.diff(temperatures) > 0).all()):
        raise BadInput(_("positive, ascending temperatures"), str(temperatures), _("leave them out for the usual ones"))
    teacher = _Teacher(logits.astype(float), np.asarray(labels), class_names, images, tuple(temperatures))
    images_named = {
        _("{number}: a {name}").format(number=row + 1, name=class_names[k]): row for row, k in enumerate(labels)
    }
    nearest = int(np.abs(np.log(temperatures)).argmin())  # T = 1, or what is nearest
    controls = [
        Control(_("Temperature"), {f"{T:g}": T for T in temperatures}, start=nearest),
        Control(_("Image"), images_named, kind="select"),
    ]
    return flipbook(teacher.draw, controls, _("A teacher's soft targets, by temperature"))
