"""Every setting of Millrace: one frozen tree, read once at the door.

Order, the later wins: defaults, `millrace.toml`, environment `MILLRACE_SECTION__KEY`, flags. A key
that nobody knows is an error, and all errors are reported together. With no configuration at all
everything is embedded under `./data`.
Source: architecture.md 3, D-55, D-57, the settings tables of the specs.
"""

import os
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from millrace.errors import UsageError

CONFIG_FILE = "millrace.toml"


_TOPIC = r"^[A-Za-z0-9._-]{1,200}$"

Port = Annotated[int, Field(ge=0, le=65_535)]


class Section(BaseModel):
    """One table of the configuration file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BrokerSettings(Section):
    """Where devices are met: `endpoint://host:port` is our own, `mqtt(s)://` somebody else's."""

    url: str | list[str] = "endpoint://127.0.0.1:1883"
    websocket_port: Port | Literal["off"] = 9001
    tls_port: int = Field(default=8883, ge=0, le=65_535)
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    tls_allow_12: bool = False
    username: str = ""
    password_file: Path | None = None
    client_id: str = "millrace-ingest"
    share_group: str = ""
    max_connections: int = Field(default=20_000, ge=1)
    max_packet_bytes: int = Field(default=4_194_304, ge=1024)
    max_pending_bytes: int = Field(default=67_108_864, ge=65_536)
    linger_s: float = Field(default=0.002, ge=0, le=0.1)


class LogSettings(Section):
    """The durable log."""

    url: str = ""
    partitions: int = Field(default=4, ge=1, le=64)
    retention_s: int = Field(default=604_800, ge=60)
    retention_bytes: int = Field(default=20_000_000_000, ge=1_000_000)


class TopicsSettings(Section):
    """Topics of `kafka://`: made when they are missing, checked at every start (F2-123)."""

    raw: str = Field(default="raw_iot_data", pattern=_TOPIC)
    decoded: str = Field(default="decoded_iot_data", pattern=_TOPIC)
    events: str = Field(default="iot_events", pattern=_TOPIC)
    dead_letters: str = Field(default="iot_dead_letters", pattern=_TOPIC)
    decoded_retention_s: int = Field(default=604_800, ge=60)
    partitions: int = Field(default=12, ge=1, le=256)
    replication: int = Field(default=1, ge=1, le=9)


class DecodedSettings(Section):
    """Decoded records of the role `decode`."""

    include_raw: bool = True


class KafkaSettings(Section):
    """The Kafka cluster of `kafka://`, and who this process is there.

    `instance` names one of several processes of a role: each needs its own.
    """

    instance: str = Field(default="", pattern=r"^[A-Za-z0-9._-]{0,64}$")
    session_s: float = Field(default=30.0, ge=1, le=1800)
    tls: bool = False
    tls_ca: Path | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    sasl: Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = ""
    username: str = ""
    password: SecretStr = SecretStr("")
    password_file: Path | None = None


class StoreSettings(Section):
    """Fleet and ledger with hot readings: a SQLite file, or a database of PostgreSQL."""

    url: str = ""
    password_file: Path | None = None
    migrate: bool = False
    legacy_schema: str = Field(default="", pattern=r"^\w{0,63}$")


class SeriesSettings(Section):
    """Sealed history, and stores that readings are copied to beside it."""

    url: str | list[str] = ""
    max_per_device: int = Field(default=1000, ge=1)
    max_total: int = Field(default=1_000_000, ge=1)
    retention_s: int | None = Field(default=None, ge=86_400)
    seal_readings: int = Field(default=500_000, ge=1000)
    seal_after_s: int = Field(default=300, ge=1)
    copies_bytes: int = Field(default=10_000_000_000, ge=100_000_000)


class LiveSettings(Section):
    """Latest values, fan-out, and what is cached of the registry."""

    url: str = "memory://"
    key_prefix: str = ""
    password_file: Path | None = None
    tls_ca: Path | None = None
    timeout_s: float = Field(default=0.25, gt=0, le=5)
    points_ttl_s: int = Field(default=600, ge=1)
    controller_ttl_s: int = Field(default=3600, ge=1)
    mapping_ttl_s: int = Field(default=3600, ge=1)
    metadata_ttl_s: int = Field(default=3600, ge=1)
    absent_ttl_s: int = Field(default=30, ge=1)


class ArchiveSettings(Section):
    """Raw messages, kept as objects."""

    url: str = ""
    layout: Literal["device", "message", "lake"] = "device"
    roll_bytes: int = Field(default=8_388_608, ge=1024)
    roll_s: int = Field(default=3600, ge=1)
    retention_s: int | None = Field(default=None, ge=86_400)


class S3Settings(Section):
    """The S3 service of `s3://` and `delta+s3://`."""

    endpoint: str = ""
    region: str = "us-east-1"
    access_key: str = ""
    secret_key: SecretStr = SecretStr("")
    secret_key_file: Path | None = None
    path_style: bool = True
    timeout_s: float = Field(default=30.0, ge=1, le=300)
    conditional_put: bool = True


class InfluxSettings(Section):
    """What is written to the store of `influxdb://` and `influxdbs://`."""

    org: str = "iot-org"
    bucket: str = "iot-metrics"
    sensors_bucket: str = "sensor-data"
    token: SecretStr = SecretStr("")
    token_file: Path | None = None
    timeout_s: float = Field(default=10.0, ge=1, le=300)
    batch_lines: int = Field(default=5000, ge=1, le=100_000)


class ApiSettings(Section):
    """The HTTP service. `open` needs no credentials and is refused beyond loopback."""

    listen: str = "127.0.0.1:8080"
    auth: Literal["open"] = "open"
    cors_origins: list[str] = []


class MonitorSettings(Section):
    """Health and metrics of the other roles: `base_port` plus the place of the role (D-57)."""

    host: str = "127.0.0.1"
    base_port: int = Field(default=8100, ge=0, le=65_000)


class LoggingSettings(Section):
    """What is said on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class RegistrySettings(Section):
    """Who may get a registry row without a person (REG-104)."""

    registration: Literal["auto", "required"] = "auto"
    max_auto_devices: int = Field(default=10_000, ge=0)


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError) as error:
        raise ValueError("must be a time zone such as Europe/Berlin") from error
    return name


class F2Settings(Section):
    """F2 controllers."""

    max_payload_bytes: int = Field(default=262_144, ge=1)
    time_zone: Annotated[str, AfterValidator(_known_zone)] = "UTC"
    subscriptions: list[str] = [
        "stat/+/+/+/+",
        "tele/+/+/+/+",
        "cmnd/+/+/+/+",
        "cmnd/+/+/+/+/+",
    ]


class MeterSettings(Section):
    """Rail meters."""

    max_payload_bytes: int = Field(default=2_097_152, ge=1)
    soft_measurements: int = Field(default=200, ge=1)
    max_measurements: int = Field(default=10_000, ge=1)
    max_future_s: int = Field(default=600, ge=0)
    max_gap_seqs: int = Field(default=65_536, ge=1)
    previous_epoch_s: int = Field(default=600, ge=0)
    redelivery_s: int = Field(default=10, ge=0)


class GenericReading(Section):
    """One value of a message of an unknown family."""

    path: str
    metric: str | None = None
    unit: str | None = None
    scale: float = 1.0
    channel: str | None = None


class GenericSettings(Section):
    """How one topic pattern of an unknown family is read."""

    topic: str
    time: str | None = None
    readings: str | list[GenericReading] | None = None


class Settings(BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        env_prefix="MILLRACE_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        toml_file=CONFIG_FILE,
    )

    data: Path = Path("data")
    broker: BrokerSettings = BrokerSettings()
    log: LogSettings = LogSettings()
    topics: TopicsSettings = TopicsSettings()
    decoded: DecodedSettings = DecodedSettings()
    kafka: KafkaSettings = KafkaSettings()
    store: StoreSettings = StoreSettings()
    series: SeriesSettings = SeriesSettings()
    live: LiveSettings = LiveSettings()
    archive: ArchiveSettings = ArchiveSettings()
    s3: S3Settings = S3Settings()
    influx: InfluxSettings = InfluxSettings()
    api: ApiSettings = ApiSettings()
    monitor: MonitorSettings = MonitorSettings()
    logging: LoggingSettings = LoggingSettings()
    registry: RegistrySettings = RegistrySettings()
    f2: F2Settings = F2Settings()
    meter: MeterSettings = MeterSettings()
    generic: list[GenericSettings] = []

    @field_validator("data")
    @classmethod
    def _named(cls, value: Path) -> Path:
        if not str(value).strip():
            raise ValueError("must name a folder")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags win over the environment, the environment over the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    def urls(self) -> dict[str, str | list[str]]:
        """Return the six URLs, with embedded defaults under the data folder filled in."""
        return {
            "broker": self.broker.url,
            "log": self.log.url or f"sqlite:///{self.data}/log",
            "store": self.store.url or f"sqlite:///{self.data}/millrace.db",
            "series": self.series.url or f"delta:///{self.data}/series",
            "live": self.live.url,
            "archive": self.archive.url or f"file:///{self.data}/archive",
        }


def load(flags: dict[str, Any] | None = None) -> Settings:
    """Return the effective settings.

    Raises:
        UsageError: One or more settings are wrong; the message lists every one.
    """
    faults = _unknown_variables()
    try:
        settings = Settings(**(flags or {}))
    except ValidationError as error:
        faults += [_sentence(fault["loc"], fault["msg"]) for fault in error.errors()]
        raise UsageError("\n".join(faults), "correct the settings named above") from error
    except SettingsError as error:
        raise UsageError(
            f"the environment: {error}", "lists and tables are written as JSON"
        ) from error
    except (ValueError, OSError) as error:
        raise UsageError(
            f"{CONFIG_FILE} cannot be read: {error}", "correct the file, or remove it"
        ) from error
    if faults:
        raise UsageError("\n".join(faults), "correct the settings named above")
    return settings


def _unknown_variables() -> list[str]:
    """Return a fault for each variable with our prefix whose section does not exist."""
    prefix = "MILLRACE_"
    return [
        f"{name}: is not a setting"
        for name in sorted(os.environ)
        if name.startswith(prefix)
        and name.removeprefix(prefix).split("__")[0].lower() not in Settings.model_fields
    ]


def _sentence(path: tuple[int | str, ...], message: str) -> str:
    name = ".".join(map(str, path))
    text = message.removeprefix("Value error, ")
    if text == "Extra inputs are not permitted":
        text = "is not a setting"
    return f"{name}: {text[0].lower()}{text[1:]}"
