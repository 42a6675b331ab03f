"""Downloads from a server on this machine that behaves as badly as servers do."""

import hashlib
import io
import json
import stat
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from netvlad.datasets import DATASETS
from netvlad.datasets.getting import SOURCES, Source, get_dataset, source_of, unpack
from netvlad.downloading import RemoteFile, download
from netvlad.errors import DataError, SettingsError
from netvlad.types import Note, Progress

CONTENT = np.random.default_rng(0).bytes(3_000_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
OTHER = CONTENT[:1_500_000] + CONTENT[:1_500_000]
HALF = len(CONTENT) // 2


class Server(ThreadingHTTPServer):
    """Remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str | None]] = []
        self.files: dict[str, bytes] = {}

    def url(self, page: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{page}"

    def starts(self) -> list[str | None]:
        return [asked for _, asked in self.asked]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        page, asked = self.path[1:], self.headers.get("Range")
        times = sum(path == page for path, _ in self.server.asked)
        self.server.asked.append((page, asked))
        content, tag = self.server.files.get(page, CONTENT), '"1"'
        if page == "changed" and times > 0:
            content, tag = OTHER, '"2"'
        if page == "absent" or (page == "busy" and times == 0):
            self.send_error(404 if page == "absent" else 503)
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if page in ("ignores_range", "restarts") or self.headers.get("If-Range", tag) != tag:
            start = 0
        if page == "wrong_offset" and start:
            start += 1
        if start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        length = len(content) - start
        length += {"says_more": 1000, "says_less": -1000}.get(page, 0)
        if page != "no_length":
            self.send_header("Content-Length", str(length))
        if page != "no_tag":
            self.send_header("ETag", tag)
        self.end_headers()
        breaks = page in ("breaks", "changed", "no_tag", "restarts", "wrong_offset") and times == 0
        self.wfile.write(content[start : HALF if breaks or page == "ignores_range" else None])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def remote(server: Server, page: str, sha256: str | None = DIGEST) -> RemoteFile:
    return RemoteFile(url=server.url(page), name="data.bin", sha256=sha256)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def begun(folder: Path, url: str, validator: str = "") -> None:
    """What an earlier process noted beside the part that it left."""
    about = {"url": url, "validator": validator, "total": len(CONTENT)}
    (folder / "data.bin.part.json").write_text(json.dumps(about))


RESUMED = f"bytes={HALF}-"


@pytest.mark.parametrize(
    ("page", "starts"),
    [
        ("good", [None]),
        ("no_length", [None]),
        ("busy", [None, None]),
        ("breaks", [None, RESUMED]),
        ("no_tag", [None, RESUMED]),
        ("restarts", [None, RESUMED]),
        ("wrong_offset", [None, RESUMED, None]),
        ("says_more", [None, "bytes=3000000-"]),
    ],
)
def test_the_file_arrives(
    server: Server, tmp_path: Path, page: str, starts: list[str | None]
) -> None:
    seen: list[Progress | Note] = []
    path = download(remote(server, page), tmp_path, report=seen.append, wait_s=0)
    assert path.read_bytes() == CONTENT and left(tmp_path) == ["data.bin"]
    assert server.starts() == starts
    last = [event for event in seen if isinstance(event, Progress)][-1]
    assert last.done == 3000 and last.unit == "kB"
    download(remote(server, page), tmp_path, wait_s=0)
    assert server.starts() == starts  # what is there and right is not fetched again


def test_another_process_goes_on(server: Server, tmp_path: Path) -> None:
    server.files["good"] = CONTENT
    (tmp_path / "data.bin.part").write_bytes(CONTENT[:1000])
    begun(tmp_path, server.url("good"), '"1"')
    assert download(remote(server, "good"), tmp_path).read_bytes() == CONTENT
    assert server.starts() == ["bytes=1000-"]


def test_what_is_here_already_but_for_its_name(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(CONTENT)
    begun(tmp_path, server.url("good"))
    assert download(remote(server, "good"), tmp_path).read_bytes() == CONTENT
    assert server.starts() == ["bytes=3000000-"]


def test_the_part_of_another_file_is_not_gone_on_with(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(OTHER[-1000:])
    begun(tmp_path, "http://127.0.0.1/elsewhere")
    assert download(remote(server, "good"), tmp_path).read_bytes() == CONTENT
    assert server.starts() == [None]
    # The same address, and a part that is wrong: its hash tells, and all is fetched once more.
    (tmp_path / "data.bin").unlink()
    (tmp_path / "data.bin.part").write_bytes(OTHER[-1000:])
    begun(tmp_path, server.url("good"))
    assert download(remote(server, "good"), tmp_path).read_bytes() == CONTENT
    assert server.starts() == [None, "bytes=1000-", None]


def test_a_file_that_changes_between_two_requests(server: Server, tmp_path: Path) -> None:
    sha256 = hashlib.sha256(OTHER).hexdigest()
    path = download(remote(server, "changed", sha256), tmp_path, wait_s=0)
    assert path.read_bytes() == OTHER


@pytest.mark.parametrize(
    ("page", "message", "kept"),
    [
        ("absent", "404", []),
        ("says_less", "SHA-256 begins with .* thrown away", []),
        ("ignores_range", "1500000 bytes are kept: run the same command again", None),
    ],
)
def test_what_cannot_be_trusted_never_gets_its_name(
    server: Server, tmp_path: Path, page: str, message: str, kept: list[str] | None
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        download(remote(server, page), tmp_path, wait_s=0)
    assert str(caught.value).startswith(server.url(page)) and "\n" not in str(caught.value)
    assert "data.bin" not in left(tmp_path)
    assert len(server.asked) <= 7
    if kept is not None:
        assert left(tmp_path) == kept


def test_a_wrong_hash_and_a_wrong_length(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"begins with {DIGEST[:8]}, not with 00000000"):
        download(remote(server, "good", "0" * 64), tmp_path)
    assert left(tmp_path) == [] and len(server.asked) == 1
    short = RemoteFile(url=server.url("good"), name="data.bin", size_bytes=7)
    with pytest.raises(DataError, match="has 3000000 bytes, but the published file has 7"):
        download(short, tmp_path)
    assert left(tmp_path) == []
    (tmp_path / "data.bin").write_bytes(CONTENT[:-1])
    with pytest.raises(DataError, match=r"data\.bin: is not the published file.*delete it"):
        download(remote(server, "good"), tmp_path)


def test_no_server_and_no_http(tmp_path: Path) -> None:
    nowhere = RemoteFile(url="http://127.0.0.1:9/a", name="a")
    with pytest.raises(DataError, match=r"cannot be downloaded .*refused.* run the same command"):
        download(nowhere, tmp_path, wait_s=0)
    with pytest.raises(DataError, match="only http and https"):
        download(RemoteFile(url=f"file://{__file__}", name="a"), tmp_path)


def test_an_unknown_hash_is_told(server: Server, tmp_path: Path) -> None:
    notes: list[Progress | Note] = []
    download(remote(server, "good", None), tmp_path, report=notes.append)
    assert notes[-1] == Note(
        "data.bin: no SHA-256 of it is known, so only the server's length was checked."
    )


# -- unpacking -----------------------------------------------------------------------------------


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def tarred(files: dict[str, bytes], mode: str = "w:gz", **special: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        for name, kind in special.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, "/etc/passwd"
            archive.addfile(entry)
    return out.getvalue()


FILES = {"a/b/1.jpg": b"one", "./a/2.jpg": b"two", "empty.txt": b""}


def case_id(value: bytes | str) -> str:
    """Bytes hold the second they were packed in: no name that two test processes agree on."""
    return "archive" if isinstance(value, bytes) else value


@pytest.mark.parametrize(
    "archive",
    [zipped(FILES), *(tarred(FILES, f"w:{k}") for k in ("", "gz", "bz2", "xz"))],
    ids=["zip", "tar", "gz", "bz2", "xz"],
)
def test_unpacking(tmp_path: Path, archive: bytes) -> None:
    (tmp_path / "x").write_bytes(archive)
    for _ in range(2):  # the second time everything is there
        assert unpack(tmp_path / "x", tmp_path / "out") == 3
        found = {
            str(p.relative_to(tmp_path / "out")): p.read_bytes()
            for p in (tmp_path / "out").rglob("*")
            if p.is_file()
        }
        assert found == {name.removeprefix("./"): content for name, content in FILES.items()}
    (tmp_path / "out/a/b/1.jpg").write_bytes(b"own")
    (tmp_path / "out/empty.txt").unlink()
    with pytest.raises(DataError, match=r"1\.jpg: exists already and is another file"):
        unpack(tmp_path / "x", tmp_path / "out")
    assert (tmp_path / "out/a/b/1.jpg").read_bytes() == b"own"
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a"]


def link_in_zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        entry = zipfile.ZipInfo("link")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    return out.getvalue()


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        *(
            (pack({"good.jpg": b"1", name: b"2"}), "outside the folder")
            for pack in (zipped, tarred)
            for name in ("../evil", "/evil", "a/../../evil", "..\\evil", "C:\\evil")
        ),
        (tarred({}, link=tarfile.SYMTYPE), "is a link"),
        (tarred({}, link=tarfile.LNKTYPE), "is a link"),
        (tarred({}, pipe=tarfile.FIFOTYPE), "is a link or a device"),
        (link_in_zip(), "is a link"),
        (b"hello", "neither a zip nor a tar"),
        (tarred({"a": CONTENT})[:-1000], "damaged|cannot be unpacked"),
        (zipped({"a": b"x" * 100}).replace(b"x" * 100, b"x" * 99 + b"y"), "cannot be unpacked"),
    ],
    ids=case_id,
)
def test_archives_that_are_refused(tmp_path: Path, archive: bytes, message: str) -> None:
    (tmp_path / "x").write_bytes(archive)
    with pytest.raises(DataError, match=message) as caught:
        unpack(tmp_path / "x", tmp_path / "out/in")
    assert "\n" not in str(caught.value)
    assert [str(p) for p in tmp_path.rglob("*") if p.is_file()] == [str(tmp_path / "x")]
    assert list((tmp_path / "out/in").iterdir()) == []


# -- data sets -----------------------------------------------------------------------------------


def test_a_data_set_is_fetched_once(server: Server, tmp_path: Path) -> None:
    server.files |= {
        "a.tar.gz": tarred(FILES),
        "b.zip": zipped({"3.jpg": b"three"}),
        "c.txt": b"hi",
    }
    files = [
        RemoteFile(
            url=server.url(name),
            name=name,
            sha256=hashlib.sha256(server.files[name]).hexdigest(),
            into=into,
        )
        for name, into in (("a.tar.gz", ""), ("b.zip", "deep/er"), ("c.txt", ""))
    ]
    source = Source(tuple(files), ("Ask.",))
    got = get_dataset("made", tmp_path / "d", source=source)
    assert (got.fetched, got.had, got.by_hand) == (("a.tar.gz", "b.zip", "c.txt"), (), ("Ask.",))
    visible = sorted(
        str(p.relative_to(tmp_path / "d"))
        for p in (tmp_path / "d").rglob("*")
        if p.is_file() and not p.name.startswith(".")
    )
    assert visible == ["a/2.jpg", "a/b/1.jpg", "c.txt", "deep/er/3.jpg", "empty.txt"]
    again = get_dataset("made", tmp_path / "d", source=source)
    assert (again.fetched, again.had) == ((), ("a.tar.gz", "b.zip", "c.txt"))
    assert len(server.asked) == 3
    get_dataset("made", tmp_path / "e", source=source, keep_archives=True)
    assert (tmp_path / "e/b.zip").exists()


def test_every_published_data_set_can_be_got_or_is_explained() -> None:
    for name, record in DATASETS.items():
        if not record.source:
            with pytest.raises(SettingsError, match=f"{name} is a format"):
                source_of(name)
            continue
        source = source_of(name)
        assert source.files or source.by_hand
    assert set(SOURCES) <= set(DATASETS)
    for source in SOURCES.values():
        for file in source.files:
            assert file.url.startswith("https://") and "/" not in file.name
    with pytest.raises(SettingsError, match="netvlad datasets list"):
        source_of("nowhere")


def test_the_digests_of_published_lists(shared: Path) -> None:
    """Against the files as they lie in the repository of gsv-cities."""
    there = {path.name: path for path in (shared / "data/structs/gsv_cities").glob("*/*.npy")}
    compared = 0
    for source in SOURCES.values():
        for file in source.files:
            if file.sha256 is not None:
                content = there[file.name].read_bytes()
                assert len(content) == file.size_bytes
                assert hashlib.sha256(content).hexdigest() == file.sha256
                compared += 1
    assert compared == 16
