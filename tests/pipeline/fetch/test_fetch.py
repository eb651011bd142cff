"""Downloads from a server on the loopback address: cut ones go on, wrong ones are refused, none leaves its folder."""

from __future__ import annotations

import fcntl
import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genas.models.errors import GenasError
from genas.pipeline.config import DataParams
from genas.pipeline.data.reading.layouts import classes_of, require_layout, splits_of
from genas.pipeline.data.reading.tables import read_split
from genas.pipeline.data.stage import describe
from genas.pipeline.fetch import download as downloading
from genas.pipeline.fetch.cifar import PIXELS
from genas.pipeline.fetch.download import download
from genas.pipeline.fetch.get import DOWNLOADS, get
from genas.pipeline.fetch.sets import LOGIN, SETS, Archive, Published
from genas.pipeline.fetch.unpack import unpack
from tests.pipeline.data import good
from tests.pipeline.data.good import add_members, picture


class Server(ThreadingHTTPServer):
    """Serves ``files`` by their names. The first ``cuts`` answers stop after ``piece`` bytes; ``asked`` are the ranges
    that were asked for. Without ``ranges`` it does not know them; when ``lost`` it answers no more after the cuts.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.cuts, self.piece, self.ranges, self.lost = 0, 1000, True, False
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range", "")
        self.server.asked.append(wanted)
        content = self.server.files.get(self.path.lstrip("/"))
        if self.server.lost and not self.server.cuts:
            self.close_connection = True
            return
        if content is None:
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.server.ranges else 0
        if start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.end_headers()
            return
        self.send_response(206 if wanted and self.server.ranges else 200)
        if wanted and self.server.ranges:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        cut = self.server.cuts > 0
        self.server.cuts -= cut
        self.wfile.write(content[start : start + self.server.piece] if cut else content[start:])

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(downloading, "WAIT", 0.0)
    with Server() as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


CONTENT = bytes(range(256)) * 20


def served(server: Server, name: str, content: bytes, inside: str = "", **more: Any) -> Archive:
    """An archive that the server has, with its digest."""
    server.files[name] = content
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return Archive(f"{server.url}/{name}", digest, inside, **{"place": inside, **more})


def test_a_cut_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    archive, told = served(server, "a.tar", CONTENT), []
    server.cuts = 3
    download(archive, tmp_path / "a.tar", lambda here, total: told.append((here, total)))
    assert (tmp_path / "a.tar").read_bytes() == CONTENT
    assert server.asked == ["", "bytes=1000-", "bytes=2000-", "bytes=3000-"]
    assert told[0] == (1000, len(CONTENT))
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


def test_a_network_that_is_lost_for_good_is_given_up(server: Server, tmp_path: Path) -> None:
    archive = served(server, "a.tar", CONTENT)
    server.cuts, server.piece = 2, 1000
    server.lost = True  # after those two, nothing comes any more
    with pytest.raises(
        GenasError, match=r"no connection to 127.0.0.1 .*; 2000 bytes are kept, the same command goes on"
    ):
        download(archive, tmp_path / "a.tar")
    assert len(server.asked) == 2 + downloading.TRIES


def test_a_later_run_goes_on_too(server: Server, tmp_path: Path) -> None:
    archive = served(server, "a.tar", CONTENT)
    (tmp_path / "a.tar.part").write_bytes(CONTENT[:1234])
    download(archive, tmp_path / "a.tar")
    download(archive, tmp_path / "a.tar")  # which is there
    assert server.asked == ["bytes=1234-"]
    (tmp_path / "b.tar.part").write_bytes(CONTENT)
    download(archive, tmp_path / "b.tar")  # nothing was left of it
    assert (tmp_path / "b.tar").read_bytes() == CONTENT


def test_a_server_without_ranges_begins_again(server: Server, tmp_path: Path) -> None:
    archive = served(server, "a.tar", CONTENT)
    server.ranges, server.cuts = False, 1
    download(archive, tmp_path / "a.tar")
    assert (tmp_path / "a.tar").read_bytes() == CONTENT
    assert server.asked == ["", "bytes=1000-"]


def test_another_file_than_before_begins_again(server: Server, tmp_path: Path) -> None:
    archive = served(server, "a.tar", CONTENT)
    (tmp_path / "a.tar.part").write_bytes(CONTENT * 2)  # longer than what there is
    download(archive, tmp_path / "a.tar")
    assert (tmp_path / "a.tar").read_bytes() == CONTENT
    assert server.asked == [f"bytes={2 * len(CONTENT)}-", ""]


def test_a_wrong_digest_leaves_nothing(server: Server, tmp_path: Path) -> None:
    archive = replace(served(server, "a.tar", CONTENT), digest="md5:0123")
    with pytest.raises(GenasError, match=r"a.tar: its digest is md5:[0-9a-f]{32}, expected md5:0123; what came was"):
        download(archive, tmp_path / "a.tar")
    assert not list(tmp_path.iterdir())


def test_what_goes_wrong_is_one_line(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = served(server, "a.tar", CONTENT)
    with pytest.raises(GenasError, match=r"nothing.tar: the server answers 404 Not Found$"):
        download(replace(archive, url=f"{server.url}/nothing.tar"), tmp_path / "a.tar")
    nobody = replace(archive, url="http://127.0.0.1:1/a.tar")
    (tmp_path / "a.tar.part").write_bytes(b"abc")
    with pytest.raises(GenasError, match=r"no connection to 127.0.0.1 \(.*refused.*\); 3 bytes are kept, the same"):
        download(nobody, tmp_path / "a.tar")
    with pytest.raises(GenasError, match=r"^ftp://127.0.0.1/a.tar: "):
        download(replace(archive, url="ftp://127.0.0.1/a.tar"), tmp_path / "a.tar")
    with (tmp_path / "a.tar.part").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(GenasError, match=r"a.tar.part: another process downloads it"):
            download(archive, tmp_path / "a.tar")
    with pytest.raises(GenasError, match="cannot be written"):
        download(archive, tmp_path / "a.tar.part" / "b.tar")
    monkeypatch.setattr(downloading.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 5})())
    with pytest.raises(GenasError, match=r"0.0 GB are free, .*a.tar takes 0.0 GB"):
        download(archive, tmp_path / "a.tar")


def tar_of(members: Mapping[str, bytes | str], kind: str = "w:gz") -> bytes:
    """A tar archive; a text is what a symbolic link leads to."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=kind) as tar:  # type: ignore[call-overload]
        add_members(tar, members.items())
    return buffer.getvalue()


def damaged(content: bytes) -> bytes:
    """The same with one byte in its middle turned over."""
    at = len(content) // 2
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


def zip_of(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def encrypted(content: bytes) -> bytes:
    """The same zip archive with its members said to be encrypted."""
    at = content.index(b"PK\x01\x02") + 8
    return content[:at] + bytes([content[at] | 1]) + content[at + 1 :]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tar", tar_of({"in/a": b"1", "../harm": b"2"}), "'../harm' would leave the folder, nothing was unpacked"),
        ("a.tar", tar_of({"in/a": b"1", "/harm": b"2"}), "member '/harm' would leave the folder"),
        ("a.tar", tar_of({"in/a/../../../harm": b"2"}), "would leave the folder"),
        ("a.tar", tar_of({"in/a": "../../harm", "in/a/b": b"2"}), "not a readable archive .*outside the destination"),
        ("a.tar", tar_of({"in/a": "/etc/passwd"}), "not a readable archive .*absolute path"),
        ("a.zip", zip_of({"in/a": b"1", "../harm": b"2"}), "member '../harm' would leave the folder"),
        ("a.zip", zip_of({"in/a": b"1", "in\\..\\harm": b"2"}), "would leave the folder"),
        ("a.tar", tar_of({"other/a": b"1"}), "there is no in in it"),
        ("a.tar", b"no archive", "not a readable archive"),
        ("a.zip", b"no archive", "not a readable archive"),
        ("a.zip", encrypted(zip_of({"in/a": b"1"})), "not a readable archive .*encrypted"),
        ("a.tar", tar_of({"in/a": bytes(10_000)}, "w")[:5000], "not a readable archive"),
        ("a.tar", tar_of({"in/a": np.random.default_rng(0).bytes(10_000)})[:5000], "not a readable archive"),
        ("a.tar.xz", damaged(tar_of({"in/a": np.random.default_rng(0).bytes(9999)}, "w:xz")), "not a readable archive"),
    ],
)  # fmt: skip
def test_archives_that_mean_harm_or_nothing(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / name).write_bytes(content)
    with pytest.raises(GenasError, match=message) as caught:
        unpack(home / name, "in", home / "in")
    assert "\n" not in str(caught.value)
    assert [path.name for path in home.iterdir()] == [name]
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def of_folder(root: Path, top: str, below: str = "") -> dict[str, bytes]:
    """The files of a folder as members of an archive."""
    files = [path for path in sorted((root / below).rglob("*")) if path.is_file()]
    return {f"{top}/{path.relative_to(root / below)}": path.read_bytes() for path in files}


def record(labels: bytes, shade: int) -> bytes:
    """A record whose channels are ``shade`` and the next two numbers."""
    return labels + b"".join(bytes([shade + i]) * (PIXELS // 3) for i in range(3))


CIFAR = {
    "cifar10": {
        **{f"data_batch_{i}.bin": record(bytes([i % 2]), 10 * i) for i in range(1, 6)},
        "test_batch.bin": record(b"\1", 90),
        "batches.meta.txt": b"ant\nbee\n\n",
    },
    "cifar100": {
        "train.bin": record(b"\7\0", 10) + record(b"\7\1", 20),
        "test.bin": record(b"\7\1", 90),
        "fine_label_names.txt": b"ant\nbee\n",
        "coarse_label_names.txt": b"insects\n",
    },
}


@pytest.mark.parametrize("name", CIFAR)
def test_cifar_becomes_parquet(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """In the order of the archive, by which splits number images; the data stage takes it as it is."""
    top = SETS[name].archives[0].inside
    content = tar_of({f"{top}/{file}": data for file, data in CIFAR[name].items()})
    archive = served(server, SETS[name].archives[0].name, content, top)
    monkeypatch.setitem(SETS, name, replace(SETS[name], archives=(archive,)))
    assert get(name, tmp_path) == (tmp_path / name, True)
    assert get(name, tmp_path) == (tmp_path / name, False)
    pixels, labels = read_split(tmp_path / name, "train", None)
    count = len(labels)
    assert pixels[:, 5, 7].tolist() == [[10 * i, 10 * i + 1, 10 * i + 2] for i in range(1, count + 1)]
    assert labels.tolist() == ([1, 0, 1, 0, 1] if name == "cifar10" else [0, 1])
    found = describe(name, DataParams(layout="parquet", digest="content", path=name), tmp_path / name)
    assert (found["splits"], found["classes"]) == ({"test": 1, "train": count}, ["ant", "bee"])
    assert not list((tmp_path / DOWNLOADS).iterdir())


def test_a_cifar_file_of_another_length_is_refused(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = SETS["cifar10"].archives[0].inside
    for files, message in (
        (CIFAR["cifar10"] | {"test_batch.bin": b"\1" * 3074}, "3074 bytes are no records of 3073"),
        ({"batches.meta.txt": b"ant\n"}, "test_batch.bin' not found"),
    ):
        content = tar_of({f"{top}/{file}": data for file, data in files.items()})
        archive = served(server, "c.tar.gz", content, top)
        monkeypatch.setitem(SETS, "cifar10", replace(SETS["cifar10"], archives=(archive,)))
        with pytest.raises(GenasError, match=message):
            get("cifar10", tmp_path / message[:2])


def test_coco_and_the_shifted_sets_lie_where_they_are_read(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what is there already is not fetched again."""
    made, root = tmp_path / "made", tmp_path / "root"
    good.coco(made / "coco")
    archives = []
    for archive in SETS["coco"].archives:
        files: dict[str, bytes] = of_folder(made / "coco", archive.inside, archive.inside)
        if archive.only:
            files[f"{archive.inside}/captions_train2017.json"] = b"{}"
        archives.append(replace(served(server, archive.name, zip_of(files), archive.inside), only=archive.only))
    monkeypatch.setitem(SETS, "coco", Published("coco", tuple(archives)))
    (root / "coco").mkdir(parents=True)
    good.save(root / "coco" / "val2017" / "1.png", picture())
    good.save(root / "coco" / "val2017" / "2.png", picture())
    assert get("coco", root) == (root / "coco", True)
    assert len(server.asked) == 2
    assert sorted(path.name for path in (root / "coco" / "annotations").iterdir()) == list(
        SETS["coco"].archives[0].only
    )
    assert describe("coco", DataParams(layout="coco", digest="content", path="coco"), root / "coco")["splits"] == {
        "train": 2,
        "val": 2,
    }
    for name in ("imagenet_v2", "imagenet_a", "imagenet_o"):
        (theirs,) = SETS[name].archives
        members = {f"{theirs.inside}/n01440764/a.png": picture(), f"{theirs.inside}/README.txt": b"none"}
        ours = replace(served(server, theirs.name, tar_of(members), theirs.inside), place=theirs.place)
        monkeypatch.setitem(SETS, name, replace(SETS[name], archives=(ours,)))
        get(name, root)
    spec = DataParams(layout="shift", digest="content", path="imagenet_shift")
    require_layout("shift", spec, root / "imagenet_shift")
    assert set(splits_of("shift", root / "imagenet_shift").values()) == {1}
    assert not classes_of("shift", root / "imagenet_shift")


def test_what_needs_a_login_says_where(tmp_path: Path) -> None:
    for name, site in (("imagenet", "image-net.org"), ("cityscapes", "cityscapes-dataset.com")):
        with pytest.raises(GenasError, match=rf"^{name} needs a login: log in at https://(www.)?{site}") as caught:
            get(name, tmp_path)
        assert f" in {tmp_path / name}; genas data check" in str(caught.value)
    with pytest.raises(GenasError, match=r"^unknown data set 'mnist', expected one of cifar10, cifar100, coco,"):
        get("mnist", tmp_path)
    assert not list(tmp_path.iterdir())


def test_every_digest_is_one() -> None:
    lengths = {"sha256": 64, "md5": 32}
    for found in SETS.values():
        for archive in found.archives:
            algorithm, _, value = archive.digest.partition(":")
            assert len(value) == lengths[algorithm]
            assert set(value) <= set("0123456789abcdef")
    assert not set(SETS) & set(LOGIN)
