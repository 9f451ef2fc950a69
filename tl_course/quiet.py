"""The one place where the frameworks' start-up noise is turned off.

Most of it obeys environment variables that are read when a framework loads, so they are set as soon as `tl_course` is
imported (which loads none of them); a value the user has set stays. TensorFlow 2.21 also writes a few lines from its
compiled libraries' start-up code, before it has read any setting (tensorflow/tensorflow#100442): those lines, and no
others, are taken out of what `import tensorflow` writes to standard error.
"""

import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType

SETTINGS = {
    "TF_CPP_MIN_LOG_LEVEL": "3",  # TensorFlow's compiled side: only what ends the process
    "GRPC_VERBOSITY": "NONE",
    "TOKENIZERS_PARALLELISM": "false",  # otherwise a warning at every fork
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}

START_UP_LINE = re.compile(
    rb"^(WARNING: All log messages before absl::InitializeLog\(\) is called are written to STDERR"
    rb"|[IWE]\d{4} .*(oneDNN custom operations are on|Could not find cuda drivers|Unable to register cu\w+ factory).*"
    rb")\r?\n?",
    re.MULTILINE,
)


def frameworks() -> None:
    """Quieten TensorFlow, Keras, transformers and tokenizers in this process and its children; imports none of them."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    if not any(isinstance(finder, _TensorFlowFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _TensorFlowFinder())


@contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Send everything written to standard output, by Python or by compiled code, to standard error meanwhile.

    For commands whose standard output must hold one JSON value and nothing else.
    """
    with _redirected(sys.stdout, 1, 2):
        yield


@contextmanager
def without_start_up_lines() -> Iterator[None]:
    """Hold back what is written to standard error meanwhile; then write it, without TensorFlow's start-up lines."""
    with tempfile.TemporaryFile() as held:
        try:
            with _redirected(sys.stderr, 2, held.fileno()):
                yield
        finally:
            held.seek(0)
            if rest := START_UP_LINE.sub(b"", held.read()):
                sys.stderr.write(rest.decode(errors="replace"))


@contextmanager
def _redirected(stream: object, descriptor: int, target: int) -> Iterator[None]:
    """Point one of the process's file descriptors at another meanwhile; does nothing where it is closed."""
    flush = getattr(stream, "flush", lambda: None)
    flush()
    try:
        kept = os.dup(descriptor)
    except OSError:
        yield
        return
    try:
        os.dup2(target, descriptor)
        yield
    finally:
        flush()
        os.dup2(kept, descriptor)
        os.close(kept)


class _TensorFlowFinder(MetaPathFinder):
    """Finds `tensorflow` as usual and has it loaded without its start-up lines."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "tensorflow":
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _QuietLoader(spec.loader.name, spec.loader.path)
        return spec


class _QuietLoader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        with without_start_up_lines():
            super().exec_module(module)
