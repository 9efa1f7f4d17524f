import gzip
import hashlib
import io
import pickle
import socket
import struct
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from research.config import Data
from research.data import Dataset, downloads, load
from research.errors import UserError
from research.paths import DATA

Bytes = dict[str, bytes]
Patch = pytest.MonkeyPatch


class Server:
    """Attributes: `files` path -> bytes, 404 for others; `asked` the paths of all GET requests."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.silent = threading.Event()
        self.over = threading.Event()
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.http.server_port}/"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                if server.silent.is_set():
                    server.over.wait()
                body = server.files.get(self.path)
                self.send_response(200 if body is not None else 404)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.over.set()
    server.http.shutdown()
    server.http.server_close()
    thread.join()


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def pixels(count: int, *shape: int) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    return np.random.default_rng(count).integers(0, 256, (count, *shape), np.uint8)


@pytest.fixture
def mnist_files() -> Bytes:
    """Seven training and three test digits in MNIST's format."""
    files = {}
    for part, count in (("train", 7), ("t10k", 3)):
        images, labels = pixels(count, 28, 28).tobytes(), bytes(range(count))
        files[f"{part}-images-idx3-ubyte"] = struct.pack(">4i", 2051, count, 28, 28) + images
        files[f"{part}-labels-idx1-ubyte"] = struct.pack(">2i", 2049, count) + labels
    return files


@pytest.fixture
def mnist(mnist_files: Bytes, server: Server, monkeypatch: Patch) -> Server:
    """A server of tiny MNIST whose first mirror has nothing."""
    from torchvision.datasets import MNIST

    archives = {f"{name}.gz": gzip.compress(data) for name, data in mnist_files.items()}
    server.files = {f"/mirror/{name}": data for name, data in archives.items()}
    digests = {name: md5(data) for name, data in mnist_files.items()}
    monkeypatch.setattr(downloads, "_MNIST_MD5", digests)
    monkeypatch.setattr(MNIST, "resources", [(n, md5(data)) for n, data in archives.items()])
    monkeypatch.setattr(MNIST, "mirrors", [f"{server.url}empty/", f"{server.url}mirror/"])
    return server


@pytest.fixture
def cifar_files() -> Bytes:
    """Six batches of two images in CIFAR-10's format."""
    files = {"batches.meta": pickle.dumps({"label_names": [f"class {i}" for i in range(10)]})}
    for i, name in enumerate([f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]):
        data = pixels(12, 3072)[2 * i : 2 * i + 2]
        files[name] = pickle.dumps({"data": data, "labels": [i, 9 - i]})
    return files


@pytest.fixture
def cifar(cifar_files: Bytes, server: Server, monkeypatch: Patch) -> Server:
    from torchvision.datasets import CIFAR10

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in cifar_files.items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    server.files = {"/cifar-10-python.tar.gz": buffer.getvalue()}
    digests = [[name, md5(data)] for name, data in cifar_files.items() if "batch_" in name]
    meta = {"filename": "batches.meta", "key": "label_names"}
    monkeypatch.setattr(CIFAR10, "url", f"{server.url}cifar-10-python.tar.gz")
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5(buffer.getvalue()))
    monkeypatch.setattr(CIFAR10, "train_list", digests)
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", md5(cifar_files["test_batch"])]])
    monkeypatch.setattr(CIFAR10, "meta", {**meta, "md5": md5(cifar_files["batches.meta"])})
    return server


def refused(name: Any, root: Path) -> str:
    """The one line with which a set is refused."""
    with pytest.raises(UserError) as caught:
        load(Data(name, root))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def assert_tiny_mnist(data: Dataset) -> None:
    for split, count in ((data.train, 7), (data.test, 3)):
        assert torch.equal(split.images, torch.from_numpy(pixels(count, 28, 28)).unsqueeze(1))
        assert split.labels.tolist() == list(range(count))
        assert split.labels.dtype == torch.int64


def test_mnist_comes_from_the_mirror_that_has_it_and_only_once(
    mnist: Server, tmp_path: Path
) -> None:
    assert_tiny_mnist(load(Data("mnist", tmp_path)))
    assert len([path for path in mnist.asked if "/mirror/" in path]) >= 4
    mnist.asked.clear()
    assert_tiny_mnist(load(Data("mnist", tmp_path)))
    assert mnist.asked == []


def test_mnist_is_resized_on_request(mnist: Server, tmp_path: Path) -> None:
    data = load(Data("mnist", tmp_path, 32))
    assert (data.shape, data.train.images.dtype) == ((1, 32, 32), torch.uint8)


def test_a_download_cut_short_is_refused_and_mended_by_the_next_call(
    mnist: Server, tmp_path: Path
) -> None:
    name = "/mirror/t10k-images-idx3-ubyte.gz"
    whole = mnist.files[name]
    mnist.files[name] = whole[:-100]
    message = refused("mnist", tmp_path)
    raw = tmp_path / "MNIST" / "raw"
    assert f"place the file at {raw / 't10k-images-idx3-ubyte.gz'} by hand" in message
    assert "--data.name mnist-sample" in message
    mnist.files[name] = whole
    assert_tiny_mnist(load(Data("mnist", tmp_path)))


def test_an_unpacking_cut_short_is_repeated_without_network(mnist: Server, tmp_path: Path) -> None:
    load(Data("mnist", tmp_path))
    path = tmp_path / "MNIST/raw/train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:100])
    mnist.files, mnist.asked = {}, []
    assert_tiny_mnist(load(Data("mnist", tmp_path)))
    assert mnist.asked == []


def test_archives_placed_by_hand_are_unpacked(mnist: Server, tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for path, data in mnist.files.items():
        (raw / Path(path).name).write_bytes(data)
    assert_tiny_mnist(load(Data("mnist", tmp_path)))
    assert mnist.asked == []


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:-1] + bytes([b[-1] ^ 1])])
def test_a_damaged_file_is_named_and_left_alone(
    damage: Callable[[bytes], bytes], mnist: Server, mnist_files: Bytes, tmp_path: Path
) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, data in mnist_files.items():
        (raw / name).write_bytes(data)
    assert_tiny_mnist(load(Data("mnist", tmp_path)))
    wrong = raw / "t10k-labels-idx1-ubyte"
    wrong.write_bytes(damage(wrong.read_bytes()))
    before = wrong.read_bytes()
    message = refused("mnist", tmp_path)
    assert message.startswith(f"{wrong} is damaged")
    assert message.endswith("delete it and run again")
    assert wrong.read_bytes() == before and mnist.asked == []
    wrong.unlink()
    assert_tiny_mnist(load(Data("mnist", tmp_path)))


def test_without_a_network(mnist: Server, tmp_path: Path, monkeypatch: Patch) -> None:
    from torchvision.datasets import MNIST

    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        monkeypatch.setattr(MNIST, "mirrors", [url])
        message = refused("mnist", tmp_path)
    assert f"train-images-idx3-ubyte.gz cannot be had ({url}" in message
    assert "Connection refused" in message


def test_a_silent_server_is_given_up(mnist: Server, tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(downloads, "_SILENCE", 0.1)
    mnist.silent.set()
    assert "timed out" in refused("mnist", tmp_path)
    assert socket.getdefaulttimeout() is None


def test_a_root_that_cannot_be_written(mnist: Server, tmp_path: Path) -> None:
    (tmp_path / "MNIST").write_text("a file where a folder should be")
    assert "cannot be had" in refused("mnist", tmp_path)


def assert_tiny_cifar(data: Dataset) -> None:
    expected = torch.from_numpy(pixels(12, 3072)).reshape(12, 3, 32, 32)
    assert torch.equal(data.train.images, expected[:10])
    assert torch.equal(data.test.images, expected[10:])
    assert data.train.labels.tolist() == [0, 9, 1, 8, 2, 7, 3, 6, 4, 5]
    assert data.test.labels.tolist() == [5, 4]
    assert data.classes == tuple(f"class {i}" for i in range(10))


def test_cifar10_is_downloaded_once(cifar: Server, tmp_path: Path) -> None:
    assert_tiny_cifar(load(Data("cifar10", tmp_path)))
    cifar.asked.clear()
    assert_tiny_cifar(load(Data("cifar10", tmp_path)))
    assert cifar.asked == []


@pytest.mark.parametrize("name", ["data_batch_3", "test_batch", "batches.meta"])
@pytest.mark.parametrize("missing", [False, True])
def test_cifar10_is_mended_from_its_archive(
    name: str, missing: bool, cifar: Server, tmp_path: Path
) -> None:
    load(Data("cifar10", tmp_path))
    path = tmp_path / "cifar-10-batches-py" / name
    path.unlink() if missing else path.write_bytes(b"half")
    cifar.files = {}
    assert_tiny_cifar(load(Data("cifar10", tmp_path)))


@pytest.mark.parametrize("name", ["data_batch_3", "batches.meta"])
def test_cifar10_damaged_without_its_archive(name: str, cifar: Server, tmp_path: Path) -> None:
    load(Data("cifar10", tmp_path))
    (tmp_path / "cifar-10-python.tar.gz").unlink()
    path = tmp_path / "cifar-10-batches-py" / name
    path.write_bytes(b"wrong")
    assert refused("cifar10", tmp_path).startswith(f"{path} is damaged")
    assert path.read_bytes() == b"wrong"


def test_cifar10_out_of_reach(cifar: Server, tmp_path: Path) -> None:
    cifar.files = {}
    message = refused("cifar10", tmp_path)
    assert "404" in message and "--data.name photos" in message
    assert f"place the file at {tmp_path / 'cifar-10-python.tar.gz'}" in message


def test_real_mnist_is_what_its_files_say() -> None:
    raw = DATA / "MNIST" / "raw"
    if not raw.exists():
        pytest.skip(f"MNIST is not under {raw}")
    data = load(Data("mnist"))
    for split, part, count in ((data.train, "train", 60_000), (data.test, "t10k", 10_000)):
        images = np.fromfile(raw / f"{part}-images-idx3-ubyte", np.uint8)[16:]
        labels = np.fromfile(raw / f"{part}-labels-idx1-ubyte", np.uint8)[8:]
        assert torch.equal(split.images, torch.from_numpy(images).reshape(count, 1, 28, 28))
        assert split.labels.tolist() == labels.tolist()
    assert data.train.labels[:5].tolist() == [5, 0, 4, 1, 9]
