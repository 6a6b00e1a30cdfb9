"""What may go wrong with downloaded or local files of MNIST, with servers on this machine in place of the
mirrors."""
import gzip
import hashlib
import logging
import os
import re
import subprocess
import sys
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from conftest import loopback_works
from ddpm_edu import digits, fashion
from ddpm_edu.data import files, idx as data


ORIGINAL = {of.title: of.mirrors for of in data.MNIST_FAMILY.values()}  # the tests put others in their place


def idx(x):
    "The bytes of an IDX file."
    return bytes([0, 0, 8, x.ndim]) + b"".join(n.to_bytes(4, "big") for n in x.shape) + x.numpy().tobytes()


def change(monkeypatch, name="mnist", **facts):
    "Other facts about a data set of the family for the time of a test."
    monkeypatch.setitem(data.MNIST_FAMILY, name, data.MNIST_FAMILY[name]._replace(**facts))


def right_sum(): return data.MNIST_FAMILY["mnist"].sums[IMAGES]


@pytest.fixture
def official(monkeypatch):
    "Small files that are official for the time of a test: 20 images for training, 10 for testing."
    g, raw = torch.Generator().manual_seed(0), {}
    for part, n in (("train", 20), ("t10k", 10)):
        raw[f"{part}-images-idx3-ubyte"] = idx(
            torch.randint(0, 256, (n, 28, 28), generator=g).to(torch.uint8))
        raw[f"{part}-labels-idx1-ubyte"] = idx(torch.arange(n).remainder(10).to(torch.uint8))
    change(monkeypatch, sums={name: md5(blob) for name, blob in raw.items()})
    return raw


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    "A cache of our own, nobody's data folder, no progress bars; mirrors only where a test makes some."
    monkeypatch.setattr(files, "IN_TEST", True)
    folder = tmp_path / "cache" / "ddpm_edu"
    monkeypatch.setattr(data, "cache_folder", lambda: folder)
    change(monkeypatch, mirrors=())
    monkeypatch.delenv("DDPM_EDU_DATA", raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def serve():
    """Start a server of a dictionary path → bytes (a missing path is a 404); `cut` promises more bytes than
    it sends. Counts requests."""
    servers = []

    class Handler(BaseHTTPRequestHandler):
        def __init__(self, files, cut, asked, *args):
            self.files, self.cut, self.asked = files, cut, asked; super().__init__(*args)
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
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, files, cut, asked))
        servers.append(server)
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
    return (d.x.numpy().tobytes() == raw[IMAGES][16:]
            and bytes(d.y.tolist()) == raw[LABELS][8:] and d.shape == (1, 28, 28))


def test_download_then_cache_then_offline(official, serve, cache, monkeypatch):
    url, asked = serve(packed(official))
    change(monkeypatch, mirrors=(url,))
    assert right(digits(full=True), official)
    assert held(cache) == TRAIN and asked == TRAIN  # only what was asked for, nothing left lying about
    change(monkeypatch, mirrors=(dead(),))
    assert right(digits(full=True), official)                    # offline: from the cache
    assert asked == TRAIN
    change(monkeypatch, mirrors=(url,))
    assert len(digits(train=False, full=True)) == 10


def garbage(raw):
    "What a bad mirror may serve, by name."
    good = gzip.compress(raw[IMAGES])
    flipped = bytearray(good); flipped[len(good) // 2] ^= 255
    return {"truncated": good[:len(good) // 2], "end missing": good[:-4],
            "corrupt": bytes(flipped), "page": b"<html>Please log in</html>",
            "empty": b"", "other data": gzip.compress(raw[IMAGES][::-1]),
            "half the data": gzip.compress(raw[IMAGES][:5000]),
            "wrong file": gzip.compress(raw[LABELS])}


KINDS = ["truncated", "end missing", "corrupt", "page", "empty", "other data", "half the data", "wrong file"]


@pytest.mark.parametrize("kind", KINDS)
def test_bad_first_mirror(official, serve, cache, monkeypatch, kind):
    bad = garbage(official)[kind]
    (first, asked1), (second, asked2) = serve(packed(official) | {TRAIN[0]: bad}), serve(packed(official))
    change(monkeypatch, mirrors=(first, second))
    assert right(digits(full=True), official)
    # the second is asked for what the first had wrong, and only that
    assert asked1 == TRAIN and asked2 == TRAIN[:1]
    assert held(cache) == TRAIN
    assert all(gzip.decompress((cache / n).read_bytes()) == official[n[:-3]] for n in TRAIN)


@pytest.mark.parametrize("kind", KINDS)
def test_all_mirrors_bad(official, serve, cache, monkeypatch, kind):
    bad = garbage(official)[kind]
    (first, _), (second, _) = serve({TRAIN[0]: bad}), serve({TRAIN[0]: bad})
    change(monkeypatch, mirrors=(first, second))
    with pytest.raises(OSError) as e: digits(full=True)
    message = str(e.value)
    assert ("\n" not in message and TRAIN[0] in message
            and first in message and second in message and "DDPM_EDU_DATA" in message)
    assert message.count(f"expected is {right_sum()}") == 2  # for each mirror the right sum
    # and the one that it served
    assert len(re.findall(r"what unpacks has the MD5 sum [0-9a-f]{32}\b", message)) == 2
    assert held(cache) == []                                     # nothing bad stays


def test_connection_cut(official, serve, cache, monkeypatch):
    (first, _), (second, _) = serve(packed(official), cut=True), serve(packed(official))
    change(monkeypatch, mirrors=(first, second))
    assert right(digits(full=True), official) and held(cache) == TRAIN


@pytest.mark.parametrize("first", ["dead", "404"])
def test_first_mirror_is_not_there(official, serve, cache, monkeypatch, first):
    second, asked = serve(packed(official))
    change(monkeypatch, mirrors=(dead() if first == "dead" else serve({})[0], second))
    assert right(digits(full=True), official) and asked == TRAIN and held(cache) == TRAIN


def test_offline_with_nothing(official, serve, cache, monkeypatch):
    change(monkeypatch, mirrors=(dead(), serve({})[0]))
    expected = (r"no mirror has a good train-images-idx3-ubyte\.gz \(.*ConnectionError; "
                r".*404.*\): try again when online")
    with pytest.raises(OSError, match=expected) as e: digits(full=True)
    assert "\n" not in str(e.value) and len(str(e.value)) < 500 and held(cache) == []


@pytest.mark.parametrize("kind", KINDS)
def test_spoiled_cache(official, serve, cache, monkeypatch, kind):
    url, asked = serve(packed(official))
    change(monkeypatch, mirrors=(url,))
    digits(full=True)
    (cache / TRAIN[0]).write_bytes(garbage(official)[kind])
    change(monkeypatch, mirrors=(dead(),))
    with pytest.raises(OSError, match="no mirror"): digits(full=True)
    assert held(cache) == TRAIN[1:]  # thrown away although nothing could replace it
    change(monkeypatch, mirrors=(url,))
    assert right(digits(full=True), official)
    assert held(cache) == TRAIN and asked == [*TRAIN, TRAIN[0]]


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("how", ["path", "environment"])
def test_local_folder(official, tmp_path, cache, monkeypatch, plain, how):
    mine = tmp_path / "mine"; mine.mkdir()
    for name, blob in official.items():
        (mine / (name if plain else f"{name}.gz")).write_bytes(blob if plain else gzip.compress(blob, 1))
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
    with pytest.raises(ValueError, match="is not a good copy of MNIST's train-images-idx3-ubyte") as e:
        digits(path=tmp_path)
    assert (str(bad) in str(e.value) and right_sum() in str(e.value)
            and len(re.findall(r"\b[0-9a-f]{32}\b", str(e.value))) == 2)
    assert bad.read_bytes() == garbage(official)[kind]           # the user's own file is not touched


def test_bad_plain_local_file(official, tmp_path):
    for name, blob in official.items(): (tmp_path / name).write_bytes(blob)
    (tmp_path / LABELS).write_bytes(official[LABELS][:-1])
    with pytest.raises(ValueError, match=md5(official[LABELS][:-1])): digits(path=tmp_path)


def test_missing_local_file(official, tmp_path):
    with pytest.raises(FileNotFoundError,
                       match="neither `train-images-idx3-ubyte` nor `train-images-idx3-ubyte.gz`"):
        digits(path=tmp_path)


def test_quiet(official, serve, monkeypatch, caplog, capsys):
    """No sums in the log that a reader could mistake for something to act on, and pooch's own logger is left
    as it was."""
    import pooch
    change(monkeypatch, mirrors=(serve(packed(official))[0],))
    level = pooch.get_logger().level
    with caplog.at_level(logging.INFO): digits(full=True)
    assert "SHA256" not in caplog.text + "".join(capsys.readouterr()) and pooch.get_logger().level == level


def test_cache_that_cannot_be_written(official, serve, cache, monkeypatch):
    change(monkeypatch, mirrors=(serve(packed(official))[0],))
    cache.parent.write_text("a file where the folder should be")
    with pytest.raises(OSError, match="cannot write in the cache"): digits(full=True)


def test_sums_are_the_official_ones():
    assert data.MNIST_FAMILY["mnist"].sums == {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637"}


def test_embedded_digits_are_the_first_of_the_official_ones():
    assert md5(digits().x.numpy().tobytes()) == "3b1134527863a2810c134121a397e522"
    assert md5(digits(train=False).x.numpy().tobytes()) == "2a02fb5b5825ef9f473de0f9304a16a1"


# Fashion-MNIST: files of the same names with other bytes in them

@pytest.fixture
def clothes(official, monkeypatch):
    "Small files that are official Fashion-MNIST for the time of a test; not installed, no mirrors."
    raw = {name: blob[:16] + blob[16:][::-1] if "images" in name else blob for name, blob in official.items()}
    change(monkeypatch, "fashion", sums={name: md5(blob) for name, blob in raw.items()},
           mirrors=(), packaged=Path("not installed"))
    return raw


def test_the_two_sets_keep_apart(official, clothes, serve, cache, monkeypatch):
    change(monkeypatch, mirrors=(serve(packed(official))[0],))
    change(monkeypatch, "fashion", mirrors=(serve(packed(clothes))[0],))
    for _ in range(2):                                           # downloaded, and out of the cache
        assert right(fashion(), clothes) and right(digits(full=True), official)
        change(monkeypatch, mirrors=()); change(monkeypatch, "fashion", mirrors=())
    assert held(cache / "fashion-mnist") == TRAIN and len(held(cache)) == 4


def test_fashion_in_folders(official, clothes, tmp_path, cache, monkeypatch):
    def folder(name, raw):
        (tmp_path / name).mkdir(parents=True)
        for n, blob in packed(raw).items(): (tmp_path / name / n).write_bytes(blob)
        return tmp_path / name
    change(monkeypatch, "fashion", packaged=folder("packaged", clothes)); assert right(fashion(), clothes)
    mine = folder("mine/fashion-mnist", clothes)
    change(monkeypatch, "fashion", packaged=folder("wrong", official))
    # comes before Debian's
    monkeypatch.setenv("DDPM_EDU_DATA", str(mine.parent)); assert right(fashion(), clothes)
    assert right(fashion(path=mine), clothes) and not cache.exists()
    monkeypatch.delenv("DDPM_EDU_DATA")
    with pytest.raises(ValueError, match="not a good copy of Fashion-MNIST's train-images"): fashion()
    with pytest.raises(ValueError, match="not a good copy of MNIST's train-images"): digits(path=mine)


@pytest.mark.parametrize("kind", KINDS)
def test_bad_mirror_of_fashion(clothes, serve, cache, monkeypatch, kind):
    first, second = serve(packed(clothes) | {TRAIN[0]: garbage(clothes)[kind]}), serve(packed(clothes))
    change(monkeypatch, "fashion", mirrors=(first[0], second[0]))
    assert right(fashion(), clothes) and second[1] == TRAIN[:1] and held(cache / "fashion-mnist") == TRAIN


def test_fashion_without_asking_the_network(clothes, serve, cache, monkeypatch):
    url, asked = serve(packed(clothes)); change(monkeypatch, "fashion", mirrors=(url,))
    with pytest.raises(FileNotFoundError, match="neither `train-images-idx3-ubyte` nor"):
        fashion(download=False)
    # the cache is looked into
    assert asked == [] and right(fashion(), clothes) and right(fashion(download=False), clothes)


def test_fashion_offline_with_nothing(clothes, cache):
    with pytest.raises(OSError, match="no mirror has a good train-images-idx3-ubyte.gz .*DDPM_EDU_DATA") as e:
        fashion()
    assert "\n" not in str(e.value) and held(cache) == []


@pytest.mark.skipif(not data.MNIST_FAMILY["fashion"].packaged.is_dir(),
                    reason="the package dataset-fashion-mnist is not installed")
def test_the_real_fashion_mnist():
    train, test = fashion(), fashion(train=False)
    assert (len(train), len(test), train.shape) == (60_000, 10_000, (1, 28, 28))
    assert train.y.bincount().tolist() == [6000] * 10 and test.y.bincount().tolist() == [1000] * 10
    assert [train.classes[i] for i in train.y[:3].tolist()] == ["Ankle boot", "T-shirt/top", "T-shirt/top"]


# two at once, and no room

def test_two_processes_that_download_at_once(official, serve, tmp_path):
    url, asked = serve(packed(official))
    code = f"""
from pathlib import Path
from ddpm_edu.data import files, idx as data
sums = {data.MNIST_FAMILY["mnist"].sums!r}
data.MNIST_FAMILY["mnist"] = data.MNIST_FAMILY["mnist"]._replace(mirrors=({url!r},), sums=sums)
files.IN_TEST, data.cache_folder = True, lambda: Path({str(tmp_path / "both")!r})
for _ in range(6):
    d = data.digits(full=True)
    for f in data.cache_folder().glob("*.gz"): f.unlink(missing_ok=True)
data.digits(full=True)
"""
    runs = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
            for _ in range(2)]
    errors = [r.communicate()[1] for r in runs]
    assert [r.returncode for r in runs] == [0, 0], errors
    assert set(held(tmp_path / "both")) <= set(TRAIN) and len(asked) >= 14
    assert all(gzip.decompress((tmp_path / "both" / n).read_bytes()) == official[n[:-3]]
               for n in held(tmp_path / "both"))


def test_a_full_disk_is_told_at_once(official, cache, monkeypatch):
    asked = []
    change(monkeypatch, mirrors=("first/", "second/"))

    def full(url, folder):
        asked.append(url); os.makedirs(folder); (Path(folder) / "half").write_bytes(b"half a file")
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(data, "fetch", full)
    with pytest.raises(OSError,
                       match=r"cannot write in the cache .*\(No space left on device\): make room") as e:
        digits(full=True)
    assert "\n" not in str(e.value) and len(asked) == 1 and held(cache) == []     # no other mirror will help


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files")
def test_a_disk_that_really_takes_no_more(official, serve, tmp_path):
    url, _ = serve({n: gzip.compress(os.urandom(200_000)) for n in packed(official)})
    code = f"""
import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
from pathlib import Path
from ddpm_edu.data import files, idx as data
data.MNIST_FAMILY["mnist"] = data.MNIST_FAMILY["mnist"]._replace(mirrors=({url!r},) * 2)
files.IN_TEST, data.cache_folder = True, lambda: Path({str(tmp_path / "c")!r})
try: data.digits(full=True)
except OSError as e: print(e)
"""
    run = subprocess.run([sys.executable, "-B", "-c", code], capture_output=True, text=True)
    assert re.match(r"cannot write in the cache .* \(File too large\): make room",
                    run.stdout), (run.stdout, run.stderr)
    assert held(tmp_path / "c") == []


# at the door

def test_all_mirrors_are_asked_over_https():
    assert len(ORIGINAL) >= 2 and all(ORIGINAL.values())
    assert all(m.startswith("https://") for mirrors in ORIGINAL.values() for m in mirrors)


@pytest.mark.parametrize("wrong", ["test", "train", "", None, 2, 0.5, []])
def test_which_images_is_a_truth_value(wrong):
    for ask in (digits, fashion):
        with pytest.raises(ValueError, match="write train=True or train=False; train=False gives the test"):
            ask(wrong)
    with pytest.raises(ValueError, match="write full=True or full=False"): digits(full=wrong)


@pytest.mark.parametrize("wrong", ["", 7, b"a", ["a"], "~nobody-of-this-name/a"])
def test_a_folder_is_a_folder(wrong):
    for ask in (digits, fashion):
        with pytest.raises(ValueError, match="give a folder with the official files as text"): ask(path=wrong)


@pytest.mark.parametrize("plain", [True, False])
def test_files_that_would_fill_the_memory(official, tmp_path, plain):
    "A gigabyte of zeros, packed or with holes, is refused before its sum is taken."
    for name, blob in packed(official).items(): (tmp_path / name).write_bytes(blob)
    if plain:
        with open(tmp_path / IMAGES, "wb") as f: f.truncate(2**40)
    else: (tmp_path / TRAIN[0]).write_bytes(gzip.compress(bytes(2**26), 1) * 16)
    with pytest.raises(ValueError, match="more than (the limit .* of )?47,040,016"): digits(path=tmp_path)


def test_a_home_that_is_nobodys(monkeypatch):
    import pooch
    monkeypatch.setattr(pooch, "os_cache", lambda name: Path("~/.cache") / name)  # where no home can be found
    assert files.cache_folder().is_absolute() and not files.cache_folder().is_relative_to(Path.cwd())
