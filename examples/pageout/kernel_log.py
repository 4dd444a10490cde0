"""Read why the kernel killed the workload, from its log."""

from __future__ import annotations

import subprocess

import smapskit


def explain_kill(pid: int) -> str | None:
    """
    Return the kernel's own reasons for killing a process, in words.

    Returns:
        None if the log may not be read, or has no report about this process.
    """
    try:
        log = subprocess.run(["dmesg"], capture_output=True, check=False).stdout
        reports = smapskit.parse_oom_report_all(log, strict=False)
    except (OSError, smapskit.ParseError):
        return None
    for report in reversed(reports):  # pids are used again: the last one is meant
        if any(victim.pid == pid for victim in report.killed):
            (finding,) = smapskit.explain(report)
            return f"{finding.title} {finding.meaning}"
    return None
