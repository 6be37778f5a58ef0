"""What fetching and unpacking promise: whole and checked or not at all, and nothing outside the target."""

from __future__ import annotations

import hashlib
import io
import random
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import textwrap
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from components.data.archive import ArchiveError, fetch, unpack

BODY = random.Random(7).randbytes(600_000)
SHA256 = hashlib.sha256(BODY).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves one file as well, or as badly, as its fields say; and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = BODY
        self.version = '"v1"'
        self.ranges = True
        self.statuses: list[int] = []  # answered first, one a request
        self.cuts: list[int] = []  # bytes after which a connection breaks, one a request
        self.asked: list[str | None] = []  # the Range of each request
        self.url = f"http://127.0.0.1:{self.server_address[1]}/data.tgz"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, wanted = self.server, self.headers["Range"]
        server.asked.append(wanted)
        if server.statuses:
            self.send_response(server.statuses.pop(0))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = 0
        if wanted and server.ranges and self.headers["If-Range"] == server.version:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start >= len(server.body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(server.body)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.body) - 1}/{len(server.body)}")
        self.send_header("ETag", server.version)
        self.send_header("Content-Length", str(len(server.body) - start))
        self.end_headers()
        cut = server.cuts.pop(0) if server.cuts else len(server.body)
        self.wfile.write(server.body[start : start + cut])
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def get(server: Server, target: Path, bytes: int | None = len(BODY), sha256: str | None = SHA256) -> None:
    fetch(server.url, target, bytes=bytes, sha256=sha256, tries=3, pause=0.001)


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_download_that_breaks_goes_on_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.cuts = [100_000, 200_000]
    get(server, tmp_path / "in" / "data.tgz")
    assert (tmp_path / "in" / "data.tgz").read_bytes() == BODY
    assert server.asked == [None, "bytes=100000-", "bytes=300000-"]
    assert names(tmp_path) == ["in/data.tgz"]


def test_next_run_goes_on_where_the_last_gave_up(server: Server, tmp_path: Path) -> None:
    server.cuts = [150_000, 0, 0, 0]
    with pytest.raises(ArchiveError, match=r"150,000 bytes are in .*data\.tgz\.part: run again"):
        get(server, tmp_path / "data.tgz")
    server.asked.clear()
    get(server, tmp_path / "data.tgz")
    assert server.asked == ["bytes=150000-"]
    assert (tmp_path / "data.tgz").read_bytes() == BODY


@pytest.mark.parametrize("change", ["ignores ranges", "has a new version", "has a shorter version"])
def test_parts_of_two_versions_are_never_joined(server: Server, tmp_path: Path, change: str) -> None:
    server.cuts = [150_000, 0, 0, 0]
    with pytest.raises(ArchiveError):
        get(server, tmp_path / "data.tgz")
    if change == "ignores ranges":
        server.ranges = False
    else:
        server.version = '"v2"'
        server.body = BODY[::-1] if change == "has a new version" else BODY[:1000]
    get(server, tmp_path / "data.tgz", None, None)
    assert (tmp_path / "data.tgz").read_bytes() == server.body


def test_part_that_is_whole_already_is_taken(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data.tgz.part").write_bytes(BODY)  # killed between the last byte and the new name
    (tmp_path / "data.tgz.part.version").write_text(server.version)
    get(server, tmp_path / "data.tgz")
    assert server.asked == [f"bytes={len(BODY)}-"]
    assert names(tmp_path) == ["data.tgz"]


def test_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.statuses = [503, 429]
    get(server, tmp_path / "data.tgz")
    assert len(server.asked) == 3


def test_missing_file_is_told_at_once(server: Server, tmp_path: Path) -> None:
    server.statuses = [404]
    with pytest.raises(ArchiveError, match="404 Not Found"):
        get(server, tmp_path / "data.tgz")
    assert len(server.asked) == 1
    assert names(tmp_path) == []


def test_server_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"http://127\.0\.0\.1:9/x: .*refused"):
        fetch("http://127.0.0.1:9/x", tmp_path / "x", bytes=None, sha256=None, tries=2, pause=0)
    with pytest.raises(ArchiveError, match="starts with http"):
        fetch("ftp://127.0.0.1/x", tmp_path / "x", bytes=None, sha256=None)


@pytest.mark.parametrize(
    ("bytes", "sha256", "reason"),
    [(5, None, "600,000 bytes, expected 5"), (None, "0" * 64, f"SHA-256 {SHA256}, expected 000")],
)
def test_wrong_size_or_checksum(
    server: Server, tmp_path: Path, bytes: int | None, sha256: str | None, reason: str
) -> None:
    with pytest.raises(ArchiveError, match=reason):
        get(server, tmp_path / "data.tgz", bytes, sha256)
    assert names(tmp_path) == []  # what is wrong is not gone on with
    (tmp_path / "data.tgz").write_bytes(BODY)
    with pytest.raises(ArchiveError, match=reason):  # nor is it trusted where it lies already
        get(server, tmp_path / "data.tgz", bytes, sha256)
    assert names(tmp_path) == ["data.tgz"]  # it may be the user's own


def test_what_is_there_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data.tgz").write_bytes(BODY)
    get(server, tmp_path / "data.tgz")
    assert server.asked == []


FILES = {"top/a.inkml": b"<ink/>", "top/deep/b.inkml": b"", "top/readme.md": b"text"}


def tar(path: Path, files: dict[str, bytes] = FILES, *extra: tarfile.TarInfo) -> Path:
    suffix = path.suffix.removeprefix(".").replace("tgz", "gz").replace("tar", "")
    with tarfile.open(path, f"w:{suffix}") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for member in extra:
            archive.addfile(member)
    return path


def zipped(path: Path, files: dict[str, bytes] = FILES, mode: int = stat.S_IFREG | 0o644) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            member = zipfile.ZipInfo(name)
            member.external_attr = mode << 16
            archive.writestr(member, content)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names(folder)}


@pytest.mark.parametrize("name", ["a.tar", "a.tgz", "a.tar.gz", "a.tar.xz", "a.tar.bz2", "a.zip"])
def test_unpacked_is_what_was_packed(tmp_path: Path, name: str) -> None:
    archive = zipped(tmp_path / name) if name.endswith(".zip") else tar(tmp_path / name)
    unpack(archive, tmp_path / "out")
    assert contents(tmp_path / "out") == FILES
    unpack(archive, tmp_path / "out", lambda path: path.suffix == ".md")
    assert contents(tmp_path / "out") == {"top/readme.md": b"text"}  # what was there is replaced
    assert sorted(path.name for path in tmp_path.iterdir()) == [name, "out"]


def member(name: str, type: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = type, link
    return info


@pytest.mark.parametrize(
    "extra",
    [
        member("top/link", tarfile.SYMTYPE, "/etc/passwd"),
        member("top/hard", tarfile.LNKTYPE, "top/a.inkml"),
        member("top/disk", tarfile.BLKTYPE),
        member("top/null", tarfile.CHRTYPE),
        member("top/pipe", tarfile.FIFOTYPE),
        member("../evil", tarfile.REGTYPE),
        member("top/../../evil", tarfile.REGTYPE),
        member("/evil", tarfile.REGTYPE),
    ],
    ids=lambda extra: extra.name,
)
def test_evil_member_of_a_tar_is_named_and_nothing_unpacked(tmp_path: Path, extra: tarfile.TarInfo) -> None:
    archive = tar(tmp_path / "a.tgz", FILES, extra)
    with pytest.raises(ArchiveError, match=f"a.tgz: '{extra.name}' (is a link or a device|lies outside)"):
        unpack(archive, tmp_path / "out", lambda path: path.suffix == ".inkml")
    assert names(tmp_path) == ["a.tgz"]


@pytest.mark.parametrize(("name", "mode"), [("../evil", stat.S_IFREG), ("/evil", 0), ("link", stat.S_IFLNK)])
def test_evil_member_of_a_zip_is_named_and_nothing_unpacked(tmp_path: Path, name: str, mode: int) -> None:
    archive = zipped(tmp_path / "a.zip", {"good": b"", name: b"/etc/passwd"}, mode)
    with pytest.raises(ArchiveError, match=rf"a\.zip: '({name}|good)' (is a link or a device|lies outside)"):
        unpack(archive, tmp_path / "out")
    assert names(tmp_path) == ["a.zip"]


@pytest.mark.parametrize("name", ["a.tar", "a.tgz", "a.tar.xz", "a.tar.bz2", "a.zip"])
@pytest.mark.parametrize("fault", ["cut short", "noise", "empty"])
def test_unreadable_archive_leaves_what_was_there(tmp_path: Path, name: str, fault: str) -> None:
    files = {"x.inkml": BODY[:50_000], "y.inkml": BODY[50_000:]}
    archive = zipped(tmp_path / name, files) if name.endswith(".zip") else tar(tmp_path / name, files)
    data = archive.read_bytes()
    archive.write_bytes({"cut short": data[: len(data) // 2], "noise": BODY, "empty": b""}[fault])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").touch()
    with pytest.raises(ArchiveError, match=f"{name}: can't be read as"):
        unpack(archive, tmp_path / "out")
    assert names(tmp_path) == [name, "out/old"]


def test_encrypted_zip_is_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"x": b"secret"})
    data = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    archive.write_bytes(data)
    with pytest.raises(ArchiveError, match="password"):
        unpack(archive, tmp_path / "out")


UNPACK = """
    import resource, sys, time
    from pathlib import Path
    from components.data.archive import ArchiveError, unpack
    archive, out, limit, pause = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        unpack(archive, out, lambda path: time.sleep(pause) is None)
    except ArchiveError as error:
        print(error, *out.parent.glob(".out*"), *out.glob("*"), sep="\\n")
"""


def unpacking(archive: Path, out: Path, limit: int = 0, pause: float = 0) -> list[str]:
    """The command that unpacks; writes no file beyond `limit` bytes; waits before each member."""
    return [sys.executable, "-c", textwrap.dedent(UNPACK), str(archive), str(out), str(limit), str(pause)]


@pytest.mark.parametrize("disk", ["small", "with a limit"])
def test_full_disk_is_told_and_nothing_is_kept(tmp_path: Path, disk: str) -> None:
    archive = tar(tmp_path / "a.tar", {"x": BODY, "y": BODY})
    small = tmp_path / "disk"
    small.mkdir()
    command = unpacking(archive, small / "out", limit=0 if disk == "small" else 300_000)
    if disk == "small":
        mount = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=1m none "$0" && exec "$@"', str(small)]
        if not shutil.which("unshare") or subprocess.run([*mount, "true"], check=False).returncode:
            pytest.skip("this machine lets no one mount a file system")
        command = mount + command
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    why = "No space left on device" if disk == "small" else "File too large"
    assert done.stdout.splitlines() == [f"unpacking {archive}: {small / 'out'}: {why}; nothing was kept"]


def test_killed_in_the_middle_then_again_is_as_if_never_killed(tmp_path: Path) -> None:
    files = {f"top/{number}.inkml": str(number).encode() for number in range(40)}
    archive, out = tar(tmp_path / "a.tgz", files), tmp_path / "out"
    process = subprocess.Popen(unpacking(archive, out, pause=0.05), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (tmp_path / ".out.part" / "top" / "5.inkml").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    unpack(archive, out)
    assert contents(out) == files
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tgz", "out"]


def test_download_onto_a_full_disk_goes_on_when_there_is_room(server: Server, tmp_path: Path) -> None:
    code = """
        import resource, sys
        from pathlib import Path
        from components.data.archive import ArchiveError, fetch
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
        try:
            fetch(sys.argv[1], Path(sys.argv[2]), bytes=None, sha256=None)
        except ArchiveError as error:
            print(error)
    """
    target = tmp_path / "data.tgz"
    command = [sys.executable, "-c", textwrap.dedent(code), server.url, str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "run again to resume" in done.stdout
    get(server, target)
    assert server.asked == [None, "bytes=300000-"]
    assert target.read_bytes() == BODY
