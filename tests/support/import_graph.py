"""
Print which part of smapskit imports which.

    python tests/support/import_graph.py [--modules]

One line per package (with --modules, per module): what it imports, late imports (inside a
function) in parentheses. Imports that only type checkers see are not listed.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2] / "src" / "smapskit"
LAYERS = ("errors", "text", "model", "formats", "analysis", "views", "sources", "watch", "cli")
"""Each imports only layers before it. `version` may be imported everywhere."""


class Import(NamedTuple):
    """One module importing another."""

    importer: str
    imported: str
    is_late: bool
    """Inside a function: the module is loaded when the function is called."""


def modules() -> dict[str, Path]:
    """Return every module of the package, by its name without `smapskit.`."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports() -> Iterator[Import]:
    """Yield the imports between modules of the package."""
    known = modules()
    for name, path in known.items():
        for node, is_late in _import_nodes(ast.parse(path.read_text()), is_late=False):
            for target in _targets(node):
                imported = next(
                    (t for t in (target, target.rpartition(".")[0]) if t in known and t), None
                )
                if imported is not None and imported != name:
                    yield Import(name, imported, is_late)


def _import_nodes(
    node: ast.AST, *, is_late: bool
) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, is_late
        is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from _import_nodes(child, is_late=is_late or is_function)


def _targets(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """Yield what a statement may import: `from a import b` imports a.b, or a."""
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "relative import"
        names = [f"{node.module}.{alias.name}" for alias in node.names]
    else:
        names = [alias.name for alias in node.names]
    yield from (
        name.removeprefix("smapskit").lstrip(".")
        for name in names
        if name.partition(".")[0] == "smapskit"
    )


def layer_of(module: str) -> str:
    """Return the layer of a module: its package, or the module itself."""
    return module.partition(".")[0]


def package_of(module: str) -> str:
    """Return the package of a module; of formats and sources the inner one."""
    parts = module.split(".")
    is_nested = len(parts) > 2
    return ".".join(parts[:2]) if is_nested else parts[0]


def main() -> None:
    """Print the graph."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--modules", action="store_true", help="one line per module")
    key = (lambda module: module) if parser.parse_args().modules else package_of
    graph: dict[str, dict[str, bool]] = {key(name): {} for name in modules() if name}
    for importer, imported, is_late in imports():
        a, b = key(importer), key(imported)
        if importer and a != b:
            graph[a][b] = graph[a].get(b, True) and is_late
    order = sorted(graph, key=lambda name: (_position(name), name))
    width = max(map(len, order))
    for name in order:
        targets = sorted(graph[name], key=lambda target: (_position(target), target))
        text = ", ".join(f"({t})" if graph[name][t] else t for t in targets)
        print(f"{name:<{width}}  {text}".rstrip())


def _position(name: str) -> int:
    layer = layer_of(name)
    return LAYERS.index(layer) if layer in LAYERS else -1 if layer == "version" else len(LAYERS)


if __name__ == "__main__":
    main()
