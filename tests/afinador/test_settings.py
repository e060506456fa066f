"""The environment, read once."""

from __future__ import annotations

from pathlib import Path

import pytest

from afinador.errors import ConfigurationError
from afinador.settings import Settings, read_settings


def test_everything_lies_below_the_home_by_default(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert settings.ledger_url == f"sqlite:///{tmp_path}/ledger.db"
    assert settings.tracking_uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert settings.bytes_url == f"file://{tmp_path}/storage"
    assert settings.allowed_model_roots == [tmp_path / "base-models"]


def test_promised_names_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AFINADOR_MODEL_ROOTS", "/models:/more")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://x")
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect/api")
    monkeypatch.setenv("TOKEN_HUGGING_FACE", "hf_secret")
    settings = Settings()
    assert settings.model_roots == [Path("/models"), Path("/more")]
    assert (settings.tracking_uri, settings.prefect_api_url) == ("postgresql://x", "http://prefect/api")
    assert settings.hf_token is not None and settings.hf_token.get_secret_value() == "hf_secret"


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
