"""The index of transformers' models, kept from one process to the next."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from afinador import model_index

TELL = """
import json, sys
sys.modules["torch"] = None
models, read = "site-packages/transformers/models/", set()
sys.addaudithook(lambda event, given: event == "open" and models in str(given[0]) and read.add(str(given[0])))
if sys.argv[1] == "keep":
    from afinador import model_index
    model_index.keep_index_of_models()
    model_index.keep_index_of_models()
from transformers import AutoTokenizer
import transformers
from transformers.utils.import_utils import define_import_structure
folder = transformers.__path__[0] + "/models"
found = {str(prefix): [
    [sorted(needed), {name: sorted(names) for name, names in sorted(modules.items())}]
    for needed, modules in define_import_structure(folder + "/__init__.py", prefix).items()
] for prefix in (None, "models")}
print(json.dumps({"index": found, "sources": sum(path.endswith(".py") for path in read), "of": AutoTokenizer.__module__}))
"""
INDEX = {
    frozenset(): {"bert.configuration_bert": {"BertConfig"}},
    frozenset({"torch"}): {"bert.modeling_bert": {"B", "A"}},
}


def told(cache: Path, how: str) -> dict:
    environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
    ran = subprocess.run(
        [sys.executable, "-c", TELL, how], capture_output=True, text=True, timeout=120, env=environment
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_a_process_finds_what_one_before_has_read_and_it_is_what_transformers_reads(tmp_path: Path) -> None:
    first, second, without = (told(tmp_path, how) for how in ("keep", "keep", "without"))
    (kept,) = (tmp_path / "afinador").iterdir()
    assert kept.name.startswith(f"transformers-{model_index.CHECKED_VERSION}-models-")
    assert first["index"] == second["index"] == without["index"]
    assert first["of"] == second["of"] == without["of"] == "transformers.models.auto.tokenization_auto"
    assert len(json.dumps(first["index"])) > 100_000
    assert second["sources"] < 50 < 1000 < first["sources"]


def test_the_version_that_is_installed_is_the_one_whose_source_was_read() -> None:
    """Else read how it finds its models, and change the version or the module."""
    assert importlib.metadata.version("transformers") == model_index.CHECKED_VERSION


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "models"
    (folder / "bert").mkdir(parents=True)
    return folder


@pytest.mark.parametrize("content", ["", "[]", "null", "{}", '[["torch"]]', "[[[], {}]]", '[[[], {"a": 1}]]', "\x00"])
def test_what_is_no_index_is_read_and_kept_again(models: Path, content: str) -> None:
    asked: list[Path] = []

    def read(folder: Path) -> model_index.Index:
        asked.append(folder)
        return INDEX

    for calls in (1, 1):  # a process each
        assert model_index._index(read, models) == INDEX
        assert len(asked) == calls
    (place,) = (models.parent / "cache" / "afinador").iterdir()
    place.write_text(content)
    for _ in range(2):
        assert model_index._index(read, models) == INDEX
    assert asked == [models, models]


def test_other_models_of_the_same_version_have_an_index_of_their_own(models: Path) -> None:
    model_index._index(lambda _: INDEX, models)
    (models / "__pycache__").mkdir()  # which Python makes, and which is no model
    assert model_index._index(lambda _: {}, models) == INDEX
    (models / "own").mkdir()
    more = INDEX | {frozenset({"vision"}): {"own.own": {"Own"}}}
    assert model_index._index(lambda _: more, models) == more


def test_without_a_place_to_keep_it_the_index_is_read(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/cache")
    assert model_index._index(lambda _: INDEX, models) == INDEX


def test_what_transformers_adds_to_its_index_changes_no_other(models: Path) -> None:
    define = model_index._kept(lambda *_: INDEX, models)
    define(models, prefix="models")[frozenset()]["models.bert.configuration_bert"].add("Added")
    define(models)[frozenset()]["added"] = {"Added"}
    assert define(models / "__init__.py") == INDEX
    assert define(str(models.parent), "other") == INDEX  # as transformers reads it: it is none of the models


def test_another_version_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers

    finder = model_index._Finder()
    monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path])
    monkeypatch.setattr(transformers, "__version__", "0.0.1")
    assert finder.find_spec("transformers.utils", transformers.__path__) is None and finder in sys.meta_path
    spec = finder.find_spec(model_index.READER, [f"{transformers.__path__[0]}/utils"])
    assert spec is not None and spec.loader is not None and "exec_module" not in vars(spec.loader)
    assert finder not in sys.meta_path
