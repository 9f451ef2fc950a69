"""Figures with names in any script: classes and tokens are the user's, and matplotlib's own font is Latin."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

WIDE = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Serif CJK SC",
    "Source Han Sans SC",
    "Microsoft YaHei",
    "PingFang SC",
    "Hiragino Sans GB",
    "WenQuanYi Zen Hei",
    "SimHei",
    "Arial Unicode MS",
)
"""Fonts with many scripts that systems come with."""


@contextmanager
def every_script() -> Iterator[None]:
    """Draw and save figures with those of `WIDE` that are installed, for what matplotlib's font has no signs for.

    Where there is none, such signs are drawn as boxes; nothing is said, as the report holds the names.
    """
    import matplotlib.pyplot as plt
    from matplotlib.font_manager import fontManager

    installed = set(fontManager.get_font_names())
    families = [*plt.rcParams["font.family"], *(name for name in WIDE if name in installed)]
    with plt.rc_context({"font.family": families}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from")
        yield
