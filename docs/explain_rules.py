"""
Update docs/explain.md from the rules of explain: one section per finding, and the calibration.

    python docs/explain_rules.py            from the declarations and the saved examples
    python docs/explain_rules.py --run      run the programs that cause findings, save their output

What precedes the marker in the page is written by hand. A finding whose program requires swap, huge
pages or KSM keeps its saved example where the machine has none.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import smapskit
from smapskit.analysis.explain import RULES
from smapskit.analysis.rules import Rule, Subject
from smapskit.analysis.thresholds import THRESHOLDS

HERE = Path(__file__).parent
TESTS = HERE.parent / "tests"
sys.path.insert(0, str(TESTS))
from support.causes_of_findings import (  # noqa: E402  a module of the tests
    EACH,
    FROM_LOGS,
    FROM_RECORDINGS,
    PROCESS_SECONDS,
    Cause,
)

PAGE = HERE / "explain.md"
EXAMPLES = HERE / "explain-examples.json"
MARKER = "<!-- From here on written by docs/explain_rules.py -->\n"
TITLES = {
    Subject.PROCESS: "Findings over a process or capture",
    Subject.DIFFERENCE: "Findings over a difference",
    Subject.RECORDING: "Findings over a recording",
    Subject.OOM_REPORT: "Findings over a kernel log",
}
_SECONDS = 30


def main() -> None:
    """Update the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("--run", nargs="*", metavar="ID", help="run the programs (default: all)")
    options = parser.parse_args()
    examples = json.loads(EXAMPLES.read_text()) if EXAMPLES.exists() else {}
    if options.run is not None:
        examples |= _run(options.run or list(RULES))
        EXAMPLES.write_text(json.dumps(examples, indent=1, sort_keys=True) + "\n")
    PAGE.write_text(page(PAGE.read_text(), examples))


def page(text: str, examples: dict[str, str]) -> str:
    """Return the page with its generated part made anew."""
    by_hand = text.partition(MARKER)[0]
    return f"{by_hand}{MARKER}\n{calibration()}\n{sections(examples)}"


# ---- sections ----------------------------------------------------------------------------


def sections(examples: dict[str, str]) -> str:
    """Return one section per finding, by what is examined."""
    causes = {cause.id: cause for cause in EACH}
    parts = []
    for subject, title in TITLES.items():
        parts.append(f"## {title}\n")
        parts += [
            _section(rule, causes.get(id_), examples.get(id_, ""))
            for id_, rule in sorted(RULES.items())
            if rule.subject is subject
        ]
    return "\n".join(parts)


def _section(rule: Rule, cause: Cause | None, example: str) -> str:
    kind = f"{rule.severity.capitalize()}, {rule.confidence}"
    lines = [
        f"### {rule.id}",
        "",
        f"{kind}. Reported when {rule.describe_condition()}.",
        "",
        rule.meaning,
        "",
        f"**What to do.** {rule.advice}",
        "",
        f"**What would disprove it.** {rule.disproof}",
        "",
    ]
    fields = ", ".join(f"`{name}`" for name in rule.needs)
    facts = ", ".join(f"`{name}`" for name in rule.needs_context)
    if fields:
        lines += [f"**Required fields.** {fields}.", ""]
    if facts:
        lines += [f"**Required facts of the machine.** {facts}.", ""]
    limits = THRESHOLDS.get(rule.id, {})
    if limits:
        lines += ["| Threshold | Value | Reason |", "| --- | --- | --- |"]
        lines += [f"| {name} | {limit.text} | {limit.reason} |" for name, limit in limits.items()]
        lines += [""]
    if cause is not None:
        language = {".c": "c", ".py": "py"}[cause.path.suffix]
        command = f"with the argument {cause.argument}" if cause.argument else "without arguments"
        twin = f", and not with {cause.twin}" if cause.twin else ""
        lines += [
            f"This program causes it {command}{twin}:",
            "",
            f"```{language}",
            cause.path.read_text().rstrip(),
            "```",
            "",
        ]
    elif rule.id in FROM_LOGS:
        lines += [f"`tests/fixtures/oom/{FROM_LOGS[rule.id]}` shows it.", ""]
    else:
        lines += [f"`examples/pageout/recorded/{FROM_RECORDINGS[rule.id]}` shows it.", ""]
    if example:
        lines += ["```text", example.rstrip(), "```", ""]
    return "\n".join(lines)


# ---- calibration -------------------------------------------------------------------------


def calibration() -> str:
    """Return which rules fire on which captures in tests/fixtures."""
    names: dict[str, list[str]] = {}
    files = [
        *(TESTS / "fixtures").glob("*/smaps.txt"),
        *(TESTS / "fixtures" / "runtimes").glob("*.smaps.gz"),
    ]
    for file in sorted(files):
        is_folder = file.name == "smaps.txt"
        name = file.parent.name if is_folder else file.name.removesuffix(".smaps.gz")
        for finding in smapskit.explain(smapskit.load(file)):
            names.setdefault(finding.id, []).append(name)
    text = (
        f"tests/fixtures has captures of {len(files)} processes. These rules report something "
        "about them, and each finding was checked by hand: the cause is there. All other rules "
        "find nothing in any of them."
    )
    lines = [
        "## Calibration",
        "",
        text,
        "",
        "| Finding | Captures with it | Captures without it | Names of the captures with it |",
        "| --- | --- | --- | --- |",
    ]
    for id_, found in sorted(names.items()):
        silent = len(files) - len(found)
        lines.append(f"| [{id_}](#{id_}) | {len(found)} | {silent} | {', '.join(found)} |")
    about_sections = (
        "Each of the following sections has a program that causes its finding, and the output. The "
        "text after the colon in the first line of the program describes its argument."
    )
    lines += ["", about_sections]
    return "\n".join([*lines, ""])


# ---- examples ----------------------------------------------------------------------------


def _run(ids: list[str]) -> dict[str, str]:
    """Return the output of explain for each program that runs on this machine."""
    examples = {}
    for cause in EACH:
        if cause.id in ids:
            with tempfile.TemporaryDirectory() as folder:
                output = _explain(cause, Path(folder))
            if f"{cause.id} (" in output:
                examples[cause.id] = output
            else:
                print(f"{cause.id}: not found on this machine; kept the saved example")
    for id_, name in FROM_LOGS.items():
        examples[id_] = _call("explain", name, cwd=TESTS / "fixtures" / "oom")
    for id_, name in FROM_RECORDINGS.items():
        examples[id_] = _call("explain", name, cwd=HERE.parent / "examples/pageout/recorded")
    return examples


def _explain(cause: Cause, folder: Path) -> str:
    program, *arguments = cause.command(folder)
    is_script = cause.path.suffix == ".py"
    process = subprocess.Popen(  # noqa: S603
        ["python3", cause.path.name, arguments[-1]] if is_script else [cause.id, *arguments],
        executable=program,
        cwd=cause.path.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    output, standard_input = process.stdout, process.stdin
    if output is None or standard_input is None:
        raise AssertionError
    try:
        output.readline()
        facts = [word for name, value in cause.context for word in ("--context", f"{name}={value}")]
        subject = RULES[cause.id].subject
        if subject is Subject.PROCESS:
            return _call("explain", str(process.pid), *facts)
        if subject is Subject.RECORDING:
            smapskit.record(
                process.pid, 0.05, PROCESS_SECONDS, by="kind", path=folder / "recording.csv"
            )
            return _call("explain", "recording.csv", cwd=folder)
        smaps = Path(f"/proc/{process.pid}/smaps")
        (folder / "before.txt").write_bytes(smaps.read_bytes())
        standard_input.write("\n")
        standard_input.flush()
        output.readline()
        (folder / "after.txt").write_bytes(smaps.read_bytes())
        return _call("explain", "before.txt", "after.txt", cwd=folder)
    finally:
        process.terminate()
        process.communicate(timeout=_SECONDS)


def _call(*words: str, cwd: Path | None = None) -> str:
    command = [sys.executable, "-m", "smapskit", *words]
    run = subprocess.run(  # noqa: S603
        command, cwd=cwd, capture_output=True, text=True, check=False, timeout=_SECONDS
    )
    return run.stdout


if __name__ == "__main__":
    main()
