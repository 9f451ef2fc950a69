"""cluttered_digits: nothing is shared between splits, and the mask says where the digit is."""

import numpy as np
import pytest

from tl_course.data import cluttered, load
from tl_course.data.photos import GUARD
from tl_course.errors import BadInput


def test_the_digit_is_where_mask_and_box_say() -> None:
    data, digits = load("cluttered_digits"), load("mnist")
    for part, split in data.splits.items():
        plain = digits.splits[part]
        assert np.array_equal(split.y, plain.y)
        mask, box = split.extras["mask"], split.extras["box"]
        assert mask.shape == (len(split), 48, 48) and mask.dtype == bool and box.dtype == np.int64
        assert split.x.dtype == np.float32 and split.x.min() >= 0 and split.x.max() <= 1
        assert split.x[mask].min() >= cluttered.INK  # white ink over at least 50 % …
        ink = (plain.x[..., 0] >= cluttered.INK).sum(axis=(1, 2))
        assert np.array_equal(mask.sum(axis=(1, 2)), ink)  # … and all of it inside the image
        for i in (0, 7, len(split) - 1):
            top, left, bottom, right = box[i]
            small = plain.x[i, ..., 0] >= cluttered.INK
            rows, columns = np.flatnonzero(small.any(1)), np.flatnonzero(small.any(0))
            cut = small[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            assert np.array_equal(mask[i, top:bottom, left:right], cut)


def test_places_and_backgrounds_vary() -> None:
    train = load("cluttered_digits").train
    tops, lefts = train.extras["box"][:, 0], train.extras["box"][:, 1]
    assert np.ptp(tops) > 20 and np.ptp(lefts) > 20
    clear = train.x[..., 0][~train.extras["mask"]]
    assert clear.std() > 0.1 and 0.1 < clear.mean() < 0.5


def test_no_background_pixel_is_in_two_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Photographs whose pixels carry their own column as a value; corners without ink show them."""

    def marked(path: object, colour: bool) -> np.ndarray:
        return np.tile(np.arange(512, dtype=np.float32), (300, 1))[:, :, None] / 1000

    monkeypatch.setattr(cluttered, "read_photo", marked)
    seen = []
    for split in load("cluttered_digits").splits.values():
        corners = split.x[:, [0, 0, -1, -1], [0, -1, 0, -1], 0]
        clear = corners.max(axis=1) < cluttered.DIMMED * 0.52
        seen.append({round(float(v) * 1000 / cluttered.DIMMED) for v in corners[clear].ravel()})
    train, val, test = (sorted(part) for part in seen)
    assert val[0] - train[-1] > GUARD and test[0] - val[-1] > GUARD


def test_another_seed_moves_the_training_digits_only() -> None:
    one, two, again = (load("cluttered_digits", size=40, seed=seed) for seed in (0, 1, 1))
    assert one.train.x.shape[1:] == (40, 40, 1)
    assert not np.array_equal(one.train.x, two.train.x) and np.array_equal(one.train.y, two.train.y)
    assert np.array_equal(two.train.x, again.train.x)
    assert np.array_equal(one.test.x, two.test.x) and np.array_equal(one.val.x, two.val.x)


def test_boxes() -> None:
    mask = np.zeros((2, 5, 6), bool)
    mask[0, 1:3, 2:6] = True
    assert cluttered.boxes(mask).tolist() == [[1, 2, 3, 6], [0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"size": 27}, "28 to 72"), ({"size": 48.0}, "28 to 72"), ({"seed": -1}, "seed"), ({"seed": 0.5}, "seed")],
)
def test_options_out_of_range_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        load("cluttered_digits", **options)
