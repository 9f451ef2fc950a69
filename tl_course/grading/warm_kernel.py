"""Jupyter kernels that start with the frameworks already imported.

Each program that starts kernels (JupyterLab, nbclient, nbval, nbgrader) gets a process of its own in which torch,
TensorFlow and Keras are imported once (see `warm_kernel_server`). A kernel is a fork of it and otherwise like a new
one; where none can be forked, it starts as usual. Choose it by its name, after
``python -m tl_course.grading.warm_kernel install``:

    JupyterLab   the kernel "Python 3 (tl_course, warm)"
    nbval        pytest --nbval --nbval-kernel-name tl-course-warm
    nbclient     NotebookClient(notebook, kernel_name="tl-course-warm")
    nbgrader     nbgrader autograde|validate ... --ExecutePreprocessor.kernel_name=tl-course-warm, or
                 c.ExecutePreprocessor.kernel_name = "tl-course-warm" in nbgrader_config.py. It wins over the name in
                 the notebook, and so over what OverwriteKernelspec restores.

What a framework reads from the environment while it is imported must be in the environment the kernel starts with
(Keras' backend excepted), and a framework that is upgraded shows once the program that starts kernels is started anew.
"""

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
from ipykernel.kernelspec import get_kernel_dict, write_kernel_spec
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import List, Unicode

from tl_course.grading.warm_kernel_client import Cold, fork_kernel

NAME = "tl-course-warm"
DISPLAY_NAME = "Python 3 (tl_course, warm)"
PRELOAD = ("numpy", "torch", "tensorflow", "keras", "ipykernel.kernelapp", "ipykernel.ipkernel")


class WarmKernel(LocalProvisioner):
    """Starts a kernel by forking it from a process that has the frameworks imported, or else as usual."""

    preload = List(Unicode(), list(PRELOAD), help="Modules to import before kernels are forked.").tag(config=True)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start the kernel and return how to connect to it."""
        try:
            self.process = await asyncio.to_thread(fork_kernel, cmd, tuple(self.preload), kwargs)
        except Cold as reason:
            self.log.warning("The kernel starts without the frameworks imported: %s", reason)
            return await super().launch_kernel(cmd, **kwargs)
        self.pid = self.pgid = self.process.pid
        self.cwd = kwargs.get("cwd") or Path.cwd()
        return self.connection_info


def install(prefix: str = sys.prefix, preload: tuple[str, ...] = PRELOAD) -> Path:
    """Make the kernel known to Jupyter in an environment.

    Args:
        prefix: the environment's folder.
        preload: modules to import before kernels are forked.

    Returns:
        The kernel's folder.
    """
    provisioner = {"provisioner_name": NAME, "config": {} if preload == PRELOAD else {"preload": list(preload)}}
    metadata = {**get_kernel_dict()["metadata"], "kernel_provisioner": provisioner}
    with tempfile.TemporaryDirectory() as folder:
        source = write_kernel_spec(Path(folder) / NAME, {"display_name": DISPLAY_NAME, "metadata": metadata})
        return Path(KernelSpecManager().install_kernel_spec(source, NAME, prefix=prefix))


def remove(prefix: str = sys.prefix) -> bool:
    """Take the kernel away again. False where there was none."""
    folder = Path(prefix) / "share" / "jupyter" / "kernels" / NAME
    if not folder.is_dir():
        return False
    shutil.rmtree(folder)
    return True


@click.group()
def main() -> None:
    """Jupyter kernels that start with torch, TensorFlow and Keras imported."""


@main.command("install")
def install_command() -> None:
    """Make the kernel known to Jupyter in this environment."""
    click.echo(install())


@main.command("remove")
def remove_command() -> None:
    """Take the kernel away again."""
    remove()


if __name__ == "__main__":
    main()
