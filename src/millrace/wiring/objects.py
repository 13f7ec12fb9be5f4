"""`s3://bucket/prefix` and the section `[s3]`, as the options of a bucket.

Source: architecture.md 3.
"""

from urllib.parse import urlsplit

from millrace.errors import UsageError
from millrace.objects import S3Options
from millrace.observe.urls import shown
from millrace.settings import Settings
from millrace.wiring.secrets import secret


def s3_options(settings: Settings, setting: str, url: str) -> S3Options:
    """Return how the bucket of a URL is reached.

    Raises:
        UsageError: The URL names no bucket, or `[s3]` is wrong.
    """
    chosen, bucket = settings.s3, url.partition("://")[2]
    name, _, prefix = bucket.partition("/")
    if not name:
        raise UsageError(
            f"{setting}: {shown(url)} names no bucket", "write it like s3://bucket/prefix"
        )
    endpoint = urlsplit(chosen.endpoint)
    if chosen.endpoint and (endpoint.scheme not in ("http", "https") or not endpoint.hostname):
        raise UsageError(
            f"s3.endpoint: {shown(chosen.endpoint)} is not an address of the web",
            "write it like https://minio.example:9000, or leave it empty for Amazon's own",
        )
    secret_key = secret("s3.secret_key", chosen.secret_key, chosen.secret_key_file)
    if bool(chosen.access_key) != bool(secret_key):
        raise UsageError("s3.access_key and s3.secret_key: one is given without the other")
    return S3Options(
        name,
        prefix.strip("/"),
        chosen.endpoint.rstrip("/"),
        chosen.region,
        chosen.access_key,
        secret_key,
        chosen.path_style,
        chosen.timeout_s,
        chosen.conditional_put,
    )
