"""Pretrained weights and data: fetched once, checked whenever they are used, offline ever after.

`path("mobilenet_v2")` is all a lesson needs. What there is, and how to add to it, is in `tl_course.asset_table`; how
files are downloaded and converted is in `tl_course.asset_sources`. Fetched files live in ``cache_dir()/assets/<name>``.
"""

import contextlib
import errno
import gzip
import hashlib
import importlib.metadata
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, Literal

import platformdirs
from filelock import FileLock, Timeout

from tl_course.asset_sources import AssetError, Report, build, full_disk, shown
from tl_course.asset_table import ASSETS, Archive, Asset
from tl_course.i18n import _

__all__ = [
    "ASSETS",
    "Archive",
    "Asset",
    "AssetError",
    "cache_dir",
    "fetch",
    "fetch_all",
    "list_assets",
    "path",
    "status",
    "verify",
]

Status = Literal["ready", "missing", "damaged"]

_digests: dict[tuple[str, int, int], str] = {}
"""SHA-256 by (file, bytes, mtime in ns): a large file is hashed once a process, and again when it changes."""


def cache_dir() -> Path:
    """The folder for whatever the course keeps between runs: $TL_COURSE_CACHE, or the user's cache folder."""
    chosen = os.environ.get("TL_COURSE_CACHE")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("tl_course", appauthor=False))


def path(name: str) -> Path:
    """The asset's file, or its folder if it has several files; fetched when missing, its hashes checked.

    Raises:
        AssetError: unknown name, a file that differs from the one the course was made with, or a failed fetch.
    """
    asset = _asset(name)
    state, problem = _inspect(asset)
    if state == "missing":
        return fetch(name)
    if problem:
        raise AssetError(problem)
    return _location(asset)


def status(name: str) -> Status:
    """ "ready", "missing" (never fetched, or its package is not installed) or "damaged" (a file lacks or differs)."""
    return _inspect(_asset(name))[0]


def verify(name: str) -> None:
    """Hash the asset's files anew.

    Raises:
        AssetError: one is missing or differs; the message names it and says what to do.
    """
    problem = _inspect(_asset(name), anew=True)[1]
    if problem:
        raise AssetError(problem)


def fetch(name: str, progress: bool = True) -> Path:
    """Make the asset ready: download it if it is missing or damaged. Safe when several processes do so at once.

    Args:
        name: a key of `ASSETS`.
        progress: show a progress bar on stderr.

    Raises:
        AssetError: it cannot be had; the message says why and what to do. Nothing half-written is left.
    """
    asset = _asset(name)
    state, problem = _inspect(asset)
    if state == "ready":
        return _location(asset)
    if asset.archive is None:
        raise AssetError(problem)
    with _one_line_for_disk_errors(asset), shown(asset, progress) as report, _locked(asset, report):
        if _inspect(asset)[0] != "ready":
            _install(asset, asset.archive, report)
        report(_("ready"), asset.size, asset.size)
    return _location(asset)


def fetch_all(names: Sequence[str] | None = None, progress: bool = True) -> list[dict[str, Any]]:
    """Fetch several assets, going on after one that fails.

    Args:
        names: which; all but the optional ones when None.
        progress: show a progress bar for each.

    Returns:
        One row an asset: {"name", "status", "path" (str or None), "error" (one line or None)}.

    Raises:
        AssetError: a name is unknown; nothing is fetched then.
    """
    rows: list[dict[str, Any]] = []
    for asset in [_asset(name) for name in ASSETS] if names is None else [_asset(name) for name in names]:
        if names is None and asset.optional and _inspect(asset)[0] == "missing":
            continue
        try:
            rows.append(
                {"name": asset.name, "status": "ready", "path": str(fetch(asset.name, progress)), "error": None}
            )
        except AssetError as error:
            rows.append({"name": asset.name, "status": status(asset.name), "path": None, "error": str(error)})
    return rows


def list_assets() -> list[dict[str, Any]]:
    """The table as plain values, with each asset's status: one dict an asset, ready for json.dumps."""
    rows: list[dict[str, Any]] = []
    for asset in ASSETS.values():
        row = {key: getattr(asset, key) for key in ("name", "kind", "source", "origin", "version", "sha256", "size")}
        row |= {key: getattr(asset, key) for key in ("licence", "citation", "homepage", "optional")}
        row["archive_sha256"] = asset.archive.sha256 if asset.archive else None
        state, problem = _inspect(asset)
        rows.append(row | {"status": state, "problem": problem or None})
    return rows


def _asset(name: str) -> Asset:
    if name not in ASSETS:
        raise AssetError(
            _("expected the name of an asset; got {got!r}; use one of: {names}").format(
                got=name, names=", ".join(ASSETS)
            )
        )
    return ASSETS[name]


def _folder(asset: Asset) -> Path | None:
    """The folder with the asset's files, whether they are there or not; None where no place has been made for them."""
    if asset.source == "pip":
        return cache_dir() / "assets" / asset.name
    if asset.source == "shipped":
        return Path(__file__).parent / asset.folder
    if asset.source == "package":
        try:
            return Path(str(importlib.metadata.distribution(asset.origin).locate_file(asset.folder)))
        except importlib.metadata.PackageNotFoundError:
            return None
    candidates = [Path(folder.format(cache=cache_dir())) for folder in asset.folders]
    return next((folder for folder in candidates if all((folder / name).is_file() for name in asset.files)), None)


def _location(asset: Asset) -> Path:
    folder = _folder(asset)
    if folder is None:
        raise AssetError(_missing(asset))
    return folder / next(iter(asset.files)) if len(asset.files) == 1 else folder


def _inspect(asset: Asset, anew: bool = False) -> tuple[Status, str]:
    """The asset's status and, unless it is ready, one line that says what is wrong and what to do.

    Hashes already known in this process are used again unless `anew`.
    """
    folder = _folder(asset)
    if folder is None or not folder.is_dir():
        return "missing", _missing(asset)
    for name, expected in asset.files.items():
        try:
            found = _sha256(folder / name, asset.unzipped, anew)
        except (FileNotFoundError, NotADirectoryError):
            found = _("none, the file is gone")
        except (EOFError, zlib.error, gzip.BadGzipFile):
            found = _("none, the file is cut off or not gzip")
        except OSError as error:
            found = _("none, the file cannot be read: {reason}").format(reason=error.strerror)
        if found != expected:
            return "damaged", _(
                "{name}: {file} is not the file the course was made with (SHA-256 expected {expected}…, found "
                "{found}); {remedy}"
            ).format(
                name=asset.name,
                file=folder / name,
                expected=expected[:12],
                found=found[:12] + "…" if len(found) == 64 else found,
                remedy=_remedy(asset),
            )
    return "ready", ""


def _missing(asset: Asset) -> str:
    return _("{name}: not on this computer yet; {remedy}").format(name=asset.name, remedy=_remedy(asset))


def _remedy(asset: Asset) -> str:
    if asset.source == "pip":
        return _("run `tl-course assets fetch {name}`").format(name=asset.name)
    if asset.source == "folder":
        return asset.remedy
    what = f"{asset.origin}=={asset.version}" if asset.source == "package" else asset.origin
    return _("run `{python} -m pip install --force-reinstall --no-deps {what}`").format(
        python=sys.executable, what=what
    )


def _sha256(file: Path, unzipped: bool, anew: bool) -> str:
    """SHA-256 of a file or, if `unzipped`, of what a .gz file holds."""
    facts = os.stat(file)
    key = (str(file), facts.st_size, facts.st_mtime_ns)
    if anew or key not in _digests:
        with gzip.open(file) if unzipped else file.open("rb") as stream:
            _digests[key] = hashlib.file_digest(stream, "sha256").hexdigest()
    return _digests[key]


def _install(asset: Asset, archive: Archive, report: Report) -> None:
    """Build the asset in a folder of its own, check it, and put it in place in one step."""
    target = cache_dir() / "assets" / asset.name
    for stale in target.parent.glob(f".{asset.name}.*.partial"):  # of a killed process: we hold the lock
        shutil.rmtree(stale, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix=f".{asset.name}.", suffix=".partial", dir=target.parent))
    try:
        files = build(asset, archive, work, report)
        for number, (name, expected) in enumerate(asset.files.items()):
            report(_("checking"), number, len(asset.files))
            with (files / name).open("rb+") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
                os.fsync(stream.fileno())
            if found != expected:
                raise AssetError(
                    _(
                        "{name}: {file} came out with SHA-256 {found}…, expected {expected}…; install the versions the "
                        "course names (`{python} -m pip install -c constraints.txt -e .`) and fetch it again"
                    ).format(
                        name=asset.name, file=name, found=found[:12], expected=expected[:12], python=sys.executable
                    )
                )
        if target.exists():
            os.replace(target, work / "replaced")
        os.replace(files, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextlib.contextmanager
def _locked(asset: Asset, report: Report) -> Generator[None]:
    """Hold the asset's lock, which keeps other processes (and threads) from fetching it too."""
    folder = cache_dir() / "assets"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f".{asset.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        report(_("waiting for another process that fetches it"), 0, 0)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _one_line_for_disk_errors(asset: Asset) -> Generator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise AssetError(full_disk(asset, cache_dir())) from error
        raise AssetError(
            _(
                "{name}: the cache folder {folder} cannot be written ({reason}); make it writable, or set "
                "TL_COURSE_CACHE to a folder that is, then run `tl-course assets fetch {name}`"
            ).format(name=asset.name, folder=cache_dir(), reason=error.strerror or error)
        ) from error
