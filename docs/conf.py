"""Sphinx configuration. Tables are generated from the code that they describe."""

from __future__ import annotations

import inspect
import logging
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any, get_args

import attrs
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError

import smapskit
from smapskit.formats.pmap.dialects import DIALECTS
from smapskit.model.backing import NAME_RULES
from smapskit.model.kinds import KIND_RULES, KindRule, MappingKind
from smapskit.model.mapping import KernelField, Mapping, Rollup, Usage, kernel_fields
from smapskit.model.totals import GroupName
from smapskit.model.vmflags import VM_FLAGS
from smapskit.version import __version__
from smapskit.views.frames import Unit
from smapskit.watch.keys import KEYS

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import check_api  # noqa: E402  a script of this folder
import command_line  # noqa: E402

project = "smapskit"
author = "The smapskit maintainers"
release = version = __version__
project_copyright = f"{author}, MIT license"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinxext.opengraph",
    "dark_pictures",
    "run_directive",
]
today = " "
exclude_patterns = ["_build", "generated", "speed-results.md", "speed-peers.md"]
man_pages = [("cli", "smapskit", "show what the memory of a process consists of", author, 1)]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
# The tutorial and the notebooks have no stored output: they are run by each build.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_execution_timeout = 120
os.environ["IPYTHONDIR"] = str(HERE / "ipython")
logging.getLogger("traitlets").setLevel(logging.WARNING)  # one line per notebook
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True
copybutton_exclude = ".linenos, .gp, .go"
ogp_enable_meta_description = True
ogp_description_length = 160
ogp_social_cards = {"enable": False}

html_theme = "furo"
html_title = f"smapskit {version}"
html_logo = html_favicon = "static/logo.svg"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_search_scorer = str(HERE / "static/scorer.js")
html_theme_options = {"top_of_page_buttons": []}
html_extra_path = [
    "schema.json",
    "schema-cgroup.json",
    "schema-explain.json",
    "schema-families.json",
    "schema-pages.json",
    "schema-system.json",
]
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True


# ---- tables from the code ----------------------------------------------------------------


def _table(headings: list[str], rows: list[list[str]]) -> str:
    cells = [[cell.replace("|", r"\|") for cell in row] for row in rows]
    lines = [headings, ["---"] * len(headings), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _code(text: str) -> str:
    return f"`{text}`"


def _fields() -> str:
    known = {**kernel_fields(Mapping), **kernel_fields(Rollup)}

    def row(field: KernelField) -> list[str]:
        return [
            _code(field.kernel_name),
            _code(field.attribute),
            field.unit or "number",
            field.since,
            field.meaning,
        ]

    headings = ["Field", "Attribute", "Unit", "Since kernel", "Meaning"]
    return _table(headings, [row(field) for field in known.values()])


def _names() -> str:
    rows = []
    for rule in NAME_RULES:
        conditions = ["device major number 0"] if rule.only_major_0 else []
        if rule.shared is not None:
            conditions.append("shared" if rule.shared else "private")
        if rule.writable is not None:
            conditions.append("writable" if rule.writable else "not writable")
        rows.append(
            [
                ", ".join(map(_code, rule.example.split(", "))),
                "unknown" if rule.backing is None else _code(rule.backing.name),
                ", ".join(conditions),
                rule.reason,
            ]
        )
    return _table(["Name", "Backing", "Only if", "Reason"], rows)


def _kinds() -> str:
    return _table(["Kind", "Meaning"], [[_code(kind), _doc(kind)] for kind in MappingKind])


def _doc(kind: MappingKind) -> str:
    """Return the text after a member of MappingKind in its source."""
    source = inspect.getsource(MappingKind)
    match = re.search(rf'    {kind.name} = .*\n    """(.*)"""', source)
    if match is None:
        raise ExtensionError(f"MappingKind.{kind.name} has no text in one line")
    return match[1]


def _kind_rules() -> str:
    def row(rule: KindRule) -> list[str]:
        owner = f" ({rule.owner})" if rule.owner else ""
        return [_code(rule.kind) + owner, rule.source, _code(rule.example), rule.reason]

    return _table(["Kind", "Known by", "Example", "Reason"], [row(rule) for rule in KIND_RULES])


def _dialects() -> str:
    rows = [
        [dialect.name, _code(" ".join(dialect.headings)) if dialect.headings else "none"]
        for dialect in DIALECTS
    ]
    return _table(["Dialect", "Header line"], rows)


def _flags() -> str:
    return _table(["Code", "Meaning"], [[_code(code), why] for code, why in VM_FLAGS.items()])


def _keys() -> str:
    """Return the keys of the screen of `watch`."""
    rows = [[", ".join(map(_code, key.shown.split(", "))), key.meaning] for key in KEYS]
    return _table(["Key", "What it does"], rows)


def _generate(app: Sphinx) -> None:
    if app.builder.format != "html":
        app.config.nb_execution_mode = "off"
    for notebook in (HERE.parent / "examples").glob("*.ipynb"):
        shutil.copy(notebook, HERE / "notebooks")
    folder = HERE / "generated"
    folder.mkdir(exist_ok=True)
    pages = {
        "fields": _fields(),
        "names": _names(),
        "kinds": _kinds(),
        "kind-rules": _kind_rules(),
        "dialects": _dialects(),
        "flags": _flags(),
        **command_line.sections(),
        "keys": _keys(),
    }
    for name, text in pages.items():
        (folder / f"{name}.md").write_text(text)


# ---- API reference -----------------------------------------------------------------------


def _literal(alias: Any) -> str:
    return f"Literal[{', '.join(map(repr, get_args(alias)))}]"


_ALIASES = {
    "GroupName": _literal(GroupName),
    "Unit": _literal(Unit),
    "Progress": "Callable[[int, int], object]",
}


def _sign(
    _app: Sphinx, what: str, _name: str, obj: Any, _options: Any, signature: Any, returns: Any
) -> tuple[str | None, str | None]:
    """Write the signature of a record from its fields; expand the aliases in any other."""
    if what == "class" and attrs.has(obj):
        return _signature_of_fields(obj), None
    for alias, meaning in _ALIASES.items():
        signature = signature and re.sub(rf"\b{alias}\b", meaning, signature)
    return signature, returns


def _signature_of_fields(record: type) -> str:
    counters = {field.name for field in attrs.fields(Usage)}
    parameters = []
    has_counters = False
    for field in attrs.fields(record):
        if field.name.startswith("_"):
            continue
        if field.name in counters or "since" in field.metadata:
            has_counters = has_counters or field.name != "size"
        elif field.default is attrs.NOTHING:
            parameters.append(field.name)
        elif isinstance(field.default, attrs.Factory):  # type: ignore[arg-type]
            parameters.append(f"{field.name}=...")
        else:
            parameters.append(f"{field.name}={field.default!r}")
    keyword_only = ["*"] if issubclass(record, Usage) else []
    return f"({', '.join([*keyword_only, *parameters, *['**counters'] * has_counters])})"


_TEXTS: dict[str, list[str]] = {}


def _keep_attribute(
    _app: Sphinx, what: str, name: str, _obj: Any, _options: Any, lines: list[str]
) -> None:
    """Keep the text of an attribute, which napoleon would split at its first colon."""
    if what in ("attribute", "property"):
        _TEXTS[name] = list(lines)


def _restore_attribute(
    _app: Sphinx, what: str, name: str, _obj: Any, _options: Any, lines: list[str]
) -> None:
    if what in ("attribute", "property"):
        lines[:] = _TEXTS[name]


def _describe_counters(
    _app: Sphinx, what: str, name: str, _obj: Any, _options: Any, lines: list[str]
) -> None:
    """Describe a counter by what its declaration says."""
    class_name, _, attribute = name.rpartition(".")
    record = getattr(smapskit, class_name.rpartition(".")[2], None)
    if what != "attribute" or not inspect.isclass(record) or not attrs.has(record):
        return
    field = getattr(attrs.fields(record), attribute, None)
    if field is not None and "meaning" in field.metadata:
        known = field.metadata
        text = f"{known['meaning'][:1].upper()}{known['meaning'][1:]}"
        unit = " In kB." if known.get("unit") == "kB" else ""
        source = ""
        if "since" in known:
            source = f" ``{known['kernel_name']}`` in smaps, since kernel {known['since']}."
        lines[:] = [f"{text}.{unit}{source}", ""]


def _link_public_names(
    app: Sphinx, _env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.Element | None:
    """Link a type by the module that defines it to its public name."""
    module, _, name = node.get("reftarget", "").rpartition(".")
    if node.get("refdomain") != "py" or name not in smapskit.__all__:
        return None
    if module.partition(".")[0] not in ("", "smapskit"):  # collections.abc.Mapping
        return None
    domain = app.env.domains["py"]
    found: nodes.Element | None = domain.resolve_xref(
        app.env, node["refdoc"], app.builder, "obj", f"smapskit.{name}", node, content
    )
    return found


def _trim_code(_app: Sphinx, page: nodes.document) -> None:
    """Remove the blank line with which the examples of a page end."""
    for block in page.findall(nodes.literal_block):
        block.rawsource = block.astext().rstrip("\n")
        block[:] = [nodes.Text(block.rawsource)]


def _check(app: Sphinx, error: Exception | None) -> None:
    if error is None and app.builder.name == "html":
        missing = check_api.problems(Path(app.outdir))
        if missing:
            raise ExtensionError("; ".join(missing))


def setup(app: Sphinx) -> None:
    """Connect the functions above."""
    app.connect("builder-inited", _generate, priority=400)  # before myst-nb reads its settings
    app.connect("autodoc-process-signature", _sign)
    app.connect("autodoc-process-docstring", _keep_attribute, priority=100)
    app.connect("autodoc-process-docstring", _restore_attribute, priority=800)
    app.connect("autodoc-process-docstring", _describe_counters, priority=900)
    app.connect("doctree-read", _trim_code)
    app.connect("missing-reference", _link_public_names)
    app.connect("build-finished", _check, priority=900)  # after the inventory is written
