"""A process of its own world: user, network, process, IPC and mount namespaces, by system calls.

    enter("/tmp/verlaunch-sandbox-x1y2")  # returns in process 1 of the new world

Inside: no network device is up, no process of the machine is seen, and the file system is the
libraries (read-only), an empty /tmp in memory and /proc of this world. Works for ordinary users
where the kernel lets them, and for root in a container without CAP_SYS_ADMIN. Left out: seccomp
(its filters are written per processor), cgroups (no rights to them without an administrator).
"""

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress

NEW = 0x10000000 | 0x00020000 | 0x20000000 | 0x40000000 | 0x08000000  # user mount pid net ipc
ROOT, SANDBOX = 0, 1000  # ids inside
NOBODY = 65534  # outside, when we are root: it owns nothing
TMP_MIB = 64
_RDONLY, _NOSUID, _NODEV, _REMOUNT, _BIND = 1, 2, 4, 32, 4096
_REC, _PRIVATE, _DETACH = 16384, 1 << 18, 2
# statvfs flag -> mount flag: what the kernel has locked on a mount must be repeated on a remount
_KEPT = {2: 2, 4: 4, 8: 8, 1024: 1024, 2048: 2048, 4096: 1 << 21}
_LIBRARIES = ("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib")
_FILES = ("/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")

_libc = ctypes.CDLL(None, use_errno=True)
_text, _word = ctypes.c_char_p, ctypes.c_ulong
_libc.mount.argtypes = (_text, _text, _text, _word, _text)
_libc.prctl.argtypes = (ctypes.c_int, _word, _word, _word, _word)


def _call(name: str, *arguments: object) -> None:
    given = [os.fsencode(one) if isinstance(one, str) else one for one in arguments]
    if getattr(_libc, name)(*given) != 0:
        code = ctypes.get_errno()
        shown = " ".join(str(one) for one in arguments if isinstance(one, str))
        raise OSError(code, f"{name}({shown}): {os.strerror(code)}")


def prctl(option: int, value: int) -> None:
    _call("prctl", option, value, 0, 0, 0)


def drop_capabilities() -> None:
    """All of them, for good: nothing executed later gains any either."""
    prctl(38, 1)  # PR_SET_NO_NEW_PRIVS
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this process
    _call("capset", header, (ctypes.c_uint32 * 6)())


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def _unshare_as_user() -> None:
    uid, gid = os.geteuid(), os.getegid()
    _call("unshare", NEW)
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{SANDBOX} {uid} 1")
    _write("/proc/self/gid_map", f"{SANDBOX} {gid} 1")


def _unshare_as_root() -> None:
    """Two ids are mapped, and only a process outside may do that: root, and nobody for the code."""
    mine = os.getpid()
    ready, go = os.pipe()
    helper = os.fork()
    if helper == 0:
        os.close(go)
        with suppress(OSError):
            if os.read(ready, 1):
                for kind in ("uid_map", "gid_map"):
                    _write(f"/proc/{mine}/{kind}", f"{ROOT} 0 1\n{SANDBOX} {NOBODY} 1\n")
                os._exit(0)
        os._exit(1)
    os.close(ready)
    _call("unshare", NEW)
    os.write(go, b"1")
    os.close(go)
    if os.waitpid(helper, 0)[1] != 0:
        raise PermissionError("root may not map users here (CAP_SETUID or CAP_SETFCAP is missing)")


def _bind(path: str, target: str, read_only: bool = True) -> None:
    if os.path.isdir(path):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        _write(target, "")
    _call("mount", path, target, None, _BIND | _REC, None)
    if read_only:
        have = os.statvfs(target).f_flag
        kept = sum(flag for bit, flag in _KEPT.items() if have & bit)
        _call("mount", None, target, None, _REMOUNT | _BIND | _RDONLY | kept, None)


def _visible() -> Iterator[str]:
    """What Python needs, nothing twice."""
    shown: list[str] = []
    library = os.path.join(os.path.realpath(sys.base_prefix), "lib")
    for path in (*_LIBRARIES, *_FILES, library, *map(os.path.realpath, sys.path)):
        if os.path.exists(path) and not any(path == s or path.startswith(s + "/") for s in shown):
            shown.append(path)
            yield path


def _own_root(folder: str) -> None:
    _call("mount", None, "/", None, _REC | _PRIVATE, None)
    _call("mount", "tmpfs", folder, "tmpfs", _NOSUID | _NODEV, b"size=1m,mode=755")
    for path in _visible():
        if os.path.islink(path):
            os.makedirs(os.path.dirname(folder + path), exist_ok=True)
            os.symlink(os.readlink(path), folder + path)
        else:
            _bind(path, folder + path)
    for path in filter(os.path.exists, _DEVICES):
        _bind(path, folder + path, read_only=False)
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        os.symlink(f"/proc/self/fd/{fd}", f"{folder}/dev/{name}")
    os.mkdir(folder + "/tmp")
    size = f"size={TMP_MIB}m,mode=1777".encode()
    _call("mount", "tmpfs", folder + "/tmp", "tmpfs", _NOSUID | _NODEV, size)
    os.mkdir(folder + "/proc")
    with suppress(OSError):  # a container with a masked /proc allows no other; then there is none
        _call("mount", "proc", folder + "/proc", "proc", _NOSUID | _NODEV | 8, None)
        _write(folder + "/proc/sys/user/max_user_namespaces", "0")  # none within this one
    os.chdir(folder)
    _call("pivot_root", ".", ".")
    _call("umount2", ".", _DETACH)
    os.chdir("/tmp")
    _call("mount", None, "/", None, _REMOUNT | _BIND | _RDONLY | _NOSUID | _NODEV, None)


def enter(folder: str) -> None:
    """Returns in process 1 of the new world; the caller's process waits for it and ends with it.

    folder: an empty one, the new root is mounted there. Raises OSError.
    """
    (_unshare_as_root if os.geteuid() == 0 else _unshare_as_user)()
    ready, done = os.pipe()
    first = os.fork()
    if first != 0:
        for fd in (0, 1, ready, done):
            os.close(fd)
        os.waitpid(first, 0)
        os._exit(0)
    os.close(ready)
    os.close(done)
    prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    _own_root(folder)
