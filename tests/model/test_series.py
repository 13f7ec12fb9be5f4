"""The book of series: how many slots one series may have. Source: D-23, D-24."""

from millrace.model.series import MAX_VERSIONS, SeriesBook


def test_d24_versions_of_a_series_are_bounded_whatever_changes() -> None:
    book = SeriesBook()
    first = book.slot("d", "m", unit="u0")
    known = [book.slot("d", "m", unit=f"u{n}") for n in range(MAX_VERSIONS)]
    beyond = {book.slot("d", "m", unit=f"v{n}") for n in range(500)}
    beyond |= {book.slot("d", "m", unit="u0", attributes={"n": n}) for n in range(500)}
    assert beyond == {first}
    assert len(book.slots) == MAX_VERSIONS
    assert [book.slot("d", "m", unit=f"u{n}") for n in range(MAX_VERSIONS)] == known
    assert book.slot("d", "other", unit="V") == MAX_VERSIONS
