"""Metrics: what is exported by whom, and from the start."""

from millrace.observe import Metrics
from millrace.observe.metrics import FAMILIES, allowed


def test_mon_020_a_process_exports_only_the_groups_of_its_roles() -> None:
    text = Metrics(["edge"], version="1").exposition()[0].decode()
    assert "millrace_messages_received_total" in text
    assert "millrace_messages_stored_total" not in text
    assert "millrace_http_in_flight" not in text


def test_mon_021_known_label_sets_start_at_zero() -> None:
    text = Metrics(["core"], version="1").exposition()[0].decode()
    for family in FAMILIES:
        assert f'millrace_messages_duplicate_total{{family="{family}",kind="seq"}} 0.0' in text
        assert f'millrace_accounting_difference{{family="{family}"}} 0.0' in text


def test_mon_022_undocumented_values_become_other() -> None:
    assert allowed("f2", FAMILIES, "generic") == "f2"
    assert allowed('x"}\n', FAMILIES, "generic") == "generic"


def test_metrics_of_absent_roles_can_be_counted_and_are_not_shown() -> None:
    metrics = Metrics(["serve"], version="1")
    metrics.core.stored.labels("f2", "tele").inc()
    assert "messages_stored" not in metrics.exposition()[0].decode()


def test_mon_011_text_and_openmetrics() -> None:
    metrics = Metrics(["serve"], version="1.2", mode="embedded")
    text, kind = metrics.exposition("text/plain")
    assert "0.0.4" in kind
    assert b'millrace_build_info{mode="embedded",version="1.2"} 1.0' in text
    assert b"_created" not in text
    text, kind = metrics.exposition("application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")


def test_two_processes_worth_of_metrics_do_not_meet() -> None:
    one, two = Metrics(version="1"), Metrics(version="1")
    one.serve.ws_dropped.inc()
    assert b"millrace_ws_dropped_total 1.0" in one.exposition()[0]
    assert b"millrace_ws_dropped_total 0.0" in two.exposition()[0]
