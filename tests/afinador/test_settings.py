"""The environment, read once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from afinador.errors import ConfigurationError
from afinador.settings import Settings, read_settings


def test_everything_lies_below_the_home_by_default(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert settings.ledger_url == f"sqlite:///{tmp_path}/ledger.db"
    assert settings.tracking_uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert settings.bytes_url == f"file://{tmp_path}/storage"
    assert settings.allowed_model_roots == [tmp_path / "base-models"]


VARIABLES: dict[str, tuple[str, str, Any]] = {
    # variable: its text, where the value is read, the value
    "AFINADOR_HOME": ("/srv/afinador", "home", Path("/srv/afinador")),
    "AFINADOR_BASE_URL": ("http://fine.tune:1", "base_url", "http://fine.tune:1"),
    "AFINADOR_API_KEY": ("af-1", "api_key", "af-1"),
    "AFINADOR_OPERATOR_KEY": ("af-2", "operator_key", "af-2"),
    "AFINADOR_HOST": ("0.0.0.0", "host", "0.0.0.0"),
    "AFINADOR_PORT": ("8123", "port", 8123),
    "AFINADOR_DATABASE_URL": ("postgresql+psycopg://x", "ledger_url", "postgresql+psycopg://x"),
    "AFINADOR_STORAGE_URL": ("s3://bucket/prefix", "bytes_url", "s3://bucket/prefix"),
    "AFINADOR_CPU_SLOTS": ("3", "cpu_slots", 3),
    "AFINADOR_TOKEN_CACHE_BYTES": ("0", "token_cache_bytes", 0),
    "AFINADOR_MODEL_ROOTS": ("/models:/more", "model_roots", [Path("/models"), Path("/more")]),
    "AFINADOR_CONFIG": ("/etc/afinador.yaml", "config", Path("/etc/afinador.yaml")),
    "MLFLOW_TRACKING_URI": ("postgresql://x", "tracking_uri", "postgresql://x"),
    "AFINADOR_MLFLOW_URL": ("http://curves", "mlflow_url", "http://curves"),
    "PREFECT_API_URL": ("http://prefect/api", "prefect_api_url", "http://prefect/api"),
    "PREFECT_API_AUTH_STRING": ("user:word", "prefect_api_auth_string", "user:word"),
    "HF_TOKEN": ("hf_1", "hf_token", "hf_1"),
    "TOKEN_HUGGING_FACE": ("hf_2", "hf_token", "hf_2"),
    "HF_ENDPOINT": ("http://mirror", "hf_endpoint", "http://mirror"),
}


@pytest.mark.parametrize("variable", VARIABLES)
def test_promised_names_are_read(variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    text, attribute, value = VARIABLES[variable]
    assert getattr(Settings(), attribute) != value
    monkeypatch.setenv(variable, text)
    found = getattr(Settings(), attribute)
    assert (found.get_secret_value() if isinstance(found, SecretStr) else found) == value


def test_every_documented_variable_is_in_the_table(root: Path) -> None:
    documented = (root / "docs" / "configuration.md").read_text().partition("| variable |")[2].partition("\n\n")[0]
    assert {
        name for line in documented.splitlines()[2:] for name in re.findall(r"`([A-Z_]+)`", line.split("|")[1])
    } == {*VARIABLES}


def test_secrets_never_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFINADOR_API_KEY", "af-very-secret")
    assert "very-secret" not in repr(Settings())


def test_bad_values_are_named_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFINADOR_PORT", "abc")
    with pytest.raises(ConfigurationError, match="AFINADOR_PORT is 'abc'"):
        read_settings()


def test_bad_values_are_said_in_our_words(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, words in (
        ("abc", "it must be a whole number"),
        ("0", "it must be at least 1"),
        ("70000", "at most 65535"),
    ):
        monkeypatch.setenv("AFINADOR_PORT", value)
        with pytest.raises(ConfigurationError) as refusal:
            read_settings()
        assert f"AFINADOR_PORT is '{value}'; " in refusal.value.message and words in refusal.value.message


def test_env_file_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("AFINADOR_PORT=8123\nTOKEN_HUGGING_FACE=from-file\n")
    monkeypatch.chdir(tmp_path)
    settings = Settings()
    assert settings.port == 8123
    assert settings.hf_token is not None and settings.hf_token.get_secret_value() == "from-file"
