#!/usr/bin/env python3
"""Memory, processor time and wake-ups of an idle agent and gatherer, after the first scan is delivered.

idle.py FOLDER-OF-BINARIES [SECONDS]   both processes as the units start them, against a collector on loopback

The peer in the same run is another resident agent of Debian that does nothing unless asked: prometheus-node-exporter.
"""
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time

# For the units: freed memory goes back to the kernel.
TUNED = ("arena_max=1", "tcache_count=0", "mxfast=0", "trim_threshold=65536", "mmap_threshold=16384")
MALLOC = {"GLIBC_TUNABLES": ":".join(f"glibc.malloc.{t}" for t in TUNED)}


PORTS = iter(range(20000 + os.getpid() % 8000, 32000))


def free_port():
    for port in PORTS:
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    sys.exit("no free port")


def status(pid):
    """Memory in KiB."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return {key: int(re.search(rf"^{key}:\s+(\d+)", text, re.M).group(1)) for key in ("VmRSS", "RssAnon", "RssFile", "VmHWM")}


def switches(pid):
    """Voluntary context switches (wake-ups) and CPU seconds of all threads."""
    total, cpu = 0, 0.0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", (task / "status").read_text(), re.M).group(1))
            fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
            cpu += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except FileNotFoundError:
            pass
    return total, cpu


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    binaries = pathlib.Path(sys.argv[1])
    seconds = int(sys.argv[2]) if len(sys.argv) == 3 else 60
    assay, collector = str(binaries / "assay"), str(binaries / "assay-collector")
    started = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)

        def start(program, *arguments):
            log = open(folder / f"{len(started)}.log", "w+")
            started.append(subprocess.Popen([program, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=os.environ | MALLOC))
            return started[-1], pathlib.Path(log.name)

        def wait(log, text, limit=900):
            end = time.monotonic() + limit
            while text not in log.read_text():
                if time.monotonic() > end:
                    sys.exit(f"no {text!r} in:\n{log.read_text()}")
                time.sleep(0.1)

        try:
            agents, data, state = f"127.0.0.1:{free_port()}", folder / "collector", folder / "state"
            start(collector, "serve", "--data", str(data), "--agents", agents, "--people", f"127.0.0.1:{free_port()}")
            end = time.monotonic() + 60
            while socket.socket().connect_ex(("127.0.0.1", int(agents.split(":")[1]))) and time.monotonic() < end:
                time.sleep(0.1)
            token = subprocess.run([collector, "token", "create", "--data", str(data)], check=True, capture_output=True, text=True).stdout
            token = next(w for w in token.split() if w.startswith("assay1."))
            subprocess.run([assay, "enroll", "--collector", f"https://{agents}", "--token", token, "--state", str(state), "--name", "idle"], check=True, capture_output=True)
            config = folder / "agent.yaml"
            config.write_text(f"state_dir: {state}\ngatherer:\n  socket: {folder}/g\n  agent_user: root\n")
            gatherer, log = start(assay, "gatherer", "--config", str(config))
            wait(log, "gatherer is listening")
            agent, log = start(assay, "agent", "--config", str(config))
            first = status(agent.pid)["VmRSS"]
            wait(log, "report acknowledged")
            peer, log = start("prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{free_port()}")
            wait(log, "Listening on")
            time.sleep(35)  # the idle connection to the collector is closed after 30 s
            print(f"{'':10}{'RSS MiB':>9}{'anonymous':>11}{'file':>7}{'peak':>7}{'CPU s':>8}{'wake-ups':>10}   over {seconds} s without a heartbeat")
            before = {p.pid: switches(p.pid) for p in (agent, gatherer, peer)}
            time.sleep(seconds)
            own = {}
            for label, process in (("agent", agent), ("gatherer", gatherer), ("exporter", peer)):
                memory = status(process.pid)
                count, cpu = (b - a for a, b in zip(before[process.pid], switches(process.pid)))
                own[label] = memory["RssAnon"]
                cells = [memory[k] / 1024 for k in ("VmRSS", "RssAnon", "RssFile", "VmHWM")]
                print(f"{label:10}{cells[0]:>9.1f}{cells[1]:>11.1f}{cells[2]:>7.1f}{cells[3]:>7.1f}{cpu:>8.2f}{count:>10}")
            ours = own["agent"] + own["gatherer"]
            print(f"ratio of memory of their own, exporter to agent and gatherer together: {own['exporter'] / ours:.1f}x")
            print(f"agent at its start: {first / 1024:.1f} MiB")
        finally:
            for process in started:
                process.terminate()
            for process in started:
                process.wait(30)


main()
