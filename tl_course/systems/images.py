"""What a system for images trains: the images in the channels of its backbone, and a new classifier."""

from collections.abc import Callable
from pathlib import Path

from tl_course.i18n import _
from tl_course.systems.building import build
from tl_course.systems.source import read_source, with_channels
from tl_course.systems.system import ImageSystem, Prepared, Request


def prepare(system: ImageSystem, request: Request, say: Callable[[str], None]) -> Prepared:
    """Read the images and build the classifier.

    Args:
        system: what runs.
        request: what it was asked for.
        say: takes lines on both.

    Raises:
        BadInput: as `source.read_source` and `building.build`.
    """
    options = request.options
    size = options.get("image_size") or _default_size(system, request.data, request.backbone)
    dataset = read_source(system, request.data, size, request.seed, options.get("per_class"))
    origin = system.demonstration.note if request.data is None else dataset.source
    counts = {part: len(split) for part, split in dataset.splits.items()}
    listed = ", ".join(f"{part} {count}" for part, count in counts.items())
    say(_("images: {data}; {counts}").format(data=origin, counts=listed))
    names, seed = dataset.class_names, request.seed
    classifier, pretrained = build(system, request.backbone, names, request.weights, say, image_size=size, seed=seed)
    facts = {"data": origin, "images": counts, "image_size": size}
    return Prepared(with_channels(dataset, classifier.backbone.channels), classifier, pretrained, facts)


def _default_size(system: ImageSystem, data: str | Path | None, backbone: str) -> int:
    one_size_only = backbone.startswith(("vit_", "maxvit"))
    return system.demonstration.image_size if data is None and not one_size_only else system.image_size
