"""Children that never outlive the bed: started with a death signal, ended by process id."""
from __future__ import annotations

import collections
import concurrent.futures
import ctypes
import os
import random
import signal
import socket
import subprocess
import threading
import time

GRACE_SECONDS = 3
PR_SET_PDEATHSIG = 1

try:
    _prctl = ctypes.CDLL(None).prctl
except AttributeError:  # not Linux: a killed bed then leaves its children, everything else works
    _prctl = None


class BedError(Exception):
    """A sentence for the person who started the bed."""


class Child:
    def __init__(self, name, process, log, layer):
        self.name, self.process, self.log, self.layer = name, process, log, layer

    @property
    def pid(self):
        return self.process.pid

    def tail(self, lines=15):
        with open(self.log, errors="replace") as file:
            return "".join(collections.deque(file, lines))


class Children:
    """All child processes. `with Children() as children` ends every one of them, whatever happened."""

    def __init__(self):
        self.closed = False
        self._all = []
        self._lock = threading.Lock()
        # The death signal is sent when the *thread* that forked ends, not the process. So one thread that lives as long
        # as the bed forks for everybody.
        self._forker = concurrent.futures.ThreadPoolExecutor(1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # ending takes at most the grace period and is not interrupted
        self.end()

    def start(self, name, argv, log, layer):
        """`layer`: a child may rely on those of lower layers; it is ended before them."""
        parent = os.getpid()

        def die_with_parent():
            if _prctl is not None:
                _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                if os.getppid() != parent:  # it died before the signal was armed
                    os._exit(1)

        def fork():
            with self._lock:
                if self.closed:
                    raise BedError("the bed is shutting down")
                with open(log, "ab") as out:
                    # A session of its own: Ctrl-C in a terminal reaches the bed only, and the bed ends the rest.
                    process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                               start_new_session=True, preexec_fn=die_with_parent)
                child = Child(name, process, log, layer)
                self._all.append(child)
                return child

        try:
            return self._forker.submit(fork).result()
        except OSError as error:
            raise BedError(f"{name} cannot be started: {error}") from error

    def dead(self):
        return [child for child in self._all if child.process.poll() is not None]

    def end(self):
        with self._lock:
            self.closed = True
        deadline = time.monotonic() + GRACE_SECONDS
        # Clients before servers: an API server waits for its watchers, and for an etcd that is gone.
        for layer in sorted({child.layer for child in self._all}, reverse=True):
            running = [child for child in self._all if child.layer == layer and child.process.poll() is None]
            for child in running:
                child.process.terminate()
            for child in running:
                try:
                    child.process.wait(max(0, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    child.process.kill()
                    child.process.wait()
        self._forker.shutdown()

    def wait_ready(self, child, probe, seconds=60, what=None):
        """Polls `probe` until it returns something true; a failure names the child and shows the end of its log."""
        what = what or child.name
        deadline, reason = time.monotonic() + seconds, "no answer"
        while time.monotonic() < deadline:
            if self.closed:
                raise BedError("the bed is shutting down")
            if child.process.poll() is not None:
                raise BedError(f"{what}: {child.name} ended with status {child.process.returncode}. The end of {child.log}:\n{child.tail()}")
            try:
                answer = probe()
                if answer:
                    return answer
            except Exception as error:  # any failure means not yet; the last one is reported
                reason = f"{type(error).__name__}: {error}"
            time.sleep(0.05)
        raise BedError(f"{what} did not become ready within {seconds} s ({reason}). The end of {child.log}:\n{child.tail()}")


_handed_out = set()
_ports_lock = threading.Lock()


def free_port():
    """A loopback port below the ephemeral range, where no outgoing connection can take it before its server binds it."""
    with _ports_lock:
        for _ in range(1000):
            port = random.randrange(20000, 32000)
            if port in _handed_out:
                continue
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            _handed_out.add(port)
            return port
    raise BedError("no free loopback port between 20000 and 32000")
