"""Runs a command as on a kernel before Linux 6.13, without the calls on extended attributes that take a directory.

python3 older-kernel.py COMMAND ARGUMENT...
"""
import ctypes
import os
import struct
import sys

# setxattrat, getxattrat, listxattrat, removexattrat: the same numbers on every architecture (asm-generic/unistd.h).
FIRST, LAST = 463, 466
ENOSYS = 38
# linux/bpf_common.h, linux/seccomp.h, linux/prctl.h
LOAD, AT_LEAST, ABOVE, RETURN = 0x20, 0x35, 0x25, 0x06
REFUSE, ALLOW = 0x00050000 | ENOSYS, 0x7FFF0000
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2

program = b"".join(
    struct.pack("HBBI", *instruction)
    for instruction in [
        (LOAD, 0, 0, 0),
        (AT_LEAST, 0, 2, FIRST),
        (ABOVE, 1, 0, LAST),
        (RETURN, 0, 0, REFUSE),
        (RETURN, 0, 0, ALLOW),
    ]
)
code = ctypes.create_string_buffer(program)
filter_ = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
for arguments in [(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter_, 0, 0)]:
    if libc.prctl(*arguments) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
os.execvp(sys.argv[1], sys.argv[1:])
