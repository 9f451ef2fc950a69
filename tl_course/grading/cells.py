"""Runs the code cells of a notebook in this process, without a kernel: what a cell puts out is what a notebook shows.

For processes that are isolated already. The learner's code shares the interpreter with this module and can change
anything in it, so what comes back is a claim: `tripwires` holds cells that show whether it can be believed.
"""

import builtins
import contextlib
import getpass
import importlib.util
import os
import re
import sys
import tempfile
import types
import warnings
from dataclasses import dataclass
from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.error import StdinNotImplementedError
from IPython.core.interactiveshell import ExecutionResult, InteractiveShell
from traitlets.config import Config

from tl_course.grading.cell_outputs import Recorder, Stream

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_INLINE = "module://matplotlib_inline.backend_inline"
_LEAST_DEPTH = 1000  # Python's own recursion limit: this module needs room after a cell that lowered it
_run_cell, _getpid, _exit = InteractiveShell.run_cell, os.getpid, os._exit


_prepared: "list[CellRunner]" = []


@dataclass
class Ran:
    """What became of one cell."""

    ok: bool
    outputs: list[dict[str, Any]]
    error: str | None


class _Hook(DisplayHook):
    """Records the value of a cell's last expression."""

    shell: Any

    def write_output_prompt(self) -> None:
        """Nothing: the output carries its number."""

    def write_format_data(self, format_dict: dict[str, Any], md_dict: dict[str, Any] | None = None) -> None:
        """Record the value in all its forms."""
        self.shell.recorder.result(format_dict, md_dict, self.prompt_count)

    def log_output(self, format_dict: dict[str, Any]) -> None:
        """Nothing: there is no history."""

    def finish_displayhook(self) -> None:
        """Nothing is written after a value."""
        self._is_active = False


class _Publisher(DisplayPublisher):
    """Records what cells display."""

    shell: Any

    def publish(
        self,
        data: Any,
        metadata: Any = None,
        source: Any = None,
        *,
        transient: Any = None,
        update: bool = False,
        **_more: Any,
    ) -> None:
        """Record a MIME bundle."""
        display_id = (transient or {}).get("display_id")
        self.shell.recorder.display(data, metadata, display_id, update)

    def clear_output(self, wait: bool = False) -> None:
        """Forget what the cell has shown so far."""
        self.shell.recorder.clear(wait)


class _Shell(InteractiveShell):
    """IPython as a notebook sees it, which keeps no history and writes no files."""

    _db: Any = None
    displayhook_class = _Hook  # type: ignore[assignment]
    display_pub_class = _Publisher  # type: ignore[assignment]
    recorder: Recorder
    brief = False

    def __init__(self, *args: Any, recorder: Recorder, **kwargs: Any) -> None:
        self.recorder = recorder
        super().__init__(*args, **kwargs)

    def init_ipython_dir(self, ipython_dir: Any) -> None:
        """None: nothing is read from or written to the home folder."""

    def init_profile_dir(self, profile_dir: Any) -> None:
        """None."""

    @property
    def db(self) -> Any:  # type: ignore[override]
        """What ``%cd`` and ``%bookmark`` keep: in a folder of its own, made when it is first asked for."""
        if self._db is None:
            from IPython.external.pickleshare import PickleShareDB

            self._db = PickleShareDB(tempfile.mkdtemp())
        return self._db

    def init_virtualenv(self) -> None:
        """Leave sys.path alone."""

    def enable_gui(self, gui: Any = None) -> None:
        """There is no window system."""

    def ask_exit(self) -> None:
        """Called by ``exit()`` and ``quit()``."""
        raise SystemExit

    def showtraceback(self, exc_tuple: Any = None, *args: Any, **kwargs: Any) -> None:
        """Record an error; without its traceback, which takes long to format, where only its message is asked for."""
        if not self.brief:
            return super().showtraceback(exc_tuple, *args, **kwargs)
        etype, value, _traceback = exc_tuple or sys.exc_info()
        self.recorder.error(_name(etype), _message(value), [f"{_name(etype)}: {_message(value)}"])

    def _showtraceback(self, etype: Any, evalue: Any, stb: list[str]) -> None:
        lines = [_COLOURS.sub("", line) for line in stb]
        self.recorder.error(_name(etype), _message(evalue), lines)


class CellRunner:
    """A notebook's interpreter. There can be one in a process.

    The current folder comes last on sys.path, so that no file beside the notebook stands in for an installed module.
    """

    def __init__(self, user_ns: dict[str, Any] | None = None) -> None:
        module = types.ModuleType("__main__")
        module.__dict__.update(user_ns or {}, __name__="__main__")
        self._recorder = Recorder()
        self._streams = Stream(self._recorder, "stdout", 1), Stream(self._recorder, "stderr", 2)
        builtins.input = getpass.getpass = _no_input
        plots = importlib.util.find_spec("matplotlib_inline") is not None
        if plots:
            os.environ["MPLBACKEND"] = _INLINE
        self._shell = _Shell.instance(config=_settings(), user_module=module, recorder=self._recorder)
        if plots:
            _show_plots_already_imported(self._shell)
        self.attach()

    def attach(self) -> None:
        """Let the cells print into their outputs, and import from the current folder what is found nowhere else."""
        sys.path[:] = [place for place in sys.path if place not in ("", os.getcwd())] + [""]
        sys.stdout, sys.stderr = self._streams  # type: ignore[assignment]

    def rehearse(self) -> None:
        """Run cells of the usual kinds, which imports what they need, and forget them."""
        for source in ("1", "print(1)", "1 / 0"):
            self.run(source)
        self._shell.reset()

    @property
    def namespace(self) -> dict[str, Any]:
        """The notebook's global names."""
        return self._shell.user_ns

    def run(self, source: str, brief: bool = False) -> Ran:
        """Run one cell, whatever it does to its process; ``brief`` leaves out the lines of tracebacks."""
        trace, profile, process = sys.gettrace(), sys.getprofile(), _getpid()
        try:
            self._recorder.start()
            self._shell.brief = brief
            ran = self._run(source, trace, profile)
            if _getpid() != process:  # a copy that the cell forked goes no further than the cell
                _exit(0)
            return ran
        except BaseException as error:  # what the cell left behind got in the way of looking at it
            name = _name(type(error))
            return Ran(
                False, [_error(name, "the cell left its interpreter in a state in which nothing can be told")], name
            )

    def _run(self, source: str, trace: Any, profile: Any) -> Ran:
        for name, stream in zip(("stdout", "stderr"), self._streams, strict=True):
            if not callable(getattr(getattr(sys, name), "write", None)):
                setattr(sys, name, stream)
        error: BaseException | None = None
        try:
            result = _run_cell(
                self._shell, source.encode("utf-8", "replace").decode(), store_history=not self._shell.brief
            )
            if type(result) is not ExecutionResult:
                error = TypeError("the interpreter did not say what became of the cell")
            else:
                error = result.error_before_exec or result.error_in_exec
        except BaseException as caught:
            error = caught
        finally:
            sys.settrace(trace)
            sys.setprofile(profile)
            if sys.getrecursionlimit() < _LEAST_DEPTH:
                sys.setrecursionlimit(_LEAST_DEPTH)
        if self._shell.history_manager is not None:
            self._shell.history_manager.outputs.clear()
        if error is not None and not self._recorder.failed():
            self._recorder.error(_name(type(error)), _message(error), [f"{_name(type(error))}: {_message(error)}"])
        outputs = self._recorder.finish()
        names = [output["ename"] for output in outputs if output["output_type"] == "error"]
        return Ran(not names, outputs, names[-1] if names else None)


def prepare() -> None:
    """Make the interpreter now, in a process that forks the ones that use it, and have it do once what takes long."""
    streams, path = (sys.stdout, sys.stderr), list(sys.path)
    _prepared.append(CellRunner())
    _prepared[0].rehearse()
    (sys.stdout, sys.stderr), sys.path[:] = streams, path


def runner() -> CellRunner:
    """The interpreter of this process's notebook: the prepared one, or a new one."""
    if not _prepared:
        return CellRunner()
    _prepared[0].attach()
    return _prepared[0]


def _settings() -> Config:
    config = Config()
    config.HistoryManager.enabled = False
    config.HistoryManager.hist_file = ":memory:"
    config.InteractiveShell.colors = "nocolor"
    return config


def _show_plots_already_imported(shell: InteractiveShell) -> None:
    """Do what importing the inline backend does, where matplotlib was imported before there was a shell."""
    if "matplotlib" in sys.modules:
        sys.modules["matplotlib"].use(_INLINE)
    if "matplotlib.pyplot" in sys.modules:
        from matplotlib_inline.backend_inline import configure_inline_support

        sys.modules["matplotlib"].interactive(True)
        with contextlib.suppress(ValueError):  # not registered yet
            from matplotlib_inline.backend_inline import flush_figures

            shell.events.unregister("post_execute", flush_figures)
        configure_inline_support(shell, _INLINE)


def _no_input(prompt: object = "", *_more: object, **_others: object) -> str:
    raise StdinNotImplementedError("input() was called, but nobody is there to answer while a notebook is graded")


def _error(name: str, message: str) -> dict[str, Any]:
    return {"output_type": "error", "ename": name, "evalue": message, "traceback": [f"{name}: {message}"]}


def _name(kind: Any) -> str:
    """A class's name, past what its metaclass may say."""
    return str.__str__(type.__dict__["__name__"].__get__(kind))


def _message(error: Any) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return str.__str__(str(error))
    except BaseException:
        return "an error whose message cannot be read"
