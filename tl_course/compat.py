"""torchvision beside a torch build that its compiled extension was not made for.

Some installs pair a CPU build of torch with a torchvision whose extension wants CUDA libraries. The extension then does
not load, and importing torchvision fails with "operator torchvision::nms does not exist", although models, transforms
and datasets need no compiled code. Declaring the two operators that torchvision looks up at import is enough. Where
the extension loads, nothing is declared and torchvision is imported as usual.
"""

import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from tl_course.errors import BadInput
from tl_course.i18n import _

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_declared: list[object] = []  # keeps the torch.library.Library alive: its declarations go when it does


def _extension_loads(package: Path) -> bool:
    """True where torchvision's own compiled operators can be loaded into this torch."""
    import torch

    for library in sorted([*package.glob("_C*.so"), *package.glob("_C*.pyd"), *package.glob("_C*.dylib")]):
        try:
            torch.ops.load_library(str(library))
        except (ImportError, OSError):
            continue
        return True
    return False


def make_importable() -> bool:
    """Make `import torchvision` work, here and inside libraries that import it themselves, as transformers does.

    Returns:
        Whether torchvision is installed.
    """
    if "torchvision" in sys.modules:
        return True
    spec = find_spec("torchvision")
    if spec is None or spec.origin is None:
        return False
    if not _declared and not _extension_loads(Path(spec.origin).parent):
        import torch

        library = torch.library.Library("torchvision", "DEF")
        for schema in _SCHEMAS:
            library.define(schema)
        _declared.append(library)
    return True


def torchvision() -> ModuleType:
    """The torchvision module, importable with or without its compiled extension.

    Raises:
        BadInput: torchvision is not installed.
    """
    if not make_importable():
        raise BadInput(
            expected=_("torchvision beside PyTorch"),
            got=_("no torchvision in this environment"),
            remedy=_("install it with: pip install torchvision"),
        )
    import torchvision as module

    return module
