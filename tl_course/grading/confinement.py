"""Take a submission's processes out of reach of everything else: namespaces, a private folder, limits, a filter.

Runs inside the sandbox that isolation.py describes; Linux only.
"""

import ctypes
import errno
import os
import sys
import tempfile
from dataclasses import dataclass
from functools import cache

PRIVATE = "/submission"  # where a submission's own folder is mounted
WORK = "work"  # the folder in it that its files lie in: none of their names means anything outside
NOBODY = 65534
_NEWNS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = 0x20000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
_NOSUID, _NODEV = 2, 4
_PDEATHSIG, _SET_DUMPABLE, _SET_SECCOMP, _NO_NEW_PRIVS, _AMBIENT = 1, 4, 22, 38, 47
_FILTER, _RAISE = 2, 2  # what prctl calls SECCOMP_MODE_FILTER and PR_CAP_AMBIENT_RAISE
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000  # what libseccomp calls SCMP_ACT_ALLOW and SCMP_ACT_ERRNO
_CAPABILITY_VERSION, _AUDIT_WRITE = 0x20080522, 29
FIRST = "/bin/cat"  # the first process of a submission's namespaces
# What no notebook needs: other namespaces and mounts, other processes' memory, memory that nobody accounts for, news of
# files that all submissions read, and large parts of the kernel that are rarely used and often attacked.
_REFUSED = [
    "unshare",
    "setns",
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "move_mount",
    "open_tree",
    "fsopen",
    "fsmount",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "memfd_create",
    "memfd_secret",
    "shmget",
    "msgget",
    "semget",
    "io_uring_setup",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "keyctl",
    "add_key",
    "request_key",
    "kexec_load",
    "init_module",
    "finit_module",
    "open_by_handle_at",
    "name_to_handle_at",
    "fanotify_init",
    "inotify_init",
    "inotify_init1",
    "quotactl",
    "swapon",
    "swapoff",
    "reboot",
    "settimeofday",
    "clock_settime",
    "personality",
]


@dataclass(frozen=True)
class Limits:
    """What one submission may use.

    Args:
        cpu: seconds of processor time of one process.
        memory: bytes that its processes hold beside what they share with the sandbox; also of one process's data.
        files: bytes in its folder.
        file: bytes of one file.
        processes: processes and threads at once.
        open_files: of one process.
    """

    cpu: int = 600
    memory: int = 4 * 2**30
    files: int = 512 * 2**20
    file: int = 64 * 2**20
    processes: int = 256
    open_files: int = 256


def separate(limits: Limits) -> None:
    """Give this process namespaces and a private folder of its own, and give up what could undo that.

    The processes that it starts from now on are in a process namespace that it is not in itself; `first_process` starts
    the first one.

    Raises:
        OSError: the kernel or its settings do not allow it, or libseccomp is missing.
    """
    uid, gid = os.getuid(), os.getgid()
    _call("unshare", _NEWUSER | _NEWPID | _NEWNS | _NEWIPC | _NEWNET)
    for name, line in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(line)
    _mount(PRIVATE, f"size={limits.files},nr_inodes=20000,mode=0700")
    _mount("/dev/shm", f"size={limits.file},nr_inodes=1000,mode=0700")
    os.mkdir(f"{PRIVATE}/tmp")
    _call("prctl", _NO_NEW_PRIVS, 1, 0, 0, 0)
    program = filter_program()
    lines = ctypes.create_string_buffer(program, len(program))
    _call("prctl", _SET_SECCOMP, _FILTER, ctypes.byref(_Program(len(program) // 8, ctypes.addressof(lines))), 0, 0)


def first_process() -> tuple[int, int]:
    """Start the first process of the namespace, and give up every right that is left.

    With its end, and when the descriptor that comes with it is closed, the kernel ends all others in there. It does
    nothing but wait, and keeps a right that means nothing and that no other has: so none can look into it.

    Returns:
        Its number, and the descriptor.
    """
    _set_capabilities(1 << _AUDIT_WRITE)
    _call("prctl", _AMBIENT, _RAISE, _AUDIT_WRITE, 0, 0)
    reader, writer = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, reader, 0), *((os.POSIX_SPAWN_OPEN, n, os.devnull, os.O_RDWR, 0) for n in (1, 2))]
    pid = os.posix_spawn(FIRST, [FIRST], {}, file_actions=actions)
    os.close(reader)
    _set_capabilities(0)
    return pid, writer


def limit(limits: Limits) -> None:
    """Set the limits that the kernel enforces on each process."""
    import resource

    data = limits.memory + _data_size()
    for name, value in (
        ("RLIMIT_CPU", limits.cpu),
        ("RLIMIT_DATA", data),
        ("RLIMIT_FSIZE", limits.file),
        ("RLIMIT_NPROC", limits.processes),
        ("RLIMIT_NOFILE", limits.open_files),
        ("RLIMIT_CORE", 0),
    ):
        if hasattr(resource, name):
            lowest = min(value, *(old for old in resource.getrlimit(getattr(resource, name)) if old >= 0), value)
            resource.setrlimit(getattr(resource, name), (lowest, lowest))


def die_with_parent() -> None:
    """Have the kernel end this process when the thread that started it ends."""
    if sys.platform == "linux":
        _call("prctl", _PDEATHSIG, 9, 0, 0, 0)


def hide_memory(hidden: bool) -> None:
    """Keep other processes of this user away from this one's memory and descriptors, or let them."""
    if sys.platform == "linux":
        _call("prctl", _SET_DUMPABLE, int(not hidden), 0, 0, 0)


@cache
def filter_program() -> bytes:
    """The system-call filter, as the kernel runs it.

    Raises:
        OSError: libseccomp is missing.
    """
    library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_ALLOW)))
    refuse = ctypes.c_uint32(_REFUSE | errno.EPERM)
    for name in _REFUSED:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number != -1:
            library.seccomp_rule_add_array(context, refuse, number, 0, None)
    # clone3 hides its flags from a filter: without it the C library uses clone, whose flags can be looked at.
    number = library.seccomp_syscall_resolve_name(b"clone3")
    library.seccomp_rule_add_array(context, ctypes.c_uint32(_REFUSE | errno.ENOSYS), number, 0, None)
    number = library.seccomp_syscall_resolve_name(b"clone")
    masked = (_Comparison * 1)(_Comparison(0, 7, _NEWUSER, _NEWUSER))
    library.seccomp_rule_add_array(context, refuse, number, 1, masked)
    with tempfile.TemporaryFile() as file:
        failed = library.seccomp_export_bpf(context, file.fileno())
        library.seccomp_release(context)
        if failed:
            raise OSError(-failed, f"seccomp: {os.strerror(-failed)}")
        file.seek(0)
        return file.read()


class _Program(ctypes.Structure):
    """The kernel's struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("lines", ctypes.c_void_p))


class _Comparison(ctypes.Structure):
    """libseccomp's struct scmp_arg_cmp; operator 7 is SCMP_CMP_MASKED_EQ."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("mask", ctypes.c_uint64),
        ("value", ctypes.c_uint64),
    )


def _set_capabilities(rights: int) -> None:
    """Have these capabilities and no others, and be able to pass them on to a program."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    _call("capset", header, (ctypes.c_uint32 * 6)(*[rights] * 3, 0, 0, 0))


def _data_size() -> int:
    """Bytes of data that this process has mapped already."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[5]) * os.sysconf("SC_PAGE_SIZE")


def _mount(place: str, options: str) -> None:
    _call("mount", b"tmpfs", place.encode(), b"tmpfs", _NOSUID | _NODEV, options.encode())


def _call(name: str, *arguments: object) -> None:
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
