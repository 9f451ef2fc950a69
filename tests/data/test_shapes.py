"""The generator of shapes: fixed by its seed, separate splits, and a look that goes exactly as far as asked."""

import numpy as np
import pytest

from tl_course.data import load
from tl_course.data.shapes import DOMAINS
from tl_course.errors import BadInput

FEW = {"train": 6, "val": 3, "test": 4}


def foreground(images: np.ndarray) -> np.ndarray:
    """Which pixels of plain images belong to the shape: (N, H, W)."""
    return images.mean(axis=-1) > 0.5


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_seed_fixes_the_images_and_more_images_keep_the_earlier_ones(domain: str) -> None:
    one, again, more = (load("shapes", domain=domain, per_class=FEW | {"train": n}) for n in (6, 6, 9))
    assert np.array_equal(one.train.x, again.train.x)
    assert one.train.x.shape == (48, 32, 32, 3) and one.train.x.dtype == np.float32
    assert one.train.x.min() >= 0 and one.train.x.max() <= 1
    assert np.bincount(one.train.y).tolist() == [6] * 8 and np.bincount(one.test.y).tolist() == [4] * 8
    for label in range(8):
        assert np.array_equal(one.train.x[one.train.y == label], more.train.x[more.train.y == label][:6])


def test_splits_and_seeds_share_no_image() -> None:
    drawn = [part.x for seed in (0, 1) for part in load("shapes", per_class=20, seed=seed).splits.values()]
    images = [image.tobytes() for part in drawn for image in part]
    assert len(set(images)) == len(images)


def test_one_seed_draws_the_same_outlines_in_every_domain() -> None:
    plain, inverted = (load("shapes", domain=domain, per_class=FEW).train.x for domain in ("plain", "inverted"))
    assert np.allclose(inverted, 1 - plain, atol=1e-6)
    coloured = load("shapes", domain="coloured", per_class=FEW).train.x
    for image, bare in zip(coloured, plain.mean(axis=-1), strict=True):
        assert (
            image[bare > bare.max() - 1e-4].std(axis=0).max() < 1e-3
        )  # the shape, without its soft edge, has one colour
        assert image.reshape(-1, 3).std(axis=0).max() > 0.03


def test_strengths_run_from_plain_to_the_named_domain() -> None:
    plain = load("shapes", per_class=FEW).train.x
    for name, domain in {
        "colour": "coloured",
        "texture": "textured",
        "background": "cluttered",
        "inversion": "inverted",
    }.items():
        levels = [load("shapes", per_class=FEW, **{name: strength}).train.x for strength in (0.0, 0.4, 0.8, 1.0)]
        distance = [np.abs(level - plain).mean() for level in levels]
        assert distance[0] == 0 and sorted(distance) == distance and distance[3] > distance[1] > 0.01
        assert np.array_equal(levels[3], load("shapes", domain=domain, per_class=FEW).train.x)


def test_inversion_is_the_share_of_inverted_images() -> None:
    many = load("shapes", inversion=0.3, per_class=100).train.x
    assert 0.24 < (many.mean(axis=(1, 2, 3)) > 0.5).mean() < 0.36


def test_shapes_lie_inside_the_image_and_differ() -> None:
    data = load("shapes", per_class=40, size=48)
    inside = foreground(data.train.x)
    edge = np.concatenate([inside[:, 0], inside[:, -1], inside[:, :, 0], inside[:, :, -1]], axis=1)
    assert not edge.any() and (inside.mean(axis=(1, 2)) > 0.01).all()
    area = {name: inside[data.train.y == label].mean() for label, name in enumerate(data.class_names)}
    assert area["disc"] > area["square"] > area["triangle"] > area["bar"]


@pytest.mark.parametrize("agreement", [0.0, 0.8, 1.0])
def test_the_tint_agrees_with_the_class_as_often_as_asked_but_never_in_test(agreement: float) -> None:
    data = load("shapes", spurious=agreement, per_class={"train": 200, "val": 100, "test": 200})
    for part in ("train", "val"):
        split = data.splits[part]
        assert abs((split.extras["tint"] == split.y).mean() - agreement) < 0.04
    assert abs((data.test.extras["tint"] == data.test.y).mean() - 1 / 8) < 0.04
    corner = data.train.x[:, 0, 0]  # ground: the tint is what it shows
    means = np.stack([corner[data.train.extras["tint"] == tint].mean(axis=0) for tint in range(8)])
    nearest = np.abs(corner[:, None] - means).sum(axis=-1).argmin(axis=1)
    assert (nearest == data.train.extras["tint"]).mean() > 0.95
    assert not load("shapes", per_class=FEW).train.extras


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"domain": "paintings"}, "plain, coloured"),
        ({"size": 8}, "16 to 64"),
        ({"size": 32.0}, "integer"),
        ({"per_class": 0}, "1 to 10,000"),
        ({"per_class": {"trian": 5}}, "trian"),
        ({"per_class": True}, "per_class"),
        ({"seed": -1}, "seed"),
        ({"colour": 1.5}, "colour"),
        ({"texture": "much"}, "texture"),
        ({"spurious": float("nan")}, "spurious"),
    ],
)
def test_options_out_of_range_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        load("shapes", **options)
