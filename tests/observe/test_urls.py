"""URLs are shown without their secrets."""

import pytest

from millrace.observe.urls import shown


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("mqtt://me:hush@host:1883", "mqtt://me:********@host:1883"),
        ("mqtt://:hush@host", "mqtt://:********@host"),
        ("mqtt://me:hu/sh#hu?sh@hu:sh@host", "mqtt://me:********@host"),
        ("me:hush@host:9092", "me:********@host:9092"),
        ("postgresql://me@h/d?password=hush", "postgresql://me@h/d?password=********"),
        (
            "postgresql://h/d?schema=x&sslPassword=hush&a=1",
            "postgresql://h/d?schema=x&sslPassword=********&a=1",
        ),
        ("influxdb://h:8086?token=hush&secret=hush", "influxdb://h:8086?token=****&secret=****"),
    ],
)
def test_secrets_are_masked(url: str, seen: str) -> None:
    assert shown(url).replace("********", "****") == seen.replace("********", "****")
    assert "hush" not in shown(url)


@pytest.mark.parametrize(
    "url",
    [
        "mqtt://host:1883",
        "sqlite:////var/lib/millrace.db",
        "postgresql://me@host:5432/db?schema=iot",
        "s3://bucket/prefix",
        "",
    ],
)
def test_what_holds_no_secret_stays_as_it_is(url: str) -> None:
    assert shown(url) == url
