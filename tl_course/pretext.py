"""What the pretext tasks of both frameworks ask of their inputs."""

from tl_course.errors import BadInput
from tl_course.i18n import _

Shape = tuple[int | None, ...]


def check_square(shape: Shape, height: int) -> None:
    """Refuse images that a quarter turn would not leave in shape; `height` is the axis of rows, columns follow."""
    if len(shape) != 4 or shape[height] != shape[height + 1]:
        raise BadInput(
            _("a batch of square images"),
            _("shape {shape}").format(shape=shape),
            _("crop or resize them: a quarter turn must keep the shape"),
        )


def check_views(first: Shape, second: Shape, temperature: float) -> None:
    """Refuse views that do not go together."""
    if len(first) != 2 or first != second or first[0] == 1 or temperature <= 0:
        raise BadInput(
            _("two arrays (N, D) of at least two images, and a temperature above 0"),
            _("{first} and {second}, temperature {value}").format(first=first, second=second, value=temperature),
            _("embed two views of the same batch, in the same order"),
        )
