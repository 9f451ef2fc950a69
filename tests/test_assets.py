"""The fetching of assets, with the real pip on tiny archives made here; and the real assets, as set-up left them.

Run as a script (`python test_assets.py ACTION ASSET.json`) this file is the other process that some tests need.
"""

import contextlib
import dataclasses
import hashlib
import http.server
import io
import json
import os
import pickle
import random
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tl_course import assets
from tl_course.asset_sources import torchvision_name
from tl_course.asset_table import ASSETS, Archive, Asset

SMALL = {"a.txt": b"first\n", "sub/b.bin": bytes(range(256)) * 40}
RANDOM = {"a.bin": random.Random(0).randbytes(2_000_000)}
ZEROS = {"a.bin": bytes(2_000_000)}  # a wheel of 2 kB


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def make_wheel(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / "tl_tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(f"tl_tiny/data/{name}", data)
        archive.writestr("tl_tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tl-tiny\nVersion: 1.0\n")
        tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr("tl_tiny-1.0.dist-info/WHEEL", tags)
        archive.writestr("tl_tiny-1.0.dist-info/RECORD", "")
    return wheel


def tiny_asset(wheel: Path, files: dict[str, bytes]) -> Asset:
    return Asset(
        name="tiny",
        kind="data",
        source="pip",
        origin="tl-tiny",
        version="1.0",
        files={name: sha256(data) for name, data in files.items()},
        size=sum(map(len, files.values())),
        licence="none",
        citation="none",
        homepage="none",
        folder="tl_tiny/data",
        archive=Archive(
            sha256=sha256(wheel.read_bytes()),
            size=wheel.stat().st_size,
            members=tuple(f"tl_tiny/data/{name}" for name in files),
        ),
    )


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, and a pip that knows one folder of wheels and no index."""
    monkeypatch.setenv("TL_COURSE_CACHE", str(tmp_path / "cache"))
    for key, value in {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(tmp_path / "wheels"),
        "PIP_NO_CACHE_DIR": "1",
        "PIP_RETRIES": "0",
    }.items():
        monkeypatch.setenv(key, value)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    (tmp_path / "wheels").mkdir()
    return tmp_path / "cache"


def register(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]) -> Asset:
    asset = tiny_asset(make_wheel(tmp_path / "wheels", files), files)
    monkeypatch.setitem(ASSETS, "tiny", asset)
    return asset


@pytest.fixture
def tiny(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Asset:
    return register(tmp_path, monkeypatch, SMALL)


def leftovers(cache: Path) -> list[str]:
    """Everything below the cache folder but empty lock files."""
    found = [file for file in cache.rglob("*") if file.name != "assets"]
    return [str(file.relative_to(cache)) for file in found if file.suffix != ".lock" or file.stat().st_size]


def fails(match: str, cache: Path, name: str = "tiny") -> str:
    """Fetching fails with one line that matches and says what to do, and leaves nothing behind."""
    with pytest.raises(assets.AssetError, match=match) as caught:
        assets.fetch(name, progress=False)
    message = str(caught.value)
    assert "\n" not in message
    assert "tl-course assets fetch" in message or "pip install" in message, message
    assert leftovers(cache) == []
    return message


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=False, capture_output=True, text=True)


def worker(action: str, asset: Asset, folder: Path) -> list[str]:
    """The command that does something with `asset` in another process (see the end of this file)."""
    table = folder / "asset.json"
    table.write_text(json.dumps(dataclasses.asdict(asset)))
    return [sys.executable, __file__, action, str(table)]


# -- a fetch that goes well --------------------------------------------------------------------------------------------


def test_path_fetches_once_and_then_needs_nothing(
    tiny: Asset, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert assets.status("tiny") == "missing"
    folder = assets.path("tiny")
    assert folder == cache / "assets" / "tiny"
    found = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    assert found == SMALL
    assert sorted(leftovers(cache)) == sorted(f"assets/tiny{rest}" for rest in ("", "/a.txt", "/sub", "/sub/b.bin"))
    shutil.rmtree(tmp_path / "wheels")
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert assets.path("tiny") == assets.fetch("tiny") == folder
    assert assets.status("tiny") == "ready"


def test_an_asset_of_one_file_is_that_file(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(tmp_path, monkeypatch, ZEROS)
    assert assets.path("tiny").read_bytes() == ZEROS["a.bin"]


def test_progress_goes_to_stderr_only(tiny: Asset, capfd: pytest.CaptureFixture[str]) -> None:
    assets.fetch("tiny", progress=True)
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "tiny: ready" in shown.err
    assert "10.2/10.2 kB" in shown.err


def test_steps_and_bytes_are_reported(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asset = register(tmp_path, monkeypatch, RANDOM)
    assert asset.archive is not None
    steps: list[tuple[str, int, int]] = []

    @contextlib.contextmanager
    def recording(_asset: Asset, _progress: bool) -> Any:
        yield lambda step, done, total: steps.append((step, done, total))

    monkeypatch.setattr(assets, "shown", recording)
    assets.fetch("tiny")
    names = list(dict.fromkeys(step for step, _, _ in steps))
    assert names == ["downloading", "unpacking", "preparing", "checking", "ready"]
    assert all(0 <= done <= total == asset.archive.size for step, done, total in steps if step == "downloading")


def test_the_installed_distribution_is_read_instead(
    tiny: Asset, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "wheels" / "tl_tiny-1.0-py3-none-any.whl") as wheel:
        wheel.extractall(tmp_path / "site")
    shutil.rmtree(tmp_path / "wheels")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert (assets.path("tiny") / "a.txt").read_bytes() == SMALL["a.txt"]
    assert (tmp_path / "site/tl_tiny/data/a.txt").is_file()


def test_another_installed_version_is_not(tiny: Asset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "site" / "tl_tiny-0.9.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tl-tiny\nVersion: 0.9\n")
    (tmp_path / "site/tl_tiny/data/sub").mkdir(parents=True)
    for name in SMALL:
        (tmp_path / "site/tl_tiny/data" / name).write_bytes(b"of version 0.9")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert (assets.path("tiny") / "a.txt").read_bytes() == SMALL["a.txt"]


def test_a_tar_inside_a_source_archive(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def tar(path: Path, files: dict[str, bytes]) -> bytes:
        with tarfile.open(path, "w:gz") as archive:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return path.read_bytes()

    inner = tar(tmp_path / "inner.tar.gz", {"set/truth.txt": b"1\t2.5\tgood\n", "set/other.txt": b"not wanted"})
    setup = b"from setuptools import setup\nsetup(name='tl-tiny', version='1.0')\n"
    info = b"Metadata-Version: 1.0\nName: tl-tiny\nVersion: 1.0\n"
    members = {"setup.py": setup, "PKG-INFO": info, "more/inner.tar.gz": inner}
    outer = tar(tmp_path / "wheels/tl-tiny-1.0.tar.gz", {f"tl-tiny-1.0/{name}": data for name, data in members.items()})
    asset = dataclasses.replace(
        tiny_asset(make_wheel(tmp_path, SMALL), {"truth.txt": b"1\t2.5\tgood\n"}),
        archive=Archive(sha256(outer), len(outer), ("more/inner.tar.gz",), build="sentiment", wheel=False),
    )
    monkeypatch.setitem(ASSETS, "tiny", asset)
    assert assets.path("tiny").read_bytes() == b"1\t2.5\tgood\n"
    assert [file.name for file in (cache / "assets" / "tiny").iterdir()] == ["truth.txt"]


def test_two_processes_at_once(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asset = register(tmp_path, monkeypatch, RANDOM)
    monkeypatch.setenv("PIP_LOG", str(tmp_path / "pip.log"))
    command = worker("path", asset, tmp_path)
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [process.communicate(timeout=120) for process in both]
    assert [json.loads(out)["path"] for out, _ in answers] == [str(cache / "assets/tiny/a.bin")] * 2, answers
    assert (cache / "assets/tiny/a.bin").read_bytes() == RANDOM["a.bin"]
    assert sum("Saved " in line for line in (tmp_path / "pip.log").read_text().splitlines()) == 1


def test_a_killed_fetch_leaves_nothing_that_stays(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asset = register(tmp_path, monkeypatch, RANDOM)
    command = worker("path", asset, tmp_path)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    while process.poll() is None and not list(cache.glob("assets/.tiny.*.partial")):
        pass
    os.killpg(process.pid, signal.SIGKILL)  # its pip too
    process.wait()
    assert leftovers(cache)
    assert assets.status("tiny") == "missing"
    assert assets.path("tiny").read_bytes() == RANDOM["a.bin"]
    assert sorted(leftovers(cache)) == ["assets/tiny", "assets/tiny/a.bin"]


# -- a fetch that fails ------------------------------------------------------------------------------------------------


def test_unknown_name() -> None:
    for call in (assets.path, assets.fetch, assets.verify, assets.status, lambda name: assets.fetch_all([name])):
        with pytest.raises(assets.AssetError, match="got 'resnet'; use one of: mobilenet_v2, minilm"):
            call("resnet")


def test_a_changed_archive(tiny: Asset, tmp_path: Path, cache: Path) -> None:
    make_wheel(tmp_path / "wheels", SMALL | {"a.txt": b"other\n"})
    fails("does not have the expected SHA-256", cache)


def test_a_cut_off_archive(tiny: Asset, tmp_path: Path, cache: Path) -> None:
    wheel = tmp_path / "wheels" / "tl_tiny-1.0-py3-none-any.whl"
    wheel.write_bytes(wheel.read_bytes()[:-100])
    fails("cut off", cache)


def test_a_connection_that_breaks_off(
    tiny: Asset, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = (tmp_path / "wheels" / "tl_tiny-1.0-py3-none-any.whl").read_bytes()

    class Index(http.server.BaseHTTPRequestHandler):
        """A package index whose wheel ends early."""

        def do_GET(self) -> None:
            wheel = self.path.endswith(".whl")
            name = "tl_tiny-1.0-py3-none-any.whl"
            body = data[: len(data) // 2] if wheel else f'<a href="/{name}">{name}</a>'.encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream" if wheel else "text/html")
            self.send_header("Content-Length", str(len(data) if wheel else len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on stderr."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            socket.create_connection(server.server_address[:2]).close()
        except OSError:
            pytest.skip("there is no loopback interface to serve the archive over")
        else:
            monkeypatch.delenv("PIP_NO_INDEX")
            monkeypatch.delenv("PIP_FIND_LINKS")
            monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_address[1]}/simple")
            fails(r"tl-tiny==1\.0 .*was cut off", cache)  # which words come first depends on pip's version
        finally:
            server.shutdown()


def test_no_network_and_no_wheel(tiny: Asset, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(tmp_path / "wheels")
    (tmp_path / "wheels").mkdir()
    fails("there is no network", cache)
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    fails("there is no network", cache)


def test_no_pip(tiny: Asset, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    python = next(file for file in (tmp_path / "bare").glob("*/python*") if file.stem == "python")
    monkeypatch.setattr(sys, "executable", str(python))
    assert f"{python} -m ensurepip" in fails("has no pip", cache)


def test_a_file_that_comes_out_different(tiny: Asset, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = dataclasses.replace(tiny, files={**tiny.files, "sub/b.bin": "0" * 64})
    monkeypatch.setitem(ASSETS, "tiny", wrong)
    fails(r"sub/b.bin came out with SHA-256 \w{12}…, expected 000000000000…", cache)


def test_weights_that_are_a_program_are_not_run(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Program:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "was run"),)

    data = {"w.pt": pickle.dumps(Program(), protocol=2)}
    asset = tiny_asset(make_wheel(tmp_path / "wheels", data), data)
    assert asset.archive is not None
    asset = dataclasses.replace(asset, archive=dataclasses.replace(asset.archive, build="mobilenet_v2"))
    monkeypatch.setitem(ASSETS, "tiny", asset)
    fails("w.pt of tl-tiny==1.0 is damaged or holds more than tensors, and was not run", cache)
    assert not (tmp_path / "was run").exists()
    pickle.loads(data["w.pt"])
    assert (tmp_path / "was run").exists()


def own_mounts() -> list[str]:
    """The command prefix that gives a command file systems of its own, or [] where this machine does not allow it."""
    for prefix in (["unshare", "-m"], ["unshare", "-Urm"]):
        with contextlib.suppress(FileNotFoundError):
            if run([*prefix, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).returncode == 0:
                return prefix
    return []


@pytest.mark.parametrize("files", [RANDOM, ZEROS], ids=["in pip's download", "in our copy"])
def test_a_full_disk(files: dict[str, bytes], tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a real disk of 500 kB where one can be mounted; else under a limit on the size of files."""
    asset = register(tmp_path, monkeypatch, files)
    cache.mkdir()
    command = worker("path", asset, tmp_path)
    if prefix := own_mounts():
        mount = 'mount -t tmpfs -o size=500k tmpfs "$0" && exec "$@"'
        command = [*prefix, "sh", "-c", mount, str(cache), *command]
    else:
        command[2] = "path-with-limit"
    done = run(command)
    answer = json.loads(done.stdout)
    assert answer["leftovers"] == []
    assert answer["error"].startswith(f"tiny: the disk that holds {cache}"), done
    assert "TL_COURSE_CACHE" in answer["error"] and "\n" not in answer["error"]


@pytest.mark.parametrize("files", [RANDOM, ZEROS], ids=["in pip's download", "in our copy"])
def test_a_limit_on_file_size(
    files: dict[str, bytes], tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("resource", reason="this system has no such limits")
    asset = register(tmp_path, monkeypatch, files)
    done = run(worker("path-with-limit", asset, tmp_path))
    answer = json.loads(done.stdout)
    assert answer["leftovers"] == [] and answer["error"].startswith(f"tiny: the disk that holds {cache}"), done


def test_a_cache_folder_that_cannot_be_made(tiny: Asset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("TL_COURSE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(assets.AssetError, match=r"file/cache cannot be written .*; make it writable, or set TL_COURSE"):
        assets.fetch("tiny", progress=False)


def test_a_read_only_cache_folder(tiny: Asset, tmp_path: Path, cache: Path) -> None:
    """A fetch into it fails with one line; what is in it already can be used."""
    command = worker("path", tiny, tmp_path)
    (cache / "assets").mkdir(parents=True)
    if prefix := own_mounts():
        lock, unlock = 'mount -o remount,ro "$0"', 'mount -o remount,rw "$0"'
        script = f'mount -t tmpfs tmpfs "$0"; {lock}; "$@"; {unlock}; "$@"; {lock}; "$@"'
        output = run([*prefix, "sh", "-c", script, str(cache), *command]).stdout
    elif os.geteuid():
        script = 'chmod a-w "$0"; "$@"; chmod u+w "$0"; "$@"; chmod a-w "$0"; "$@"; chmod u+w "$0"'
        output = run(["sh", "-c", script, str(cache / "assets"), *command]).stdout
    else:
        pytest.skip("root may write anywhere, and nothing can be mounted here")
    failed, fetched, used = (json.loads(line) for line in output.splitlines())
    assert "cannot be written" in failed["error"]
    assert failed["leftovers"] == []
    assert fetched["path"] == used["path"] == str(cache / "assets" / "tiny")


def test_fetch_all_goes_on_after_a_failure(tiny: Asset, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = dataclasses.replace(tiny, name="gone", version="7.0")
    monkeypatch.setitem(ASSETS, "gone", gone)
    first, second, third = assets.fetch_all(["gone", "tiny", "digits"], progress=False)
    assert (first["status"], first["path"]) == ("missing", None)
    assert first["error"].startswith("gone: pip found no tl-tiny==7.0")
    assert second == {"name": "tiny", "status": "ready", "path": str(cache / "assets" / "tiny"), "error": None}
    assert third["status"] == "ready"


# -- files that are checked whenever they are used ---------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["changed", "cut off", "gone"])
def test_a_damaged_file_is_named_and_can_be_fetched_anew(tiny: Asset, damage: str) -> None:
    file = assets.path("tiny") / "sub" / "b.bin"
    if damage == "changed":
        file.write_bytes(b"x" + file.read_bytes()[1:])
    elif damage == "cut off":
        file.write_bytes(file.read_bytes()[:-1])
    else:
        file.unlink()
    assert assets.status("tiny") == "damaged"
    for call in (assets.path, assets.verify):
        with pytest.raises(assets.AssetError, match=r"b\.bin is not the file .*; run `tl-course assets fetch tiny`$"):
            call("tiny")
    assets.fetch("tiny", progress=False)
    assert file.read_bytes() == SMALL["sub/b.bin"]
    assets.verify("tiny")


def test_a_file_is_hashed_once_a_process_and_anew_by_verify(tiny: Asset) -> None:
    file = assets.path("tiny") / "a.txt"
    assets.path("tiny")
    facts = file.stat()
    file.write_bytes(b"fIrst\n")
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert assets.status("tiny") == "ready"  # same size, same time: not hashed again
    with pytest.raises(assets.AssetError, match=r"a\.txt is not the file"):
        assets.verify("tiny")


def test_a_package_that_is_not_installed_or_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    digits = ASSETS["digits"]
    monkeypatch.setitem(ASSETS, "digits", dataclasses.replace(digits, origin="tl-nothing"))
    with pytest.raises(assets.AssetError, match=r"not on this computer yet; run `.* -m pip install .*tl-nothing==1"):
        assets.path("digits")
    monkeypatch.setitem(ASSETS, "digits", dataclasses.replace(digits, files={"digits.csv.gz": "0" * 64}))
    with pytest.raises(assets.AssetError, match=r"digits\.csv\.gz is not the file .*scikit-learn=="):
        assets.path("digits")


def test_a_shipped_asset(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"errors.py": sha256(Path(assets.__file__).with_name("errors.py").read_bytes())}
    shipped = dataclasses.replace(ASSETS["digits"], name="own", source="shipped", folder="", files=own)
    monkeypatch.setitem(ASSETS, "own", shipped)
    assert assets.path("own") == Path(assets.__file__).with_name("errors.py")


def test_folders_are_searched_in_order_and_mirrors_may_compress_as_they_like(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gzip

    asset = dataclasses.replace(
        ASSETS["fashion_mnist"],
        files={"labels.gz": sha256(b"\0\1\2")},
        folders=(str(tmp_path / "system"), "{cache}/torchvision"),
    )
    monkeypatch.setitem(ASSETS, "fashion_mnist", asset)
    with pytest.raises(assets.AssetError, match=r"not on this computer yet; .*dataset-fashion-mnist"):
        assets.path("fashion_mnist")
    for level, folder in ((9, cache / "torchvision"), (0, tmp_path / "system")):
        folder.mkdir(parents=True)
        (folder / "labels.gz").write_bytes(gzip.compress(b"\0\1\2", level))
        assert assets.path("fashion_mnist") == folder / "labels.gz"
    (tmp_path / "system" / "labels.gz").write_bytes(gzip.compress(b"\0\1\2")[:-9])
    with pytest.raises(assets.AssetError, match="cut off or not gzip"):
        assets.path("fashion_mnist")


# -- the table and the real assets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, asset in ASSETS.items() if not asset.optional])
def test_the_real_asset_is_ready_and_as_the_table_says(name: str) -> None:
    asset = ASSETS[name]
    assets.verify(name)
    place = assets.path(name)
    files = [place] if place.is_file() else [place / file for file in asset.files]
    assert sum(file.stat().st_size for file in files) == asset.size
    assert all((asset.licence, asset.citation, asset.homepage, asset.version))


def test_mobilenet_v2_has_torchvisions_names() -> None:
    from safetensors import safe_open

    from tl_course.compat import torchvision

    with safe_open(assets.path("mobilenet_v2"), "numpy") as file:
        shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    model = torchvision().models.mobilenet_v2(weights=None)
    expected = {key: tuple(value.shape) for key, value in model.state_dict().items() if key.startswith("features.")}
    assert shapes == expected
    assert len(shapes) == 312


def test_torchvision_name() -> None:
    assert torchvision_name("features.0.1.bias") == "features.0.1.bias"
    assert torchvision_name("features.1.conv.3.weight") == "features.1.conv.1.weight"
    assert torchvision_name("features.2.conv.4.running_mean") == "features.2.conv.1.1.running_mean"
    assert torchvision_name("features.17.conv.7.weight") == "features.17.conv.3.weight"


def test_the_list_is_plain_and_complete() -> None:
    rows = json.loads(json.dumps(assets.list_assets()))
    assert [row["name"] for row in rows] == list(ASSETS)
    keys = {
        "name",
        "kind",
        "source",
        "origin",
        "version",
        "sha256",
        "size",
        "licence",
        "citation",
        "homepage",
        "status",
    }
    assert all(keys <= row.keys() and len(row["sha256"]) == 64 for row in rows)


def test_the_hash_of_several_files_is_that_of_their_list(tiny: Asset, cache: Path) -> None:
    folder = assets.path("tiny")
    lines = [f"{sha256((folder / name).read_bytes())}  {name}\n" for name in ("a.txt", "sub/b.bin")]
    assert tiny.sha256 == sha256("".join(lines).encode())


def test_no_framework_is_imported() -> None:
    code = (
        "import sys, tl_course.assets as a; a.list_assets(); "
        "print({'torch', 'tensorflow', 'keras', 'transformers', 'sklearn', 'pandas', 'skimage'} & set(sys.modules))"
    )
    assert run([sys.executable, "-c", code]).stdout == "set()\n"


def main(action: str, table: str) -> None:
    """In another process: get the asset; print {"path", "error", "leftovers"} as JSON."""
    values = json.loads(Path(table).read_text())
    archive = values.pop("archive")
    archive["members"] = tuple(archive["members"])
    ASSETS["tiny"] = Asset(**values, archive=Archive(**archive))
    if action == "path-with-limit":
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
    answer: dict[str, Any] = {"path": None, "error": None}
    try:
        answer["path"] = str(assets.path("tiny"))
    except assets.AssetError as error:
        answer["error"] = str(error)
    print(json.dumps(answer | {"leftovers": leftovers(assets.cache_dir())}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
