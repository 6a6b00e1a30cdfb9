"What may go wrong with downloaded or local files of MNIST, with servers on this machine in place of the mirrors."
import gzip
import hashlib
import logging
import re
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from conftest import loopback_works
from ddpm_edu import data
from ddpm_edu.data import digits


def idx(x):
    "The bytes of an IDX file."
    return bytes([0, 0, 8, x.ndim]) + b"".join(n.to_bytes(4, "big") for n in x.shape) + x.numpy().tobytes()


@pytest.fixture
def official(monkeypatch):
    "Small files that are official for the time of a test: 20 images for training, 10 for testing."
    g, raw = torch.Generator().manual_seed(0), {}
    for part, n in (("train", 20), ("t10k", 10)):
        raw[f"{part}-images-idx3-ubyte"] = idx(torch.randint(0, 256, (n, 28, 28), generator=g).to(torch.uint8))
        raw[f"{part}-labels-idx1-ubyte"] = idx(torch.arange(n).remainder(10).to(torch.uint8))
    monkeypatch.setattr(data, "FILES", {name: md5(blob) for name, blob in raw.items()})
    return raw


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    "A cache of our own, nobody's data folder, no progress bars; mirrors only where a test makes some."
    monkeypatch.setattr(data, "IN_TEST", True)
    folder = tmp_path / "cache" / "ddpm_edu"
    monkeypatch.setattr(data, "_cache", lambda: folder)
    monkeypatch.setattr(data, "MIRRORS", ())
    monkeypatch.delenv("DDPM_EDU_DATA", raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"): monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def serve():
    "Start a server of a dictionary path → bytes (a missing path is a 404); `cut` promises more bytes than it sends. Counts requests."
    servers = []

    class Handler(BaseHTTPRequestHandler):
        def __init__(self, files, cut, asked, *args): self.files, self.cut, self.asked = files, cut, asked; super().__init__(*args)
        def log_message(self, *args): pass

        def do_GET(self):
            name = self.path.split("/")[-1]; self.asked.append(name)
            if name not in self.files: return self.send_error(404)
            blob = self.files[name]
            self.send_response(200); self.send_header("Content-Length", str(len(blob))); self.end_headers()
            self.wfile.write(blob[:len(blob) // 2] if self.cut else blob)

    def start(files, cut=False):
        asked = []
        if not loopback_works(): pytest.skip("there is no loopback interface to run a server on")
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, files, cut, asked)); servers.append(server)
        threading.Thread(target=partial(server.serve_forever, poll_interval=.01), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/mnist/", asked

    yield start
    for server in servers: server.shutdown(); server.server_close()


def md5(blob): return hashlib.md5(blob).hexdigest()
def packed(raw): return {f"{name}.gz": gzip.compress(blob) for name, blob in raw.items()}
def dead(): return "http://127.0.0.1:9/mnist/"     # the discard port: nobody listens
def held(folder): return sorted(p.name for p in folder.rglob("*") if p.is_file()) if folder.exists() else []
TRAIN = ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"]
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def right(d, raw):
    "Whether a data set is the official one, byte by byte."
    return d.x.numpy().tobytes() == raw[IMAGES][16:] and bytes(d.y.tolist()) == raw[LABELS][8:] and d.shape == (1, 28, 28)


def test_download_then_cache_then_offline(official, serve, cache, monkeypatch):
    url, asked = serve(packed(official))
    monkeypatch.setattr(data, "MIRRORS", (url,))
    assert right(digits(full=True), official)
    assert held(cache) == TRAIN and asked == TRAIN               # only what was asked for, nothing left lying about
    monkeypatch.setattr(data, "MIRRORS", (dead(),))
    assert right(digits(full=True), official)                    # offline: from the cache
    assert asked == TRAIN
    monkeypatch.setattr(data, "MIRRORS", (url,))
    assert len(digits(train=False, full=True)) == 10


def garbage(raw):
    "What a bad mirror may serve, by name."
    good = gzip.compress(raw[IMAGES])
    flipped = bytearray(good); flipped[len(good) // 2] ^= 255
    return {"truncated": good[:len(good) // 2], "end missing": good[:-4], "corrupt": bytes(flipped), "page": b"<html>Please log in</html>",
            "empty": b"", "other data": gzip.compress(raw[IMAGES][::-1]), "half the data": gzip.compress(raw[IMAGES][:5000]),
            "wrong file": gzip.compress(raw[LABELS])}


KINDS = ["truncated", "end missing", "corrupt", "page", "empty", "other data", "half the data", "wrong file"]


@pytest.mark.parametrize("kind", KINDS)
def test_bad_first_mirror(official, serve, cache, monkeypatch, kind):
    bad = garbage(official)[kind]
    (first, asked1), (second, asked2) = serve(packed(official) | {TRAIN[0]: bad}), serve(packed(official))
    monkeypatch.setattr(data, "MIRRORS", (first, second))
    assert right(digits(full=True), official)
    assert asked1 == TRAIN and asked2 == TRAIN[:1]               # the second is asked for what the first had wrong, and only that
    assert held(cache) == TRAIN
    assert all(gzip.decompress((cache / n).read_bytes()) == official[n[:-3]] for n in TRAIN)


@pytest.mark.parametrize("kind", KINDS)
def test_all_mirrors_bad(official, serve, cache, monkeypatch, kind):
    bad = garbage(official)[kind]
    (first, _), (second, _) = serve({TRAIN[0]: bad}), serve({TRAIN[0]: bad})
    monkeypatch.setattr(data, "MIRRORS", (first, second))
    with pytest.raises(OSError) as e: digits(full=True)
    message = str(e.value)
    assert "\n" not in message and TRAIN[0] in message and first in message and second in message and "DDPM_EDU_DATA" in message
    assert message.count(f"expected is {data.FILES[IMAGES]}") == 2                                     # for each mirror the right sum
    assert len(re.findall(r"what unpacks has the MD5 sum [0-9a-f]{32}\b", message)) == 2              # and the one that it served
    assert held(cache) == []                                     # nothing bad stays


def test_connection_cut(official, serve, cache, monkeypatch):
    (first, _), (second, _) = serve(packed(official), cut=True), serve(packed(official))
    monkeypatch.setattr(data, "MIRRORS", (first, second))
    assert right(digits(full=True), official) and held(cache) == TRAIN


@pytest.mark.parametrize("first", ["dead", "404"])
def test_first_mirror_is_not_there(official, serve, cache, monkeypatch, first):
    second, asked = serve(packed(official))
    monkeypatch.setattr(data, "MIRRORS", (dead() if first == "dead" else serve({})[0], second))
    assert right(digits(full=True), official) and asked == TRAIN and held(cache) == TRAIN


def test_offline_with_nothing(official, serve, cache, monkeypatch):
    monkeypatch.setattr(data, "MIRRORS", (dead(), serve({})[0]))
    expected = r"no mirror has a good train-images-idx3-ubyte\.gz \(.*ConnectionError; .*404.*\): try again when online"
    with pytest.raises(OSError, match=expected) as e: digits(full=True)
    assert "\n" not in str(e.value) and len(str(e.value)) < 500 and held(cache) == []


@pytest.mark.parametrize("kind", KINDS)
def test_spoiled_cache(official, serve, cache, monkeypatch, kind):
    url, asked = serve(packed(official))
    monkeypatch.setattr(data, "MIRRORS", (url,))
    digits(full=True)
    (cache / TRAIN[0]).write_bytes(garbage(official)[kind])
    monkeypatch.setattr(data, "MIRRORS", (dead(),))
    with pytest.raises(OSError, match="no mirror"): digits(full=True)
    assert held(cache) == TRAIN[1:]                              # thrown away although nothing could replace it
    monkeypatch.setattr(data, "MIRRORS", (url,))
    assert right(digits(full=True), official)
    assert held(cache) == TRAIN and asked == [*TRAIN, TRAIN[0]]


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("how", ["path", "environment"])
def test_local_folder(official, tmp_path, cache, monkeypatch, plain, how):
    mine = tmp_path / "mine"; mine.mkdir()
    for name, blob in official.items(): (mine / (name if plain else f"{name}.gz")).write_bytes(blob if plain else gzip.compress(blob, 1))
    if how == "environment": monkeypatch.setenv("DDPM_EDU_DATA", str(mine))
    d = digits(full=True) if how == "environment" else digits(path=mine)
    assert right(d, official) and not cache.exists()             # neither copied nor downloaded
    assert len(digits(train=False, full=True, path=str(mine))) == 10


def test_embedded_ignores_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DDPM_EDU_DATA", str(tmp_path / "not there"))
    assert len(digits()) == 10_000 and len(digits(train=False)) == 2000


@pytest.mark.parametrize("kind", KINDS)
def test_bad_local_file(official, tmp_path, kind):
    for name, blob in packed(official).items(): (tmp_path / name).write_bytes(blob)
    bad = tmp_path / TRAIN[0]; bad.write_bytes(garbage(official)[kind])
    with pytest.raises(ValueError, match="is not a good copy of MNIST's train-images-idx3-ubyte") as e: digits(path=tmp_path)
    assert str(bad) in str(e.value) and data.FILES[IMAGES] in str(e.value) and len(re.findall(r"\b[0-9a-f]{32}\b", str(e.value))) == 2
    assert bad.read_bytes() == garbage(official)[kind]           # the user's own file is not touched


def test_bad_plain_local_file(official, tmp_path):
    for name, blob in official.items(): (tmp_path / name).write_bytes(blob)
    (tmp_path / LABELS).write_bytes(official[LABELS][:-1])
    with pytest.raises(ValueError, match=md5(official[LABELS][:-1])): digits(path=tmp_path)


def test_missing_local_file(official, tmp_path):
    with pytest.raises(FileNotFoundError, match="neither `train-images-idx3-ubyte` nor `train-images-idx3-ubyte.gz`"): digits(path=tmp_path)


def test_quiet(official, serve, monkeypatch, caplog, capsys):
    "No sums in the log that a reader could mistake for something to act on, and pooch's own logger is left as it was."
    import pooch
    monkeypatch.setattr(data, "MIRRORS", (serve(packed(official))[0],))
    level = pooch.get_logger().level
    with caplog.at_level(logging.INFO): digits(full=True)
    assert "SHA256" not in caplog.text + "".join(capsys.readouterr()) and pooch.get_logger().level == level


def test_cache_that_cannot_be_written(official, serve, cache, monkeypatch):
    monkeypatch.setattr(data, "MIRRORS", (serve(packed(official))[0],))
    cache.parent.write_text("a file where the folder should be")
    with pytest.raises(OSError, match="cannot write in the cache"): digits(full=True)


def test_sums_are_the_official_ones():
    assert data.FILES == {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb", "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea", "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637"}


def test_embedded_digits_are_the_first_of_the_official_ones():
    assert md5(digits().x.numpy().tobytes()) == "3b1134527863a2810c134121a397e522"
    assert md5(digits(train=False).x.numpy().tobytes()) == "2a02fb5b5825ef9f473de0f9304a16a1"
