"""The promises of docs/architecture.md: who may import whom, and what stays light."""

from __future__ import annotations

import ast
import graphlib
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

FLAT = ("api", "deployments", "flows", "registry", "tasks")
MAX_FILE_LINES = 320
MAX_FUNCTION_LINES = 42
ONE_SCREEN = {"afinador/training/accelerate_loop.py:train": 60}
"""The engine is read top to bottom, so it stands in one piece."""


def sources(root: Path) -> list[Path]:
    return [
        path
        for package in (*FLAT, "afinador")
        for path in sorted((root / package).rglob("*.py"))
        if "versions" not in path.parts
    ]


def test_imports_run_only_downwards(root: Path) -> None:
    answer = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=root, capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_lint_finds_nothing(root: Path) -> None:
    answer = subprocess.run(
        [Path(sys.executable).with_name("ruff"), "check", "--no-cache", "."], cwd=root, capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_what_is_made_from_the_code_is_as_the_code_says(root: Path) -> None:
    command = [sys.executable, "docs/generate.py", "--check"]
    answer = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = grimp.build_graph("afinador", *FLAT, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    graphlib.TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize(
    "module",
    [
        "api.app",
        "registry.jobs",
        "registry.publishing.hub",
        "afinador",
        "afinador.client",
        "afinador.client.asynchronous.client",
        "afinador.cli.main",
        "afinador.fine_tuning",
        "afinador.schemas.jobs",
        "deployments.stack",
    ],
)
def test_light_modules_load_no_heavy_library(root: Path, module: str) -> None:
    heavy = ("torch", "transformers", "peft", "mlflow", "prefect", "flows", "tasks")
    script = f"import sys, {module}; print([name for name in {heavy!r} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize("package", FLAT)
def test_flat_packages_are_ours(root: Path, package: str) -> None:
    assert (root / package / "__init__.py").read_text().startswith('"""')
    script = f"import {package}; print({package}.__file__)"
    answer = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert Path(answer.stdout.strip()).parent == root / package


def test_no_flat_module_hides_another(root: Path) -> None:
    installed = set(importlib.metadata.packages_distributions()) - {"afinador"}
    for package in FLAT:
        names = {path.stem for path in (root / package).glob("*.py")} - {"__init__", "__main__"}
        assert not names & sys.stdlib_module_names, package
        assert not names & installed, package


def test_files_and_functions_stay_short(root: Path) -> None:
    too_long = []
    for path in sources(root):
        text = path.read_text()
        if len(text.splitlines()) > MAX_FILE_LINES:
            too_long.append(f"{path}: {len(text.splitlines())} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                described = node.body[0] if ast.get_docstring(node) is not None else None
                lines = (node.end_lineno or 0) - node.lineno + 1
                if described is not None:
                    lines -= (described.end_lineno or 0) - described.lineno + 1
                name = f"{path.relative_to(root)}:{node.name}"
                if lines > ONE_SCREEN.get(name, MAX_FUNCTION_LINES):
                    too_long.append(f"{name} {lines} lines")
    assert too_long == []


def test_every_public_function_is_described(root: Path) -> None:
    bare = [
        f"{path.relative_to(root)}:{node.name}"
        for path in sources(root)
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and ast.get_docstring(node) is None
    ]
    assert bare == []
