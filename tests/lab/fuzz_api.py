#!/usr/bin/env python3
"""Holds a collector's API against its OpenAPI document with schemathesis.

    fuzz_api.py install              into target/schemathesis, a virtual environment of its own
    fuzz_api.py run BASE TOKEN       every operation, the same examples each time; fails when an answer is not as the document says
"""
import os, pathlib, subprocess, sys

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "target/schemathesis"
PACKAGES = ["schemathesis==4.32.5"]
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,unsupported_method,ignored_auth"
EXAMPLES = os.environ.get("ASSAY_API_EXAMPLES", "15")


def install():
    if not (FOLDER / "bin/schemathesis").exists():
        subprocess.run([sys.executable, "-m", "venv", FOLDER], check=True)
        subprocess.run([FOLDER / "bin/pip", "install", "--quiet", *PACKAGES], check=True)


def run(base, token):
    command = [
        FOLDER / "bin/schemathesis", "run", f"{base}/api/v1/openapi.json", "--url", f"{base}/api/v1",
        "--header", f"Authorization: Bearer {token}", "--checks", CHECKS, "--phases", "examples,coverage,fuzzing",
        "--max-examples", EXAMPLES, "--seed", "20261128", "--generation-deterministic", "--no-color", "--request-timeout", "30",
    ]
    return subprocess.run(command).returncode


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["install"]:
            install()
        case ["run", base, token]:
            sys.exit(run(base, token))
        case _:
            sys.exit(__doc__)
