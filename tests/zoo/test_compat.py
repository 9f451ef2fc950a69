"""torchvision and the libraries that import it, each in a fresh process."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "code",
    [
        "from tl_course.compat import torchvision; print(torchvision() is torchvision())",
        "from tl_course.compat import torchvision; torchvision(); import torchvision.transforms.v2; print(True)",
        "from tl_course import zoo; print(zoo.load('minilm', device='cpu').features(['hello']).shape == (1, 384))",
    ],
)
def test_works_in_a_process_of_its_own(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "True\n", done.stderr
