"""A report says what the results say: counted by hand, compared with SciPy, and safe to open whoever handed in what."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from scipy.stats import pearsonr

from tl_course.errors import BadInput
from tl_course.grading import class_figures, seeds
from tl_course.grading.batch import Report, Row
from tl_course.grading.class_figures import correlation, discrimination, histogram, items, spread
from tl_course.grading.report import progress_bar, summary, write
from tl_course.grading.report_page import page
from tl_course.grading.report_texts import clean, diagnoses, shortened
from tl_course.grading.result import Result

VOID = {"br", "meta", "rect", "line"}


def row(student="ada", marks=(1.0,), state="graded", points=2.0, **more):
    """A submission with exercises e0, e1, ... of which these shares were reached."""
    results = tuple(
        Result(f"test-e{number}", f"e{number}", "keras", share, points, seed=7 + number)
        for number, share in enumerate(marks)
    )
    return Row(student, state, points * sum(marks), points * len(marks), results=results, **more)


def a_class(marks, **more):
    return Report("ps1", [row(f"s{number:02}", one, **more) for number, one in enumerate(marks)], 1.5)


class Page(HTMLParser):
    """A page whose tags are all closed in order, with its text and attributes."""

    def __init__(self, text):
        super().__init__()
        self.open, self.text, self.tags, self.attributes = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


def checked(report):
    """The page, well formed, with nothing that is fetched and nothing that runs."""
    text = page(report)
    parsed = Page(text)
    assert "script" not in parsed.tags and "a" not in parsed.tags
    assert not {"src", "href", "onclick", "onload", "onerror"} & {key for key, _value in parsed.attributes}
    assert not re.search(r"https?:|url\(|@import", text)
    return parsed


def test_five_numbers_by_hand():
    five = spread([0.0, 0.5, 0.25, 1.0, 0.75])
    assert vars(five) == {"low": 0, "first_quartile": 0.25, "median": 0.5, "third_quartile": 0.75, "high": 1}
    assert vars(spread([0.4])) == dict.fromkeys(vars(five), 0.4)
    assert spread([]) is None


def test_a_share_on_a_boundary_counts_above_it():
    assert histogram([0, 0.0999, 0.1, 0.3, 2.1 / 3, 0.7, 1.0]) == [2, 1, 0, 1, 0, 0, 0, 2, 0, 1]
    assert histogram([0.1 * 3, sum([0.1] * 8), -1, 1.2]) == [1, 0, 0, 1, 0, 0, 0, 0, 1, 1]


def test_indices_by_hand():
    """Four of two exercises, worth 2 points each: 27 % of four is one."""
    found = items(a_class([(1, 1), (1, 0.5), (0, 0.5), (0, 0)]))
    # e0: deviations .5 .5 -.5 -.5 and, in points, 1 0 0 -1: r = 1 / sqrt(1 * 2)
    assert [item.correlation for item in found] == pytest.approx([0.5**0.5] * 2)
    assert [item.discrimination for item in found] == [1, 1]
    assert [(item.full, item.mean, item.count) for item in found] == [(2, 0.5, 4), (1, 0.5, 4)]


def test_correlation_is_scipys_of_the_rest_in_points():
    marks = [((n * 7) % 5 / 4, (n * 3 + 1) % 4 / 3, float(n % 3 > 0)) for n in range(23)]
    report = a_class(marks)
    worth = (1.0, 5.0, 2.5)
    report.rows = [
        replace(one, results=tuple(replace(r, points=p) for r, p in zip(one.results, worth, strict=True)))
        for one in report.rows
    ]
    for place, item in enumerate(items(report)):
        share = [one[place] for one in marks]
        rest = [sum(one[k] * worth[k] for k in range(3) if k != place) for one in marks]
        assert item.correlation == pytest.approx(pearsonr(share, rest).statistic, abs=1e-12)
        assert item.points == worth[place]


def test_ties_at_a_boundary_count_in_part_whatever_the_order():
    """Ten submissions, three at either end: the lowest total is one, then five share the boundary."""
    total = [0, 1, 1, 1, 1, 1, 2, 3, 3, 3]
    share = [0, 1, 0, 0, 0, 0, 1, 1, 1, 1]
    assert discrimination(share, total) == pytest.approx(1 - (0 + 2 * 0.2) / 3)
    assert discrimination(share[::-1], total[::-1]) == pytest.approx(discrimination(share, total))


def test_no_variance_gives_no_index():
    assert correlation([1, 1, 1], [0, 1, 2]) is None
    assert correlation([0, 1, 0], [0.1 + 0.2, 0.3, 0.3]) is None  # the same but for rounding
    assert discrimination([1, 1], [0.3, 0.1 + 0.2]) is None
    assert discrimination([1, 1, 1], [0, 1, 2]) == 0


def test_all_equal_scores_are_said_to_be_equal():
    words = checked(a_class([(1, 0.5)] * 25)).words
    assert words.count("no variance: all totals are the same") == 2
    assert "median 75%, quartiles 75% and 75%, from 75% to 75%" in words


@pytest.mark.parametrize("count", [class_figures.ENOUGH - 1, class_figures.ENOUGH])
def test_indices_are_shown_from_twenty_submissions_on(count):
    words = checked(a_class([(n % 2, n % 2) for n in range(count)])).words
    assert ("too few submissions to say" in words) == (count < class_figures.ENOUGH)
    assert ("1.00 1.00" in words) == (count >= class_figures.ENOUGH)


def test_an_exercise_the_wrong_way_round():
    marks = [(n % 2, n % 2, 1 - n % 2) for n in range(24)]
    assert "look at the exercise and its judge" in checked(a_class(marks)).words


def test_one_exercise_has_nothing_to_be_compared_with():
    assert "no other exercise to compare with" in checked(a_class([(n % 2,) for n in range(24)])).words


def test_only_graded_submissions_count_in_the_figures():
    report = a_class([(1, 0), (0, 1), (1, 1)])
    report.rows.append(row("z", (0, 0), state="needs_look", reason="broken"))
    assert {item.count for item in items(report)} == {3}
    assert "from 50% to 100%" in summary(report)


def test_empty_class():
    report = Report("ps1")
    assert "0 submissions" in summary(report) and "No score yet." in summary(report)
    words = checked(report).words
    assert "No submission." in words and "No graded submission." in words


def test_one_submission():
    report = a_class([(1, 0.5)])
    assert "median 75%, quartiles 75% and 75%" in summary(report)
    assert "too few submissions to say (n = 1, at least 20)" in checked(report).words


def test_a_submission_without_points_has_no_share():
    report = Report("ps1", [row("a", ()), row("b", (0.5,))])
    assert "from 50% to 50%" in summary(report)
    checked(report)


EVIL = "<script>alert(1)</script>"


def test_whatever_learners_wrote_is_text():
    """In every field that holds something of theirs."""
    quoted = f"{EVIL} \"'&</td> \x1b[31m [/red] {{0}} \ud800 \u202e"
    result = Result(quoted, None, quoted, 0.5, 1, True, quoted, quoted, "notebook", 3, (quoted,))
    bank = replace(result, exercise=quoted)
    rows = [
        Row(quoted, "failed", None, None, quoted),
        Row(quoted + "2", "graded", 1, 2, "", (quoted,), (result, bank), again=False),
    ]
    report = Report(quoted, rows, unprotected=[quoted])
    parsed = checked(report)
    assert parsed.words.count(EVIL) > 12
    assert "<td></td>" not in page(report)
    for text in (page(report), summary(report)):
        assert "\x1b" not in text and "\u202e" not in text
        text.encode()


def test_clean_keeps_names_of_all_scripts():
    for kept in ("王小明", "Åse Ødegård", "José", "محمد", "न\u200dम", "O'Neil"):
        assert clean(kept) == kept
    assert clean(" a\n b\u3000c\t") == "a b c"
    assert shortened("x" * 101) == "x" * 99 + "…" and shortened("x" * 100) == "x" * 100


def test_chinese_names_stay_readable(tmp_path):
    report = Report("期末", [row("王小明", (0,), state="needs_look", reason="笔记本损坏")])
    assert "王小明: needs a look: 笔记本损坏" in summary(report)
    write(report, tmp_path / "班级.html")
    text = (tmp_path / "班级.html").read_text(encoding="utf-8")
    assert "<bdi>王小明</bdi>" in text and "Class report: 期末" in text and '<meta charset="utf-8">' in text


def test_summary_names_states_reasons_and_findings():
    one, two, three = (row(name, (0.5, 1)) for name in "abc")
    wrong = replace(one.results[0], diagnosis="padding is averaged", noticed=("line 2: imports tl_course.zoo",))
    rows = [
        replace(one, results=(wrong, one.results[1]), notes=("put back",)),
        replace(two, results=(wrong, two.results[1]), again=False),
        replace(three, state="needs_look", reason="a cell\nlied"),
        Row("d", "failed", None, None, "no room"),
    ]
    lines = summary(Report("ps1", rows, 2.04, ["network"])).splitlines()
    assert lines[0] == ("ps1: 4 submissions in 2.0 s: 2 graded, 1 to look at, 1 failed; 2 judged now, 1 unchanged")
    assert lines.index("d: failed: no room") + 1 == lines.index("c: needs a look: a cell lied")
    assert "   2  e0: padding is averaged" in lines
    assert " 70– 80 %     2  ██" in lines
    assert lines[-4:] == [
        "Mended before grading: 1 submissions",
        "Noticed: a, e0: line 2: imports tl_course.zoo",
        "Noticed: b, e0: line 2: imports tl_course.zoo",
        "Graded without these protections: network",
    ]


def test_a_student_counts_once_for_a_diagnosis():
    found = Result("t", "e0", "keras", 0, 1, diagnosis="same")
    rows = [Row("a", "graded", 0, 2, results=(found, replace(found, test="t2"))), Row("b", "graded", 0, 1)]
    assert [(one.message, one.students) for one in diagnoses(Report("ps1", rows))] == [("same", ["a"])]


def test_bars_fit_a_terminal():
    lines = summary(a_class([(1,)] * 500 + [(0,)])).splitlines()
    bars = [line for line in lines if "█" in line]
    assert [line.count("█") for line in bars] == [1, 40]


def test_same_name_in_two_notebooks_is_two_tests():
    twice = Result("part-1", None, None, 1, 1)
    found = items(Report("ps1", [Row("a", "graded", 1, 2, results=(twice, replace(twice, score=0)))]))
    assert [item.mean for item in found] == [1, 0]


def test_seed_of_everybody_and_of_who_handed_in_again():
    report = a_class([(1,)] * 5)
    for number in (1, 2):
        one = report.rows[number]
        report.rows[number] = replace(one, results=(replace(one.results[0], seed=99),))
    first, second = seeds.drawn(report)
    assert (first.seed, first.students, first.rest) == (7, None, True)
    assert (second.seed, second.students) == (99, ["s01", "s02"])
    told = "tl-course check FILE --exercise e0 --framework keras --seed 99"
    assert second.commands == [told]
    assert told in checked(report).words


def test_command_judges_again_on_the_same_inputs(tmp_path, capfd):
    """What the page tells to run is a command, and its seed reaches the judge."""
    from tl_course import exercises
    from tl_course.cli import main

    reference = exercises.get("to-unit-range").variant("numpy").reference
    (tmp_path / "answer.py").write_text(reference, encoding="utf-8")
    words = seeds.command("to-unit-range", "numpy", 123456789).replace("FILE", str(tmp_path / "answer.py")).split()
    assert main([*words[1:], "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["seed"] == 123456789


def test_page_is_written_whole_or_not_at_all(tmp_path):
    with pytest.raises(BadInput):
        write(Report("ps1"), tmp_path / "report.txt")
    with pytest.raises(BadInput):
        write(Report("ps1"), tmp_path / "missing" / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_without_a_terminal_each_tenth_is_a_line(capsys):
    with progress_bar() as progress:
        for done in range(1, 41):
            progress(done, 40, row("[/red]"))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [f"graded {done} of 40" for done in range(4, 41, 4)]


SHOW = """
import sys
from tl_course import cli_output
from tl_course.grading.batch import Report, Row
from tl_course.grading.report import progress_bar

def work():
    with progress_bar() as progress:
        for done, name in ((1, "zoe"), (4, "王"), (3, "[/red]{0}\\x1b[31m")):
            progress(done, 4, Row(name, "graded", 1, 1))
    return Report("ps1")

cli_output.answer(True, work, lambda report: report.to_dict(), str)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_bar_on_a_terminal_leaves_standard_output_to_the_value():
    import pty

    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color"}
    with subprocess.Popen(
        [sys.executable, "-c", SHOW], stdout=subprocess.PIPE, stderr=theirs, env=environment
    ) as child:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            shown += part
        out = child.stdout.read()
    os.close(ours)
    assert child.returncode == 0, shown
    assert json.loads(out)["submissions"] == []
    assert "[/red]{0}\ufffd[31m".encode() in shown
    assert b"4/4" in shown and b"3/4" not in shown  # a late row does not turn it back
