#!/usr/bin/env python3
"""What one TLS endpoint costs assay and its peers, in the same run: wall and CPU seconds, peak memory, connections and bytes,
narrow (versions and certificate) and full (every suite). Then 1,000 endpoints, whose peak memory must stay under 64 MiB.

    probe.py ASSAY [RUNS]

Time is measured without the relay that counts connections and bytes."""
import asyncio
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

from whole_process import endpoint, measure, median

MANY = 1_000
LIMIT_MIB = 64
SSLYZE = "sslyze==6.3.1"
NARROW = ["--no-ciphersuites", "--no-fallback", "--no-compression", "--no-heartbleed", "--no-renegotiation", "--no-groups"]
NGINX = """daemon off; pid {d}/pid; error_log {d}/error.log; worker_rlimit_nofile 8192;
events {{ worker_connections 6000; }}
http {{
  access_log off; client_body_temp_path {d}/1; proxy_temp_path {d}/2; fastcgi_temp_path {d}/3; uwsgi_temp_path {d}/4; scgi_temp_path {d}/5;
  ssl_certificate {d}/cert.pem; ssl_certificate_key {d}/key.pem; ssl_protocols TLSv1.2 TLSv1.3;
  server {{ {listen} return 200; }}
}}
"""


def tools(assay):
    """{(kind, tool): (command without target, accepted exit codes, runs)}."""
    sslyze = sslyze_program()
    return {
        ("narrow", "assay"): ([assay, "scan", "tls", "--narrow", "--format", "jsonl"], {0, 3}, None),
        ("narrow", "sslscan"): (["sslscan", *NARROW], {0}, None),
        ("narrow", "nmap"): (["nmap", "-Pn", "-n", "--script", "+ssl-enum-ciphers,+ssl-cert"], {0}, 1),
        ("narrow", "testssl"): (["testssl", "--quiet", "--warnings", "off", "-p", "-S"], set(range(256)), 1),
        ("full", "assay"): ([assay, "scan", "tls", "--format", "jsonl"], {0, 3}, None),
        ("full", "sslscan"): (["sslscan"], {0}, 3),
        ("full", "nmap"): (["nmap", "-Pn", "-n", "--script", "+ssl-enum-ciphers,+ssl-cert,+ssl-heartbleed,+ssl-ccs-injection,+sslv2"], {0}, 1),
        ("full", "sslyze"): ([sslyze], set(range(256)), 1),
        ("full", "testssl"): (["testssl", "--quiet", "--warnings", "off", "-p", "-S", "-P", "-E", "-f", "-H", "-I"], set(range(256)), 1),
    }


def sslyze_program():
    """sslyze in a virtual environment of its own, made once."""
    folder = pathlib.Path(__file__).resolve().parents[2] / "target/sslyze"
    if not (folder / "bin/sslyze").exists():
        subprocess.run(["/usr/bin/python3", "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin/pip", "install", "-q", "--disable-pip-version-check", SSLYZE], check=True)
    return str(folder / "bin/sslyze")


def with_target(command, port):
    """The command for one port of 127.0.0.1."""
    return [*command, "-p", str(port), "127.0.0.1"] if command[0] == "nmap" else [*command, f"127.0.0.1:{port}"]


class Relay:
    """Counts connections and bytes on the way to a port."""

    def __init__(self, port):
        self.to, self.connections, self.bytes = port, 0, 0
        self._ready = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True).start()
        self._ready.wait()

    async def _serve(self):
        server = await asyncio.start_server(self._relay, "127.0.0.1", free_port(), backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await server.serve_forever()

    async def _relay(self, reader, writer):
        self.connections += 1
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self.to)
        except OSError:
            # What a tool left behind when its server is gone.
            writer.close()
            return

        async def pump(source, sink):
            try:
                while data := await source.read(65_536):
                    self.bytes += len(data)
                    sink.write(data)
                    await sink.drain()
            except OSError:
                pass
            sink.close()

        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))


def free_port():
    """A port below the range of outgoing connections."""
    for port in range(22_000, 32_000):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    sys.exit("no free port")


def one_endpoint(assay, runs):
    """The table of one endpoint."""
    server, port, folder = endpoint()
    try:
        rows = {}
        for (kind, tool), (command, accepted, times) in tools(assay).items():
            wall, cpu, peak = median(with_target(command, port), times or runs, accepted)
            relay = Relay(port)
            measure(with_target(command, relay.port))
            rows[kind, tool] = (wall, cpu, peak / 1024, relay.connections, relay.bytes)
        for kind in ("narrow", "full"):
            show(kind, {tool: row for (k, tool), row in rows.items() if k == kind})
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder)


def show(kind, rows):
    """One table; behind each figure of a peer, how many times ours it is."""
    print(f"\n{kind} survey of one TLS 1.2 + 1.3 endpoint")
    print(f"{'':10}{'wall s':>18}{'CPU s':>18}{'peak MiB':>18}{'connections':>18}{'KiB':>18}")
    ours = rows["assay"]
    for tool, row in rows.items():
        cells = []
        for place, (own, value) in enumerate(zip(ours, row)):
            text = f"{value:.3f}" if place < 2 else f"{value:.1f}" if place == 2 else f"{value}" if place == 3 else f"{value / 1024:.1f}"
            cells.append(text if tool == "assay" else f"{text} ({value / own:.1f}x)" if own else text)
        print(f"{tool:10}" + "".join(f"{c:>18}" for c in cells))


def many_endpoints(assay):
    """Peak memory over a thousand endpoints; true if under the limit."""
    folder = tempfile.mkdtemp()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{folder}/key.pem",
                    "-out", f"{folder}/cert.pem", "-subj", "/CN=localhost", "-days", "30"], check=True, stderr=subprocess.DEVNULL)
    ports = []
    for port in range(22_000, 32_000):
        with socket.socket() as probe:
            if len(ports) < MANY and probe.connect_ex(("127.0.0.1", port)):
                ports.append(port)
    pathlib.Path(folder, "nginx.conf").write_text(NGINX.format(d=folder, listen=" ".join(f"listen 127.0.0.1:{p} ssl;" for p in ports)))
    server = subprocess.Popen(["nginx", "-p", folder, "-c", f"{folder}/nginx.conf"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if not probe.connect_ex(("127.0.0.1", ports[-1])):
                    break
            time.sleep(0.05)
        print(f"\n{MANY} endpoints; limit {LIMIT_MIB} MiB")
        good = True
        for kind, arguments in (("narrow", ["--narrow"]), ("full", [])):
            wall, cpu, peak, code = measure([assay, "scan", "tls", *arguments, "--format", "jsonl", *(f"127.0.0.1:{p}" for p in ports)])
            if code not in (0, 3):
                sys.exit(f"assay ended with {code}")
            good &= peak / 1024 <= LIMIT_MIB
            print(f"{kind:8}{wall:>8.1f} s wall{cpu:>8.1f} s CPU{peak / 1024:>8.1f} MiB{wall / MANY * 1000:>8.1f} ms an endpoint")
        return good
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder)


def main():
    """Reads the command line."""
    assay, runs = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
    os.environ["NO_COLOR"] = "1"
    one_endpoint(assay, runs)
    if not many_endpoints(assay):
        sys.exit(f"over {LIMIT_MIB} MiB")


if __name__ == "__main__":
    main()
