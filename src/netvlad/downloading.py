"""Fetching one large file: resumable, and whole and verified or not under its name at all."""

import http.client
import math
import re
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from netvlad.errors import DataError, StorageError
from netvlad.storage import file_sha256, read_json, require_space, write_json
from netvlad.types import Note, Progress, Reporter, silent

_CHUNK_BYTES = 1 << 20
_TIMEOUT_S = 60.0
_TRIES_WITHOUT_PROGRESS = 3
_HTTP_OK, _HTTP_PARTIAL, _HTTP_BEYOND_END = 200, 206, 416
_HTTP_MAY_PASS = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file that can be fetched.

    Attributes:
        url: where it is, http or https.
        name: what it is called here.
        size_bytes: its length, where it is published.
        sha256: its SHA-256 in hexadecimal digits, or how that begins, where it is published.
        into: the folder, relative to the data set's, that an archive is unpacked into.
    """

    url: str
    name: str
    size_bytes: int | None = None
    sha256: str | None = None
    into: str = ""


class _BrokenOffError(Exception):
    """The connection ended early, or the server was not to be reached: worth another try."""


class _Answer(NamedTuple):
    """What a response adds to what is here: the byte it starts at, and the whole length."""

    start: int
    total: int | None
    validator: str


def download(
    file: RemoteFile, folder: Path, *, report: Reporter = silent, wait_s: float = 2.0
) -> Path:
    """Fetch a file into a folder, resuming where an earlier attempt stopped.

    What has arrived lies beside the file as ``<name>.part``. An HTTP range request asks for the
    rest as long as the server's copy is the same (``If-Range``); a server that knows no ranges is
    asked for the whole again. A connection that breaks off is tried again after ``wait_s``, until
    three times in a row nothing new has come.

    The file is whole, and has the published length and SHA-256 as far as there are any. ``report``
    receives progress in kB, and notes on what could not be verified.

    Raises:
        DataError: it cannot be fetched, or is not the published file. Nothing wrong is left under
            its name; what can be resumed is kept.
        StorageError: it cannot be written.
    """
    path = folder / file.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            _verify(file, path, f"{path}: is not the published file", "delete it and try again")
            return path
        part = _Part(file, folder)
        resumed = part.length > 0
        trouble, remedy = f"{file.url}: is not the published file", "it was thrown away; try again"
        while True:
            part.fetch_all(report, wait_s)
            try:
                _verify(file, part.path, trouble, remedy)
                break
            except DataError:
                part.remove()
                if not resumed:
                    raise
                # What was here before may have been another file: once more, from the beginning.
                resumed = False
        part.path.replace(path)
        part.remove()
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror or error}") from error
    _tell_unverified(file, report)
    return path


class _Part:
    """What has arrived of a file, and of which copy it is."""

    def __init__(self, file: RemoteFile, folder: Path) -> None:
        self.file = file
        self.path = folder / f"{file.name}.part"
        self.about = folder / f"{file.name}.part.json"
        if self._state().get("url") != file.url:
            self.remove()

    @property
    def length(self) -> int:
        """Bytes that are here."""
        return self.path.stat().st_size if self.path.exists() else 0

    def remove(self) -> None:
        """Forget everything."""
        self.path.unlink(missing_ok=True)
        self.about.unlink(missing_ok=True)

    def fetch_all(self, report: Reporter, wait_s: float) -> None:
        """Fetch until everything is here."""
        best, tries = self.length, 0
        while True:
            try:
                self._fetch_rest(report)
                return
            except _BrokenOffError as error:
                tries = 1 if self.length > best else tries + 1
                best = max(best, self.length)
                if tries >= _TRIES_WITHOUT_PROGRESS:
                    raise DataError(
                        f"{self.file.url}: cannot be downloaded ({error}); {self.length} bytes are "
                        "kept: run the same command again to resume"
                    ) from error
                report(Note(f"{self.file.name}: {error}; resuming at byte {self.length}."))
                time.sleep(wait_s)

    def _fetch_rest(self, report: Reporter) -> None:
        """One request for what is not here yet."""
        start, state = self.length, self._state()
        headers = {"Accept-Encoding": "identity", "User-Agent": "netvlad"}
        if start:
            headers["Range"] = f"bytes={start}-"
            if state.get("validator"):
                headers["If-Range"] = state["validator"]
        request = urllib.request.Request(_checked(self.file.url), headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
                self._receive(response, start, state, report)
        except urllib.error.HTTPError as error:
            if error.code == _HTTP_BEYOND_END and start:
                # All of it is here already, or another file's: the length in all tells.
                total = _content_range(error.headers.get("Content-Range", "")).total
                if total != start:
                    self.remove()
                    raise _BrokenOffError("the server has another file now") from error
                return
            reason = f"{error.code} {error.reason}"
            if error.code in _HTTP_MAY_PASS:
                raise _BrokenOffError(reason) from error
            raise DataError(
                f"{self.file.url}: cannot be downloaded ({reason}); see whether it has moved"
            ) from error
        except (
            urllib.error.URLError,
            http.client.HTTPException,
            ConnectionError,
            TimeoutError,
        ) as e:
            raise _BrokenOffError(str(getattr(e, "reason", None) or e or type(e).__name__)) from e

    def _receive(
        self,
        response: http.client.HTTPResponse,
        start: int,
        state: dict[str, Any],
        report: Reporter,
    ) -> None:
        answer = _read_headers(response)
        if answer.start not in (0, start) or (answer.start and state.get("total") != answer.total):
            self.remove()
            raise _BrokenOffError("the server has another file now")
        expected = self.file.size_bytes
        if expected is not None and answer.total not in (None, expected):
            self.remove()
            raise DataError(
                f"{self.file.url}: has {answer.total} bytes, but the published file has {expected};"
                " it may have been replaced"
            )
        require_space(self.path.parent, (answer.total or 0) - answer.start, "the download")
        write_json(
            self.about,
            {"url": self.file.url, "validator": answer.validator, "total": answer.total},
        )
        done = answer.start
        # 200 to a range request means: from the beginning.
        with self.path.open("r+b" if answer.start else "wb") as out:
            out.seek(done)
            while chunk := _read(response):
                out.write(chunk)
                done += len(chunk)
                report(_progress(self.file.name, done, answer.total))
        if answer.total is not None and done < answer.total:
            raise _BrokenOffError(f"the connection was closed after {done} of {answer.total} bytes")

    def _state(self) -> dict[str, Any]:
        if not (self.about.exists() and self.path.exists()):
            return {}
        try:
            state = read_json(self.about)
        except StorageError:
            return {}
        return state if isinstance(state, dict) else {}


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read(_CHUNK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenOffError(str(error) or type(error).__name__) from error


def _checked(url: str) -> str:
    if urlsplit(url).scheme not in ("http", "https"):
        raise DataError(f"{url}: only http and https are fetched")
    return url


def _read_headers(response: http.client.HTTPResponse) -> _Answer:
    headers = response.headers
    etag = headers.get("ETag", "")
    # A weak tag does not promise equal bytes.
    validator = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified", "")
    if response.status == _HTTP_PARTIAL:
        return _content_range(headers.get("Content-Range", ""))._replace(validator=validator)
    if response.status != _HTTP_OK:
        raise _BrokenOffError(f"the server answered {response.status}")
    length = headers.get("Content-Length", "")
    return _Answer(0, int(length) if length.isdecimal() else None, validator)


def _content_range(text: str) -> _Answer:
    """``bytes 100-199/200``, or ``bytes */200`` for a range that lies beyond the end."""
    match = re.fullmatch(r"\s*bytes\s+(?:(\d+)-\d+|\*)/(\d+|\*)\s*", text, flags=re.ASCII)
    if match is None:
        return _Answer(-1, None, "")
    total = None if match[2] == "*" else int(match[2])
    return _Answer(-1 if match[1] is None else int(match[1]), total, "")


def _progress(name: str, done: int, total: int | None) -> Progress:
    # Without a length the bar never fills; the last report of a stage closes it.
    whole = done + 1000 if total is None else total
    return Progress(f"Downloading {name}", math.ceil(done / 1000), math.ceil(whole / 1000), "kB")


def _verify(file: RemoteFile, path: Path, trouble: str, remedy: str) -> None:
    size = path.stat().st_size
    if file.size_bytes is not None and size != file.size_bytes:
        raise DataError(f"{trouble} (it has {size} bytes, not {file.size_bytes}); {remedy}")
    if file.sha256 is None:
        return
    digest = file_sha256(path)
    if not digest.startswith(file.sha256.lower()):
        raise DataError(
            f"{trouble} (its SHA-256 begins with {digest[:8]}, not with {file.sha256[:8]}); "
            f"{remedy}"
        )


def _tell_unverified(file: RemoteFile, report: Reporter) -> None:
    if file.sha256 is not None:
        return
    checked = "its length was checked" if file.size_bytes else "the server's length was checked"
    report(Note(f"{file.name}: no SHA-256 of it is known, so only {checked}."))
