#!/usr/bin/env python3
"""Reads the workbook and the OSCAL document of a bundle by other programs: openpyxl and compliance-trestle.

    read_formats.py install                  both into target/formats, a virtual environment of its own
    read_formats.py xlsx FILE                sheets, links, formulas and heads as JSON
    read_formats.py oscal FILE               validates against the model and trestle's own rules, then prints counts as JSON
"""
import json, os, pathlib, subprocess, sys, tempfile

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "target/formats"
PACKAGES = ["compliance-trestle==5.2.0", "openpyxl==3.1.5"]


def install():
    if not (FOLDER / "bin/trestle").exists():
        subprocess.run([sys.executable, "-m", "venv", FOLDER], check=True)
        subprocess.run([FOLDER / "bin/pip", "install", "--quiet", *PACKAGES], check=True)


def xlsx(path):
    from openpyxl import load_workbook

    sheets = {}
    for sheet in load_workbook(path):
        cells = [c for row in sheet.iter_rows() for c in row if c.value is not None]
        sheets[sheet.title] = {
            "rows": sheet.max_row,
            "formulas": [c.coordinate for c in cells if c.data_type == "f"],
            "links": sorted(h.location for h in (c.hyperlink for c in cells) if h),
            "filter": sheet.auto_filter.ref,
            "frozen": sheet.freeze_panes,
            "tables": sorted(t.ref for t in sheet.tables.values()),
            "texts": sorted({str(c.value) for c in cells}),
        }
    return sheets


def oscal(path):
    from trestle.oscal.assessment_results import AssessmentResults

    AssessmentResults.oscal_read(pathlib.Path(path))
    trestle = FOLDER / "bin/trestle"
    with tempfile.TemporaryDirectory() as project:
        for words in (["init", "--local"], ["import", "-f", os.path.abspath(path), "-o", "bundle"], ["validate", "-t", "assessment-results", "-n", "bundle"]):
            done = subprocess.run([trestle, *words], cwd=project, capture_output=True, text=True)
            said = [line for line in (done.stdout + done.stderr).splitlines() if "WARNING" in line]
            # It takes only uuids of version 4 for references, so ours of version 5 look like resources that nobody refers to.
            if done.returncode or any("links_validator" not in line for line in said):
                sys.exit(f"trestle {words[0]}: {done.stdout}{done.stderr}")
    result = json.load(open(path))["assessment-results"]["results"][0]
    return {
        "findings": {f["target"]["target-id"]: f["target"]["status"] for f in result["findings"]},
        "risks": sorted(r["status"] for r in result.get("risks", [])),
        "observations": len(result["observations"]),
        "hosts": len(result.get("local-definitions", {}).get("inventory-items", [])),
        "evidence": sorted({e["href"] for o in result["observations"] for e in o.get("relevant-evidence", [])}),
    }


if sys.argv[1] == "install":
    install()
else:
    print(json.dumps({"xlsx": xlsx, "oscal": oscal}[sys.argv[1]](sys.argv[2])))
