"""read_table on real files: delimiters, encodings, quoting, dirt, splits, and what is refused, in one line each."""

import csv
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from tl_course.data import Dataset, read_table
from tl_course.data.table_file import read_table_file
from tl_course.errors import BadInput

Make = Callable[..., Path]
WORDS = [
    "amber",
    "birch",
    "cedar",
    "delta",
    "ember",
    "fjord",
    "grove",
    "heron",
    "islet",
    "jetty",
    "knoll",
    "larch",
    "maple",
    "north",
    "otter",
    "plume",
]


def texts(count: int, start: int = 0) -> list[str]:
    """Texts that are all different."""
    return [f"{WORDS[i % 8]} {WORDS[i // 8 % 8]}, number {i}" for i in range(start, start + count)]


def labelled(count: int, names: Sequence[str] = ("bad", "good"), start: int = 0) -> list[tuple[str, str]]:
    return [(text, names[i % len(names)]) for i, text in enumerate(texts(count, start))]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Writes rows as a table; returns its path."""

    def write(
        rows: Sequence[Sequence[object]],
        header: Sequence[str] = ("text", "label"),
        name: str = "mine.csv",
        encoding: str = "utf-8",
        **style: object,
    ) -> Path:
        path = tmp_path / name
        with path.open("w", encoding=encoding, newline="") as file:
            csv.writer(file, **style).writerows([header, *rows])  # pyright: ignore[reportArgumentType]
        return path

    return write


def message(path: Path, *arguments: str, **options: object) -> str:
    with pytest.raises(BadInput) as caught:
        read_table(path, *arguments, **options)  # pyright: ignore[reportArgumentType]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def all_texts(data: Dataset) -> list[str]:
    return sorted(text for part in data.splits.values() for text in part.x)


def counts(data: Dataset) -> dict[str, list[int]]:
    return {name: np.bincount(part.y, minlength=data.num_classes).tolist() for name, part in data.splits.items()}


def noted(data: Dataset, part: str) -> bool:
    return any(part in note for note in data.notes)


def test_a_sound_table_is_split_class_by_class(make: Make) -> None:
    rows = labelled(100)
    path = make(rows)
    data = read_table(path)
    assert data.class_names == ("bad", "good") and data.name == "mine"
    assert counts(data) == {"train": [30, 30], "val": [5, 5], "test": [15, 15]}
    assert all_texts(data) == sorted(text for text, _label in rows)
    for part in data.splits.values():
        assert part.y.dtype == np.int64 and all(isinstance(text, str) for text in part.x)
        assert [data.class_names[y] for y in part.y] == [dict(rows)[text] for text in part.x]
    assert read_table(path).test.x.tolist() == data.test.x.tolist()
    assert read_table(path, seed=1).test.x.tolist() != data.test.x.tolist()
    assert noted(data, "100 rows, utf-8, delimiter comma") and noted(data, "60 texts to train, 10 to validate")


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_every_delimiter_is_found(make: Make, delimiter: str, quoting: int) -> None:
    rows = [(f"{text}; so | or\tnot, then", label) for text, label in labelled(20)]
    data = read_table(make(rows, delimiter=delimiter, quoting=quoting))
    assert all_texts(data) == sorted(text for text, _label in rows)


def test_quoted_line_ends_quotation_marks_and_columns_in_any_order(make: Make) -> None:
    rows = [(i, label, f'"{text}"\r\nsaid\n\nthe, "other"') for i, (text, label) in enumerate(labelled(20))]
    data = read_table(make(rows, ("id", "stars", " review ")), "review", "stars")
    assert all_texts(data) == sorted(text for _i, _label, text in rows)


def test_backslashes_no_quoting_and_stray_quotation_marks(make: Make, tmp_path: Path) -> None:
    rows = [(f'{text} "so", he said', label) for text, label in labelled(20)]
    path = make(rows, doublequote=False, escapechar="\\")
    assert all_texts(read_table(path)) == sorted(text for text, _label in rows)
    plain = tmp_path / "plain.tsv"
    lines = [f'"{text} is never closed\t{label}' for text, label in labelled(20)]
    plain.write_text("\n".join(["text\tlabel", *lines]), encoding="utf-8")
    assert all_texts(read_table(plain)) == sorted(line.split("\t")[0] for line in lines)
    mixed = tmp_path / "mixed.csv"
    lines = [f'"{text}","{label}"' for text, label in labelled(20)]
    mixed.write_text("\n".join(["text,label", *lines, '"Great" they said,good']), encoding="utf-8")
    assert all_texts(read_table(mixed)) == sorted([text for text, _label in labelled(20)] + ["Great they said"])


def test_excels_mark_wins(tmp_path: Path) -> None:
    path = tmp_path / "excel.csv"
    lines = [f"{text.replace(',', ' ')};{label}" for text, label in labelled(20)]
    path.write_text("\r\n".join(["sep=;", "text;label", *lines]), encoding="utf-8-sig")
    assert len(all_texts(read_table(path))) == 20


FOREIGN = {
    "gb18030": "这个产品很好，我非常喜欢",
    "gbk": "质量太差了，再也不会购买",
    "big5": "這個產品很好，我非常喜歡",
    "cp1252": "Le café était très bon – “déjà vu”, naïve",
    "latin-1": "Die Größe passt nicht, schöne Grüße aus Köln",
    "cp1251": "Очень хороший товар, рекомендую",
    "cp1250": "Příliš žluťoučký kůň úpěl ďábelské ódy",
    "shift_jis": "この商品はとても良いです",
    "utf-8": "Ça va? 好的 😀",
    "utf-8-sig": "Ça va? 好的 😀",
    "utf-16": "Ça va? 好的 😀",
    "utf-16-le": "Ça va, mon café",
    "utf-16-be": "Ça va, mon café",
    "utf-32": "Ça va? 好的",
}


@pytest.mark.parametrize("encoding", FOREIGN)
def test_every_usual_encoding_is_found_and_said(make: Make, encoding: str) -> None:
    rows = [(f"{FOREIGN[encoding]} {text}", label) for text, label in labelled(20)]
    data = read_table(make(rows, encoding=encoding))
    assert all_texts(data) == sorted(text for text, _label in rows)
    found = {"gbk": "gb18030", "latin-1": "cp1252", "shift_jis": "cp932"}.get(encoding, encoding)
    assert noted(data, f"20 rows, {found}, ")
    assert noted(data, "not in UTF-8 but probably") == (not encoding.startswith("utf"))


def test_an_encoding_that_is_named_is_taken(make: Make) -> None:
    path = make([(f"{text} Größe", label) for text, label in labelled(20)], encoding="latin-1")
    assert all_texts(read_table(path, encoding="latin-1"))[0].endswith("Größe")
    assert "expected text in utf-8; got mine.csv, which is something else in line 2" in message(path, encoding="utf8")
    assert "got 'klingon'" in message(path, encoding="klingon")


def test_a_broken_byte_does_not_make_utf8_something_else(make: Make) -> None:
    path = make([(f"{text} 好的", label) for text, label in labelled(20)])
    path.write_bytes(path.read_bytes().replace(b"number 7 ", b"number 7\xe5 "))
    data = read_table(path)
    assert noted(data, "1 bytes that are no utf-8 were replaced") and len(all_texts(data)) == 20


def test_nul_bytes_are_left_out_and_counted(make: Make) -> None:
    path = make(labelled(20))
    path.write_bytes(path.read_bytes().replace(b'number 7"', b'num\0ber 7"'))
    data = read_table(path)
    assert noted(data, "1 NUL characters were left out") and all_texts(data) == sorted(texts(20))


def test_rows_without_text_or_label_are_left_out_and_counted(make: Make) -> None:
    rows = [*labelled(20), ("", "good"), ("  ", "bad"), ("no label", ""), ("", ""), ("short row",)]
    path = make(rows)
    with path.open("a", encoding="utf-8") as file:
        file.write("\n\n,\n")
    data = read_table(path)
    assert all_texts(data) == sorted(texts(20))
    assert noted(data, "2 rows without text") and noted(data, "2 rows without label")
    half = make([(text if i % 3 else "", label) for i, (text, label) in enumerate(labelled(20))])
    assert len(all_texts(read_table(half))) == 13
    most = make([(text if i % 3 == 0 else "", label) for i, (text, label) in enumerate(labelled(20))])
    assert "a column 'text' that is filled; got 13 empty cells in 20 rows" in message(most)


def test_copies_are_left_out_so_that_no_text_is_in_two_splits(make: Make) -> None:
    rows = [*labelled(20), *labelled(20), ("AMBER amber -- number 0!", "bad"), ("?!", "bad"), (":-)", "good")]
    data = read_table(make(rows))
    assert all_texts(data) == sorted([*texts(20), "?!", ":-)"])
    assert noted(data, "21 copies of texts")


def test_texts_with_two_labels_are_reported_and_left_out(make: Make) -> None:
    data = read_table(
        make([*labelled(20), ("Unclear case", "good"), ("unclear case.", "bad"), ("Unclear case", "bad")])
    )
    assert all_texts(data) == sorted(texts(20))
    assert noted(data, "1 texts with different labels were left out, for example 'Unclear case': bad, good")
    nothing = make([("same text", i % 2) for i in range(20)])
    assert "got no usable row (1 texts with different labels were left out" in message(nothing)


def test_labels_of_other_kinds(make: Make) -> None:
    numbers = read_table(make([(text, 10.0 if i % 2 else 9) for i, text in enumerate(texts(20))]))
    assert numbers.class_names == ("9", "10")
    flags = read_table(make([(text, i % 2 == 0) for i, text in enumerate(texts(20))]))
    assert flags.class_names == ("False", "True")
    words = read_table(make(labelled(20, ("NA", " null "))))
    assert words.class_names == ("NA", "null")
    case = read_table(make(labelled(30, ("Good", "good", "bad"))))
    assert noted(case, "differ in case only, perhaps by mistake: Good, good")


def test_labels_that_cannot_be_learned_are_refused(make: Make) -> None:
    assert "two classes or more in column 'label'; got one only: good" in message(make(labelled(20, ("good",))))
    rare = make([*labelled(20), ("a single text", "rare")])
    assert "1 of 3 classes with one text only: rare; add texts" in message(rare)
    ratings = make([(text, f"{i / 7:.3f}") for i, text in enumerate(texts(20))])
    assert "20 of 20 classes" in message(ratings) and message(ratings).endswith("group the numbers into classes first")
    assert "different columns for text, label and split; got 'text', 'text'" in message(rare, "text", "text")


def test_imbalance_and_few_examples_are_said(make: Make) -> None:
    data = read_table(make([(text, "rare" if i % 20 == 0 else "usual") for i, text in enumerate(texts(100))]))
    assert noted(data, "95% of the training texts are 'usual'") and noted(data, "fewer than 10 training texts: rare")
    assert counts(data) == {"train": [3, 57], "val": [0, 10], "test": [2, 28]}
    assert not noted(read_table(make(labelled(100))), "of the training texts are")


def test_tables_of_their_own_to_validate_and_test_on(make: Make) -> None:
    train = make(labelled(40))
    test = make([*labelled(10, start=30), ("new test text", "good")], name="test.csv", delimiter="\t")
    data = read_table(train, test=test)
    assert counts(data) == {"train": [13, 13], "val": [2, 2], "test": [5, 6]}
    assert noted(data, "10 texts that are also among those to validate or test on were left out")
    everything = all_texts(data)
    assert len(everything) == len(set(everything)) == 41
    val = make(labelled(6, start=28), name="val.csv")
    data = read_table(train, test=test, val=val)
    assert data.val is not None
    assert data.val.x.tolist() == texts(2, start=28) and len(data.train) == 28 and len(data.test) == 11
    data = read_table(train, val=val)
    assert data.val is not None and len(data.val) == 6 and (len(data.train), len(data.test)) == (22, 12)
    odd = make([("a text", "Good"), ("another", "terrible")], name="odd.csv")
    for part in ("val", "test"):
        line = message(train, **{part: odd})
        assert f"labels in the {part} texts that training texts have: bad, good; got others: Good, terrible" in line


def test_a_column_that_names_the_split(make: Make) -> None:
    names = ["train"] * 30 + ["Validation"] * 4 + ["TEST"] * 6
    rows = [(*row, name) for row, name in zip(labelled(40), names, strict=True)]
    header = ("text", "label", "part")
    data = read_table(make(rows, header), split="part")
    assert counts(data) == {"train": [15, 15], "val": [2, 2], "test": [3, 3]}
    assert data.test.x.tolist() == texts(6, start=34)
    path = make(rows, header)
    assert "one source of test texts" in message(path, split="part", test=path)
    assert "got 'fold 3'" in message(make([*rows, ("x", "good", "fold 3")], header), split="part")


def test_rows_caps_every_class_in_its_share(make: Make) -> None:
    rows = [(text, "rare" if i % 100 == 0 else "usual") for i, text in enumerate(texts(1000))]
    data = read_table(make(rows), rows=50)
    assert {name: sum(part) for name, part in counts(data).items()} == {"train": 31, "val": 5, "test": 16}
    assert sum(part[0] for part in counts(data).values()) == 2
    assert noted(data, "52 of 1000 texts are used, as asked for")
    assert read_table(make(rows), rows=50, seed=1).test.x.tolist() != data.test.x.tolist()
    assert "rows as an integer of at least 4; got 0" in message(make(rows), rows=0)


def test_rows_with_too_many_cells(make: Make, tmp_path: Path) -> None:
    path = make(labelled(60))
    with path.open("a", encoding="utf-8") as file:
        file.write("one, two, three,good\ntrailing delimiters,good,,\n")
    data = read_table(path)
    assert noted(data, "1 rows with more cells than columns were left out (line 62)")
    assert all_texts(data) == sorted([*texts(60), "trailing delimiters"])
    ragged = tmp_path / "ragged.csv"
    ragged.write_text("\n".join(["text,label", *(f"{text},{label}" for text, label in labelled(60))]))
    line = message(ragged)
    assert (
        "rows of 2 cells, as the first row has; got ragged.csv with more in 60 of 60 rows, first in line 2, 3" in line
    )


def test_a_missing_column_is_named_with_those_there_are(make: Make) -> None:
    path = make(labelled(20), ("Review", "Stars"))
    line = message(path, "reviews", "Stars")
    assert "one column named 'reviews'; got mine.csv with the columns 'Review', 'Stars'; did you mean 'Review'?" in line
    assert "one column named 'zzz'" in message(path, "Review", "zzz")
    twice = make([(*row, "x") for row in labelled(20)], ("text", "label", "label"))
    assert "give the columns different names" in message(twice)


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (None, "no such file"),
        (b"", "an empty file"),
        (b"\n \n", "an empty file"),
        (b"text,label\n", "none in file.csv"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9, "file.csv, which is binary"),
        (b"PK\x03\x04" + bytes(99), "file.csv"),
        (b"PAR1" + bytes(99), "file.csv"),
        (b"\xd0\xcf\x11\xe0" + bytes(99), "file.csv"),
        (b'{"text": "a", "label": 1}\n', "looks like JSON or HTML"),
        (
            b"Just a line of prose, and another.\nNo table at all, not, one, row.\n",
            "with the columns 'Just a line of prose'",
        ),
    ],
)
def test_what_is_no_table(content: bytes | None, got: str, tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    if content is not None:
        path.write_bytes(content)
    assert got in message(path)
    assert "a folder" in message(tmp_path)


def test_very_long_texts_and_a_hundred_thousand_rows_take_seconds(make: Make) -> None:
    long = "word " * 200_000
    rows = [*labelled(100_000), (long, "good")]
    path = make(rows)
    started = time.monotonic()
    data = read_table(path)
    assert time.monotonic() - started < 20  # 2 s on an idle core
    assert sum(map(len, data.splits.values())) == 100_001 and long.strip() in all_texts(data)


def test_the_rows_of_a_table_as_they_stand(make: Make) -> None:
    table = read_table_file(make([("a, b", 1), ("", 2)]), ["text"])
    assert table.columns == ("text", "label") and table.rows == [["a, b", "1"], ["", "2"]]
    assert table.column("text") == ["a, b", ""]
