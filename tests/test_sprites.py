"""Sprites from folders, archives and servers on this machine, drawn by the test; and the published ones,
where npm reaches its registry.

    python -m pytest tests/test_sprites.py

`POKESPRITE` may name the archive that `npm pack pokesprite-images@2.7.0` wrote, so that nothing is
downloaded.
"""
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import threading
import time
import zipfile
import zlib
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import loopback_works
from ddpm_edu import pokemon
from ddpm_edu.data import files
from ddpm_edu.sprites import Sprites, draw_creatures, held_out, manifest, pixel_sum, place, pokesprite
from PIL import Image

NAMES = ["amon", "bmon", "bmon-mega", "mr-mon", "mr-mon-galar", "zed"]


def play(folder, seed=5):
    "Write creatures in the layout of pokesprite into `folder`; their manifest."
    lines, drawn = [], [draw_creatures(len(NAMES), seed + k).permute(0, 2, 3, 1).numpy() for k in range(2)]
    for i, name in enumerate(NAMES):
        sums = []
        for k, kind in enumerate(("regular", "shiny")):
            rgba = np.zeros((56, 68, 4), np.uint8); rgba[6:54, 12:60] = drawn[k][i]
            path = folder/"pokemon-gen8"/kind/f"{name}.png"; path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rgba).save(path); sums.append(pixel_sum(rgba))
        species = next(s for s in ("amon", "bmon", "mr-mon", "zed") if name.startswith(s))
        lines.append(f"{150 + i} {species} {name[len(species) + 1:] or '-'} {sums[0]} {sums[1]}\n")
    return "".join(lines)


@pytest.fixture
def source(tmp_path, monkeypatch):
    "A played repository, its archive, a manifest to match, and a cache of our own."
    text = play(tmp_path/"pokesprite-c5aa")
    (tmp_path/"manifest.txt").write_text("# names\n" + text)
    monkeypatch.setattr(pokesprite, "MANIFEST", tmp_path/"manifest.txt")
    monkeypatch.setattr(pokesprite, "cache_folder", lambda: tmp_path/"cache")
    monkeypatch.setattr(files, "IN_TEST", True)
    with tarfile.open(tmp_path/"s.tar.gz", "w:gz") as t: t.add(tmp_path/"pokesprite-c5aa", "pokesprite-c5aa")
    return tmp_path


@pytest.fixture
def serve(monkeypatch):
    "A server of one archive; `cut` promises more bytes than it sends."
    servers = []
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)

    class Handler(BaseHTTPRequestHandler):
        def __init__(self, blob, cut, *args): self.blob, self.cut = blob, cut; super().__init__(*args)
        def log_message(self, *args): pass

        def do_GET(self):
            if self.blob is None: return self.send_error(404)
            self.send_response(200); self.send_header("Content-Length", str(len(self.blob)))
            self.end_headers()
            self.wfile.write(self.blob[:len(self.blob) // 2] if self.cut else self.blob)

    def start(blob, cut=False):
        if not loopback_works(): pytest.skip("there is no loopback interface to run a server on")
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, blob, cut)); servers.append(server)
        threading.Thread(target=partial(server.serve_forever, poll_interval=.01), daemon=True).start()
        monkeypatch.setattr(pokesprite, "URL", f"http://127.0.0.1:{server.server_port}/pokesprite.tar.gz")

    yield start
    for server in servers: server.shutdown(); server.server_close()


def test_download_then_cache_then_offline(source, serve, monkeypatch):
    serve((source/"s.tar.gz").read_bytes())
    d = pokemon()
    assert len(d) == 12 and torch.equal(d.x, pokemon(source/"s.tar.gz").x)
    monkeypatch.setattr(pokesprite, "URL", "http://127.0.0.1:9/none")      # the discard port: nobody listens
    assert torch.equal(pokemon().x, d.x)


@pytest.mark.parametrize("fault", ["cut", "page", "missing", "other", "empty"])
def test_a_bad_server_leaves_nothing_behind(source, serve, fault, tmp_path):
    good = (source/"s.tar.gz").read_bytes()
    other = tmp_path/"other"; play(other, seed=9)
    with tarfile.open(tmp_path/"o.tgz", "w:gz") as t: t.add(other, "other")
    blobs = {"cut": good, "page": b"<html>Log in</html>",
             "missing": None, "other": (tmp_path/"o.tgz").read_bytes(), "empty": b""}
    serve(blobs[fault], fault == "cut")
    with pytest.raises(OSError, match="npm pack pokesprite-images@2.7.0"): pokemon()
    assert not (source/"cache").exists() or not list((source/"cache").iterdir())


def test_offline_without_a_cache_says_both_ways(source, monkeypatch):
    monkeypatch.setattr(pokesprite, "URL", "http://127.0.0.1:9/none")
    for options in (dict(), dict(download=False)):
        with pytest.raises(OSError, match=r"online, or fetch them .*`npm pack pokesprite-images@2.7.0`, "
                                          r"and pass that file .* as `path`"):
            pokemon(**options)


def test_archives_that_attack(source):
    blob = (source/"pokesprite-c5aa/pokemon-gen8/regular/zed.png").read_bytes()
    for name in ("../../pokemon-gen8/regular/zed.png", "/pokemon-gen8/regular/zed.png"):
        with zipfile.ZipFile(source/"bad.zip", "w") as z: z.writestr(name, blob)
        with pytest.raises(ValueError, match="points outside"): pokemon(source/"bad.zip")
    with zipfile.ZipFile(source/"bomb.zip", "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("a/pokemon-gen8/regular/zed.png", bytes(2**27))
    with pytest.raises(ValueError, match="limit"): pokemon(source/"bomb.zip")
    with tarfile.open(source/"link.tar", "w") as t:
        i = tarfile.TarInfo("p/pokemon-gen8/regular/zed.png")
        i.type, i.linkname = tarfile.SYMTYPE, "/etc/passwd"; t.addfile(i)
    with pytest.raises(ValueError, match="12 of 12 sprites are missing"):  # a link is not followed
        pokemon(source/"link.tar")


def test_a_huge_picture_is_not_decoded(source):
    bad = source/"pokesprite-c5aa/pokemon-gen8/regular/zed.png"
    head = b"IHDR" + (20_000).to_bytes(4, "big") * 2 + bytes([8, 6, 0, 0, 0])
    bad.write_bytes((blob := bad.read_bytes())[:12] + head + zlib.crc32(head).to_bytes(4, "big") + blob[33:])
    start = time.process_time()
    with pytest.raises(ValueError, match=r"1 of 12 sprites are damaged or others \(regular/zed.png\)"):
        pokemon(source/"pokesprite-c5aa")
    assert time.process_time() - start < 2


def test_wrong_manifest_is_another_cache(source):
    pokemon(source/"s.tar.gz")
    (source/"manifest.txt").write_text(play(source/"again", seed=20))
    with pytest.raises(FileNotFoundError): pokemon(download=False)
    assert len(pokemon(source/"again")) == 12


def fill(source, queue):
    "In another process: read, and so fill the cache."
    pokesprite.MANIFEST, pokesprite.cache_folder = source/"manifest.txt", lambda: source/"cache"
    queue.put(hashlib.sha256(pokemon(source/"s.tar.gz").x.numpy().tobytes()).hexdigest())


def test_two_processes_fill_the_cache_at_once(source):
    ctx = get_context("spawn"); queue = ctx.Queue()
    both = [ctx.Process(target=fill, args=(source, queue)) for _ in range(2)]
    for p in both: p.start()
    sums = {queue.get(timeout=120) for _ in both}
    for p in both: p.join(30); assert p.exitcode == 0
    assert sums == {hashlib.sha256(pokemon(download=False).x.numpy().tobytes()).hexdigest()}
    assert len(list((source/"cache").iterdir())) == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_a_full_disk_costs_only_the_cache(source, monkeypatch):
    def full(*args):
        with open("/dev/full", "wb") as f: f.write(b"x"); f.flush()
    monkeypatch.setattr(pokesprite, "write_file", full)
    with pytest.warns(UserWarning, match="not kept for the next time"):
        assert len(pokemon(source/"s.tar.gz")) == 12


def test_split_by_species(source, monkeypatch):
    monkeypatch.setattr(pokesprite, "held_out", lambda s: s == "mr-mon")
    train, test = pokemon(source, split="train"), pokemon(source, split="test")
    assert set(test.names) == {"mr-mon", "mr-mon-galar"} and len(test) == 4 and len(train) == 8
    assert not set(train.species) & set(test.species) and isinstance(test.subset([0]), Sprites)


def test_manifest_holds_facts_only():
    entries = manifest()
    assert (len(entries) == 1332
            and len({e.species for e in entries}) == len({e.number for e in entries}) == 905)
    assert [sum(e.form == "" and e.generation == g for e in entries) > 60 for g in range(1, 9)] == [True] * 8
    assert pokesprite.MANIFEST.stat().st_size < 100_000
    assert 80 < len({e.species for e in entries if held_out(e.species)}) < 140


def test_no_notebook_stores_a_real_sprite():
    "Cells that draw what `pokemon` gives are not executed when notebooks are built, so they have no outputs."
    drawing = 0
    for nb in (Path(__file__).parents[1]/"nbs").rglob("*.ipynb"):
        real = False
        for cell in json.loads(nb.read_text("utf-8"))["cells"]:
            source = "".join(cell["source"])
            if cell["cell_type"] != "code" or source.startswith("#| export"): continue
            real |= "pokemon(" in source and "tmp" not in source
            pictures = any(kind.startswith("image/") for o in cell["outputs"] for kind in o.get("data", {}))
            if real and "real" in source and "show_images" in source:
                drawing += 1; assert not pictures and "#| eval: false" in source, (nb.name, source)
    assert drawing >= 2


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    "The published archive, from POKESPRITE or the registry."
    if mine := os.environ.get("POKESPRITE"): return Path(mine)
    if not shutil.which("npm"):
        pytest.skip("there is no npm here; set POKESPRITE to the archive of pokesprite-images 2.7.0")
    folder = tmp_path_factory.mktemp("npm")
    env = dict(os.environ, npm_config_fetch_retries="0",
               npm_config_fetch_timeout="20000", npm_config_cache=str(folder/"cache"))
    try:
        done = subprocess.run(["npm", "pack", "pokesprite-images@2.7.0"],
                              cwd=folder, env=env, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired: pytest.skip("npm did not answer within two minutes")
    if done.returncode:
        pytest.skip(f"npm does not reach its registry: {done.stderr.strip().splitlines()[-1:]}")
    return folder/"pokesprite-images-2.7.0.tgz"


def test_the_published_sprites(published, tmp_path, monkeypatch):
    monkeypatch.setattr(pokesprite, "cache_folder", lambda: tmp_path/"cache")
    start = time.process_time(); d = pokemon(published, labels="generation")
    first = time.process_time() - start
    start = time.process_time(); again = pokemon(labels="shiny"); second = time.process_time() - start
    print(f"{first:.2f} s, then {second:.2f} s of a core, {d.x.numel() / 1e6:.1f} MB")
    assert (len(d), d.shape) == (2664, (3, 48, 48)) and torch.equal(d.x, again.x) and d.x.is_contiguous()
    assert (d.shrunk[:1332].sum() == 35 and d.y.bincount().min() > 200
            and again.y.bincount().tolist() == [1332, 1332])
    assert (d.x[~d.shrunk][:, :, 0, 0] == 255).float().mean() > .9                   # mostly white corners
    train, test = pokemon(split="train"), pokemon(split="test")
    assert len(train) + len(test) == 2664 and len(test) == 298 and not set(train.species) & set(test.species)
    assert first < 6 and second < .6  # 1.2 and 0.05 on an idle machine


def test_the_published_folder_is_the_same(published, tmp_path, monkeypatch):
    monkeypatch.setattr(pokesprite, "cache_folder", lambda: tmp_path/"cache")
    with tarfile.open(published) as t:
        t.extractall(tmp_path/"x", [m for m in t if "/pokemon-gen8/" in m.name], filter="data")
    assert torch.equal(pokemon(tmp_path/"x").x, pokemon(published).x)
    one = next((tmp_path/"x").rglob("pokemon-gen8/shiny/abra.png")); one.write_bytes(one.read_bytes()[:-30])
    with pytest.raises(ValueError, match="1 of 2,664 sprites are damaged or others"): pokemon(tmp_path/"x")


def test_placing_keeps_every_pixel_of_what_fits():
    for rgba in draw_creatures(50, 3, size=40).permute(0, 2, 3, 1).numpy():
        x, large = place(rgba)
        on = rgba[..., 3] > 0
        assert not large and sorted(map(tuple, rgba[on][:, :3].tolist())) == sorted(
            map(tuple, x[:, _box(on, 48)].T.tolist()))


def _box(on, size):
    "Where the opaque pixels of a centred picture are."
    ys, xs = np.nonzero(on); out = np.zeros((size, size), bool)
    h, w = ys.max() - ys.min() + 1, xs.max() - xs.min() + 1
    out[ys - ys.min() + (size - h) // 2, xs - xs.min() + (size - w) // 2] = True
    return out
