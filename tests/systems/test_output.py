"""The output folder: nothing is overwritten unasked, nothing is left behind by a run that fails."""

import os
from pathlib import Path

import pytest

from tl_course.errors import BadInput
from tl_course.systems import output
from tl_course.systems.output import check_room, output_folder


def test_without_a_folder_runs_are_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        with output_folder(None, "some-system") as folder:
            assert folder == Path("runs") / f"some-system-{number}"
            (folder / "report.json").write_text("{}")
    assert sorted(path.name for path in Path("runs").iterdir()) == ["some-system-1", "some-system-2"]


def test_files_are_not_overwritten_without_force(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with output_folder(out, "name") as folder:
        assert folder == out and out.is_dir()
        (out / "mine.txt").write_text("precious")
    with pytest.raises(BadInput, match=r"which holds files; .*--force"), output_folder(out, "name"):
        pytest.fail("not reached")
    with output_folder(out, "name", force=True):
        pass
    assert (out / "mine.txt").read_text() == "precious"


def test_a_failed_run_leaves_no_empty_folder(tmp_path: Path) -> None:
    existing = tmp_path / "existing"
    existing.mkdir()
    for out, stays in ((tmp_path / "new", False), (existing, True)):
        with pytest.raises(KeyboardInterrupt), output_folder(out, "name"):
            raise KeyboardInterrupt
        assert out.exists() == stays
    with pytest.raises(ZeroDivisionError), output_folder(tmp_path / "half", "name") as folder:
        (folder / "model.safetensors").write_bytes(b"x")
        raise ZeroDivisionError
    assert (tmp_path / "half" / "model.safetensors").exists()


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    for out in (file, file / "below"):
        with pytest.raises(BadInput, match=str(file)), output_folder(out, "name"):
            pytest.fail("not reached")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux's /proc")
def test_a_file_system_that_cannot_be_written_to() -> None:
    """/proc refuses new folders even to root."""
    expected = pytest.raises(BadInput, match="output folder that can be written to; got /proc/")
    with expected, output_folder("/proc/tl_course", "name"):
        pytest.fail("not reached")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    for out in (tmp_path, tmp_path / "below"):
        with pytest.raises(BadInput, match="Permission denied"), output_folder(out, "name"):
            pytest.fail("not reached")


def test_room_is_checked_before_training(tmp_path: Path) -> None:
    check_room(tmp_path, 0)
    with pytest.raises(BadInput, match=f"room for {2**40 + 4} MiB in .*MiB free"):
        check_room(tmp_path, 2**60)
    assert output.REPORTS == 2**22
