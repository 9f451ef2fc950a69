"""The audit finds what is wrong with an exercise: weak judges, broken references, look-alike mistakes, stale marks."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import tl_course
from tl_course.exercises.engine.mutants import mutants

SOURCE = '''
import numpy as np

from tl_course.exercises.engine.compare import close
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Variant
from tl_course.exercises.engine.plain import as_array

REFERENCE = """
def scaled(x, factor=2.0):
    \\"\\"\\"x times the factor, at least 0.\\"\\"\\"
    result = x * factor
    return result.clip(min=0)
"""
AGAIN = "import numpy as np\\ndef scaled(x, factor=2.0): return np.maximum(factor * x, 0)"
LOOP = "import numpy as np\\ndef scaled(x, factor=2.0): return np.array([max(v * factor, 0) for v in x])"


def cases(rng):
    return [Case("one", {"x": rng.normal(size=5)}, ("value",)), Case("two", {"x": rng.normal(size=4)}, ("factor",))]


def judge(case, seen):
    if case.name == "one":
        return [close("value", seen["y"], np.maximum(case.inputs["x"], 0) * 2, "y")]
    return [close("factor", seen["y"], np.maximum(case.inputs["x"], 0) * 3, "y")]


def probe(candidate, inputs):
    return {"y": as_array(candidate(inputs["x"]) if len(inputs["x"]) == 5 else candidate(inputs["x"], 3.0))}


MISTAKES = {
    "adds": Mistake("adds", (("x * factor", "x + factor"),)),
    "unclipped": Mistake("unclipped", ((".clip(min=0)", ""),)),
    "upside-down": Mistake("upside-down", (("clip(min=0)", "clip(max=0)"),)),
    "fixed": Mistake("fixed", (("x * factor", "x * 2"),)),
}
FIELDS = dict(
    id="scaled", title="Scaled", lesson="99_test", minutes=1, difficulty=1, points=2, statement="",
    hints=("a", "b", "c"), follow_ups=(FollowUp("why", "so"),), cases=cases, judge=judge, time_limit=3.0,
    complexity="O(N) time and memory",
    criteria={"value": Criterion("value"), "factor": Criterion("factor", needs=("value",))},
)
VARIANT = dict(reference=REFERENCE, probe=probe, alternatives={"again": AGAIN, "loop": LOOP}, mistakes=MISTAKES)
#CHANGE
EXERCISE = Exercise(**FIELDS, variants={"numpy": Variant(**VARIANT)})
'''

CHANGES = {
    "sound": "",
    "accepts_everything": "FIELDS['judge'] = lambda case, seen: [Finding(case.criteria[0], True)]",
    "looks_at_shapes": (
        "FIELDS['judge'] = lambda case, seen: [Finding(case.criteria[0], seen['y'].shape == case.inputs['x'].shape)]"
    ),
    "broken_reference": "VARIANT['reference'] = REFERENCE.replace('x * factor', 'x * factor * 1.1')",
    "reference_stops": "VARIANT['reference'] = REFERENCE.replace('x * factor', 'x[99] * factor')",
    "wrong_alternative": "VARIANT['alternatives']['again'] = 'def scaled(x, factor=2.0): return x'",
    "look_alikes": "MISTAKES['adds again'] = Mistake('another', (('x * factor', 'factor + x'),))",
    "right_mistake": "MISTAKES['no mistake'] = Mistake('none', (('x * factor', 'factor * x'),))",
    "never_the_same": (
        "MISTAKES['random'] = Mistake('random', (('x * factor', '__import__(\"os\").urandom(1)[0] + x'),))"
    ),
    "another_in_company": (
        "SET = '__import__(\"os\").environ.setdefault(\"SEEN\", \"\")'\n"
        "SEEN = '(\"SEEN\" in __import__(\"os\").environ)'\n"
        "MISTAKES['leaves'] = Mistake('leaves', (('x * factor', f'x + 5 + len({SET})'),))\n"
        "MISTAKES['finds'] = Mistake('finds', (('x * factor', f'x + 6 + {SEEN}'),))"
    ),
    "stale_mark": "VARIANT['equivalent'] = {'return result.cut()': 'old', 'return result': 'is killed'}",
    "marked": "VARIANT['equivalent'] = {'defaults: 4.0': 'wrongly marked'}",
    "same_for_all_seeds": "FIELDS['cases'] = lambda rng: cases(np.random.default_rng(0))",
    "never_the_same_cases": "FIELDS['cases'] = lambda rng: cases(np.random.default_rng())",
    "undeclared": "FIELDS['criteria'] = {'value': Criterion('value'), 'other': Criterion('other')}",
    "ambiguous_edit": "MISTAKES['ambiguous'] = Mistake('two places', (('factor', 'x'),))",
    "few": (
        "VARIANT['alternatives'].popitem(); MISTAKES.popitem()\n"
        "FIELDS |= {'follow_ups': (), 'kind': 'find-the-fault', 'complexity': ''}"
    ),
    "loops": "VARIANT['reference'] = REFERENCE.replace('    result', '    while x is None: pass\\n    result', 1)",
}  # fmt: skip

SCRIPT = """
import json, sys
from tl_course.exercises.engine import audit
from tl_course.exercises.engine.checking import check_source
found = {}
for name in sys.argv[1:]:
    try:
        report = audit.run([name.replace("_", "-")])
        found[name] = {**report.to_dict(), "text": report.render_text()}
    except Exception as error:
        found[name] = {"raised": f"{type(error).__name__}: {error}"}
found["two at once"] = audit.run(["sound", "wrong-alternative"], jobs=2).to_dict()
known = audit.run(["sound", "wrong-alternative", "look-alikes"], unchanged=["sound", "wrong-alternative"])
found["known"] = known.to_dict()
print(json.dumps(found))
"""

RECORD = """
import json, sys
from tl_course.exercises.engine import audit_record
if sys.argv[1:]:
    audit_record.note(sys.argv[1:])
print(json.dumps(audit_record.unchanged()))
"""


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    """A folder with a copy of the package whose bank holds these exercises only."""
    root = tmp_path_factory.mktemp("bank")
    package = root / "tl_course"
    origin = Path(tl_course.__file__).parent
    shutil.copytree(origin / "exercises" / "engine", package / "exercises" / "engine")
    for name in ("__init__.py", "errors.py", "i18n.py", "quiet.py", "whole_file.py", "exercises/__init__.py"):
        shutil.copy(origin / name, package / name)
    topic = package / "exercises" / "tested"
    topic.mkdir()
    (topic / "__init__.py").touch()
    for name, change in CHANGES.items():
        code = SOURCE.replace("#CHANGE", textwrap.dedent(change)).replace(
            'id="scaled"', f'id="{name.replace("_", "-")}"'
        )
        (topic / f"{name}.py").write_text(code)
    return root


def within(bank, code, *arguments):
    """What a program that sees this bank prints, from JSON."""
    environment = {**os.environ, "PYTHONPATH": str(bank)}
    command = [sys.executable, "-P", "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=bank)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def reports(bank):
    """The audit of each exercise of the bank."""
    return within(bank, SCRIPT, *CHANGES)


def test_a_sound_exercise_passes(reports):
    report = reports["sound"]
    assert report["ok"] and "audit passed" in report["text"], report["text"]
    assert report["references"] == {"right": 1, "wrong": []} and report["alternatives"]["right"] == 2
    assert report["mistakes"]["right"] == report["diagnoses"]["right"] == 4
    assert report["mutants"]["killed"] >= 5 and not report["mutants"]["survived"]


def test_an_exercise_with_a_loop_passes(reports):
    assert reports["loops"]["ok"], reports["loops"]["text"]


FAULTS = {
    "accepts_everything": ("mistakes", "trivial", "survived"),
    "looks_at_shapes": ("mistakes", "survived", "trivial"),
    "broken_reference": ("references",),
    "reference_stops": ("references",),
    "wrong_alternative": ("alternatives",),
    "look_alikes": ("diagnoses",),
    "right_mistake": ("mistakes",),
    "never_the_same": ("diagnoses",),
    "another_in_company": ("diagnoses",),
    "stale_mark": ("problems",),
    "same_for_all_seeds": ("problems",),
    "never_the_same_cases": ("problems",),
    "undeclared": ("problems",),
    "few": ("problems",),
    "marked": ("problems",),
    "ambiguous_edit": ("problems",),
}


@pytest.mark.parametrize(("name", "where"), FAULTS.items(), ids=FAULTS)
def test_a_faulty_exercise_is_reported(reports, name, where):
    report = reports[name]
    assert "raised" not in report, report
    assert not report["ok"] and "audit FAILED" in report["text"]
    places = {
        **{key: report[key]["wrong"] for key in ("references", "alternatives", "mistakes", "trivial", "diagnoses")}
    }
    places |= {"survived": report["mutants"]["survived"], "problems": report["problems"]}
    for place in where:
        assert places[place], report["text"]


def test_processes_that_share_the_work_find_the_same(reports):
    both, one, other = reports["two at once"], reports["sound"], reports["wrong_alternative"]
    assert not both["ok"] and both["alternatives"]["wrong"] == other["alternatives"]["wrong"]
    for kind in ("references", "alternatives", "mistakes", "trivial", "diagnoses"):
        assert both[kind]["right"] == one[kind]["right"] + other[kind]["right"]
    assert both["mutants"]["killed"] == one["mutants"]["killed"] + other["mutants"]["killed"]


def test_what_is_wrong_is_named(reports):
    assert reports["wrong_alternative"]["alternatives"]["wrong"] == ["wrong-alternative/numpy/alternatives/again"]
    assert reports["look_alikes"]["diagnoses"]["wrong"] == ["look-alikes/numpy/adds again is taken for adds"]
    assert reports["right_mistake"]["mistakes"]["wrong"] == ["right-mistake/numpy/no mistake"]
    stale = " ".join(reports["stale_mark"]["problems"])
    assert (
        "no mutant 'return result.cut()'" in stale and "'return result' is marked as equivalent but is killed" in stale
    )
    assert len(reports["few"]["problems"]) == 5
    assert any("undeclared" in text or "declared" in text for text in reports["undeclared"]["problems"])


def test_of_unchanged_exercises_the_right_answers_are_run(reports):
    report = reports["known"]
    assert report["unchanged"] == ["sound", "wrong-alternative"]
    assert report["references"]["right"] == 3 and report["alternatives"]["right"] == 5
    assert report["alternatives"]["wrong"] == ["wrong-alternative/numpy/alternatives/again"] and not report["ok"]
    alone = reports["look_alikes"]
    assert (report["mistakes"], report["mutants"]) == (alone["mistakes"], alone["mutants"])


def test_the_record_knows_what_changed_since(bank):
    assert within(bank, RECORD) == []
    assert within(bank, RECORD, "sound", "marked") == ["marked", "sound"]
    helper = bank / "tl_course" / "exercises" / "tested" / "_helper.py"
    helper.write_text("FACTOR = 2\n")
    file = helper.with_name("sound.py")
    before = file.read_text()
    file.write_text(f"{before}\nfrom tl_course.exercises.tested import _helper\n")
    assert within(bank, RECORD) == ["marked"]
    assert within(bank, RECORD, "sound") == ["marked", "sound"]
    helper.write_text("FACTOR = 3\n")
    assert within(bank, RECORD) == ["marked"]
    file.write_text(before)
    assert within(bank, RECORD, "sound") == ["marked", "sound"]
    compare = bank / "tl_course" / "exercises" / "engine" / "compare.py"
    compare.write_text(compare.read_text() + "\n# changed\n")
    assert within(bank, RECORD) == []
    (bank / "tl_course" / "exercises" / "audited.json").write_text("{")
    with pytest.raises(AssertionError, match="run `make audit`"):
        within(bank, RECORD)


def test_keys_that_other_programs_read(reports):
    report = reports["sound"]
    for kind in ("references", "alternatives", "mistakes"):
        assert set(report[kind]) == {"right", "wrong"}
    assert set(report["mutants"]) == {"killed", "equivalent", "survived"}


def test_an_empty_bank_is_no_success(monkeypatch):
    from tl_course import exercises
    from tl_course.exercises.engine import audit

    monkeypatch.setattr(exercises, "all_exercises", list)
    assert not audit.run().ok


MUTATED = '''
import torch
import torch.nn.functional as F


def loss(logits, targets, temperature=2.0, alpha=0.5):
    """A docstring with 3 numbers."""
    total: int = 0
    with torch.no_grad():
        soft = F.softmax(logits / temperature, dim=-1)
    if alpha > 0 and total == 0:
        total += 1
    log(soft)
    return -soft.sum(dim=1) * alpha if alpha else soft.mean()
'''


def test_the_kinds_of_mutants():
    made = mutants(MUTATED)
    assert len(made) == len(set(made.values()))
    for label in (
        "soft = F.softmax(logits * temperature, dim=-1)",
        "soft = F.softmax(logits / temperature)",
        "soft = logits / temperature",
        "soft = F.softmax(logits / temperature, dim=1)",
        "defaults: 4.0, 0.5",
        "defaults: 2.0, 1.0",
        "if alpha >= 0 and total == 0:",
        "if alpha > 0 or total == 0:",
        "if True:",
        "if False:",
        "pass",
        "without its with: soft = F.softmax(logits / temperature, dim=-1)",
        "return -soft.sum(dim=1) * alpha",
        "return soft.mean()",
        "return -soft.sum(dim=1) / alpha if alpha else soft.mean()",
    ):
        assert label in made, sorted(made)
    assert not any("docstring" in label for label in made)
    assert all(code.count('"""A docstring with 3 numbers."""') == 1 for code in made.values())


def test_mutants_differ_from_what_they_are_made_of_and_parse():
    import ast

    original = ast.dump(ast.parse(MUTATED))
    for label, code in mutants(MUTATED).items():
        assert ast.dump(ast.parse(code)) != original, label
