"""What code in the sandbox can reach: tried from inside, with the real sandbox."""

import os
import secrets
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tl_course import lessons
from tl_course.assets import cache_dir
from tl_course.errors import CourseError
from tl_course.grading import isolation
from tl_course.grading.sandbox import Warm

from .asking import SMALL, ask, result, run

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(120)]
SECRET = f"secret-{secrets.token_hex(8)}"
SHOWN = (sys.prefix, sys.base_prefix, str(isolation.PACKAGE), str(cache_dir()))
OWN_TMP = not any(path.startswith("/tmp/") for path in SHOWN)  # a course that lies there keeps it from being private


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TL_COURSE_TEST_SECRET", SECRET)
        started = Warm(["numpy"], SMALL)
    yield started
    started.close()


# ---- what it can read


def test_the_sandbox_hides_the_grader_s_files(warm, tmp_path):
    (tmp_path / "gradebook.db").write_text(SECRET)
    package = Path(isolation.PACKAGE)
    answer = package / "exercises" / "features" / "accuracy.py"
    files = [
        tmp_path / "gradebook.db",
        lessons.ROOT / "nbgrader_config.py",
        lessons.ROOT / "pyproject.toml",
        Path(__file__),
        *[file for folder in isolation.hidden() for file in sorted(folder.rglob("*.py"))[:5]],
        *sorted((package / "exercises").glob("*/accuracy.py")),
        Path("/etc/passwd"),
        Path("/etc/hostname"),
        Path("/var/log"),
    ]
    assert len(isolation.hidden()) > 10 and answer.parent.parent.is_dir()
    code = """
        import os
        def f(paths):
            return [path for path in paths if os.path.exists(path)]
    """
    there = [str(path) for path in files if path.exists()]
    assert len(there) > 40
    assert run(warm, code, paths=there) == []
    shown = [str(package / "check_answers.py"), str(package / "errors.py")]
    assert run(warm, code, paths=shown) == [str(package / "errors.py")]  # it can look, and finds what is shown


def test_the_home_folder_is_empty_but_for_the_way_to_what_is_shown(warm):
    code = """
        import os
        def f(home):
            return sorted(os.path.join(place, name) for place, _, names in os.walk(home) for name in names)
    """
    home = Path.home()
    shown = [str(place) for place in (cache_dir(), Path(sys.prefix), Path(sys.base_prefix), isolation.PACKAGE)]
    found = run(warm, code, home=str(home / ".cache") if len(home.parts) < 2 else str(home))
    found = [] if found == "FileNotFoundError" else found
    assert [path for path in found if not path.startswith(tuple(shown))] == []


def test_the_bank_cannot_be_imported(warm):
    code = """
        def f():
            import importlib, sys
            names = ["tl_course.exercises.features.accuracy", "tl_course.practice.cards", "tl_course.practice"]
            def load(name):
                importlib.import_module(name).__file__
            tried = [attempt(load, name) for name in names]
            from tl_course import exercises
            tried.append(attempt(exercises.get, "accuracy"))
            return [*tried, [name for name in sys.modules if name.startswith("tl_course.practice.")]]
    """
    *tried, loaded = run(warm, code)
    assert "done" not in tried[:2] and tried[3] != "done" and loaded == []


def test_no_secret_is_in_the_environment(warm):
    code = """
        import os
        def f():
            return [dict(os.environ), open("/proc/self/environ").read()]
    """
    assert os.environ.get("HOME")
    variables, text = run(warm, code)
    assert SECRET not in str(variables) and SECRET not in text
    assert variables["HOME"] == "/submission"


def test_two_submissions_do_not_see_each_other(warm):
    hide = """
        import os
        def f(word):
            for path in ("own.txt", "/submission/own.txt", "/submission/tmp/own.txt", "/dev/shm/own"):
                open(path, "w").write(word)
            return [sorted(os.listdir("/submission")), sorted(os.listdir("."))]
    """
    look = """
        import glob, os
        def f():
            seen = [name for place in ("/submission", ".", "/submission/tmp", "/dev/shm") for name in os.listdir(place)]
            for process in glob.glob("/proc/[0-9]*"):
                for way in ("root/submission", "cwd"):
                    try:
                        seen += os.listdir(f"{process}/{way}")
                    except OSError:
                        pass
            return seen
    """
    with warm.sandbox({"data.csv": b"1"}) as one, warm.sandbox({"data.csv": b"2"}) as two:
        assert result(ask(one, hide, word=SECRET)) == [["own.txt", "tmp", "work"], ["data.csv", "own.txt"]]
        assert {"data.csv", "tmp", "work"} == set(result(ask(two, look)))
        assert "own.txt" in result(ask(one, look))  # looking finds what is there


def test_no_other_process_can_be_looked_into(warm):
    code = """
        import glob, os
        def f():
            own, seen, readable = os.readlink("/proc/self"), [], []
            for process in glob.glob("/proc/[0-9]*"):
                pid = os.path.basename(process)
                seen.append(pid)
                for name in ("environ", "mem", "maps"):
                    if pid != own and attempt(lambda: open(f"{process}/{name}", "rb").read(1)) == "done":
                        readable.append([pid, name])
                for name in ("root", "cwd", "exe", *[f"fd/{number}" for number in range(12)]):
                    if pid != own and attempt(lambda: os.readlink(f"{process}/{name}")) == "done":
                        readable.append([pid, name])
            others = [pid for pid in range(2, 5000) if pid != os.getpid() and attempt(os.kill, pid, 0) == "done"]
            return [len(seen), readable + others]
    """
    quiet = "import time\ndef f():\n    return time.time()"
    with warm.sandbox() as other, warm.sandbox() as one:
        result(ask(other, quiet))
        seen, readable = result(ask(one, code))
        assert seen >= 4 and readable == []
        assert result(ask(other, quiet)) > 0
    assert warm.alive()


# ---- what it can change, and whom it can talk to


def test_nothing_can_be_written_but_its_own_folder_and_shared_memory(warm):
    code = """
        import os
        def f(places):
            def write(place):
                path = os.path.join(place, "written")
                with open(path, "w") as file:
                    file.write("x")
                os.unlink(path)
            lines = [line.split() for line in open("/proc/self/mounts")]
            mounts = [words[1] for words in lines if os.path.isdir(words[1])]
            return [place for place in dict.fromkeys([*places, *mounts]) if attempt(write, place) == "done"]
    """
    places = [
        "/",
        "/usr",
        "/usr/lib",
        "/etc",
        "/dev",
        "/proc",
        "/proc/sys",
        "/home",
        "/root",
        "/var/tmp",
        "/run",
        "/tmp",
    ]
    places += [sys.prefix, str(isolation.PACKAGE), str(Path.home()), str(lessons.ROOT), str(cache_dir())]
    assert sorted(run(warm, code, places=places)) == ["/dev/shm", "/submission", *(["/tmp"] if OWN_TMP else [])]
    files = """
        import os
        def f(paths):
            return [path for path in paths if attempt(lambda: os.close(os.open(path, os.O_WRONLY))) == "done"]
    """
    kernel = ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/vm/drop_caches", "/proc/1/mem"]
    kernel += [str(isolation.PACKAGE / "errors.py"), os.path.realpath(sys.executable)]
    assert run(warm, files, paths=kernel) == []
    own = run(warm, "import os\ndef f():\n    return os.path.realpath('/tmp')") == "/submission/tmp"
    assert own == OWN_TMP


def test_rights_cannot_be_had_again(warm):
    code = """
        import ctypes, os
        def f():
            library = ctypes.CDLL(None, use_errno=True)
            calls = {
                "user": lambda: library.unshare(0x10000000),
                "mount": lambda: library.mount(b"tmpfs", b"/submission", b"tmpfs", 0, None),
                "remount": lambda: library.mount(None, b"/", None, 32 | 4096, None),
                "chroot": lambda: library.chroot(b"/usr"),
                "trace": lambda: library.ptrace(16, os.getppid(), 0, 0),
                "memory": lambda: library.memfd_create(b"x", 0),
                "watch": lambda: library.inotify_init(),
                "watch with flags": lambda: library.inotify_init1(0o2000000),
                "watch all": lambda: library.fanotify_init(0, 0),
                "root": lambda: library.setuid(0) if os.getuid() else -1,
            }
            return [name for name, call in calls.items() if call() != -1]
    """
    assert run(warm, code) == []
    identity = "import os\ndef f():\n    return [os.getuid(), open('/proc/self/status').read()]"
    user, status = run(warm, identity)
    assert user != 0
    assert "CapEff:\t0000000000000000" in status and "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status


def test_nothing_reaches_the_network(warm):
    name = f"\0{SECRET}"
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as local:
        local.bind(name)
        local.listen()
        port = server.getsockname()[1]
        code = """
            import socket
            def f(port, name):
                def call(family, address):
                    with socket.socket(family) as own:
                        own.settimeout(1)
                        own.connect(address)
                        own.sendall(b"told")
                def resolve():
                    socket.getaddrinfo("example.org", 80)
                def send():
                    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
                        own.sendto(b"told", ("8.8.8.8", 53))
                return [
                    attempt(call, socket.AF_INET, ("127.0.0.1", port)),
                    attempt(call, socket.AF_INET, ("1.1.1.1", 80)),
                    attempt(call, socket.AF_UNIX, chr(0) + name),
                    attempt(resolve),
                    attempt(send),
                ]
        """
        assert "done" not in run(warm, code, port=port, name=SECRET)
        for listening in (server, local):
            listening.settimeout(0.2)
            with pytest.raises(TimeoutError):
                listening.accept()
        with socket.create_connection(("127.0.0.1", port), 5):  # it does listen
            server.accept()[0].close()


# ---- what it may be called


NAMES = ["output", "tmp", "work", "output/model.txt", "tmp/data.csv", "work/data.csv", "dev/shm", "submission"]


@pytest.mark.parametrize("name", NAMES)
def test_files_of_any_name_are_there_and_nothing_else_is(warm, name):
    code = """
        import os, tempfile
        def f(name):
            with tempfile.NamedTemporaryFile() as file:
                pass
            return [open(name).read(), os.listdir("."), print("told")]
    """
    with warm.sandbox({name: b"1"}) as sandbox:
        reply = ask(sandbox, code, name=name)
        assert result(reply) == ["1", [name.split("/")[0]], None] and reply.value["output"] == "told\n"


def test_files_that_cannot_be_laid_out_are_named_as_the_reason(warm):
    reason = r"files cannot be put into the sandbox.*No space left"
    with pytest.raises(CourseError, match=reason), warm.sandbox({"data.bin": bytes(SMALL.files + 1)}) as sandbox:
        ask(sandbox, "def f():\n    return 1")
    assert warm.alive()


# ---- where it cannot be had


@pytest.fixture
def without_bubblewrap(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.usefixtures("without_bubblewrap")
def test_without_bubblewrap_nothing_runs():
    with pytest.raises(CourseError, match=r"bubblewrap is not there.*--allow-unsafe"):
        Warm([])


@pytest.mark.usefixtures("without_bubblewrap")
def test_without_bubblewrap_it_runs_when_told_so_and_says_what_is_missing():
    started = Warm(["numpy"], SMALL, allow_unsafe=True)
    try:
        (missing,) = started.unprotected
        assert "files" in missing and "network" in missing
        with started.sandbox({"data.csv": b"1"}) as sandbox:
            assert result(ask(sandbox, "def f():\n    return open('data.csv').read()")) == "1"
            assert ask(sandbox, "import os\ndef f():\n    os._exit(0)").state == "crashed"
            assert result(ask(sandbox, "def f():\n    return 1")) == 1
    finally:
        started.close()


def test_with_it_nothing_is_unprotected(warm):
    assert warm.unprotected == []
