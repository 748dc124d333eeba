"""The SQLite file: connections, transactions and what happens when the file is damaged or the disk is full."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from ...errors import InputError, PunctumError
from ...text.display import shown
from .repair import finish, mark, mark_of, repair
from .schema import VERSION, create, upgrade

_log = logging.getLogger(__name__)
FILE = "site.db"
_FULL = (sqlite3.SQLITE_FULL,)
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
MOST_READERS = 8
_SETTINGS = ("synchronous = FULL", "journal_size_limit = 16777216", "cache_size = -8000", "trusted_schema = 0")


class StoreError(PunctumError):
    """The database cannot be read or written. Nothing of the operation was stored."""


class StoreFullError(StoreError):
    """There is no room for the database. Nothing of the operation was stored."""


class StoreDamagedError(StoreError):
    """The database is damaged. Opening it again moves it aside."""


class _Damaged(Exception):
    """Why a file is moved aside."""


class Database:
    """A database file with one writing connection and several reading ones. May be used from any thread.

    Args:
        folder: The folder of the file, which is made if necessary.

    Attributes:
        damage: What was moved aside on opening, and why; empty if nothing was.
        identity: Identifies this database: numbers of reports of another one mean nothing here.
        outbox_lost: Whether reports that outputs have to receive may be missing after that.
        reports_lost: Whether any reports that were stored may be missing after that.
        broken: What is wrong with the file since it was opened; empty while nothing is. Nothing can be stored then:
            opening it again repairs it.

    Raises:
        InputError: Another process has the database open, or a later version wrote it.
        StoreError: The folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.path, self.damage, self.broken = folder / FILE, "", ""
        self.outbox_lost = False
        self.reports_lost = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock_file = os.open(folder / f"{FILE}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise StoreError(
                "site-store-failed",
                f"Cannot open the database in {folder} ({error})",
                required="a folder that this user may write to",
                next_step="correct `state`, or its permissions",
            ) from None
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock_file)
            raise InputError(
                "site-in-use",
                f"Another process uses the folder {folder}",
                required="one service for each state folder",
                next_step="end the other service, or set another `state`",
            ) from None
        self._lock, self._pool = threading.RLock(), threading.Lock()
        self._readers: list[sqlite3.Connection] = []
        self._reading = threading.BoundedSemaphore(MOST_READERS)
        self._closed = False
        try:
            self._writer = self._open()
        except BaseException:
            os.close(self._lock_file)
            raise
        self.identity = str(self._writer.execute("SELECT value FROM meta WHERE key = 'identity'").fetchone()[0])
        self._file = _identity_of(self.path)

    def _open(self) -> sqlite3.Connection:
        try:
            finish(self.path)
            if why := mark_of(self.path):
                raise _Damaged(why)
            return self._checked()
        except (sqlite3.DatabaseError, _Damaged) as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if isinstance(error, sqlite3.DatabaseError) and code not in _DAMAGED:
                raise translated(error, self.path) from None
            try:
                done = repair(self.path, shown(str(error)))
            except OSError as failure:
                raise StoreError(
                    "site-store-failed",
                    f"The database {self.path} is damaged, and cannot be moved aside ({failure})",
                    next_step="check disk and permissions",
                ) from None
        except OSError as error:
            raise StoreError(
                "site-store-failed", f"The database {self.path} cannot be opened ({error})", next_step="check the disk"
            ) from None
        self.damage, self.outbox_lost, self.reports_lost = done.text, done.outbox_lost, done.reports_lost
        _log.warning("%s", self.damage)
        try:
            return self._checked()
        except sqlite3.DatabaseError as error:
            raise translated(error, self.path) from None

    def _checked(self) -> sqlite3.Connection:
        """A connection to an intact database. Raises sqlite3.DatabaseError, _Damaged, InputError."""
        new = not self.path.exists() or not self.path.stat().st_size
        connection = self._connect()
        try:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                raise InputError(
                    "site-store-version",
                    f"{self.path} has version {version} of the database",
                    f"versions up to {VERSION}",
                    "use the version of punctum that wrote it, or a later one",
                )
            found = [] if new else connection.execute("PRAGMA quick_check(1)").fetchone()
            if found and found[0] != "ok":
                raise _Damaged(str(found[0]).rpartition("\n")[2])
            if new:
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            if version < VERSION:
                self._create(connection, version)
            if connection.execute("SELECT value FROM meta WHERE key = 'identity'").fetchone() is None:
                raise _Damaged("its table meta is empty")
        except BaseException:
            connection.close()
            raise
        return connection

    def _create(self, connection: sqlite3.Connection, version: int) -> None:
        """Make all tables, or bring those of an older version to this one."""
        if version < 1 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise _Damaged("it is the database of something else")
        connection.execute("BEGIN IMMEDIATE")
        if version < 1:
            create(connection)
        else:
            upgrade(connection, version)
        connection.execute("COMMIT")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=10)
        for setting in _SETTINGS:
            connection.execute(f"PRAGMA {setting}")
        return connection

    def _failed(self, error: sqlite3.Error) -> StoreError:
        """An error of SQLite as one of the store. Damage is remembered, for the next start as well."""
        found = translated(error, self.path)
        if isinstance(found, StoreDamagedError):
            self._found_damage(shown(str(error)))
        return found

    def _found_damage(self, why: str) -> None:
        if not self.broken:
            self.broken = why
            mark(self.path, why)

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Around the reading of stored values: what cannot be read is damage. Raises StoreDamagedError."""
        try:
            yield
        except (InputError, ValueError, TypeError, KeyError, AttributeError) as error:
            why = f"a stored value cannot be read: {shown(str(error), 120)}"
            self._found_damage(why)
            raise damaged(self.path, why) from error

    def check_present(self) -> None:
        """Notice that the file was deleted or replaced: what is stored from then on would be lost. See `broken`."""
        if self.broken:
            return
        try:
            same = _identity_of(self.path) == self._file
        except FileNotFoundError:
            same = False
        except OSError:  # of the disk
            return
        if not same:
            self.broken = "the file was deleted or replaced while the service ran"

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction. Raises StoreError; nothing is stored then."""
        with self._lock:
            self._check_open()
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException as error:
                with contextlib.suppress(sqlite3.Error):
                    if self._writer.in_transaction:
                        self._writer.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise self._failed(error) from error
                raise

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A consistent view, which never waits for a writer. Raises StoreError."""
        with self._reading:
            with self._pool:
                self._check_open()
                connection = self._readers.pop() if self._readers else None
            try:
                if connection is None:
                    connection = self._connect()
                    connection.execute("PRAGMA query_only = 1")
                connection.execute("BEGIN")
                yield connection
                connection.execute("COMMIT")
            except BaseException as error:
                if connection is not None:
                    connection.close()
                if isinstance(error, sqlite3.Error):
                    raise self._failed(error) from error
                raise
            with self._pool:
                if not self._closed:
                    self._readers.append(connection)
                    return
            connection.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("site-store-failed", f"{self.path} is closed", next_step="start the service again")

    def set_limit(self, pages: int) -> None:
        """Limit the size of the file, in pages of 4 KiB; 0: no limit."""
        with self._lock:
            self._writer.execute(f"PRAGMA max_page_count = {pages or 1 << 30}")

    def compact(self) -> None:
        """Move what was written into the main file, and make it smaller if it has free pages. Raises StoreError."""
        with self._lock:
            self._check_open()
            try:
                self._writer.execute("PRAGMA incremental_vacuum(2000)").fetchall()
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            except sqlite3.Error as error:
                raise self._failed(error) from error

    def close(self) -> None:
        """May be called more than once."""
        with self._lock, self._pool:
            if self._closed:
                return
            self._closed = True
            for connection in self._readers:
                connection.close()
            self._readers.clear()
            self._writer.close()
            os.close(self._lock_file)


def _identity_of(path: Path) -> tuple[int, int]:
    """Raises OSError."""
    found = path.stat()
    return found.st_dev, found.st_ino


def translated(error: sqlite3.Error, path: Path) -> StoreError:
    """An error of SQLite as one of the store."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _FULL:
        return StoreFullError(
            "site-disk-full",
            f"There is no room for the database {path}",
            required="free space on its disk",
            next_step="free space, or reduce what `retention` keeps",
        )
    # Text that is no text has no code of its own.
    if code in _DAMAGED or (not code and "decode to UTF-8" in str(error)):
        return damaged(path, shown(str(error)))
    return StoreError(
        "site-store-failed",
        f"The database {path} cannot be used ({error})",
        required="a working disk that this user may write to",
        next_step="check disk and permissions",
    )


def damaged(path: Path, why: str) -> StoreDamagedError:
    """The error of a damaged database."""
    return StoreDamagedError(
        "site-store-damaged",
        f"The database {path} is damaged ({why})",
        next_step="start the service again, which moves it aside and keeps what can be read; check the disk",
    )
