"""The doctor says what is right, and notices what is wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tl_course import doctor

NAMES = {
    "Python",
    "packages",
    "torch",
    "torchvision",
    "device",
    "tensorflow",
    "keras",
    "kernel",
    "nbgrader",
    "disk",
    "progress",
}
NAMES |= {"network", "sandbox", "bubblewrap", "chromium", "asset mobilenet_v2", "asset minilm", "asset sentiment"}


@pytest.mark.slow
def test_report_of_this_environment() -> None:
    command = [sys.executable, "-m", "tl_course.cli", "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    report = json.loads(done.stdout)
    failed = [check for check in report["checks"] if check["state"] == "fail"]
    assert (done.returncode, report["ok"], failed) == (0, True, [])
    assert {check["name"] for check in report["checks"]} >= NAMES
    assert {check["state"] for check in report["checks"]} <= {"ok", "info", "warn"}


def test_a_framework_that_does_not_import_fails_and_says_why() -> None:
    code = doctor.IMPORTS + "load('one', '1'); raise ImportError('libone.so is missing')"
    one, two = doctor._imports(("one", "two"), code)
    assert (one.state, two.state) == ("ok", "fail")
    assert "ImportError: libone.so is missing" in two.detail
    assert two.remedy


def test_other_versions_than_the_pinned_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ROOT", tmp_path)
    (tmp_path / "constraints.txt").write_text("click==0.1\npytest==0.2\n")
    (check,) = doctor.check_packages()
    assert check.state == "warn"
    assert "click" in check.detail and "(0.1)" in check.detail
    assert "constraints.txt" in check.remedy


def test_a_missing_asset_fails_and_the_remedy_fetches_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TL_COURSE_CACHE", str(tmp_path))
    states = {check.name: check for check in doctor.check_assets()}
    assert states["asset minilm"].state == "fail"
    assert states["asset minilm"].remedy == "run: tl-course assets fetch minilm"
    assert states["asset digits"].state == "ok"


def test_a_kernel_of_another_environment_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "kernels" / "python3"
    folder.mkdir(parents=True)
    spec = {"argv": ["/elsewhere/bin/python", "-m", "ipykernel_launcher"], "display_name": "P", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    (check,) = doctor.check_kernel()
    assert check.state == "fail"
    assert "/elsewhere/bin/python" in check.detail


def test_being_offline_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    (check,) = doctor.check_network()
    assert check.state == "info"
    assert "offline" in check.detail


def test_missing_system_packages_name_what_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert {check.name: check.state for check in doctor.check_system()} == {"bubblewrap": "warn", "chromium": "warn"}


@pytest.mark.sandbox
def test_a_sandbox_that_can_be_started_is_found() -> None:
    (check,) = doctor.check_sandbox()
    assert (check.state, check.remedy) == ("ok", "")


@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")
def test_a_sandbox_that_cannot_be_started_is_a_warning_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bwrap = tmp_path / "bwrap"
    bwrap.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    bwrap.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    (check,) = doctor.check_sandbox()
    assert check.state == "warn"
    assert "No permissions to create new namespace" in check.remedy
    monkeypatch.setenv("PATH", "")
    (check,) = doctor.check_sandbox()
    assert (check.state, "bubblewrap" in check.remedy) == ("warn", True)


def test_text_shows_remedies_of_what_is_not_right_only() -> None:
    text = doctor.render_text(
        [doctor.Check("a", "ok", "fine", "nothing"), doctor.Check("b", "fail", "broken", "mend it")]
    )
    assert "mend it" in text
    assert "nothing" not in text
