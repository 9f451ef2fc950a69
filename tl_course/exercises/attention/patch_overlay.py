"""Show on an image what a vision transformer's class token attends to."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def spotlight(image: np.ndarray, weights: np.ndarray, patch_size: int, strength: float) -> np.ndarray:
    """Darken the patches of an image that get little attention.

    Args:
        image: float in [0, 1], shape (H, W, 3); not modified. Where a side is no multiple of the patch size, what is
            left over at the bottom and on the right belongs to no patch.
        weights: one row of attention, shape (1 + P,): to the class token first, then to the P patches, row by row from
            the top left.
        patch_size: side of a patch in pixels.
        strength: how dark a pixel without attention gets: 0 leaves it as it is, 1 makes it black.

    Returns:
        The image, shape (H, W, 3), each pixel times 1 - strength * (1 - heat). Heat is its patch's weight over the
        largest weight of any patch; 0 outside all patches, and everywhere when no patch gets any weight.
    """
    rows, columns = (side // patch_size for side in image.shape[:2])
    grid = weights[1:].reshape(rows, columns)
    heat = np.zeros(image.shape[:2])
    pixels = np.repeat(np.repeat(grid, patch_size, axis=0), patch_size, axis=1)
    heat[: len(pixels), : pixels.shape[1]] = pixels
    heat = heat / max(heat.max(), 1e-12)
    return image * (1 - strength * (1 - heat))[:, :, None]
'''

NUMPY_KRON = """
import numpy as np


def spotlight(image, weights, patch_size, strength):
    height, width = image.shape[0], image.shape[1]
    patches = np.asarray(weights)[1:]
    if patches.max() > 0:
        patches = patches / patches.max()
    block = np.ones((patch_size, patch_size))
    heat = np.kron(patches.reshape(height // patch_size, -1), block)
    heat = np.pad(heat, [(0, height % patch_size), (0, width % patch_size)])
    return image - strength * image * (1 - heat[..., np.newaxis])
"""

NUMPY_LOOP = """
import numpy as np


def spotlight(image, weights, patch_size, strength):
    highest, per_row = max(weights[1:]), image.shape[1] // patch_size
    result = image * (1 - strength)
    for patch, weight in enumerate(weights[1:]):
        top, left = (number * patch_size for number in divmod(patch, per_row))
        place = np.s_[top : top + patch_size, left : left + patch_size]
        if highest > 0:
            result[place] = image[place] * (1 - strength * (1 - weight / highest))
    return result
"""

MESSAGES = {
    "class-token": _(
        "the class token's weight on itself is shown as that of the first patch, and the last one is lost"
    ),
    "columns-first": _("the patches are laid out column by column; their order is row by row"),
    "sides-swapped": _("the grid has the number of rows and columns the wrong way round"),
    "tiled": _("the whole map is repeated over the image; each of its cells should be enlarged"),
    "by-class-token": _(
        "the map is scaled by the largest weight of the row, and the class token's often is: all gets dark"
    ),
    "by-sum": _("the map is divided by the sum of the weights, so that no patch gets full light"),
    "min-max": _(
        "the smallest weight is moved to zero, which makes the least attended patch look like no attention at all"
    ),
    "inverted": _("what gets attention is darkened"),
    "no-guard": _("where no patch gets any weight, zero is divided by zero"),
    "in-place": _("the image that was passed in is changed"),
}
SCALED, RESULT = "heat / max(heat.max(), 1e-12)", "image * (1 - strength * (1 - heat))[:, :, None]"
EDITS = {
    "class-token": (("weights[1:]", "weights[:-1]"),),
    "columns-first": (("reshape(rows, columns)", "reshape(columns, rows).T"),),
    "sides-swapped": (
        ("reshape(rows, columns)", "reshape(columns, rows)"),
        ("    heat = np.zeros(image.shape[:2])\n", "    heat = np.zeros([max(image.shape)] * 2)\n"),
        ("    heat = heat / max", "    heat = heat[: image.shape[0], : image.shape[1]]\n    heat = heat / max"),
    ),
    "tiled": (
        (
            "np.repeat(np.repeat(grid, patch_size, axis=0), patch_size, axis=1)",
            "np.tile(grid, (patch_size, patch_size))",
        ),
    ),
    "by-class-token": ((SCALED, "heat / weights.max()"),),
    "by-sum": ((SCALED, "heat / max(weights[1:].sum(), 1e-12)"),),
    "min-max": ((SCALED, "(heat - grid.min()).clip(min=0) / max(np.ptp(grid), 1e-12)"),),
    "inverted": (("strength * (1 - heat))[", "strength * heat)["),),
    "no-guard": ((SCALED, "heat / heat.max()"),),
    "in-place": ((f"return {RESULT}", "image *= (1 - strength * (1 - heat))[:, :, None]\n    return image"),),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """An image of whole patches, one with pixels left over, and a row of attention to the class token only."""

    def draw(height: int, width: int, patches: int, patch_size: int) -> dict[str, Plain]:
        weights = rng.dirichlet(np.ones(1 + patches)) * 0.5
        weights[0] += 0.5
        image = rng.uniform(0.2, 1, size=(height, width, 3))
        arrays = {"image": image.astype(np.float32), "weights": weights.astype(np.float32)}
        return {**arrays, "patch_size": patch_size, "strength": float(rng.uniform(0.4, 0.9))}

    nowhere = draw(6, 9, 6, 3)
    nowhere["weights"] = np.eye(7, dtype=np.float32)[0]
    return [
        Case("whole patches", draw(8, 12, 6, 4), ("value", "untouched")),
        Case("pixels left over", draw(11, 7, 15, 2), ("border",)),
        Case("no weight", nowhere, ("nowhere",)),
    ]


def expected(inputs: dict[str, Plain]) -> np.ndarray:
    """Pixel by pixel."""
    image, size = inputs["image"].astype(np.float64), inputs["patch_size"]
    patches = inputs["weights"][1:].astype(np.float64)
    rows, columns = (side // size for side in image.shape[:2])
    for y, x in np.ndindex(image.shape[:2]):
        row, column = y // size, x // size
        inside = row < rows and column < columns and patches.max() > 0
        heat = patches[row * columns + column] / patches.max() if inside else 0.0
        image[y, x] *= 1 - inputs["strength"] * (1 - heat)
    return image


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with the image darkened pixel by pixel."""
    what = _("the image, {name}").format(name=case.name)
    found = [close(case.criteria[0], observed["shown"], expected(case.inputs), what)]
    if case.name == "whole patches":
        same = np.array_equal(observed["image afterwards"], case.inputs["image"])
        found.append(holds("untouched", same, _("the image you were given was changed")))
    return found


def probe_numpy(candidate, inputs):
    """Show the attention."""
    image = inputs["image"].copy()
    shown = as_array(candidate(image, inputs["weights"].copy(), inputs["patch_size"], inputs["strength"]))
    return {"shown": shown, "image afterwards": image}


EXERCISE = Exercise(
    id="patch-overlay",
    title=_("A spotlight on the patches"),
    lesson="07_attention",
    minutes=12,
    difficulty=3,
    points=4,
    statement=_(
        "Write `spotlight(image, weights, patch_size, strength)`: show on an image which patches a vision transformer "
        "attends to. `weights` is one row of attention: class token first, then the patches, row by row. Multiply each "
        "pixel by 1 - strength * (1 - heat), where heat is its patch's weight over the largest patch weight. Heat is 0 "
        "for pixels beyond the last whole patch, and everywhere if no patch gets any weight. `image` stays as it is."
    ),
    hints=(
        _("How many rows and columns of whole patches has an image of 11 by 7 pixels with patches of 2?"),
        _("Leave out the class token, lay the rest out as rows by columns, and enlarge each cell to a patch."),
        _("`np.repeat` along both axes enlarges cells. Write the result into a map of zeros, then scale."),
    ),
    follow_ups=(
        FollowUp(
            _("Why is the class token's attention in the last layer a doubtful picture of what the model looked at?"),
            _(
                "By then each token has mixed with others for many layers, so a patch's token holds more than its "
                "patch. Large weights often fall on background patches that serve as registers (Darcet et al., 2024). "
                "Rollout and ablation tell more."
            ),
        ),
        FollowUp(
            _("Two images are shown, each scaled by its own largest weight. What can they not tell?"),
            _(
                "Which one gets more attention: an even map and a peaked one both reach full light. For comparison "
                "scale by a common value, such as multiples of the even share 1 / P."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("each pixel gets its patch's light"), weight=2),
        "border": Criterion(_("pixels beyond the last whole patch get none")),
        "nowhere": Criterion(_("a row without weight on patches gives no light, not NaN"), weight=0.5),
        "untouched": Criterion(_("the image passed in stays as it was"), weight=0.5, needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe_numpy,
            alternatives={"kron": NUMPY_KRON, "loop": NUMPY_LOOP},
            mistakes={name: Mistake(MESSAGES[name], edit) for name, edit in EDITS.items()},
            equivalent={
                "heat = heat / max(1e-12, heat.max())": "the larger of two numbers is symmetric",
                "heat = heat / max(heat.max(), 2e-12)": "any tiny number keeps zero from being divided by zero",
            },
        ),
    },
    complexity=_(
        "O(H·W) time and memory for an image of H by W pixels, whatever the patch size: a heat for each pixel, and a "
        "new image. The P weights do not count beside that."
    ),
)
