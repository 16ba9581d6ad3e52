#!/usr/bin/env python3
"""CPU seconds, wall seconds, peak memory and processes of `assay scan` beside Lynis, and of one
TLS endpoint beside sslscan. Every row is the median of the runs; the ratio is peer / ours."""
import json
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

RUNS = 5


def measure(command):
    """(wall s, CPU s, peak KiB) of a command and everything it waited for."""
    null = os.open(os.devnull, os.O_RDWR)
    start = time.monotonic()
    pid = os.posix_spawnp(
        command[0], command, os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1, 2)],
    )
    _, status, usage = os.wait4(pid, 0)
    wall = time.monotonic() - start
    os.close(null)
    code = os.waitstatus_to_exitcode(status)
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, code


def median(command, runs, accept):
    rows = [measure(command) for _ in range(runs)]
    for row in rows:
        if row[3] not in accept:
            sys.exit(f"{command[0]} ended with {row[3]}")
    return [statistics.median(row[i] for row in rows) for i in range(3)]


def processes(command):
    """Programs started, the command itself included."""
    with tempfile.NamedTemporaryFile("r") as log:
        subprocess.run(["strace", "-f", "-qq", "-e", "trace=execve,execveat", "-o", log.name, *command],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=False)
        return sum("= 0" in line for line in log)


def show(title, ours, peer, name):
    print(f"\n{title}")
    print(f"{'':14}{'wall s':>10}{'CPU s':>10}{'peak MiB':>10}")
    for label, row in (("assay", ours), (name, peer)):
        print(f"{label:14}{row[0]:>10.3f}{row[1]:>10.3f}{row[2] / 1024:>10.1f}")
    print(f"{'ratio':14}" + "".join(f"{b / a:>9.1f}x" if a else f"{'-':>10}" for a, b in zip(ours, peer)))


def walk(assay, whole):
    """Processor time of the file-system walk for each entry, beside find over the same disk."""
    command = [assay, "scan", "--family", "files", "--format", "json"]
    report = json.loads(subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout)
    entries = report["facts"]["files"]["entries"]
    ours = median(command, RUNS, {0, 3})
    find = median(["find", "/", "-xdev", "-perm", "/6000"], RUNS, {0, 1})
    show(f"walk over {entries} entries", ours, find, "find")
    print(f"assay {ours[1] / entries * 1e6:.1f} us CPU an entry, find {find[1] / entries * 1e6:.1f}; target 5.0")
    print(f"whole host scan without the walk: {max(whole[1] - ours[1], 0):.2f} s CPU; target 2.0")


NGINX = """daemon off; pid {d}/pid; error_log {d}/error.log;
events {{}}
http {{
  access_log off; client_body_temp_path {d}/1; proxy_temp_path {d}/2; fastcgi_temp_path {d}/3; uwsgi_temp_path {d}/4; scgi_temp_path {d}/5;
  server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {d}/cert.pem; ssl_certificate_key {d}/key.pem; ssl_protocols TLSv1.2 TLSv1.3; }}
}}
"""


def endpoint():
    """An nginx with TLS on a free port below the ephemeral range."""
    folder = tempfile.mkdtemp()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem",
                    "-subj", "/CN=localhost", "-days", "30"], check=True, stderr=subprocess.DEVNULL)
    for port in range(21_000, 21_100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                break
    pathlib.Path(folder, "nginx.conf").write_text(NGINX.format(d=folder, port=port))
    server = subprocess.Popen(["nginx", "-p", folder, "-c", f"{folder}/nginx.conf"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    for _ in range(100):
        with socket.socket() as probe:
            if not probe.connect_ex(("127.0.0.1", port)):
                return server, port, folder
        time.sleep(0.05)
    sys.exit("nginx did not start")


def main():
    assay = sys.argv[1]
    scan = [assay, "scan", "--format", "json"]
    ours = median(scan, RUNS, {0, 3})
    lynis = median(["lynis", "audit", "system", "--quick", "--quiet", "--no-colors"], 1, set(range(256)))
    show("whole host scan", ours, lynis, "lynis")
    print(f"programs started by assay: {processes(scan) - 1}")

    walk(assay, ours)

    server, port, folder = endpoint()
    try:
        probe = [assay, "scan", "--family", "tls", "--target", f"127.0.0.1:{port}", "--format", "json"]
        ours = median(probe, RUNS, {0, 3})
        peer = median(["sslscan", "--no-ciphersuites", "--no-cipher-details", "--no-heartbleed", "--no-compression", "--no-renegotiation",
                       "--no-groups", "--no-fallback", f"127.0.0.1:{port}"], RUNS, {0})
        show("TLS versions and certificate of one endpoint", ours, peer, "sslscan")
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
