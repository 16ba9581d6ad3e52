#!/usr/bin/python3
"""The panel: real TLS endpoints on loopback, with the truth about each beside it.

    panel.py start --out DIR     starts every endpoint, writes DIR/panel.json, stays until SIGTERM
    panel.py verify --out DIR    asks the running endpoints, one suite per hello, whether the truth is true
    panel.py install             only fetches the npm and PyPI programs

README.md beside this file tells what each endpoint is and why its truth is what it is.
"""
import argparse
import ctypes
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import dh  # noqa: E402
import install  # noqa: E402
import pki  # noqa: E402
import truth  # noqa: E402

REPOSITORY = HERE.parents[2]
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1
START_SECONDS = 60
STOP_SECONDS = 5
# Below the range from which outgoing connections take theirs.
PORTS = range(20_000, 32_000)


class Panel:
    """What a stack needs to start its endpoints."""

    def __init__(self, out):
        self.out = pathlib.Path(out)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="assay-panel-"))
        os.chmod(self.folder, 0o755)
        self.programs = install.Programs(REPOSITORY)
        self.pki = pki.Pki(str(self.folder / "pki"), str(self.programs.folder / "keys"))
        self.endpoints, self.children = [], []
        self._next = PORTS.start + os.getpid() * 131 % len(PORTS)
        self._certificates, self._truth = {}, truth.read()

    def port(self):
        """A free port, on IPv4 and IPv6 alike."""
        while True:
            self._next = self._next + 1 if self._next + 1 < PORTS.stop else PORTS.start
            try:
                with socket.socket(socket.AF_INET6) as six:
                    six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                    six.bind(("::", self._next))
                return self._next
            except OSError:
                continue

    def certificate(self, file, **arguments):
        """A certificate by file name, made once."""
        if file not in self._certificates:
            self._certificates[file] = self.pki.certificate(file, **arguments)
        return self._certificates[file]

    def dh(self, bits):
        """A file with DH parameters; those of 512 and 1024 bits are as weak as they were meant to be."""
        path = self.folder / f"dh{bits}.pem"
        if not path.exists():
            path.write_bytes(dh.parameters(bits))
        return str(path)

    def text(self, file, content):
        """A file with this text."""
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return str(path)

    def directory(self, name):
        """A folder of one server."""
        path = self.folder / name
        path.mkdir(parents=True, exist_ok=True)
        os.chmod(path, 0o755)
        return path

    def server(self, file):
        """A program of the folder `servers`."""
        return HERE / "servers" / file

    def spawn(self, name, command, env=None, stop=signal.SIGTERM, cwd=None):
        """Starts a server in a session of its own; it gets `stop` when the panel ends or dies."""
        log = open(self.directory("log") / f"{name}.log", "wb")
        parent = os.getpid()

        def prepare():
            LIBC.prctl(PR_SET_PDEATHSIG, stop)
            if os.getppid() != parent:
                os._exit(1)

        child = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL if stop != signal.SIGKILL else subprocess.PIPE, stdout=log, stderr=log,
                                 env={**os.environ, **(env or {})}, cwd=cwd or self.directory("cwd"), start_new_session=True, preexec_fn=prepare)
        self.children.append((name, child, stop))
        return child

    def endpoint(self, name, port, stack, host="127.0.0.1", sni=pki.NAME, starttls="", listens=True, **said):
        """One endpoint with its truth."""
        if any(e["name"] == name for e in self.endpoints):
            raise SystemExit(f"two endpoints are called {name}")
        # What takes many words stands in truth.txt; what is said here goes first.
        truth = {**self._truth.get(name, {}), **said}
        self.endpoints.append({"name": name, "host": host, "port": port, "sni": sni, "starttls": starttls, "stack": stack, "listens": listens, "truth": truth})

    def wait(self):
        """Until every port listens, without connecting to any."""
        deadline = time.monotonic() + START_SECONDS
        wanted = {e["port"]: e["name"] for e in self.endpoints if e["listens"]}
        while True:
            missing = {p: n for p, n in wanted.items() if p not in listening()}
            ended = [(n, c.returncode) for n, c, _ in self.children if c.poll() is not None]
            if not missing and not ended:
                return
            if ended or time.monotonic() > deadline:
                for name, _ in ended:
                    sys.stderr.write(f"== {name}\n{(self.folder / 'log' / f'{name}.log').read_text(errors='replace')[-2000:]}\n")
                raise SystemExit(f"ended: {ended}; not listening: {missing}; logs in {self.folder}/log")
            time.sleep(0.05)

    def stop(self):
        """Ends what was started, by process id."""
        for _, child, stop in self.children:
            if child.poll() is None:
                child.send_signal(stop)
        deadline = time.monotonic() + STOP_SECONDS
        for _, child, _ in self.children:
            try:
                child.wait(max(0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                pass
            # What a server forked stays in the session that was made for it.
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
            child.wait()


def listening():
    """Ports on which somebody listens."""
    ports = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table, encoding="ascii") as file:
            for row in file.readlines()[1:]:
                fields = row.split()
                if fields[3] == "0A":
                    ports.add(int(fields[1].rsplit(":", 1)[1], 16))
    return ports


def start(arguments):
    """Starts the panel and stays."""
    import stacks

    began = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    if not arguments.stay:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    panel = Panel(arguments.out)
    try:
        for stack in stacks.STACKS:
            if not arguments.only or stack.__name__.rsplit(".", 1)[1] in arguments.only.split(","):
                stack.start(panel)
        panel.wait()
        panel.out.mkdir(parents=True, exist_ok=True)
        document = {"ca": panel.pki.ca_file, "endpoints": panel.endpoints}
        temporary = panel.out / "panel.json.new"
        temporary.write_text(json.dumps(document, indent=1))
        temporary.rename(panel.out / "panel.json")
        print(f"{len(panel.endpoints)} endpoints in {time.monotonic() - began:.1f} s", flush=True)
        while True:
            signal.pause()
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        panel.stop()
        if not arguments.keep:
            shutil.rmtree(panel.folder, ignore_errors=True)


def main():
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("start")
    command.add_argument("--out", required=True)
    command.add_argument("--only", default="", help="names of stacks, comma between")
    command.add_argument("--stay", action="store_true", help="outlive the parent")
    command.add_argument("--keep", action="store_true", help="leave configurations and logs")
    command.set_defaults(run=start)
    command = commands.add_parser("verify")
    command.add_argument("--out", required=True)
    command.add_argument("--only", default="", help="part of a name")
    command.add_argument("--dump", default="", help="file for what was seen, as JSON")
    command.set_defaults(run=verify)
    commands.add_parser("install").set_defaults(run=lambda _: install.Programs(REPOSITORY))
    arguments = parser.parse_args()
    arguments.run(arguments)


def verify(arguments):
    """Asks every endpoint independently."""
    import oracle

    document = json.loads((pathlib.Path(arguments.out) / "panel.json").read_text())
    sys.exit(oracle.verify(REPOSITORY, [e for e in document["endpoints"] if arguments.only in e["name"]], arguments.dump))


if __name__ == "__main__":
    main()
