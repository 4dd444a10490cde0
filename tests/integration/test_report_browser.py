"""Reports in headless Chromium: they show the values, load nothing, and can be operated."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from support.paths import FIXTURES, RECORDED
from support.reports import HOSTILE_NAMES, hostile_snapshot, labels, large_snapshot
from support.subjects import MAPPER, Start

import smapskit
from smapskit import Snapshot, cli, diff
from smapskit.analysis.findings import format_kb
from smapskit.sources.recording import Recording
from smapskit.views.columns import label

if TYPE_CHECKING:
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="needs the programs chromium and chromedriver"
    ),
]

JAVA = smapskit.load(FIXTURES / "java" / "smaps.txt")
LARGE_COUNT = 65_530
LIMIT = 262_144


def grown(snapshot: Snapshot) -> list[smapskit.Mapping]:
    """Return the mappings of which some have grown."""
    return [attrs.evolve(m, rss=(m.rss or 0) + 4 * n) for n, m in enumerate(snapshot[:60])]


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with reports, one for each subject."""
    folder = tmp_path_factory.mktemp("reports")
    smapskit.load(FIXTURES / "bash" / "smaps.txt").to_html(folder / "shell.html")
    context = smapskit.Context(max_map_count=220)
    JAVA.to_html(folder / "java.html", context=context)
    hostile_snapshot().to_html(folder / "hostile.html", title="".join(HOSTILE_NAMES))
    large_snapshot(LARGE_COUNT).to_html(folder / "large.html")
    diff(JAVA, grown(JAVA)).to_html(folder / "difference.html")
    recording = Recording.load(RECORDED / "swap.csv")
    recording.to_html(folder / "recording.html", memory_limit=LIMIT)
    Snapshot(()).to_html(folder / "empty.html")
    smapskit.load(FIXTURES / "java" / "maps.txt").to_html(folder / "maps.html")
    return folder


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """Start Chromium without network."""
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    profile = tmp_path_factory.mktemp("profile")
    for argument in (
        "--headless=new",
        "--no-sandbox",  # which root may not have; the pages are our own
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--force-device-scale-factor=1",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # The path of the driver is given: selenium looks for none, and downloads none.
    service = webdriver.ChromeService(
        executable_path=DRIVER, env={**os.environ, "HOME": str(profile)}
    )
    driver = webdriver.Chrome(options=options, service=service)
    try:
        driver.execute_cdp_cmd("Network.enable", {})
        offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        driver.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
        yield driver
    finally:
        driver.quit()


@attrs.define
class Page:
    """A report in the browser."""

    driver: Chrome
    folder: Path

    def open(self, name: str, width: int = 1300, **media: str) -> None:
        features = [{"name": key.replace("_", "-"), "value": value} for key, value in media.items()]
        self.command("Emulation.setEmulatedMedia", media="", features=features)
        self.command("Emulation.setScriptExecutionDisabled", value=False)
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.command("Emulation.setDeviceMetricsOverride", **metrics)
        self.logs()
        self.driver.get((self.folder / f"{name}.html").as_uri())

    def command(self, name: str, **arguments: Any) -> Any:
        return self.driver.execute_cdp_cmd(name, arguments)

    def logs(self) -> tuple[list[str], list[str]]:
        """Return the messages of the console and the addresses requested, since the last call."""
        messages = [entry["message"] for entry in self._log("browser")]
        events = [json.loads(entry["message"])["message"] for entry in self._log("performance")]
        requested = [
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        ]
        return messages, requested

    def _log(self, kind: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.driver.get_log(kind)  # type: ignore[no-untyped-call]
        return entries

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element("css selector", selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements("css selector", selector)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def texts(self, selector: str) -> list[str]:
        """Return the text of each element, read at one time."""
        script = "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)"
        found: list[str] = self.run(script, selector)
        return found

    def press(self, *keys: str) -> None:
        """Press keys on the element that has the focus."""
        for key in keys:
            self.run("return document.activeElement").send_keys(key)

    def wait(self, expression: str) -> None:
        """Wait until a JavaScript expression is true: the browser lays out after a frame."""
        deadline = time.monotonic() + 60
        while not self.run(f"return Boolean({expression})"):
            assert time.monotonic() < deadline, expression
            time.sleep(0.02)

    def rows(self, table: str = "mappings") -> list[dict[str, str]]:
        """Return the rows in view: the tooltip of each cell, which is exact, by heading."""
        script = """
            const grid = document.querySelector(`#${arguments[0]} .grid`);
            const heads = [...grid.querySelectorAll("th")].map((th) => th.textContent);
            return [...grid.querySelectorAll("tr[data-at]")].map((tr) => Object.fromEntries(
              [...tr.children].map((td, n) => [heads[n], td.title])));
        """
        found: list[dict[str, str]] = self.run(script, table)
        return found


@pytest.fixture
def page(chrome: Chrome, reports: Path) -> Page:
    return Page(chrome, reports)


def exact(kb: int | None) -> str:
    return "not reported" if kb is None else f"{kb:,} kB"


KEYS = {"End": "\ue010", "Home": "\ue011", "Enter": "\ue007", "Escape": "\ue00c"}
KEYS |= {"Down": "\ue015", "Up": "\ue013", "Right": "\ue014", "Left": "\ue012"}


@pytest.mark.parametrize("width", [1300, 420])
@pytest.mark.parametrize(
    "name",
    ["shell", "java", "hostile", "large", "difference", "recording", "empty", "maps"],
)
def test_no_message_no_request_and_nothing_wider_than_the_window(
    name: str, width: int, page: Page
) -> None:
    page.open(name, width)
    page.wait("document.documentElement.classList.contains('scripted')")
    for control in ("#theme", ".map > button", "th button", "tr[data-at]"):
        page.run("document.querySelector(arguments[0])?.click()", control)
    page.run("dispatchEvent(new Event('beforeprint')); dispatchEvent(new Event('afterprint'))")
    assert page.run("return document.documentElement.scrollWidth") <= width
    messages, requested = page.logs()
    assert messages == []
    assert requested == [(page.folder / f"{name}.html").as_uri()]


def test_a_violation_of_the_policy_would_be_noticed(page: Page) -> None:
    page.open("shell")
    page.run(
        "const s = document.createElement('script'); s.textContent = 'document.title = 1';"
        "const i = document.createElement('img'); i.src = 'https://example.invalid/x.png';"
        "document.body.append(s, i);"
    )
    messages, _ = page.logs()
    assert len([message for message in messages if "Content Security Policy" in message]) == 2
    assert page.driver.title == "Memory of a process"


def test_hostile_names_are_shown_as_text(page: Page) -> None:
    snapshot = hostile_snapshot()
    page.open("hostile")
    assert [row["Pathname"] for row in page.rows()] == labels(snapshot.mappings)
    page.run("document.querySelector('.map > button').click()")
    page.run("document.querySelector('#mappings tr[data-at]').click()")
    assert page.find(".details h3").text.endswith(labels(snapshot.mappings)[0])
    assert page.all("main img, main script, main style, main textarea") == []
    assert page.driver.title != "owned"
    for name in labels(snapshot.mappings)[-4:]:  # they mean something as a key of an object
        search(page, name)
        assert [row["Pathname"] for row in page.rows()] == [name]


def test_a_hostile_process(page: Page, tmp_path: Path, start: Start) -> None:
    names = [
        b"<script>document.title='owned'<",
        b"<img src=x onerror=document.title='owned'>",
        b"\xff\x80 \xe2\x80\xaegnp.exe\n\x1b[31m",
        b"&lt;b&gt;\"'><svg onload=document.title='owned'>",
    ]
    (tmp_path / "<").mkdir()  # so that a path contains "</script>"
    paths = [tmp_path / os.fsdecode(name) for name in names]
    paths.append(tmp_path / "<" / "script><script>document.title='owned'<")
    pid = start(sys.executable, "-c", MAPPER, *map(str, paths)).pid
    assert cli.main(["report", str(pid), "-f", "-o", str(page.folder / "process.html")]) == 0
    page.open("process")
    page.wait("document.documentElement.classList.contains('scripted')")
    search(page, str(tmp_path))
    assert {row["Pathname"] for row in page.rows()} == {
        label(mapping.pathname)
        for mapping in smapskit.read(pid)
        if mapping.pathname.startswith(str(tmp_path))
    }
    assert len(page.rows()) == len(paths)
    messages, requested = page.logs()
    assert messages == []
    assert requested == [(page.folder / "process.html").as_uri()]
    assert page.driver.title.startswith(f"Memory of process {pid}: ")
    assert len(page.all("script")) == 2
    assert page.all("main img, main :not(td) > svg") == []


def search(page: Page, text: str, table: str = "mappings") -> str:
    """Type into the search field and return what the page counts."""
    field = page.find(f"#search-{table}")
    page.run("arguments[0].select()", field)
    field.send_keys(text)
    return page.find(f"#{table} .count").text


class TestTable:
    def test_the_values_are_those_of_the_snapshot(self, page: Page) -> None:
        page.open("java")
        rows = page.rows()
        assert 10 < len(rows) < len(JAVA)
        for row, mapping in zip(rows, JAVA, strict=False):
            assert row["Address"] == f"{mapping.start:x}-{mapping.end:x}"
            assert row["Perms"] == str(mapping.perms)
            assert row["RSS"] == exact(mapping.rss)
            assert row["PSS"] == exact(mapping.pss)
            assert row["Dirty"] == exact(mapping.dirty)

    def test_values_that_are_not_reported(self, page: Page) -> None:
        page.open("maps")
        assert "RSS" not in page.rows()[0]
        assert page.texts(".tiles div:nth-child(2) dd")[0] == "-"

    def test_every_row_of_a_large_table_can_be_reached(self, page: Page) -> None:
        snapshot = large_snapshot(LARGE_COUNT)
        page.open("large")
        page.run("document.querySelector('#mappings .grid').focus()")
        page.press(KEYS["Down"], KEYS["End"])
        page.wait(f"document.querySelector('tr[data-at=\"{LARGE_COUNT - 1}\"]')")
        rows = page.rows()
        assert len(rows) < 100
        last = snapshot[-1]
        assert rows[-1]["Address"] == f"{last.start:x}-{last.end:x}"
        assert page.find(".details h3").text.startswith(f"{last.start:x}-")
        page.press(KEYS["Up"], KEYS["Up"])
        third = snapshot[-3]
        assert page.find(".details h3").text.startswith(f"{third.start:x}-")

    def test_more_rows_than_a_browser_can_lay_out(self, page: Page) -> None:
        text = (page.folder / "large.html").read_text()
        assert text.count("const MAX_HEIGHT = 16e6;") == 1
        changed = text.replace("const MAX_HEIGHT = 16e6;", "const MAX_HEIGHT = 40000;")
        (page.folder / "changed.html").write_text(changed)
        page.command("Page.enable")
        page.command("Page.setBypassCSP", enabled=True)  # the hash is that of the other script
        try:
            page.open("changed")
        finally:
            page.command("Page.setBypassCSP", enabled=False)
        page.run("document.querySelector('#mappings .grid').scrollTop = 1e9")
        page.wait(f"document.querySelector('tr[data-at=\"{LARGE_COUNT - 1}\"]')")
        page.run("document.querySelector('#mappings .grid').focus()")
        page.press(KEYS["Down"], KEYS["End"], KEYS["Up"])
        is_visible = """
            const line = document.querySelector("tr.current").getBoundingClientRect();
            const grid = document.querySelector("#mappings .grid").getBoundingClientRect();
            return line.top >= grid.top && line.bottom <= grid.bottom;
        """
        assert page.find("tr.current").get_attribute("data-at") == str(LARGE_COUNT - 2)
        assert page.run(is_visible)

    def test_search(self, page: Page) -> None:
        snapshot = large_snapshot(LARGE_COUNT)
        page.open("large")
        found = [m for m in snapshot if "part-77" in m.pathname and m.perms.execute]
        assert found
        assert search(page, "PART-77 r-x") == (
            f"{len(found):,} of {LARGE_COUNT:,} mappings"
            f" · Size {format_kb(sum(m.size for m in found))}"
            f" · RSS {format_kb(sum(m.rss or 0 for m in found))}"
        )
        assert [row["Address"] for row in page.rows()][:5] == [
            f"{m.start:x}-{m.end:x}" for m in found[:5]
        ]
        assert search(page, "no such name") == f"0 of {LARGE_COUNT:,} mappings · Size - · RSS -"
        assert page.find("#mappings .empty").is_displayed()

    def test_an_address_finds_the_mapping_that_contains_it(self, page: Page) -> None:
        page.open("java")
        mapping = max(JAVA, key=lambda m: m.size)
        search(page, f"0x{mapping.start + mapping.size * 512 + 1:x}")
        assert [row["Address"] for row in page.rows()] == [f"{mapping.start:x}-{mapping.end:x}"]

    def test_sorting(self, page: Page) -> None:
        page.open("java")
        for name, key in (
            ("RSS", lambda m: (-(m.rss or 0), m.start)),
            ("RSS", lambda m: (m.rss or 0, m.start)),
            ("Address", lambda m: m.start),
            ("Address", lambda m: -m.start),
        ):
            page.run(
                "[...document.querySelectorAll('#mappings th button')]"
                ".find(b => b.textContent === arguments[0]).click()",
                name,
            )
            expected = [f"{m.start:x}-{m.end:x}" for m in sorted(JAVA, key=key)]
            found = [row["Address"] for row in page.rows()]
            assert found == expected[: len(found)]
        assert page.find("#mappings th").get_attribute("aria-sort") == "descending"

    def test_the_slash_key_goes_to_the_search(self, page: Page) -> None:
        page.open("java")
        page.press("/")
        page.press("x", "/")
        assert page.run("return document.activeElement.value") == "x/"

    def test_a_mapping_of_a_finding_is_found(self, page: Page) -> None:
        page.open("java")
        link = page.find(".finding a")
        address = link.text
        page.run("arguments[0].click()", link)
        assert address in [row["Address"].partition("-")[0] for row in page.rows()]


class TestTreemap:
    def test_zoom_by_keyboard(self, page: Page) -> None:
        page.open("java")
        groups = JAVA.group_by("kind")
        kind = max(groups, key=lambda each: groups[each].rss or 0)
        total = JAVA.totals().rss
        assert page.find(".crumbs").text == f"All mappings {format_kb(total or 0)}"
        page.run("document.querySelector('.map > button').focus()")
        page.press(KEYS["Enter"])
        crumb = page.find(".crumbs [aria-current]")
        assert crumb.text == f"{kind.value} {format_kb(groups[kind].rss or 0)}"
        assert crumb.get_attribute("title") == exact(groups[kind].rss)
        files: dict[str, int] = {}
        for mapping, verdict in zip(JAVA, JAVA.kinds(), strict=True):
            if verdict.kind is kind and mapping.rss:
                name = mapping.pathname or "(anonymous)"
                files[name] = files.get(name, 0) + mapping.rss
        shown = [tip.split("\n")[0::2] for tip in self.tips(page)]
        assert sorted(shown) == sorted(
            [name, self.measure(kb, total or 0)] for name, kb in files.items()
        )
        page.press(KEYS["Right"], KEYS["Enter"])  # the second file
        assert len(page.all(".crumbs button")) == 2
        page.press(KEYS["Escape"], KEYS["Escape"])
        assert page.find(".crumbs").text == f"All mappings {format_kb(total or 0)}"

    def tips(self, page: Page) -> list[str]:
        found: list[str] = page.run(
            "return [...document.querySelectorAll('.map > button')].map(b => b.dataset.tip)"
        )
        return found

    def measure(self, kb: int, total: int) -> str:
        return f"RSS {format_kb(kb)} ({kb:,} kB), {100 * kb / total:.1f} % of all"

    def test_areas_are_proportional(self, page: Page) -> None:
        page.open("java")
        areas = page.run(
            "return [...document.querySelectorAll('.map > button')].map(b => {"
            "const r = b.getBoundingClientRect();"
            "const kb = /\\(([0-9,]+) kB\\)/.exec(b.dataset.tip)[1].replaceAll(',', '');"
            "return [r.width * r.height, Number(kb)]; })"
        )
        whole = sum(area for area, _ in areas)
        total = sum(kb for _, kb in areas)
        assert total == JAVA.totals().rss
        for area, kb in areas:
            assert area / whole == pytest.approx(kb / total, abs=0.002)

    def test_a_mapping_is_shown_in_the_table(self, page: Page) -> None:
        page.open("java")
        for _ in range(3):  # kind, file, mapping
            page.run("document.querySelector('.map > button').click()")
        title = page.find(".details h3").text
        (mapping,) = [m for m in JAVA if title.startswith(f"{m.start:x}-{m.end:x} ")]
        details = dict(zip(page.texts(".details dt"), page.texts(".details dd"), strict=True))
        assert details["RSS"] == exact(mapping.rss)
        assert details["Private_Dirty"] == exact(mapping.private_dirty)
        assert details["VmFlags"] == " ".join(mapping.vm_flags or ())

    def test_another_value_as_area(self, page: Page) -> None:
        page.open("java")
        page.run(
            "const s = document.querySelector('#metric'); s.value = 'size';"
            "s.dispatchEvent(new Event('change'))"
        )
        assert page.find(".crumbs").text == f"All mappings {format_kb(JAVA.totals().size)}"

    def test_more_mappings_than_can_be_drawn(self, page: Page) -> None:
        page.open("large")
        for _ in range(2):
            page.run("document.querySelector('.map > button').click()")
        assert len(page.all(".map > button")) == 301
        rest = page.find(".map > button.rest")
        assert re.fullmatch(r"[\d,]+ smaller mappings: [\d.]+ [MG]iB", rest.text)


def test_the_address_map_by_keyboard(page: Page) -> None:
    page.open("java")
    page.wait("document.querySelector('#addresses canvas').style.height")
    page.run("document.querySelector('#addresses canvas').focus()")
    page.press(KEYS["Right"], KEYS["Right"], KEYS["Right"])
    third = sorted(JAVA, key=lambda m: m.start)[2]
    readout = page.find("#addresses .readout").text
    assert readout.startswith(f"{third.start:x}-{third.end:x} {third.perms}")
    assert f"RSS {format_kb(third.rss or 0)}" in readout
    page.press(KEYS["Enter"])
    assert page.find(".details h3").text.startswith(f"{third.start:x}-")


def test_the_chart_of_a_recording(page: Page) -> None:
    page.open("recording")
    page.wait("document.querySelector('#chart .cursor')")
    recording = Recording.load(RECORDED / "swap.csv")
    sums = recording.totals()
    page.run("document.querySelector('#chart [tabindex]').focus()")
    page.press(KEYS["Home"], *[KEYS["Right"]] * 15)
    seconds = list(sums)[15]
    groups = {row.group: row.totals.rss or 0 for row in recording.samples if row.seconds == seconds}
    assert set(page.texts("#chart .values > *")) == {
        f"{round(seconds, 3):g} s",
        f"total {format_kb(sums[seconds].rss or 0)}",
        *(f"{name} {format_kb(kb)}" for name, kb in groups.items()),
    }
    texts = page.texts("#chart text")
    assert f"limit {format_kb(LIMIT)}" in texts
    assert {"reading", "level", "holding", "allocating"} <= set(texts)
    assert len(page.all("#chart path.layer")) == len(groups)


def test_what_grew(page: Page) -> None:
    page.open("difference")
    difference = diff(JAVA, grown(JAVA))
    deltas = sorted((c.deltas.get("rss", 0) for c in difference.changes), reverse=True)
    shown = page.texts("#growth tbody td:first-child")
    assert shown == [f"+{format_kb(kb)}" for kb in deltas[:20]]
    rows = page.rows("changes")
    largest = difference.changes[0]
    assert rows[0]["Change"] == largest.kind
    assert rows[0]["RSS"] == f"\u2212{-largest.deltas['rss']:,} kB"
    assert search(page, "removed", "changes").startswith(f"{len(difference.removed)} of ")


@pytest.mark.parametrize("system", ["light", "dark"])
def test_the_theme(system: str, page: Page) -> None:
    page.open("java", prefers_color_scheme=system)
    colours = {"light": "rgb(255, 255, 255)", "dark": "rgb(21, 23, 27)"}
    other = "light" if system == "dark" else "dark"
    background = "return getComputedStyle(document.body).backgroundColor"
    assert page.run(background) == colours[system]
    assert page.find("#theme").text.lower() == other
    page.find("#theme").click()
    assert page.run(background) == colours[other]
    page.find("#theme").click()
    assert page.run(background) == colours[system]


def test_without_javascript(page: Page) -> None:
    page.open("large")
    page.command("Emulation.setScriptExecutionDisabled", value=True)
    page.driver.refresh()
    text = page.find("body").text
    assert "JavaScript is off" in text
    left_out = LARGE_COUNT - 100
    assert f"The 100 largest of {LARGE_COUNT:,} mappings; {left_out:,} are left out here." in text
    assert len(page.all("#mappings .largest tbody tr")) == 100
    for hidden in ("#treemap", "#addresses", "#theme", "#mappings .view"):
        assert not page.find(hidden).is_displayed()
    page.command("Emulation.setScriptExecutionDisabled", value=False)


def test_print(page: Page) -> None:
    page.open("java", prefers_color_scheme="dark")
    page.run("document.querySelector('details').open = false")
    page.run("dispatchEvent(new Event('beforeprint'))")
    page.command("Emulation.setEmulatedMedia", media="print")
    assert page.run("return getComputedStyle(document.body).backgroundColor") == (
        "rgb(255, 255, 255)"
    )
    assert page.find("#mappings .largest").is_displayed()
    assert not page.find("#mappings .grid").is_displayed()
    assert page.find(".finding dl").is_displayed()
    assert page.find("#treemap .map").is_displayed()
    assert "110 are left out here" in page.find("#mappings").text
