"""Real texts, written as a table of the kind that users have, so that every system for texts runs without any."""

import csv
from collections.abc import Mapping
from pathlib import Path

from tl_course.data import Dataset, few_shot, load

Counts = Mapping[str, int]
DOMAINS = ("movies", "news", "products", "tweets")
"""Of the sentiment texts: film reviews, newspaper editorials, product reviews and tweets."""


def write_topics(path: Path, counts: Counts) -> None:
    """Texts with the domain they come from, as a stand-in for the topic of a news article: text, label, split."""
    _write(path, [row for domain in DOMAINS for row in _rows(load("sentiment", domain=domain), counts, domain)])


def write_opinions(path: Path, domain: str, counts: Counts) -> None:
    """Texts of one domain with their sentiment, positive or negative: text, label, split."""
    _write(path, _rows(load("sentiment", domain=domain), counts))


def write_tweets(path: Path) -> None:
    """Tweets, positive and negative: few enough to fine-tune on in a minute."""
    write_opinions(path, "tweets", {"train": 240, "val": 60, "test": 200})


def write_tweets_alone(path: Path, count: int) -> None:
    """So many tweets without their sentiment, all of them from among those that may be trained on: text."""
    train = load("sentiment", domain="tweets").train
    texts = train.take(few_shot(train.y, count // 2)).x.tolist()
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text",), *((text,) for text in texts)])


def _rows(dataset: Dataset, counts: Counts, label: str | None = None) -> list[tuple[str, str, str]]:
    """So many texts of every split, as many positive as negative."""
    rows = []
    for part, split in dataset.splits.items():
        chosen = split.take(few_shot(split.y, counts[part] // dataset.num_classes))
        names = [label or dataset.class_names[y] for y in chosen.y]
        rows += [(text, name, part) for text, name in zip(chosen.x.tolist(), names, strict=True)]
    return rows


def _write(path: Path, rows: list[tuple[str, str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label", "split"), *rows])
