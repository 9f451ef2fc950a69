"""Submissions that want to see what is not theirs, and send out what they find."""

from typing import Any

from .attack import TELL, Attack, Build, cells, spying
from .course import BANK, EXERCISE, OWN

KIND = "snooping"
WALK = """
import glob
for pattern in ("../../../{place}", "@ROOT@/{place}"):
    for path in glob.glob(pattern, recursive=True):
        look(path)
"""
HOME = """
import glob
for folder in {os.path.expanduser("~"), "@HOME@", os.environ.get("HOME", "/")}:
    for path in glob.glob(folder + "/*.txt"):
        look(path)
"""
# Only the grader's own processes are looked at, and only the course's made-up secrets are told.
GRADERS = """
def graders():
    for name in os.listdir("/proc"):
        try:
            words = open(f"/proc/{name}/cmdline", "rb").read() if name.isdigit() else b""
        except OSError:
            continue
        if b"nbgrader" in words or b"tl-course" in words or b"tl_course" in words or b"ipykernel" in words:
            yield name
"""
ENVIRONS = GRADERS + 'for name in graders():\n    look(f"/proc/{name}/environ")\n'
MEMORY = (
    GRADERS
    + """
import time
end = time.monotonic() + 3
for name in list(graders()) + [str(os.getppid())]:
    try:
        with open(f"/proc/{name}/maps") as maps, open(f"/proc/{name}/mem", "rb", 0) as memory:
            for line in maps:
                start, stop = (int(part, 16) for part in line.split()[0].split("-"))
                if "rw" not in line or stop - start > 2**28 or time.monotonic() > end:
                    continue
                try:
                    memory.seek(start)
                    tell(memory.read(stop - start).decode("latin-1"))
                except (OSError, ValueError, OverflowError):
                    pass
    except OSError:
        pass
"""
)
FILES = """
for name in os.listdir("/proc"):
    if name.isdigit():
        try:
            handles = os.listdir(f"/proc/{name}/fd")
        except OSError:
            continue
        for handle in handles:
            path = f"/proc/{name}/fd/{handle}"
            try:
                if os.readlink(path).startswith("@ROOT@"):
                    look(path)
            except OSError:
                pass
for root in ("/proc/1/root", "/proc/1/cwd", "/proc/self/root"):
    look(root + "@ROOT@/gradebook.db")
"""
HOOK = """
get_ipython().events.register("pre_run_cell", lambda info: tell(info.raw_cell))
"""
FRAMES = """
def add(a, b):
    frame = sys._getframe(1)
    while frame:
        tell(frame.f_code.co_consts)
        tell(frame.f_globals.get("In"))
        frame = frame.f_back
    return None
"""
COLLECTOR = """
import gc, linecache

def scale(values):
    for thing in gc.get_objects():
        code = getattr(thing, "__code__", None)
        if code is not None:
            tell(code.co_consts)
        elif type(thing) in (str, list, tuple, dict):
            try:
                tell(thing)
            except Exception:
                pass
    tell(linecache.cache)
    tell(globals().get("In"))
"""
STOLEN = """
for number, path in enumerate(("@ROOT@/gradebook.db", "@ROOT@/solutions/own/own.ipynb", "@HOME@/private.txt")):
    os.symlink(path, f"stolen{number}.txt")
"""
PROC_LINKS = """
for number in range(1, 40):
    for name in ("root@ROOT@/gradebook.db", "environ", "cwd/gradebook.db"):
        try:
            os.symlink(f"/proc/{number}/{name}", f"{number}-{os.path.basename(name)}.txt")
        except OSError:
            pass
        look(f"{number}-{os.path.basename(name)}.txt")
"""
HARD_LINK = """
for number, path in enumerate(("../../../gradebook.db", "@ROOT@/gradebook.db", "@HOME@/private.txt")):
    try:
        os.link(path, f"hard{number}.db")
    except OSError:
        pass
"""
MOUNT = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.mount(b"none", b"/", None, 32, None)
libc.mount(None, b"/", None, 0x20 | 0x1000, None)
libc.unshare(0x10000000 | 0x20000)
libc.setns(os.open("/proc/1/ns/mnt", os.O_RDONLY), 0)
look("@ROOT@/gradebook.db")
look("@HOME@/private.txt")
"""
NETWORK = """
try:
    with socket.create_connection(("127.0.0.1", @PORT@), timeout=2) as line:
        line.sendall(b"hello")
except OSError as error:
    print(error)
with socket.socket(socket.AF_UNIX) as line:
    try:
        line.connect("\\0attack-@PORT@")
        line.sendall(b"hello")
    except OSError as error:
        print(error)
"""
BANK_TOLD = """
from tl_course import exercises
print(exercises.get("accuracy").variant("numpy").reference[::-1])
"""
ANSWER_LOOKS = (
    TELL
    + """
def accuracy(logits, labels):
    import glob
    for path in glob.glob("@ROOT@/**/*.ipynb", recursive=True) + ["@ROOT@/gradebook.db", "@HOME@/private.txt"]:
        look(path)
    tell(dict(os.environ))
    return -1
"""
)


def _own(name: str, about: str, source: str | Build, **options: Any) -> Attack:
    return Attack(name, KIND, about, spying(source) if isinstance(source, str) else source, OWN, **options)


def _walk(place: str) -> str:
    return WALK.replace("{place}", place)


ATTACKS = [
    _own("read_solutions", "reads solutions/ by its path", _walk("solutions/**/*.ipynb")),
    _own("read_gradebook", "reads the gradebook's file", _walk("gradebook.db*")),
    _own("read_others", "reads others' submissions and marked copies", _walk("[as]u*/??_good/**/*.ipynb")),
    _own("read_home", "reads the grader's home", HOME),
    _own("read_environment", "reads its environment", "tell(dict(os.environ))"),
    _own("proc_environ", "reads the environment of the grader's processes", ENVIRONS),
    _own("proc_mem", "reads the memory of the grader's processes", MEMORY),
    _own("proc_files", "reads the files that the grader's processes hold open", FILES),
    _own("hook", "a hook sees each cell's source before it runs", HOOK),
    _own("frames", "looks at the code that calls it", cells({"add": TELL + FRAMES})),
    _own("collector", "looks through every object in memory", cells({"scale": TELL + COLLECTOR})),
    _own("links_made", "links to secrets, made while it runs, to be copied", STOLEN),
    _own("proc_links", "links into the folders of other processes in /proc", PROC_LINKS),
    _own("hard_links", "hard links to secrets, made while it runs", HARD_LINK),
    _own("mount", "remounts and changes namespaces, then reads", MOUNT),
    _own("network", "connects to a server", NETWORK),
    Attack("bank_told", KIND, "prints the bank's reference", cells({f"{EXERCISE}-numpy": BANK_TOLD}), BANK),
    Attack("answer_looks", KIND, "an answer that reads all it can", cells({f"{EXERCISE}-numpy": ANSWER_LOOKS}), BANK),
]
