"""A course folder as nbgrader sees it: its settings and its directories, loaded without running an nbgrader command."""

import sys
from pathlib import Path

from jupyter_core.paths import jupyter_config_path
from nbgrader.api import Gradebook
from nbgrader.apps import NbGrader
from nbgrader.coursedir import CourseDirectory
from traitlets import TraitError
from traitlets.config import Config
from traitlets.config.loader import ConfigFileNotFound, PyFileConfigLoader

from tl_course.errors import BadInput
from tl_course.i18n import _

NAME = "nbgrader_config.py"


def load_config(root: Path) -> Config:
    """The settings an nbgrader command has when it is run in ``root``: the user's own, then the course's.

    Settings under names that nbgrader has given up are moved to today's. Modules beside the settings can be imported
    from them. Nothing is logged, no argument of this process is read, and no folder is made.

    Raises:
        BadInput: there is no nbgrader_config.py in ``root``, or it stops with an error.
    """
    root = root.absolute()
    if not (root / NAME).is_file():
        remedy = _("run this in the course's folder, where {name} is").format(name=NAME)
        raise BadInput(_("a course's folder"), _("no {path}").format(path=root / NAME), remedy)
    config = Config()
    for folder in [*reversed(jupyter_config_path()), str(root)]:
        config.merge(_read(Path(folder)))
    config.CourseDirectory.root = str(root / config.CourseDirectory.get("root", ""))
    return config


def course(root: Path) -> CourseDirectory:
    """The course's directories and the address of its gradebook.

    Raises:
        BadInput: see `load_config`; or a setting of `CourseDirectory` has the wrong type.
    """
    try:
        return CourseDirectory(config=load_config(root))
    except TraitError as error:
        raise unusable(root / NAME, error) from error


def gradebook(found: CourseDirectory) -> Gradebook:
    """The course's gradebook, for a `with` statement; none is made where there is none.

    Raises:
        BadInput: the gradebook is a file, and there is no such file.
    """
    path = found.db_url.removeprefix("sqlite:///")
    if found.db_url.startswith("sqlite:///") and not (Path(found.root) / path).is_file():
        remedy = _("run `nbgrader generate_assignment` first")
        raise BadInput(_("a course with a gradebook"), _("no {path}").format(path=path), remedy)
    return Gradebook(found.db_url, found.course_id)


def _read(folder: Path) -> Config:
    """The settings in one folder, none where it has no file of them."""
    sys.path.append(str(folder))
    try:
        config = PyFileConfigLoader(NAME, path=str(folder)).load_config()
        return NbGrader(config=config, log_level="CRITICAL").config
    except ConfigFileNotFound:
        return Config()
    except (Exception, SystemExit) as error:  # the file is a program of the teacher's own
        raise unusable(folder / NAME, error) from error
    finally:
        sys.path.remove(str(folder))


def unusable(path: Path, error: BaseException) -> BadInput:
    """What is wrong with a file of settings."""
    got = f"{path}: {type(error).__name__}: {error}"
    return BadInput(
        _("settings that nbgrader can read"), got, _("mend that file; `nbgrader --help-all` lists settings")
    )
