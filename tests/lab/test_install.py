"""The extensions are put into the environment and taken away again, and nothing else is touched."""

import sys

import pytest

from tl_course.lab import install


@pytest.fixture(autouse=True)
def prefix(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    return tmp_path


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_installed_and_gone_again(prefix):
    other = prefix / "share" / "jupyter" / "labextensions" / "other" / "package.json"
    other.parent.mkdir(parents=True)
    other.write_text("{}")
    assert not install.installed()
    install.install()
    install.install()
    assert install.installed() and (install.places()[0] / "static" / "container.js").is_file()
    install.uninstall()
    install.uninstall()
    assert not install.installed() and files(prefix) == ["share/jupyter/labextensions/other/package.json"]
    assert (install.SOURCE / "package.json").is_file()


def test_where_no_links_can_be_made_an_older_copy_is_replaced(prefix, monkeypatch):
    def refused(self, *arguments, **named):
        raise OSError("no links here")

    monkeypatch.setattr(type(prefix), "symlink_to", refused)
    install.install()
    front, _server = install.places()
    assert not front.is_symlink() and install.installed()
    (front / "static" / "home.js").write_text("older")
    assert not install.installed()
    install.install()
    assert install.installed() and (front / "static" / "home.js").read_text() != "older"


def test_an_environment_that_cannot_be_written_to_is_said(prefix):
    (prefix / "share").write_text("in the way")
    with pytest.raises(OSError):
        install.install()
    assert not install.installed()
