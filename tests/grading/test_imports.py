"""What an answer reaches for is seen; what the bank's own answers, stubs and mistakes do is not called odd."""

import pytest

from tl_course import exercises
from tl_course.exercises.engine.stub import stub
from tl_course.grading.imports import imported, noticed

REACHES = {
    "from tl_course.exercises import get": "imports tl_course.exercises.get",
    "import tl_course.exercises.distillation as d": "imports tl_course.exercises.distillation",
    "from tl_course.pytorch.losses import distillation_loss": "imports tl_course.pytorch.losses.distillation_loss",
    "from tl_course.keras import heads": "imports tl_course.keras.heads",
    "from tl_course import exercises": "imports tl_course.exercises",
    "from tl_course import *": "imports tl_course.*",
    "import importlib\nimportlib.import_module('tl_course.practice')": "line 2: names tl_course.practice in a string",
    "m = __import__('tl_course.exercises.engine', fromlist=['x'])": "names tl_course.exercises.engine",
    "import sys\nsys.modules['tl_course.exercises']": "names tl_course.exercises",
    "import tl_course\ngetattr(tl_course, 'exercises')": "line 2: takes exercises of tl_course",
    "import tl_course as t\nt.exercises.get('a')": "line 2: takes exercises of tl_course",
    "m = __import__('tl_' + 'course.exercises')": "names tl_course.exercises",
    "m = __import__(''.join(parts))": "__import__() of a name made at run time",
    "exec('from tl_course.exercises import get')": "given to exec(): line 1: imports tl_course.exercises.get",
    "exec(eval('\"import tl_course.exercises\"'))": "exec() of a text made at run time",
    "eval(\"__import__('tl_course.exercises')\")": "names tl_course.exercises",
    "from tl_course import solution": "imports tl_course.solution",
    "from tl_course import compare": "imports tl_course.compare",
    "from tl_course.notebook import solution": "imports tl_course.notebook.solution",
    "open('../../source/ps1/ps1.ipynb')": "names the path source/",
    "from pathlib import Path\nPath('..') / 'x'": "line 2: names the path ..",
    "open('/course/solutions/01/01.ipynb')": "names the path solutions/",
    "import os\nos.listdir('submitted')": "line 2: names the path submitted/",
    "import glob\nglob.glob(f'/{root}/autograded/*')": "line 2: names the path autograded/",
    "import sqlite3\nsqlite3.connect('gradebook.db')": "line 2: names the path gradebook.db",
    "open('/proc/self/environ')": "names the path /proc",
    "open(b'/proc/1/mem', 'rb')": "names the path /proc",
    "!cat ../../source/ps1.ipynb\ndef f(:": "line 1: names the path source/",
}


@pytest.mark.parametrize("source", REACHES)
def test_reaching_for_what_no_answer_needs_is_seen(source):
    assert any(REACHES[source] in line for line in noticed(source)), noticed(source)


@pytest.mark.parametrize(
    "source",
    [
        "from tl_course import check, data\nfrom tl_course.data import toy\nimport torch\nfrom numpy import exp",
        "import tl_course\ntl_course.check('masked-mean')",
        'def f(x):\n    """As in tl_course.exercises, see ../source/."""\n    return x  # from /proc',
        "print('loss ... accuracy'); name = 'source domain'; text = 'the solution is near'; sep = '/'",
        "torch.compile(model); model.eval(); re.compile(pattern)",
        "data['source'] - data['target']",
        "x[..., 0]\nname = 'a..b'",
        "",
    ],
)
def test_what_answers_do_is_not_noticed(source):
    assert noticed(source) == []


def test_what_the_stub_imports_is_allowed():
    source = "from tl_course.masking import mask_tokens\nfrom tl_course.masking import secret"
    assert noticed(source, imported("from tl_course.masking import mask_tokens")) == [
        "line 2: imports tl_course.masking.secret"
    ]


def test_nothing_of_the_bank_is_noticed():
    """Its own answers, right and wrong: what people really hand in."""
    found, count = {}, 0
    for exercise in exercises.all_exercises():
        for framework, variant in exercise.variants.items():
            allowed = imported(stub(variant)) | imported(variant.reference)
            texts = [stub(variant), variant.reference, *variant.alternatives.values()]
            for text in [*texts, *(mistake.code(variant.reference) for mistake in variant.mistakes.values())]:
                count += 1
                if lines := noticed(text, allowed):
                    found[exercise.id, framework] = lines
    assert count > 2000
    assert found == {}


def test_the_same_thing_is_told_once_and_deep_programs_end():
    assert noticed("import tl_course.exercises, tl_course.exercises") == ["line 1: imports tl_course.exercises"]
    nested = "import tl_course.exercises"
    for _level in range(6):
        nested = f"exec({nested!r})"
    assert noticed(nested)
    assert noticed("(" * 10_000) == [] and noticed("a\0'/proc/1'") == ["line 1: names the path /proc in a string"]
    assert noticed("x = 1\n" * 99_999 + "open('/proc/1')") == ["line 100000: names the path /proc in a string"]
