"""Run a command that ends when we end: `python -IS tether.py PARENT SIGNAL UID FAR COMMAND...`.

A program of its own, since the preparations must happen between fork and exec, where a process with threads may not run
Python. It prepares and then becomes the command, so the pid that the caller knows is the command's.

PARENT   pid of the process whose end is to end the command (Linux; elsewhere nothing is tied)
SIGNAL   what the kernel then sends
UID      user to become, or -1 to stay
FAR      1: let that user look into folders that are closed to it (root's home), on Linux
"""

import ctypes
import os
import sys

_SET_DEATH_SIGNAL = 1
_SET_SECURE_BITS = 28
_NO_SETUID_FIXUP = 1 << 2
_AMBIENT = 47
_AMBIENT_RAISE = 2
_DAC_OVERRIDE, _DAC_READ_SEARCH = 1, 2
_CAPABILITY_VERSION_3 = 0x20080522


def main(parent: int, signal: int, uid: int, far: bool, command: list[str]) -> None:
    """Prepare and become `command`; ends with status 125 when the parent is gone already."""
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    if libc is not None and far:
        # keeps capabilities over setuid, and lets access(2), which initdb asks, see them too
        libc.prctl(_SET_SECURE_BITS, ctypes.c_ulong(_NO_SETUID_FIXUP), 0, 0, 0)
    if uid >= 0:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    if libc is not None:
        if far:
            _keep_one(libc)
        # after setuid, which would clear it
        libc.prctl(_SET_DEATH_SIGNAL, ctypes.c_ulong(signal), 0, 0, 0)
        if os.getppid() != parent:  # it ended before we were tied to it
            os._exit(125)
    os.execv(command[0], command)  # noqa: S606  becoming the command is what we are for


def _keep_one(libc: ctypes.CDLL) -> None:
    """Drop all of root's capabilities but reading; in containers, which have not that one, but overriding."""
    for capability in (_DAC_READ_SEARCH, _DAC_OVERRIDE):
        bit = 1 << capability
        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
        sets = (ctypes.c_uint32 * 6)(
            bit, bit, bit, 0, 0, 0
        )  # effective, permitted, inheritable, low words then high
        raised = libc.capset(header, sets) == 0
        if (
            raised
            and libc.prctl(_AMBIENT, ctypes.c_ulong(_AMBIENT_RAISE), ctypes.c_ulong(capability), 0, 0) == 0
        ):
            return
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    libc.capset(header, (ctypes.c_uint32 * 6)())


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "1", sys.argv[5:])
