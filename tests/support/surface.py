"""What a program really calls of the libraries that can do cryptography, noted while it runs.

A prelude goes before a program's own lines. It has the interpreter report every call in every
thread, and writes each name of such a library down the first time, so that nothing is lost when the
process is killed. What a library does only to load itself is left out.
"""

import sys
from pathlib import Path

_PRELUDE = r"""
def _watch(path):
    import os, sys, threading

    libraries = (
        "cryptography.fernet", "cryptography.x509", "cryptography.hazmat.primitives",
        "cryptography.hazmat.bindings._rust", "nacl", "_ssl",
    )
    log, seen = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), set()

    def ours(name):
        return any(name == each or name.startswith(each + ".") for each in libraries)

    def note(name):
        if name not in seen:
            seen.add(name)
            os.write(log, name.encode() + b"\n")

    def called(frame, event, function):
        if event == "call":
            code, module = frame.f_code, str(frame.f_globals.get("__name__", ""))
            public = code.co_name[0] != "_"
            if public and ours(module) and code.co_flags & 2:  # CO_NEWLOCALS: no module, no class
                note(f"{module}.{code.co_qualname}")
        elif event == "c_call":
            caller = frame.f_code
            if not caller.co_flags & 2 and ours(str(frame.f_globals.get("__name__", ""))):
                return  # a library loads itself
            owner = getattr(function, "__self__", getattr(function, "__objclass__", None))
            kind = owner if isinstance(owner, type) else type(owner)
            if kind.__name__ == "Lib":  # compiled by cffi
                note(f"lib.{function.__name__}")
                return
            of_module = str(getattr(owner, "__name__", "")) if kind is type(sys) else ""
            for where in (function.__module__ or "", of_module, kind.__module__):
                if ours(where):
                    note(f"{where}.{function.__qualname__}")
                    return

    threading.setprofile(called)
    sys.setprofile(called)
"""


def watched(program: str, log: Path, slipped_in: str = "") -> tuple[str, ...]:
    """A command that runs `program` and writes to `log` what it calls; `slipped_in` runs before."""
    lines = f"{_PRELUDE}\n_watch({str(log)!r})\n{slipped_in}\n{program}"
    return (sys.executable, "-c", lines)


def called(log: Path) -> set[str]:
    """Every name in a log."""
    return set(log.read_text().splitlines())
