"""What the tests need of the machine: a loopback interface that is up, and a Ctrl-C that is heard.
A network namespace without any network starts with the first one down. A shell that starts the tests in the
background lets them ignore Ctrl-C, and every process that they start would ignore it as well."""
import contextlib
import signal
import socket
import struct


def loopback_works():
    "Can a server on 127.0.0.1 be reached?"
    with socket.socket() as server, contextlib.suppress(OSError):
        server.bind(("127.0.0.1", 0)); server.listen()
        with socket.create_connection(server.getsockname(), timeout=5): return True
    return False


def raise_loopback():
    "Switch `lo` on (Linux, and only where we are root of our own namespace; elsewhere nothing happens)."
    with contextlib.suppress(ImportError, OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        import fcntl
        fcntl.ioctl(s, 0x8914, struct.pack("16sH14x", b"lo", 1))        # SIOCSIFFLAGS, IFF_UP


if not loopback_works(): raise_loopback()
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN: signal.signal(signal.SIGINT, signal.default_int_handler)
