"""Progress in the notebook panel: how each topic stands, the interviews, and the way out of this file and back."""

from pathlib import Path

import ipywidgets as widgets

from tl_course import progress_file
from tl_course.i18n import _
from tl_course.practice import mock
from tl_course.practice.mock_report import compare, compare_columns
from tl_course.practice.overview import by_topic, topic_columns
from tl_course.practice.panel_parts import FIELD, LABEL, View, row, soft, table, titled


class ProgressView(View):
    """Where the learner stands; progress to a JSON file and from one."""

    def __init__(self) -> None:
        super().__init__()
        self.shown, self.said = widgets.HTML(), widgets.HTML()
        self.path = widgets.Text("tl_course_progress.json", description=_("JSON file"), layout=FIELD, style=LABEL)
        self.keep = self.button(_("Export my progress"), self._export)
        self.add = self.button(_("Import"), self._import)
        self.box.children = (self.shown, self.path, row(self.keep, self.add), self.said, self.trouble)

    def refresh(self) -> None:
        """Read the progress anew."""
        self.guarded(self._describe)

    def _describe(self) -> None:
        parts = titled(_("By topic"), table(by_topic(), topic_columns()))
        rows = compare(mock.finished())
        if rows:
            parts += titled(_("Your interviews"), table(rows, compare_columns()))
        self.shown.value = parts + titled(_("Take your progress with you"), "")

    def _export(self) -> None:
        self.said.value = ""
        path = self._file()
        count = progress_file.export_json(path)
        self.said.value = soft(_("{count} rows of progress are in {path}").format(count=count, path=path))

    def _import(self) -> None:
        self.said.value = ""
        count = progress_file.import_json(self._file())
        self._describe()
        self.said.value = soft(_("{count} rows were new and are added; nothing was replaced").format(count=count))

    def _file(self) -> Path:
        return Path(self.path.value.strip()).expanduser()
