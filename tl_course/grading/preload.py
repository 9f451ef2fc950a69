"""Start to import what submissions use before anything else is known of them: it takes longest."""

import glob
import re
import threading
from collections.abc import Sequence
from pathlib import Path

from tl_course.grading.confinement import Limits
from tl_course.grading.sandbox import Warm
from tl_course.grading.zygote import CELLS

HEAVY = ("torch", "torchvision", "tensorflow", "keras", "transformers", "sklearn", "matplotlib", "pandas", "scipy")
IMPORTED_AS = {"sklearn": "sklearn.linear_model", "matplotlib": "matplotlib.pyplot", "tensorflow": "keras"}
LATER = {"optim": "torch._dynamo", "assert_close": "torch.distributed.tensor"}
"""What torch imports when a name is used for the first time, and takes about a second for."""
_HEADED = re.compile(r"# exercise: [\w-]+ \((\w+)\)")
_IMPORT = re.compile(r"^\s*(?:import|from)\s+(\w+)", re.MULTILINE)


class Early:
    """A warm process that is started in the background, with the modules that an assignment seems to use.

    Args:
        root: the course's folder.
        assignment: its name.
        limits, allow_unsafe: see `Warm`.
    """

    def __init__(self, root: Path, assignment: str, limits: Limits, allow_unsafe: bool) -> None:
        # Made here and not in the thread: the process ends with the thread that made it.
        self._warm = Warm((), limits, allow_unsafe, wait=False)
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._get_ready, args=(root, assignment), daemon=True)
        self._thread.start()

    def take(self) -> Warm:
        """The process, once it is ready. Raises what starting it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._warm

    def close(self) -> None:
        """End the process."""
        self._warm.close()
        self._thread.join()

    def _get_ready(self, root: Path, assignment: str) -> None:
        try:
            self._warm.get_ready()
            self._warm.need(guessed_modules(root, assignment))
        except Exception as error:  # told to whoever takes it
            self._error = error


def modules(sources: Sequence[str], processes: Sequence[str] = ()) -> list[str]:
    """Modules worth importing once for submissions with this source text, in the order in which they load well."""
    found = {match for source in sources for match in _IMPORT.findall(source) if match in HEAVY}
    for process in processes:
        found |= {"torch", "torchvision"} if process.startswith("pytorch") else set()
        found |= {"keras"} if process == "keras" else set()
        found |= {"transformers"} if "transformers" in process else set()
    chosen = [IMPORTED_AS.get(module, module) for module in HEAVY if module in found]
    extra = ["transformers.models.bert.modeling_bert"] if "transformers" in found else []
    if "torch" in found:
        extra += [module for name, module in LATER.items() if any(name in source for source in sources)]
    return list(dict.fromkeys(["numpy", *chosen, *extra, *(["numpy.testing", CELLS] if sources else [])]))


def guessed_modules(root: Path, assignment: str) -> list[str]:
    """Modules that an assignment's submissions probably use, from the text of what was handed out, wherever it lies."""
    texts = []
    for path in root.glob(f"*/{glob.escape(assignment)}/*.ipynb"):
        if path.is_file() and path.stat().st_size < 2**24:
            texts.append(path.read_text(encoding="utf-8", errors="replace"))
    frameworks = sorted({framework for text in texts for framework in _HEADED.findall(text)})
    return modules([] if frameworks else [text.replace('"', "\n").replace("\\n", "\n") for text in texts], frameworks)
