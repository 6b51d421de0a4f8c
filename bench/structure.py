"""The house, counted: modules and their length, public names, circles of imports, floors.

Run it with: python bench/structure.py
"""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import networkx as nx

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("folkways", "scenarios", "agents", "simulation", "eval", "training")


def modules() -> dict[str, Path]:
    """Return the modules by their dotted names."""
    files = (file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
    return {
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
        for file in files
    }


def imported(tree: ast.AST, known: dict[str, Path]) -> Iterator[str]:
    """Yield the modules of ours that are imported when a module is: none under TYPE_CHECKING."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield from {whole if whole in known else node.module} & known.keys()
        elif isinstance(node, ast.Import):
            yield from {alias.name for alias in node.names} & known.keys()
        elif isinstance(node, ast.Try):
            yield from imported(node, known)


def deferred(tree: ast.AST) -> int:
    """Count imports within functions."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    inside = (node for node in ast.walk(tree) if isinstance(node, functions))
    imports = {
        (found.lineno, found.col_offset)
        for function in inside for found in ast.walk(function)
        if isinstance(found, ast.Import | ast.ImportFrom)
    }  # fmt: skip
    return len(imports)


def public(tree: ast.Module) -> int:
    """Count the public names that a module defines."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return sum(not name.startswith("_") for name in names)


def main() -> None:
    """Print one row for each measure."""
    known = modules()
    texts = {name: file.read_text(encoding="utf-8") for name, file in known.items()}
    trees = {name: ast.parse(text) for name, text in texts.items()}
    lengths = [text.count("\n") for text in texts.values() if text.strip()]
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(known)
    graph.add_edges_from((name, to) for name in known for to in imported(trees[name], known))
    circles = [one for one in nx.strongly_connected_components(graph) if len(one) > 1]
    floors = nx.dag_longest_path_length(nx.condensation(graph)) + 1
    rows = {
        "modules": len(lengths), "lines": sum(lengths),
        "lines of a module, median": statistics.median(lengths), "longest": max(lengths),
        "public names": sum(map(public, trees.values())),
        "imports within functions": sum(map(deferred, trees.values())),
        "fmt: skip": sum(len(re.findall(r"# fmt: skip", text)) for text in texts.values()),
        "circles": len(circles), "modules in circles": sum(map(len, circles)), "floors": floors,
    }  # fmt: skip
    print("| measure | number |\n|---|---|")
    for measure, number in rows.items():
        print(f"| {measure} | {number:,} |")
    for circle in circles:
        print("circle:", ", ".join(sorted(circle)))


if __name__ == "__main__":
    main()
