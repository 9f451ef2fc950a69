"""Kernels forked from a process with the frameworks imported are like new ones and apart from each other."""

import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from tl_course.grading import warm_kernel, warm_kernel_client

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux only")
LIMIT = 120  # seconds for one cell on a busy machine
SMALL = ("numpy.random", "ipykernel.kernelapp", "colorsys")  # quick to import; nothing else imports colorsys
CLIENT = """
import json, sys, time
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager
manager = KernelManager(kernel_name="tl-course-warm", kernel_spec_manager=KernelSpecManager(kernel_dirs=[sys.argv[1]]))
manager.start_kernel()
client = manager.client()
client.start_channels()
client.wait_for_ready(timeout=120)
print(json.dumps(manager.provisioner.pid), flush=True)
time.sleep(600)
"""


class Kernel:
    """A running kernel with what it takes to use it.

    Args:
        folder: where the kernelspec goes.
        preload: what its server imports.
        options: for start_kernel.
    """

    def __init__(self, folder: Path, preload: tuple[str, ...] = SMALL, **options: object) -> None:
        warm_kernel.install(str(folder), preload)
        specs = KernelSpecManager(kernel_dirs=[str(folder / "share" / "jupyter" / "kernels")])
        self.manager = KernelManager(kernel_name=warm_kernel.NAME, kernel_spec_manager=specs)
        self.manager.start_kernel(**options)
        self.client = self.manager.client()
        self.client.start_channels()
        self.wait()

    def wait(self) -> None:
        """Wait until it answers."""
        self.client.wait_for_ready(timeout=LIMIT)

    def run(self, code: str) -> str:
        """What a cell prints, or the name of its error."""
        shown = []

        def keep(message: dict) -> None:
            content = message["content"]
            shown.append(content.get("text") or content.get("ename") or "")

        self.client.execute_interactive(code, output_hook=keep, timeout=LIMIT, allow_stdin=False)
        return "".join(shown).strip()

    def is_forked(self) -> bool:
        """Whether it came from a server rather than from a start of its own."""
        return isinstance(self.manager.provisioner.process, warm_kernel_client.ForkedKernel)

    def end(self) -> None:
        """Shut it down."""
        self.client.stop_channels()
        if self.manager.has_kernel:
            self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()


@pytest.fixture
def start(tmp_path):
    """Starts kernels; they and their servers end with the test."""
    kernels = []

    def start_one(preload: tuple[str, ...] = SMALL, **options: object) -> Kernel:
        kernels.append(Kernel(tmp_path, preload, **options))
        return kernels[-1]

    yield start_one
    for kernel in kernels:
        kernel.end()
    warm_kernel_client.close()
    warm_kernel_client._broken.clear()


def gone(pid: int) -> bool:
    """Whether a process ends within the time limit."""
    try:
        process = psutil.Process(pid)
        return process.status() == psutil.STATUS_ZOMBIE or process.wait(LIMIT) is None or True
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False


def test_kernel_has_modules_imported_and_is_otherwise_new(start):
    kernel = start()
    assert kernel.is_forked()
    assert kernel.run("import sys; print('colorsys' in sys.modules)") == "True"
    assert (
        kernel.run("print(__name__, sys.path.count(''), 'tl_course' in sys.modules, sys.argv[1:2])")
        == "__main__ 1 False ['-f']"
    )
    assert kernel.run("print(Path)") == "NameError"
    assert kernel.run("from tl_course.grading import warm_kernel_server; print('again')") == "again"
    assert kernel.run("import os; print(os.getsid(0) == os.getpid() == os.getpgid(0))") == "True"
    assert kernel.run("print(os.getpid())") == str(kernel.manager.provisioner.pid)


def test_kernel_has_its_own_folder_and_environment(start, tmp_path):
    first = start(cwd=str(tmp_path), env={**os.environ, "WHOSE": "first"})
    second = start(env={name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"})
    assert first.is_forked() and second.is_forked()
    code = "import os, subprocess; print(os.getcwd(), os.environ.get('WHOSE'), 'PYTEST_CURRENT_TEST' in os.environ)"
    assert first.run(code) == f"{tmp_path} first True"
    assert second.run(code) == f"{os.getcwd()} None False"
    assert first.run("print(subprocess.check_output('echo $WHOSE', shell=True, text=True))") == "first"


def test_kernels_do_not_see_each_others_changes(start):
    first = start()
    first.run("import colorsys; colorsys.rgb_to_hsv = None; import numpy; numpy.marked = True")
    second = start()
    assert (
        second.run("import colorsys, numpy; print(colorsys.rgb_to_hsv is None, hasattr(numpy, 'marked'))")
        == "False False"
    )
    first.manager.restart_kernel(now=True)
    first.wait()
    assert first.is_forked()
    assert first.run("import colorsys; print(colorsys.rgb_to_hsv is None)") == "False"


def test_kernels_draw_different_random_numbers(start):
    code = "import random, numpy; print(random.random(), numpy.random.rand(), key().hex())"
    code = "from multiprocessing import current_process as p; key = lambda: p().authkey; " + code
    first, second = (start().run(code).split() for _ in range(2))
    assert len(first) == 3
    assert all(one != other for one, other in zip(first, second, strict=True))


def test_crash_of_one_kernel_leaves_the_others(start):
    first, second = start(), start()
    first.client.execute("import os; os._exit(7)")
    status = wait_for_end(first)
    assert status == 7
    assert not first.manager.is_alive()
    assert second.run("print('here')") == "here"
    assert start().is_forked()


def wait_for_end(kernel: Kernel) -> int:
    """The exit status of a kernel that is about to end."""
    return kernel.manager.provisioner.process.wait(LIMIT)


def test_kernel_is_interrupted(start):
    kernel = start()
    kernel.client.execute("print('begun')\nwhile True: pass")
    while kernel.client.get_iopub_msg(timeout=LIMIT)["content"].get("text") != "begun\n":
        pass
    kernel.manager.interrupt_kernel()
    while kernel.client.get_iopub_msg(timeout=LIMIT)["content"].get("ename") != "KeyboardInterrupt":
        pass
    kernel.wait()
    assert kernel.run("print('again')") == "again"


def test_killed_kernel_says_so_and_shut_down_kernel_is_gone(start):
    killed, ended = start(), start()
    pid = ended.manager.provisioner.pid
    os.kill(killed.manager.provisioner.pid, signal.SIGTERM)
    assert wait_for_end(killed) == -signal.SIGTERM
    ended.manager.shutdown_kernel()
    assert not ended.manager.has_kernel
    assert gone(pid)


@pytest.mark.parametrize("victim", ["client", "server"])
def test_nothing_is_left_after_client_or_server_is_killed(tmp_path, victim):
    warm_kernel.install(str(tmp_path), SMALL)
    folder = tmp_path / "share" / "jupyter" / "kernels"
    with subprocess.Popen([sys.executable, "-c", CLIENT, folder], stdout=subprocess.PIPE, text=True) as client:
        try:
            assert client.stdout is not None
            kernel = json.loads(client.stdout.readline())
            server = psutil.Process(kernel).ppid()
            assert psutil.Process(server).ppid() == client.pid
            os.kill(client.pid if victim == "client" else server, signal.SIGKILL)
            assert gone(kernel)
            assert gone(server)
        finally:
            client.kill()


def test_new_server_is_started_after_the_old_one_was_killed(start):
    kernel = start()
    server = psutil.Process(kernel.manager.provisioner.pid).ppid()
    os.kill(server, signal.SIGKILL)
    assert wait_for_end(kernel) == -signal.SIGKILL
    second = start()
    assert second.is_forked()
    assert second.run("import os; print(os.getppid())") != str(server)


def test_kernel_starts_as_usual_where_the_preload_fails(start, tmp_path, monkeypatch, caplog):
    (tmp_path / "ends_at_once.py").write_text("import os; os._exit(3)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    with caplog.at_level(logging.WARNING):
        kernel = start(("ends_at_once",))
    assert not kernel.is_forked()
    assert kernel.run("print('here')") == "here"
    assert len([line for line in caplog.messages if "without the frameworks" in line]) == 1


def test_module_that_cannot_be_imported_is_left_out(start, tmp_path, monkeypatch):
    (tmp_path / "broken_module.py").write_text("raise RuntimeError('broken')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    kernel = start(("broken_module", "no_such_module", "colorsys"))
    assert kernel.is_forked()
    assert kernel.run("import sys; print('colorsys' in sys.modules)") == "True"
    assert kernel.run("import broken_module") == "RuntimeError"


@pytest.mark.parametrize(
    "options",
    [{"env": {**os.environ, "OMP_NUM_THREADS": "7"}}, {"independent": True}, {"stderr": subprocess.PIPE}],
    ids=["other settings", "outlives its client", "pipes"],
)
def test_kernel_starts_as_usual_where_a_fork_would_not_be_what_was_asked_for(start, options):
    assert start().is_forked()
    kernel = start(**options)
    assert not kernel.is_forked()
    assert kernel.run("print('here')") == "here"
    if "independent" in options:
        kernel.manager.interrupt_kernel()


def test_what_a_kernel_writes_to_its_descriptors_goes_where_it_was_sent(start, tmp_path):
    with open(tmp_path / "out", "w") as out, open(tmp_path / "err", "w") as err:
        kernel = start(stdout=out, stderr=err, env={**os.environ, "PYTEST_CURRENT_TEST": ""})
    assert kernel.is_forked()
    kernel.run(
        "import sys; print('on paper', file=sys.__stdout__, flush=True); print('too', file=sys.__stderr__, flush=True)"
    )
    assert (
        kernel.run("import sys; print(sys.stdin.read() if sys.__stdin__ is None else repr(sys.__stdin__.read()))")
        == "''"
    )
    kernel.end()
    assert (tmp_path / "out").read_text().strip() == "on paper"
    assert "too" in (tmp_path / "err").read_text()


@pytest.mark.slow
def test_frameworks_compute_and_keras_still_chooses_its_backend(start):
    first, second = start(warm_kernel.PRELOAD), start(warm_kernel.PRELOAD)
    assert first.is_forked() and second.is_forked()
    first.run("import torch, tensorflow, keras")
    assert first.run(
        "print(keras.backend.backend(), float(tensorflow.ones(3)[0] + 1), torch.ones(3).sum().item())"
    ) == ("tensorflow 2.0 3.0")
    assert first.run("print(keras.Sequential([keras.layers.Dense(2)])(torch.ones(1, 3).numpy()).shape)") == "(1, 2)"
    second.run("import os; os.environ['KERAS_BACKEND'] = 'torch'; import keras, numpy")
    layer = "type(keras.layers.Dense(2)(numpy.ones((1, 3)))).__module__"
    assert second.run(f"print(keras.backend.backend(), {layer})") == "torch torch"


@pytest.mark.slow
def test_plots_are_shown(start, monkeypatch):
    monkeypatch.delenv("MPLBACKEND")
    kernel = start(warm_kernel.PRELOAD)
    shown = []
    code = "import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.show()"
    kernel.client.execute_interactive(code, output_hook=lambda it: shown.append(it["content"]), timeout=LIMIT)
    assert any("image/png" in content.get("data", {}) for content in shown)


def test_install_and_remove(tmp_path):
    folder = warm_kernel.install(str(tmp_path))
    spec = json.loads((folder / "kernel.json").read_text())
    assert folder == tmp_path / "share" / "jupyter" / "kernels" / "tl-course-warm"
    assert spec["display_name"] == "Python 3 (tl_course, warm)"
    assert spec["metadata"]["kernel_provisioner"]["provisioner_name"] == "tl-course-warm"
    assert warm_kernel.remove(str(tmp_path))
    assert not folder.exists()
    assert not warm_kernel.remove(str(tmp_path))
