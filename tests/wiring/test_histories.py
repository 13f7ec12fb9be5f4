"""`series.url`: what is opened, what is refused."""

from pathlib import Path
from typing import Any

import pytest

from millrace.adapters.series_delta.bucket import BucketStorage
from millrace.errors import UsageError
from millrace.settings import Settings
from millrace.wiring.histories import table_place
from millrace.wiring.series_urls import check, forget_after_ns


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
