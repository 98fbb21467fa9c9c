"""Settings of the commands, from the environment like those of the services; a wrong or missing one ends with a sentence."""

from pathlib import Path

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.runtime.settings import PREFIX, PostgresUrl


class CommandSettings(BaseSettings):
    """What all commands' settings have in common."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, env_ignore_empty=True)


class ProvisionSettings(CommandSettings):
    """`handover provision`."""

    admin_url: PostgresUrl = Field(
        description="URL of a database role that may create roles and databases: postgresql://user:password@host:port/name."
    )
    orders_password: SecretStr = Field(
        min_length=1, description="Password of the role that orders runs under."
    )
    orders_owner_password: SecretStr = Field(
        min_length=1, description="Password of the role that migrates orders."
    )
    warehouse_password: SecretStr = Field(
        min_length=1, description="Password of the role that warehouse runs under."
    )
    warehouse_owner_password: SecretStr = Field(
        min_length=1, description="Password of the role that migrates warehouse."
    )
    aftersales_password: SecretStr = Field(
        min_length=1, description="Password of the role that aftersales runs under."
    )
    aftersales_owner_password: SecretStr = Field(
        min_length=1, description="Password of the role that migrates aftersales."
    )
    notify_password: SecretStr = Field(
        min_length=1, description="Password of the role that notify runs under."
    )
    notify_owner_password: SecretStr = Field(
        min_length=1, description="Password of the role that migrates notify."
    )

    def passwords(self) -> dict[str, str]:
        """The password of each role."""
        values = self.model_dump(exclude={"admin_url"})
        return {
            f"handover_{name.removesuffix('_password')}": v.get_secret_value() for name, v in values.items()
        }


class TopicSettings(CommandSettings):
    """`handover topics`."""

    kafka: str = Field(description="Bootstrap servers, host:port, several separated by commas.")
    topic_partitions: int = Field(12, ge=1, le=1000, description="Partitions of each topic that is made.")
    topic_replication: int = Field(
        1,
        ge=1,
        le=9,
        description="Copies of each topic that is made; from 3 on, two must be written to acknowledge.",
    )


class MigrateSettings(CommandSettings):
    """`handover migrate`."""

    migration_database_url: PostgresUrl = Field(
        description="Database of the service as the role that owns it, postgresql://user:password@host:port/name."
    )


class UpSettings(CommandSettings):
    """`handover up`."""

    data_dir: Path = Field(
        Path(".handover"), description="Folder that keeps data and logs of the embedded stack."
    )
    orders_port: int = Field(8101, ge=1, le=65535, description="Port of orders on this machine.")
    warehouse_port: int = Field(8102, ge=1, le=65535, description="Port of warehouse on this machine.")
    aftersales_port: int = Field(8103, ge=1, le=65535, description="Port of aftersales on this machine.")
    notify_port: int = Field(8104, ge=1, le=65535, description="Port of notify on this machine.")
    postgres_port: int = Field(25432, ge=1, le=65535, description="Port of PostgreSQL on this machine.")
    kafka_port: int = Field(29092, ge=1, le=65535, description="Port of Kafka on this machine.")

    @field_validator("*")
    @classmethod
    def _port_of_its_own(cls, value: int | Path, info: ValidationInfo) -> int | Path:
        for name, other in info.data.items():
            if other == value:
                raise ValueError(f"must not be the port of {name.removesuffix('_port')} too ({value})")
        return value

    def ports(self) -> dict[str, int]:
        """The port of each part, by its name."""
        return {
            name.removesuffix("_port"): port for name, port in self.model_dump(exclude={"data_dir"}).items()
        }
