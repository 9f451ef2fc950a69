"""The commands `update` and `uninstall`: a newer version of the course, and none of it any more."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tl_course.i18n import _

if TYPE_CHECKING:
    from tl_course.uninstall import Place


@click.command()
@click.option(
    "--from",
    "source",
    metavar="FOLDER",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Another clone on this machine to take it from.",
)
def update(source: Path | None) -> int:
    """Bring the newest version; what you wrote stays.

    Your notebooks are copied first. New cells arrive between yours, your answers and your own cells stay.
    """
    from tl_course import lessons, update

    update.update(lessons.ROOT, source, click.echo)
    return 0


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
def uninstall(yes: bool) -> int:
    """Remove the course from this machine; your work stays."""
    from tl_course import lessons, uninstall

    plan = uninstall.plan(lessons.ROOT)
    click.echo(_("To be removed:"))
    _list(plan.remove)
    if plan.stay:
        click.echo(_("Yours, and left alone:"))
        _list(plan.stay)
    if plan.remove and not yes:
        click.confirm(_("Remove what is listed first?"), abort=True)
    failed = uninstall.remove(lessons.ROOT, plan.remove)
    for line in failed:
        click.echo(_("error: not removed: {line}").format(line=line), err=True)
    for line in plan.by_hand:
        click.echo(line)
    click.echo(_("What is left in {folder} is the course's text and your work.").format(folder=lessons.ROOT))
    return int(bool(failed))


def _list(places: "list[Place]") -> None:
    """Each place with its size and what it is."""
    for place in places:
        click.echo(f"  {place.size / 1e6:10,.1f} MB  {place.path}  ({place.what})")
    if not places:
        click.echo("  " + _("nothing"))
