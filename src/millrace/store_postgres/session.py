"""One connection for one thread: opened when it is needed, and again after it broke.

Everything that holds for longer than a transaction is off, so a pooler may stand in between. A
transaction never waits for ever: neither for a lock, nor the server for us.
Source: REG-004, F22 to F25; libraries.md.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Empty, LifoQueue
from typing import Any, Final

import psycopg
from psycopg import sql

from millrace.errors import RetryError, UnsureError
from millrace.store_postgres.arrays import Array, ArrayDumper
from millrace.store_postgres.faults import translate, translate_start
from millrace.store_postgres.place import conninfo_of

CONNECT_TIMEOUT_S: Final = 5
TIMEOUT_S: Final = 30
# A host that vanished acknowledges nothing; the kernel alone would try for a quarter of an hour.
UNANSWERED_MS: Final = 15_000

# A server that is set to acknowledge before it has synced is overruled (architecture.md 4).
_BEGIN: Final = (
    "BEGIN ISOLATION LEVEL {level};"
    "SELECT set_config('synchronous_commit', 'on', true)"
    " WHERE current_setting('synchronous_commit') = 'off';"
    "SET LOCAL statement_timeout = '{timeout_s}s';"
    "SET LOCAL idle_in_transaction_session_timeout = '{timeout_s}s';"
    "SET LOCAL timezone = 'UTC';"
    "SET LOCAL search_path = {schema}"
)


class Session:
    """Transactions on one connection. Thread-confined.

    With `at_start`, a server that refuses the user or the database is a StopError.
    """

    def __init__(
        self, url: str, *, name: str, timeout_s: int = TIMEOUT_S, at_start: bool = False
    ) -> None:
        self._translate = translate_start if at_start else translate
        self._conninfo, self._schema = conninfo_of(url)
        self._name = name
        self._timeout_s = timeout_s
        self._db: psycopg.Connection[Any] | None = None

    @contextmanager
    def transaction(self, level: str = "READ COMMITTED") -> Iterator[psycopg.Connection[Any]]:
        """Run the body as one transaction; an exception rolls it back.

        Raises:
            RetryError: The server is away or busy; nothing was stored.
            UnsureError: The connection broke during the commit.
            StopError: A statement or the schema is wrong.
        """
        db = self._begun(level)
        try:
            yield db
        except psycopg.Error as error:
            self._roll_back()
            raise translate(error) from error
        except BaseException:
            self._roll_back()
            raise
        self._commit(db)

    def close(self) -> None:
        """End the connection; the next transaction opens another."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _begun(self, level: str) -> psycopg.Connection[Any]:
        if self._db is not None and self._answers(self._db, level):
            return self._db
        try:
            self._db = self._connected()
            self._db.execute(self._begin(level))
        except psycopg.Error as error:
            self.close()
            raise self._translate(error) from error
        return self._db

    def _answers(self, db: psycopg.Connection[Any], level: str) -> bool:
        """Begin on a connection from before; False when it broke since, and nothing is lost yet."""
        try:
            db.execute(self._begin(level))
        except psycopg.Error as error:
            is_broken = db.closed
            self.close()
            if not is_broken:
                raise translate(error) from error
            return False
        return True

    def _begin(self, level: str) -> bytes:
        schema = sql.Identifier(self._schema).as_string(None)
        return _BEGIN.format(level=level, timeout_s=self._timeout_s, schema=schema).encode()

    def _connected(self) -> psycopg.Connection[Any]:
        db = psycopg.connect(
            self._conninfo,
            autocommit=True,
            # A prepared statement belongs to a connection of the server, which a pooler changes.
            prepare_threshold=None,
            connect_timeout=CONNECT_TIMEOUT_S,
            application_name=self._name,
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=UNANSWERED_MS,
        )
        db.adapters.register_dumper(Array, ArrayDumper)
        return db

    def _commit(self, db: psycopg.Connection[Any]) -> None:
        try:
            status = db.execute("COMMIT").statusmessage
        except psycopg.Error as error:
            is_broken = db.closed
            self.close()
            if is_broken:
                raise UnsureError(f"the connection was lost while committing: {error}") from error
            raise translate(error) from error
        if status != "COMMIT":
            raise RetryError(f"the transaction was not committed: {status}")

    def _roll_back(self) -> None:
        if self._db is None:
            return
        with suppress(psycopg.Error):
            self._db.execute("ROLLBACK")
        if self._db.closed:
            self.close()


class Sessions:
    """A bounded number of sessions for any thread to use; opened when they are first needed."""

    def __init__(self, url: str, size: int, *, name: str, timeout_s: int = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._all = [Session(url, name=name, timeout_s=timeout_s) for _ in range(size)]
        self._free: LifoQueue[Session] = LifoQueue()
        for one in reversed(self._all):
            self._free.put(one)

    @contextmanager
    def transaction(self, level: str = "READ COMMITTED") -> Iterator[psycopg.Connection[Any]]:
        """Run the body as one transaction on a session that is free; see `Session.transaction`.

        Raises:
            RetryError: None became free in time.
        """
        try:
            session = self._free.get(timeout=self._timeout_s)
        except Empty:
            raise RetryError("all connections to PostgreSQL are in use") from None
        try:
            with session.transaction(level) as db:
                yield db
        finally:
            self._free.put(session)

    def close(self) -> None:
        """End all connections; a second call does nothing."""
        for one in self._all:
            one.close()
