"""A password inside a URL is refused, and the setting to use instead is named."""

from collections.abc import Callable
from typing import Any

import pytest

from millrace.errors import UsageError
from millrace.settings import Settings
from millrace.wiring import kafka
from millrace.wiring.places import broker_urls
from millrace.wiring.stores_postgres import store_url
from millrace.wiring.urls import address_of, known


@pytest.mark.parametrize(
    ("section", "url", "read", "remedy"),
    [
        ("broker", "mqtt://me:hush@h:1883", broker_urls, "broker.password_file"),
        ("broker", ["mqtt://h", "mqtts://me:hush@h"], broker_urls, "broker.password_file"),
        ("broker", "mqtt://h?password=", broker_urls, "broker.password_file"),
        ("store", "postgresql://me:hush@h/d", store_url, "store.password_file"),
        ("store", "postgresql://me@h/d?password=hush", store_url, "store.password_file"),
        ("store", "postgresql://me@h/d?sslpassword=hush", store_url, "store.password_file"),
        ("log", "kafka://me:hush@h:9092", kafka.cluster, "kafka.password_file"),
    ],
)
def test_a_secret_in_a_url_is_refused(
    section: str, url: str | list[str], read: Callable[[Settings], Any], remedy: str
) -> None:
    with pytest.raises(UsageError, match=rf"{section}\.url holds") as raised:
        read(Settings.model_validate({section: {"url": url}}))
    assert remedy in raised.value.remedy
    assert "hush" not in str(raised.value)


def test_a_user_name_is_no_secret() -> None:
    settings = Settings.model_validate({"broker": {"url": "mqtt://me@h:1883"}})
    assert broker_urls(settings) == ["mqtt://me@h:1883"]


@pytest.mark.parametrize(
    "fail",
    [
        lambda: known("log.url", "amqp://me:hush@h", "kafka"),
        lambda: address_of("mqtt://me:hush/x@h", setting="broker.url"),
        lambda: address_of("mqtt://me:hush@", setting="broker.url"),
    ],
)
def test_errors_do_not_repeat_a_password(fail: Callable[[], object]) -> None:
    with pytest.raises(UsageError) as raised:
        fail()
    assert "hush" not in str(raised.value)
