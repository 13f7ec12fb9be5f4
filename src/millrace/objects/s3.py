"""One bucket of an S3 service, for `obstore` and for `deltalake`.

Requests are repeated by the client, with jitter, a few times and not for long: who waits for longer
is the caller, who keeps what is not stored yet. Without an access key, the credentials are those of
the surroundings: the variables AWS_*, a container, an instance.
Source: F30; libraries.md ("objects").
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from obstore.store import S3Store

_RETRY_FOR = timedelta(seconds=20)
_LONGEST_PAUSE = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class S3Options:
    """Where a bucket is, and who asks. Units: seconds for one request, whole."""

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    region: str = "us-east-1"
    access_key: str = ""
    secret_key: str = field(default="", repr=False)
    path_style: bool = True
    timeout_s: float = 30.0
    conditional_put: bool = True
    retries: int = 4
    first_pause_s: float = 0.2

    @property
    def url(self) -> str:
        """The place as a URL."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def allows_http(self) -> bool:
        """Whether the endpoint is one without TLS."""
        return urlsplit(self.endpoint).scheme == "http"


def open_bucket(options: S3Options) -> S3Store:
    """Return a client of the bucket, below the prefix; nothing is sent yet."""
    known: dict[str, Any] = {
        "endpoint": options.endpoint,
        "access_key_id": options.access_key,
        "secret_access_key": options.secret_key,
    }
    return S3Store(
        options.bucket,
        prefix=options.prefix or None,
        region=options.region,
        virtual_hosted_style_request=not options.path_style,
        client_options={
            "allow_http": options.allows_http,
            "timeout": timedelta(seconds=options.timeout_s),
        },
        retry_config={
            "max_retries": options.retries,
            "retry_timeout": _RETRY_FOR,
            "backoff": {
                "init_backoff": timedelta(seconds=options.first_pause_s),
                "max_backoff": _LONGEST_PAUSE,
                "base": 2,
            },
        },
        **{name: value for name, value in known.items() if value},
    )


def table_options(options: S3Options) -> dict[str, str]:
    """Return the same for a Delta table.

    Where the service does not know `If-None-Match`, a commit is a plain PUT: then one writer only.
    """
    known = {
        "aws_endpoint_url": options.endpoint,
        "aws_access_key_id": options.access_key,
        "aws_secret_access_key": options.secret_key,
        "aws_region": options.region,
        "aws_allow_http": str(options.allows_http).lower(),
        "aws_virtual_hosted_style_request": str(not options.path_style).lower(),
        "timeout": f"{options.timeout_s:g}s",
        "max_retries": str(options.retries),
        "retry_timeout": f"{_RETRY_FOR.total_seconds():g}s",
        "conditional_put": "etag" if options.conditional_put else "",
        "aws_s3_allow_unsafe_rename": "" if options.conditional_put else "true",
    }
    return {name: value for name, value in known.items() if value}


def first_line(error: Exception) -> str:
    """Return what happened, without the client's own notes for its authors."""
    return str(error).partition("\n")[0]
