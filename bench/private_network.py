# SPDX-License-Identifier: Apache-2.0
"""A network and a view of /etc of this process's own, in which no name server ever answers.

Works as root, and as a user where user namespaces are allowed. Everything started from here on,
server, receiver and generator, lives in it; nothing of it outlasts the process.
"""

import ctypes
import fcntl
import os
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile

SILENT_NAME = "silent.test"
TRIAL_S = 2     # a resolver that says nothing for so long never will
NEW_MOUNTS, NEW_USER, NEW_NETWORK = 0x20000, 0x10000000, 0x40000000
MOUNT_BIND, MOUNT_RECURSIVE, MOUNT_PRIVATE = 0x1000, 0x4000, 0x40000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1

libc = ctypes.CDLL(None, use_errno=True)


def checked(result, what):
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def mount(source, target, flags):
    checked(libc.mount(source, target, None, flags, None), f"mount on {target.decode()}")


def leave_the_shared():
    user, group = os.geteuid(), os.getegid()
    if user == 0 and libc.unshare(NEW_MOUNTS | NEW_NETWORK) == 0:
        return
    checked(libc.unshare(NEW_MOUNTS | NEW_NETWORK | NEW_USER), "unshare")
    pathlib.Path("/proc/self/setgroups").write_text("deny")
    pathlib.Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    pathlib.Path("/proc/self/gid_map").write_text(f"0 {group} 1")


def raise_loopback():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(control, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))


def cover(path, text):
    """Puts `text` where programs look for `path`."""
    with tempfile.NamedTemporaryFile("w", delete=False) as file:
        file.write(text)
    os.chmod(file.name, 0o644)
    try:
        mount(file.name.encode(), path.encode(), MOUNT_BIND)
    finally:
        os.unlink(file.name)


def enter():
    """Moves this process there and returns the name server, a socket that is never read. OSError
    says why it cannot be had."""
    leave_the_shared()
    mount(b"none", b"/", MOUNT_RECURSIVE | MOUNT_PRIVATE)
    raise_loopback()
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.1", 53))
    silent.setblocking(False)
    cover("/etc/resolv.conf", "nameserver 127.0.0.1\n")
    if os.path.exists("/etc/nsswitch.conf"):
        cover("/etc/nsswitch.conf", "hosts: files dns\n")
    try:
        told = subprocess.run([sys.executable, "-c", f"import socket; socket.getaddrinfo('{SILENT_NAME}', 80)"],
                              stderr=subprocess.PIPE, text=True, timeout=TRIAL_S).stderr
        raise OSError(f"{SILENT_NAME} was answered: {(told.strip().splitlines() or ['it resolves'])[-1]}")
    except subprocess.TimeoutExpired:
        pass
    try:
        silent.recv(512)
    except BlockingIOError:
        raise OSError(f"nobody asked the silent name server for {SILENT_NAME}") from None
    return silent
