"""`series.url`: what is opened, what is refused."""

from pathlib import Path
from typing import Any

import pytest

from millrace.adapters.series_delta.bucket import BucketStorage
from millrace.errors import UsageError
from millrace.settings import Settings
from millrace.wiring.histories import table_place
from millrace.wiring.series_urls import check, forget_after_ns, sink_urls, table_url


def settings(url: str, **s3: Any) -> Settings:
    return Settings(series={"url": url}, s3=s3)  # type: ignore[arg-type]  # pydantic reads dicts


def test_the_scheme_chooses() -> None:
    assert table_place(settings("delta:///data/x")) == Path("data/x")
    place = table_place(settings("delta+s3://bucket/a/b", endpoint="http://127.0.0.1:9"))
    assert isinstance(place, BucketStorage)
    assert place.uri == "s3://bucket/a/b"
    assert place.root == Path("data/copies").absolute()


def test_d31_batches_stay_until_all_readers_have_looked() -> None:
    assert forget_after_ns(settings("delta:///data/x")) == 0
    assert forget_after_ns(settings("delta+s3://b")) > 2 * BucketStorage.look_every_s * 1e9


@pytest.mark.parametrize("url", ["parquet:///x", "delta+s3://", "delta://host/x"])
def test_what_cannot_work_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match=r"series\.url|names no path"):
        check(settings(url))


INFLUX = "influxdb://127.0.0.1:8086"


def several(*urls: str, **influx: Any) -> Settings:
    return Settings(series={"url": list(urls)}, influx=influx)  # type: ignore[arg-type]


def test_a_store_may_stand_beside_the_history() -> None:
    chosen = several("delta:///data/x", INFLUX)
    check(chosen)
    assert table_url(chosen) == "delta:///data/x"
    assert sink_urls(chosen) == [INFLUX]
    check(several("delta:///data/x", "influxdbs://influx.example"))
    assert sink_urls(settings("delta:///data/x")) == []


@pytest.mark.parametrize(
    ("urls", "said"),
    [
        ([INFLUX], "cannot answer queries"),
        ([INFLUX, "delta:///data/x"], "cannot answer queries"),
        (["delta:///data/x", "delta:///data/y"], "scheme"),
        (["delta:///data/x", INFLUX, "influxdb://other:8086"], "one InfluxDB only"),
        (["delta:///data/x", "influxdb://"], "HOST:PORT"),
    ],
)
def test_lists_that_cannot_work_are_refused(urls: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check(several(*urls))


def test_a56_the_token_is_given_once() -> None:
    with pytest.raises(UsageError, match="both are given") as raised:
        check(several("delta:///data/x", INFLUX, token="a-token", token_file="/nowhere"))  # noqa: S106
    assert "a-token" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("influxdb://me:hush@h:8086", "influx.token_file"),
        ("influxdb://hush@h:8086", "influx.token_file"),
        ("influxdb://h:8086?token=hush", "influx.token_file"),
        ("postgresql://me:hush@h/d", "store.password_file"),
        ("postgresql://me@h/d?password=hush", "store.password_file"),
    ],
)
def test_a_secret_in_a_url_is_refused(url: str, remedy: str) -> None:
    urls = ["delta:///data/x", url] if url.startswith("influx") else [url]
    with pytest.raises(UsageError) as raised:
        check(several(*urls))
    assert remedy in raised.value.remedy
    assert "hush" not in str(raised.value)
