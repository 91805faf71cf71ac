"""Give up, for the rest of this process, what opening a stranger's file does not need.

Limits of memory and time hold on every POSIX system. Linux also takes away the network, other files and other
processes: with a network namespace, with Landlock (a kernel's rules of which files a process may open) and
with a seccomp filter (which system calls it may make). Each is left out where the kernel or a container
refuses it; `enter` returns which hold. Nothing here needs a privilege or a library.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one process may use."""

    memory: int = 1_000_000_000  # bytes of address space, of which the libraries themselves take 300 MB
    cpu_seconds: int = 10
    wall_seconds: float = 30.0
    written_bytes: int = 64_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Isolation:
    """What the process can no longer reach."""

    limits: bool
    network: bool
    files: bool
    processes: bool

    def to_json(self) -> dict[str, bool]:
        return asdict(self)

    def missing(self) -> tuple[str, ...]:
        return tuple(name for name, held in asdict(self).items() if not held)


def enter(limits: Limits, *, readable: Iterable[Path] = (), writable: Path | None = None) -> Isolation:
    """Enter the sandbox. Later only libraries and `readable` can be read, and `writable` written.

    `writable` is created if it is missing. Call it before a thread starts.
    """
    if writable is not None:
        os.close(os.open(writable, os.O_CREAT | os.O_WRONLY, 0o600))
    limited = _set_limits(limits)
    if sys.platform != "linux":
        return Isolation(limits=limited, network=False, files=False, processes=False)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    network = _leave_network(libc)
    _drop_capabilities(libc)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    files = _restrict_files(libc, readable, writable)
    calls = _filter_calls(libc)
    return Isolation(limits=limited, network=network or calls, files=files, processes=calls)


def _set_limits(limits: Limits) -> bool:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, limits.wall_seconds)  # ends this process even if its parent is gone
    values = {
        "RLIMIT_AS": limits.memory,
        "RLIMIT_CPU": limits.cpu_seconds,
        "RLIMIT_FSIZE": limits.written_bytes,
        "RLIMIT_NOFILE": 64,
        "RLIMIT_CORE": 0,
    }
    held = [_set_limit(name, value) for name, value in values.items()]
    return all(held)


def _set_limit(name: str, value: int) -> bool:
    """Not every system has every limit; a lower one that holds already stays."""
    with suppress(ValueError, OSError, AttributeError):
        number = getattr(resource, name)
        hard = resource.getrlimit(number)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(number, (value, value))
        return True
    return False


_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 1, 38, 22, 2
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_THREADS = 64


def _leave_network(libc: ctypes.CDLL) -> bool:
    """Enter a network namespace without any interface that is up.

    Root stays in its user namespace: in a new one it could no longer open files of other users, to which a
    data folder may belong.
    """
    if os.geteuid() == 0:
        return bool(libc.unshare(_CLONE_NEWNET) == 0)
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
        return False
    _set_limit("RLIMIT_NPROC", _THREADS)  # counts only this namespace, otherwise all processes of the user
    return True


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """Root keeps only its right to open files, which Landlock then restricts."""
    header = struct.pack("=Ii", 0x20080522, 0)
    opening_files = (0b110, 0b010) if os.geteuid() == 0 else ()  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    for kept in (*opening_files, 0):  # a container may have taken some of them already
        if libc.capset(header, struct.pack("=6I", kept, kept, 0, 0, 0, 0)) == 0:
            return


_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446  # the same on every architecture
_WRITE_FILE, _READ_FILE, _READ_DIR, _REFER, _TRUNCATE, _IOCTL_DEV = (1 << at for at in (1, 2, 3, 13, 14, 15))
_ACCESS_BITS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many kinds of access each version of Landlock knows."""
_TCP, _OTHER_PROCESSES = 0b11, 0b11
_SYSTEM_READABLE = (
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/local/lib64",
    "/lib",
    "/lib64",
    "/nix/store",
    "/etc/ld.so.cache",
    "/dev/null",
    "/dev/urandom",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/sys/devices/system/cpu",
)
_PACKAGE = Path(__file__).resolve().parents[1]


def _restrict_files(libc: ctypes.CDLL, readable: Iterable[Path], writable: Path | None) -> bool:
    version = libc.syscall(_LANDLOCK_CREATE, None, 0, 1)
    if version < 1:
        return False
    handled = ((1 << _ACCESS_BITS.get(version, 16)) - 1) & ~_READ_DIR  # names of files may be listed
    attributes = struct.pack("=QQQ", handled, _TCP, _OTHER_PROCESSES)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = libc.syscall(_LANDLOCK_CREATE, attributes, size, 0)
    if ruleset < 0:
        return False
    try:
        named = list(readable)
        for path in {*_libraries([*named, *([writable] if writable else [])]), *named}:
            _permit(libc, ruleset, path, handled & _READ_FILE)
        if writable is not None:
            _permit(libc, ruleset, writable, handled & (_READ_FILE | _WRITE_FILE | _TRUNCATE))
        return bool(libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _libraries(users_files: Iterable[Path]) -> set[Path]:
    """Where libraries are loaded from. A folder that contains a user's file contains others' as well."""
    folders = {Path(name) for name in _SYSTEM_READABLE}
    for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix):
        folders |= {Path(prefix) / "lib", Path(prefix) / "lib64"}
    folders |= {Path(name) for name in os.environ.get("LD_LIBRARY_PATH", "").split(":") if name}
    parents = {parent for path in users_files for parent in path.absolute().parents}
    imported = {Path(name).absolute() for name in sys.path if name}
    return folders | {path for path in imported if path not in parents} | {_PACKAGE}


def _permit(libc: ctypes.CDLL, ruleset: int, path: Path, access: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # not on this machine
        return
    try:
        libc.syscall(_LANDLOCK_ADD, ruleset, 1, struct.pack("=Qi", access, opened), 0)
    finally:
        os.close(opened)


_NUMBERS_OF_ALL = (424, 425, 426, 427, 428, 429, 430, 431, 432, 434, 438, 440, 442)
"""pidfd_send_signal, io_uring_*, open_tree, move_mount, fs*, pidfd_open, pidfd_getfd, process_madvise,
mount_setattr"""
# Numbers are those of the kernel's headers: asm/unistd_64.h, and asm-generic/unistd.h for aarch64.
_FORBIDDEN = {
    "x86_64": (
        *(41, 42, 43, 44, 46, 49, 50, 53, 288, 307),  # sockets: create, connect, accept, send, bind, listen
        *(57, 58, 59, 322),  # fork, vfork, execve, execveat
        *(62, 129, 200, 234, 297, 101, 310, 311, 312),  # signals, ptrace, memory of others
        *(155, 161, 165, 166, 272, 303, 304, 308),  # mounts, namespaces, handles of files
        *(169, 175, 176, 246, 248, 249, 250, 298, 313, 320, 321, 323),  # kernel, keys, bpf, userfaultfd
    ),
    "aarch64": (
        *(198, 199, 200, 201, 202, 203, 206, 211, 242, 269),  # the same groups; fork does not exist here
        *(221, 281),
        *(129, 130, 131, 138, 240, 117, 270, 271, 272),
        *(39, 40, 41, 51, 97, 264, 265, 268),
        *(104, 105, 106, 142, 217, 218, 219, 241, 273, 280, 282, 294),
    ),
}
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE3 = 435
_CLONE_THREAD = 0x00010000
_OTHER_ABI = 0x40000000  # of x86: the same calls under other numbers
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _FAIL = 0x7FFF0000, 0x80000000, 0x00050000


def _filter_calls(libc: ctypes.CDLL) -> bool:
    """Make network, processes and signals fail as if they were forbidden. Threads stay possible."""
    machine = os.uname().machine
    if machine not in _FORBIDDEN or struct.calcsize("P") != 8:
        return False
    program = _filter_program(machine)
    code = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, head, 0, 0) == 0)


def _filter_program(machine: str) -> bytes:
    """Instructions of classic BPF over struct seccomp_data: number, architecture, pointer, arguments."""
    forbidden = (*_FORBIDDEN[machine], *_NUMBERS_OF_ALL)
    head = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, _ARCHITECTURES[machine]), (_RETURN, 0, 0, _KILL)]
    head += [(_LOAD, 0, 0, 0)]
    tail = [
        (_EQUAL, 0, 1, _CLONE3),
        (_RETURN, 0, 0, _FAIL | errno.ENOSYS),  # then the C library uses clone, whose flags can be read
        (_EQUAL, 0, 2, _CLONE[machine]),
        (_LOAD, 0, 0, 16),
        (_ANY_BIT, 0, 1, _CLONE_THREAD),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _FAIL | errno.EPERM),
    ]
    to_last = len(forbidden) + len(tail) - 1  # from the first check to the last instruction
    checks = [(_AT_LEAST, to_last, 0, _OTHER_ABI)]
    checks += [(_EQUAL, to_last - at, 0, number) for at, number in enumerate(forbidden, start=1)]
    return b"".join(struct.pack("=HBBI", *one) for one in (*head, *checks, *tail))
