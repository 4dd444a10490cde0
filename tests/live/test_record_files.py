"""Files that are being recorded: no file of others is changed, no sample is lost."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from support.marks import RECORDING_NAMES, requires
from support.subjects import unmeasured

import smapskit
from smapskit import Recording, Totals, Unsupported, cli
from smapskit.sources import recording
from smapskit.sources.recording import Sample, storage

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="samples the /proc of Linux"),
    pytest.mark.slow,
]


def make_row(seconds: float, group: str = "", marker: str = "", rss: int = 100) -> Sample:
    totals = Totals(count=1, size=10, rss=rss, shared_rss=25)
    moment = datetime(2026, 1, 1, 0, 0, int(seconds), tzinfo=UTC)
    return Sample(moment, seconds, 0.001, group, totals, marker)


Record = Callable[..., Recording]


@pytest.fixture
def record(sleeper: int) -> Record:
    return partial(smapskit.record, sleeper, 0.02, 0.2)


# ---- files of others -------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECORDING_NAMES)
class TestExistingFile:
    def test_is_rejected_before_a_command_is_started(
        self, name: str, record: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file, started = tmp_path / name, tmp_path / "started"
        file.write_text("precious")
        assert cli.main(["record", "-o", str(file), "--", "touch", str(started)]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line == f"smapskit: File exists: {file}; --force replaces it"
        with pytest.raises(FileExistsError):
            record(path=file)
        assert file.read_text() == "precious"
        assert not started.exists()
        assert [path.name for path in tmp_path.iterdir()] == [name]

    def test_is_replaced_once_there_is_a_sample(
        self, name: str, sleeper: int, tmp_path: Path
    ) -> None:
        file = tmp_path / name
        file.write_text("precious")
        assert cli.main(["record", "-fo", str(file), "999999999"]) == 42
        assert file.read_text() == "precious"
        words = ["-i", "0.02", "-t", "0.2", str(sleeper)]
        assert cli.main(["record", "--force", "-o", str(file), *words]) == 0
        assert len(Recording.load(file).rows) > 1
        assert [path.name for path in tmp_path.iterdir()] == [name]

    @pytest.mark.parametrize("overwrite", [False, True])
    def test_a_symbolic_link_is_not_followed(
        self, overwrite: bool, name: str, record: Record, tmp_path: Path
    ) -> None:
        target = tmp_path / "target"
        for content in ("precious", None):
            if content is None:
                target.unlink()  # a dangling link
            else:
                target.write_text(content)
            link = tmp_path / name
            link.unlink(missing_ok=True)
            link.symlink_to(target)
            with pytest.raises((FileExistsError, FileNotFoundError)):
                record(path=link, overwrite=overwrite)
            assert link.is_symlink()
            assert (target.read_text() if target.exists() else None) == content
        assert len(list(tmp_path.iterdir())) == 1


@requires("pyarrow")
def test_a_file_that_appears_while_recording_is_not_replaced(
    record: Record, tmp_path: Path
) -> None:
    file = tmp_path / "run.parquet"

    def create(_rows: Sequence[Sample]) -> None:
        if not file.exists():
            file.write_text("precious")

    with pytest.raises(FileExistsError) as caught:
        record(path=file, on_sample=create)
    assert file.read_text() == "precious"
    (part,) = tmp_path.glob("*.part")
    assert caught.value.__notes__ == [f"the samples are in {part}"]
    assert len(Recording.load(part).rows) > 1


@pytest.mark.parametrize("name", RECORDING_NAMES)
@pytest.mark.parametrize("options", [[], ["--force"]])
def test_a_second_recorder_is_rejected(
    name: str, options: list[str], sleeper: int, tmp_path: Path
) -> None:
    file = tmp_path / name
    words = ["record", "-i", "0.05", *options, "-o", str(file)]
    command = [sys.executable, "-m", "smapskit", *words, str(sleeper)]
    first = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while not any(path.stat().st_size for path in tmp_path.iterdir()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        second = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    finally:
        first.terminate()
        first.wait(20)
    assert second.returncode == 1
    (line,) = second.stderr.splitlines()
    is_locked = options or name.endswith(".parquet")
    assert ("another recorder is writing this file" if is_locked else "File exists") in line
    assert first.returncode == 0
    assert len(Recording.load(file).rows) > 1
    assert [path.name for path in tmp_path.iterdir()] == [name]


@requires("pyarrow")
def test_samples_of_an_earlier_run_are_not_removed(record: Record, tmp_path: Path) -> None:
    earlier = [tmp_path / "run.parquet.part", tmp_path / "run.parquet.0a1b2c3d.part"]
    for file in earlier:
        file.write_text("precious")
    record(path=tmp_path / "run.parquet")
    assert [file.read_text() for file in earlier] == ["precious"] * 2
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("name", RECORDING_NAMES)
@pytest.mark.parametrize("user", [0, 65534])
def test_files_of_root_are_private(name: str, user: int) -> None:
    if os.geteuid() != 0:
        pytest.skip("requires root, to record as root and as another user")
    program = (
        "import ctypes, os, sys, smapskit, pandas, smapskit.sources.recording\n"
        "if sys.argv[3].endswith('parquet'): import pyarrow.parquet\n"
        "os.umask(0o022); os.chdir(sys.argv[2])\n"
        "if int(sys.argv[1]): os.setgroups([]); os.setuid(int(sys.argv[1]))\n"
        "ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE: may read itself again\n"
        "smapskit.record(os.getpid(), 0.02, 0.05, path=sys.argv[3]).save('saved' + sys.argv[3])\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        command = [sys.executable, "-c", program, str(user), folder, name]
        subprocess.run(command, check=True, env=unmeasured())
        modes = [stat.S_IMODE(file.stat().st_mode) for file in Path(folder).iterdir()]
    assert modes == [0o644 if user else 0o600] * 2


def test_a_recording_goes_to_a_pipe_with_force(sleeper: int, tmp_path: Path) -> None:
    words = ["record", "-fi", "0.02", "-t", "0.2", "-o", "/dev/stdout", str(sleeper)]
    command = [sys.executable, "-m", "smapskit", *words]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    copy = tmp_path / "copy.csv"
    copy.write_text(run.stdout)
    assert len(Recording.load(copy).rows) > 1
    assert Path("/dev/stdout").is_symlink()


# ---- complete samples ------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["backing", "perms", "pathname", "mapping"])
def test_incomplete_samples_are_not_loaded(
    by: recording.GroupKey, record: Record, tmp_path: Path
) -> None:
    file = tmp_path / "run.csv"
    record(by=by, path=file)
    whole = Recording.load(file)
    text = file.read_text()
    sizes = [sum(row.seconds == at for row in whole.rows) for at in whole.totals()]
    assert min(sizes) > 1
    complete = {sum(sizes[:n]) for n in range(len(sizes) + 1)}
    ends = [at for at, character in enumerate(text) if character == "\n"]
    for end in ends[2 : 2 + 3 * sizes[0]]:
        for cut in (end, end + 1):
            file.write_text(text[:cut])
            assert len(Recording.load(file).rows) in complete


# ---- memory ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECORDING_NAMES)
def test_no_sample_is_kept_in_memory_while_it_is_recorded(
    name: str, record: Record, tmp_path: Path
) -> None:
    alive: list[int] = []
    references: list[weakref.ref[Sample]] = []

    def count(rows: Sequence[Sample]) -> None:
        references.append(weakref.ref(rows[0]))
        alive.append(sum(reference() is not None for reference in references))

    kept = record(path=tmp_path / name, on_sample=count)
    assert len(alive) > 2
    assert max(alive) == 1
    assert kept == Recording.load(tmp_path / name)  # the rows are read when first accessed
    assert len(kept.rows) == len(alive)
    assert kept.rows[0] == next(iter(kept.rows))


def test_rows_of_a_file_that_changed_are_an_error(record: Record, tmp_path: Path) -> None:
    file = tmp_path / "run.csv"
    kept = record(path=file)
    record(path=file, overwrite=True)
    with pytest.raises(OSError, match="has changed since"):
        len(kept.rows)


# ---- Parquet ---------------------------------------------------------------------------------


@requires("pyarrow")
def test_parquet_without_pyarrow_is_rejected_before_the_first_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.parquet"
    Recording((make_row(0),)).save(file)
    saved = file.read_bytes()
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    started = tmp_path / "started"
    assert cli.main(["record", "-fo", str(file), "--", "touch", str(started)]) == 1
    assert cli.main(["plot", str(file)]) == 1
    for line in capsys.readouterr().err.splitlines():
        assert line.startswith("smapskit: Parquet requires pyarrow")
    with pytest.raises(Unsupported, match="requires pyarrow"):
        Recording(()).save(file)
    assert file.read_bytes() == saved
    assert [path.name for path in tmp_path.iterdir()] == ["run.parquet"]


@requires("pyarrow")
def test_ctrl_c_while_converting_keeps_the_samples_and_names_their_file(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(storage, "_write_parquet", interrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        record(path=tmp_path / "run.parquet")
    (part,) = tmp_path.iterdir()
    assert caught.value.__notes__ == [f"the samples are in {part}"]
    assert len(Recording.load(part).rows) > 1


@requires("pyarrow")
def test_a_parquet_file_has_what_the_csv_file_has(record: Record, tmp_path: Path) -> None:
    def group(mapping: smapskit.Mapping) -> str:
        return ['=A1;,"\'x"', "'x", "", "NA"][mapping.start // 4096 % 4]

    seen: list[Sample] = []
    kept = record(by=group, path=tmp_path / "run.parquet", on_sample=seen.extend)
    assert tuple(kept.rows) == tuple(seen)
    assert {row.group for row in seen} == {'=A1;,"\'x"', "'x", "", "NA"}
