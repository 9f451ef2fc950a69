"""Committed results of long experiments: present, complete, and made by the script that stands beside them."""

import json

import pytest

from tl_course import evidence
from tl_course.errors import BadInput

DRAWN = (  # what lessons draw
    "label_efficiency",
    "text_features",
    "text_fine_tuning",
    "text_instability",
    "text_adaptation",
    "text_domains",
    "further_pretraining",
    "small_pretraining",
    "pretext",
    "label_counts",
    "freeze_first_n",
    "more_time",
    "domain_gap",
    "fine_tuning",
    "learning_rate_curves",
    "fine_tuning_photos",
    "lp_ft",
    "spurious_features",
    "few_label_remedies",
    "semi_supervised",
    "sentiment_shift",
    "attention_agreement",
    "attention_adversary",
    "distill_text",
    "distill_no_three",
    "distill_photos",
    "distill_data",
    "distill_teachers",
    "choosing_models",
    "choosing_text_models",
)


@pytest.mark.parametrize("name", DRAWN)
def test_results_say_how_they_were_made(name):
    saved = evidence.load(name)
    assert saved["name"] == name
    assert saved["command"] == evidence.command(name)
    assert (evidence.FOLDER / f"{name}.py").is_file()
    assert len(saved["seeds"]) >= 5 and saved["settings"] and saved["versions"] and saved["date"]


def test_every_result_has_its_script():
    assert set(DRAWN) <= set(evidence.names())
    for name in evidence.names():
        assert list(evidence.FOLDER.glob(f"*{name}.py")), name


def test_an_unknown_experiment_names_the_known_ones():
    with pytest.raises(BadInput, match="label_efficiency"):
        evidence.load("label_eficiency")


def test_a_damaged_file_names_the_command_that_remakes_it(tmp_path, monkeypatch):
    monkeypatch.setattr(evidence, "FOLDER", tmp_path)
    (tmp_path / "half.json").write_text(json.dumps({"name": "half"})[:-3], encoding="utf-8")
    with pytest.raises(BadInput, match=r"half\.json.*python benchmarks/evidence/half\.py"):
        evidence.load("half")
