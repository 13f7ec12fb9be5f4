"""What `ports.cache.Cache` means; every adapter passes the same suite. The cache is empty."""

from collections.abc import Callable

from millrace.ports.cache import Cache, Entry

MANY = 2500


class CacheContract:
    """Subclasses give the fixtures `cache` and `wait`, which lets seconds go by for it."""

    def test_what_was_put_is_there(self, cache: Cache) -> None:
        cache.put([Entry("a", b"1", 60), Entry("b", b"\xff\x00", 60)])
        assert cache.get(["a", "b", "c"]) == {"a": b"1", "b": b"\xff\x00"}
        assert cache.get([]) == {}

    def test_the_last_of_two_values_counts(self, cache: Cache) -> None:
        cache.put([Entry("a", b"1", 60), Entry("a", b"2", 60)])
        cache.put([Entry("b", b"1", 60)])
        cache.put([Entry("b", b"2", 60)])
        assert cache.get(["a", "b"]) == {"a": b"2", "b": b"2"}

    def test_values_vanish_by_themselves(self, cache: Cache, wait: Callable[[float], None]) -> None:
        cache.put([Entry("soon", b"1", 0.2), Entry("late", b"2", 60)])
        wait(0.4)
        assert cache.get(["soon", "late"]) == {"late": b"2"}

    def test_a_new_value_lives_anew(self, cache: Cache, wait: Callable[[float], None]) -> None:
        cache.put([Entry("a", b"1", 0.2)])
        cache.put([Entry("a", b"2", 60)])
        wait(0.4)
        assert cache.get(["a"]) == {"a": b"2"}

    def test_deleted_is_gone_and_absent_is_no_error(self, cache: Cache) -> None:
        cache.put([Entry("a", b"1", 60), Entry("b", b"2", 60)])
        cache.delete(["a", "nothing"])
        cache.delete([])
        assert cache.get(["a", "b"]) == {"b": b"2"}

    def test_cleared_are_those_that_begin_so(self, cache: Cache) -> None:
        keys = ["a:1", "a:2", "a*", "b:1", "ba:1", "[x]:1", "x:1"]
        cache.put([Entry(key, b"1", 60) for key in keys])
        cache.clear(["a:", "[x]", "nothing"])
        assert set(cache.get(keys)) == {"a*", "b:1", "ba:1", "x:1"}
        cache.clear([])
        cache.put([Entry(f"many:{number}", b"1", 60) for number in range(MANY)])
        cache.clear(["many:"])
        assert cache.get([f"many:{number}" for number in range(MANY)]) == {}

    def test_many_at_a_time(self, cache: Cache) -> None:
        wanted = {f"key:{number}": b"%d" % number for number in range(MANY)}
        cache.put([Entry(key, value, 60) for key, value in wanted.items()])
        assert cache.get(list(wanted)) == wanted
        cache.delete(list(wanted))
        assert cache.get(list(wanted)) == {}
