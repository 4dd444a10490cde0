#!/usr/bin/env bash
# Build wheel and sdist, and see that they hold what they should and work where nothing else is.
#   tests/dist.sh PYTHON    with a PYTHON that has build, mypy and pyright
set -euo pipefail
cd "$(dirname "$0")/.."
python=$(realpath -s "$1")
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"$python" -m build -q --outdir "$out" . >/dev/null
"$python" - "$out" <<'END'
import re, sys, tarfile, zipfile
from pathlib import Path
(wheel,), (sdist,) = Path(sys.argv[1]).glob("*.whl"), Path(sys.argv[1]).glob("*.tar.gz")
names = zipfile.ZipFile(wheel).namelist()
assert "smapskit/py.typed" in names, names
for name in ("report.css", "main.js", "table.js", "treemap.js"):
    assert f"smapskit/views/report/{name}" in names, names
assert any(name.endswith("share/man/man1/smapskit.1") for name in names), names
assert all(name.startswith(("smapskit/", "smapskit-")) for name in names), names
(metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
description = zipfile.ZipFile(wheel).read(metadata).decode()
assert "# smapskit" in description and "<!--" not in description
links = re.findall(r"(!?)\[[^]]*\]\(([^)]*)\)", description)  # a package index has no files
assert len(links) > 20, links
for picture, link in links:
    assert re.match(r"https://|#", link), link
    assert not picture or link.endswith((".png?raw=true", ".svg?raw=true")), link
inside = {name.partition("/")[2] for name in tarfile.open(sdist).getnames()}
for name in ("pyproject.toml", "README.md", "README.ja.md", "LICENSE", "CONTRIBUTING.md", "tests/conftest.py",
             "docs/conf.py", "docs/terminal.svg", "examples/pageout/run.py", "benchmarks/measure.py"):
    assert name in inside, name
assert not [name for name in inside if "__pycache__" in name or name.startswith(".venv")]
print(f"{wheel.name}: {len(names)} files; {sdist.name}: {len(inside)} entries")
END
python3 -m venv "$out/venv"
"$out/venv/bin/pip" install -q "$out"/*.whl
(cd / && "$out/venv/bin/smapskit" --version && "$out/venv/bin/smapskit" $$ | tail -n 1)
(cd / && "$out/venv/bin/smapskit" report $$ -o "$out/report.html" && grep -q 'class RowTable' "$out/report.html")
cp tests/typed_user.py "$out/typed_user.py"
(cd "$out" && "$python" -m mypy --strict --python-executable "$out/venv/bin/python" typed_user.py)
(cd "$out" && "$python" -m pyright --pythonpath "$out/venv/bin/python" typed_user.py)
