"""Where things are: the environment, read once by whoever starts a process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from afinador.errors import ConfigurationError
from afinador.wording import demand, shown


class Settings(BaseSettings):
    """All environment variables of the service; ``.env`` in the working directory is read too.

    Build one in ``main`` and hand it on: nothing reads the environment at import.
    """

    model_config = SettingsConfigDict(
        env_prefix="AFINADOR_", env_file=".env", extra="ignore", populate_by_name=True, env_ignore_empty=True
    )

    home: Path = Field(
        Path("~/.local/share/afinador"), description="All local state: ledger, storage, run directories, logs."
    )
    base_url: str = Field("http://127.0.0.1:8000", description="Where clients (SDK and command line) find the API.")
    api_key: SecretStr | None = Field(None, description="Key of an organisation, for clients.")
    operator_key: SecretStr | None = Field(
        None, description="The operator's key. If unset, `afinador up` makes one at the first start."
    )
    host: str = Field("127.0.0.1", description="Address that all parts bind to.")
    port: int = Field(8000, ge=1, le=65535, description="Port of the API; the next free one is taken and shown.")
    database_url: str | None = Field(None, description="The ledger: SQLite below the home, or postgresql+psycopg://…")
    storage_url: str | None = Field(None, description="Bytes: file://… (below the home by default) or s3://bucket/…")
    cpu_slots: int = Field(
        1,
        ge=1,
        le=1024,
        description="How many jobs of the pool cpu run at once here; they share the processor's threads.",
    )
    token_cache_bytes: int = Field(
        10_000_000_000,
        ge=0,
        description="How many bytes of tokenised data are kept below the home, so that jobs on the same data need not "
        "make them again; those not used for longest go first, 0 keeps none.",
    )
    model_roots: Annotated[list[Path], NoDecode] = Field(
        default_factory=list,
        description="Folders, separated by ':', from which base models may be registered.",
    )
    config: Path | None = Field(
        None, description="Operator's YAML/JSON: defaults, limits, methods, model_aliases, loaders."
    )
    mlflow_tracking_uri: str | None = Field(
        None,
        validation_alias=AliasChoices("MLFLOW_TRACKING_URI", "mlflow_tracking_uri"),
        description="MLflow's database; an SQLite file below the home by default.",
    )
    mlflow_url: str = Field("http://127.0.0.1:5000", description="MLflow's pages for people; no part reads data there.")
    prefect_api_url: str = Field(
        "http://127.0.0.1:4200/api",
        validation_alias=AliasChoices("PREFECT_API_URL", "prefect_api_url"),
        description="Prefect's API.",
    )
    prefect_api_auth_string: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("PREFECT_API_AUTH_STRING", "prefect_api_auth_string"),
        description="user:password for Prefect's API, if it asks for one.",
    )
    hf_token: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("HF_TOKEN", "TOKEN_HUGGING_FACE", "hf_token"),
        description="Token for gated or private repositories of the Hugging Face Hub.",
    )
    hf_endpoint: str = Field(
        "https://huggingface.co",
        validation_alias=AliasChoices("HF_ENDPOINT", "hf_endpoint"),
        description="The Hugging Face Hub, or a mirror of it.",
    )

    @field_validator("model_roots", mode="before")
    @classmethod
    def _split_roots(cls, value: object) -> object:
        if isinstance(value, str):
            return [part for part in value.split(":") if part]
        return value

    @field_validator("home", mode="after")
    @classmethod
    def _expand_home(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("model_roots", mode="after")
    @classmethod
    def _expand_roots(cls, value: list[Path]) -> list[Path]:
        return [path.expanduser().resolve() for path in value]

    @property
    def ledger_url(self) -> str:
        """SQLAlchemy URL of the ledger."""
        return self.database_url or f"sqlite:///{self.home / 'ledger.db'}"

    @property
    def tracking_uri(self) -> str:
        """MLflow's database."""
        return self.mlflow_tracking_uri or f"sqlite:///{self.home / 'mlflow.db'}"

    @property
    def bytes_url(self) -> str:
        """Root of the object storage."""
        return self.storage_url or f"file://{self.home / 'storage'}"

    @property
    def runs_dir(self) -> Path:
        """Run directories of jobs on this machine, one folder a job."""
        return self.home / "runs"

    @property
    def token_cache_dir(self) -> Path:
        """Tokenised data, one folder an organisation."""
        return self.home / "token-cache"

    @property
    def allowed_model_roots(self) -> list[Path]:
        """Folders from which base models may be registered: the configured ones and ``HOME/base-models``."""
        return [*self.model_roots, self.home / "base-models"]


def variables_of(settings: Settings) -> dict[str, str]:
    """Return the environment variables with which another process of this machine reads the same places."""
    given = {
        "AFINADOR_HOME": settings.home,
        "AFINADOR_HOST": settings.host,
        "AFINADOR_PORT": settings.port,
        "AFINADOR_BASE_URL": settings.base_url,
        "AFINADOR_DATABASE_URL": settings.database_url,
        "AFINADOR_STORAGE_URL": settings.storage_url,
        "AFINADOR_MODEL_ROOTS": ":".join(str(folder) for folder in settings.model_roots),
        "AFINADOR_CPU_SLOTS": settings.cpu_slots,
        "MLFLOW_TRACKING_URI": settings.tracking_uri,
        "PREFECT_API_URL": settings.prefect_api_url,
        "PREFECT_HOME": settings.home / "prefect",
    }
    return {name: str(value) for name, value in given.items() if value is not None}


def read_settings(**given: object) -> Settings:
    """Read the environment, with what a command line gives instead.

    Raises:
        ConfigurationError: A variable has a value that it cannot have; names both.
    """
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        variable = name if name.isupper() else f"AFINADOR_{name.upper()}"
        is_secret = any(word in name.lower() for word in ("key", "token", "auth"))
        found = "cannot be used" if is_secret else f"is {shown(first['input'])}"
        raise ConfigurationError(f"{variable} {found}; {demand(first)}. Correct it in the environment.") from error
