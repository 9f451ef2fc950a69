"""What every evidence script does: keep its settings, seeds, results, versions and date in a small JSON file."""

import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent
PACKAGES = ("numpy", "scikit-learn", "torch", "torchvision", "transformers")


def write_json(name: str, settings: Mapping[str, Any], seeds: Sequence[int], results: Mapping[str, Any]) -> Path:
    """Write `NAME.json` beside the scripts: settings, seeds, results, package versions, date, and how to remake it.

    Args:
        name: the script's name without its suffix.
        settings: everything that was chosen, and how.
        seeds: the seeds of the repetitions, in the order of the results.
        results: numbers, lists, arrays and mappings of them.
    """
    content = {
        "name": name,
        "command": f"python benchmarks/evidence/{name}.py",
        "settings": settings,
        "seeds": list(seeds),
        "results": results,
        "versions": {package: version(package) for package in PACKAGES},
        "date": datetime.now(UTC).date().isoformat(),
    }
    path = FOLDER / f"{name}.json"
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(content, indent=1, default=_plain) + "\n", encoding="utf-8")
    os.replace(temporary, path)
    print(f"wrote {path.name}; to make it again: {content['command']}")
    return path


def summary(values: np.ndarray) -> str:
    """Mean and sample standard deviation over seeds, in percent."""
    runs = 100 * values
    return f"{runs.mean():.1f} ± {runs.std(ddof=1):.1f} %"


def _plain(value: Any) -> Any:
    """NumPy values as JSON has them; four decimals are more than the spread supports."""
    if isinstance(value, np.ndarray):
        return np.round(value, 4).tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"cannot write {type(value).__name__} as JSON")
