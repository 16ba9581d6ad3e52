#!/usr/bin/env python3
"""Holds a collector's API against its OpenAPI document with schemathesis.

    fuzz_api.py install              into target/schemathesis, a virtual environment of its own
    fuzz_api.py run BASE TOKEN       every operation, the same examples each time; fails when an answer is not as the document says
"""
import base64, datetime, hashlib, json, os, pathlib, subprocess, sys, tempfile, urllib.request

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "target/schemathesis"
PACKAGES = ["schemathesis==4.32.5"]
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,unsupported_method,ignored_auth"
EXAMPLES = os.environ.get("ASSAY_API_EXAMPLES", "15")


def install():
    if not (FOLDER / "bin/schemathesis").exists():
        subprocess.run([sys.executable, "-m", "venv", FOLDER], check=True)
        subprocess.run([FOLDER / "bin/pip", "install", "--quiet", *PACKAGES], check=True)


def post(base, token, path, body):
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{base}/api/v1{path}", json.dumps(body).encode(), headers)
    return json.load(urllib.request.urlopen(request))["entry"]


def places(base, token):
    """Something of each kind, so that what names it reaches more than “there is no such thing”."""
    content = b"scan"
    training = {"subject": "ada", "fields": {"done_on": "2026-01-05", "content": "x"}, "files": [{"name": "a.pdf", "content": base64.b64encode(content).decode()}]}
    day = (datetime.date.today() + datetime.timedelta(days=30)).isoformat()
    waiver = {"rule": "tls-version-minimum", "host": "*", "reason": "old", "control": "one network", "expires": day}
    post(base, token, "/records/awareness-training", training)
    return {
        "/records/{type}/{entry}": {"type": "incidents", "entry": post(base, token, "/records/incidents", {"subject": "x"})},
        "/waivers/{entry}": {"entry": post(base, token, "/waivers", waiver)},
        "/access-reviews/{entry}": {"entry": post(base, token, "/access-reviews", {"scope": "all"})},
        "/record-files/{digest}": {"digest": hashlib.sha256(content).hexdigest()},
        "/commitments/{page}": {"page": "crm-cloud"},
    }


def run(base, token):
    with tempfile.TemporaryDirectory() as folder:
        config = pathlib.Path(folder) / "schemathesis.toml"
        rows = [f"[[operations]]\ninclude-path = {json.dumps(path)}\nparameters = {{ " + ", ".join(f"{json.dumps('path.' + n)} = {json.dumps(v)}" for n, v in named.items()) + " }\n"
                for path, named in places(base, token).items()]
        config.write_text("".join(rows))
        command = [
            FOLDER / "bin/schemathesis", "--config-file", config, "run", f"{base}/api/v1/openapi.json", "--url", f"{base}/api/v1",
            "--header", f"Authorization: Bearer {token}", "--checks", CHECKS, "--phases", "examples,coverage,fuzzing",
            "--max-examples", EXAMPLES, "--generation-deterministic", "--no-color", "--request-timeout", "30",
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
