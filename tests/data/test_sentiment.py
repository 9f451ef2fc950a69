"""No text and no document of the sentiment data is in two splits."""

import numpy as np
import pytest

from tl_course.data import load
from tl_course.data.near import near_duplicates
from tl_course.data.sentiment import FILES, normalise
from tl_course.errors import BadInput

TOTALS = {"tweets": 4196, "movies": 10568, "products": 3606, "news": 4946}
"""Texts with a word and a rating other than 0, of 4,200, 10,605, 3,708 and 5,190."""


@pytest.mark.parametrize("domain", FILES)
def test_no_text_and_no_document_is_in_two_splits(domain: str) -> None:
    data = load("sentiment", domain=domain, neutral=0)
    documents = [set(part.extras["document"].tolist()) for part in data.splits.values()]
    assert not (documents[0] & documents[1] or documents[0] & documents[2] or documents[1] & documents[2])
    split_of = [name for name, part in data.splits.items() for _ in range(len(part))]
    texts = [normalise(text) for part in data.splits.values() for text in part.x.tolist()]
    assert all(split_of[i] == split_of[j] for i, j in near_duplicates(texts))
    ratings = np.concatenate([part.extras["rating"] for part in data.splits.values()])
    assert np.abs(ratings).max() <= 4 and (ratings != 0).all()
    assert len(texts) == TOTALS[domain]
    shares = [len(part) / len(texts) for part in data.splits.values()]
    assert shares == pytest.approx([0.6, 0.1, 0.3], abs=0.02)


def test_the_split_of_a_text_does_not_depend_on_neutral() -> None:
    loose, strict = load("sentiment", neutral=0), load("sentiment", neutral=1)
    for name in ("train", "val", "test"):
        assert set(strict.splits[name].x) < set(loose.splits[name].x)
    assert np.abs(strict.train.extras["rating"]).min() >= 1


def test_labels_are_the_signs_of_the_ratings() -> None:
    train = load("sentiment").train
    assert np.array_equal(train.y, (train.extras["rating"] > 0).astype(np.int64)) and train.y.dtype == np.int64
    assert train.x.shape == (2052,) and train.x.dtype.kind == "U"
    assert not any("&amp;" in text or "\r" in text for text in train.x)
    rating = dict(zip(train.x.tolist(), train.extras["rating"].tolist(), strict=True))
    assert rating["LMAO, AMAZING!"] == 2.857142857


@pytest.mark.parametrize(
    ("options", "message"), [({"domain": "film"}, "tweets, movies"), ({"neutral": -1}, r"\[0, 2\]")]
)
def test_options_out_of_range_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        load("sentiment", **options)
