"""What lies about in real folders and comes out of untrusted archives, and what may go wrong while a cache is
filled."""
import io
import os
import struct
import subprocess
import sys
import tarfile
import threading
import time
import warnings
import zipfile
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from ddpm_edu import GaussianDiffusion, TensorData, UNet, cosine_beta_schedule, fit, image_folder
from ddpm_edu.data import EXTENSIONS, Room, fit_image, folder as chapter, safe_members


def picture(i=0, w=24, h=24, mode="RGB"):
    "A coloured ball on white, or on nothing where the mode has transparency."
    im = Image.new("RGBA", (w, h))
    ImageDraw.Draw(im).ellipse((3, 3, w - 4, h - 4), (40 + i * 30 % 200, 90, 200 - i * 20 % 150))
    return im if mode == "RGBA" else Image.alpha_composite(Image.new("RGBA", im.size, "white"),
                                                           im).convert(mode)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    "The user's cache, in a place of our own; whatever goes to the disk must go there."
    home = tmp_path / "cache" / "ddpm_edu"
    monkeypatch.setattr(chapter, "cache_folder", lambda: home)
    return home / "folders"


@pytest.fixture
def folder(tmp_path):
    "Five good pictures."
    path = tmp_path / "images"; path.mkdir()
    for i in range(5): picture(i).save(path / f"{i}.png")
    return path


load = partial(image_folder, size=16)
def kept(cache): return sorted(p.name for p in cache.iterdir()) if cache.exists() else []


def quietly(*args, **kwargs):
    "Load, and fail if there is any warning."
    with warnings.catch_warnings(): warnings.simplefilter("error"); return load(*args, **kwargs)


# what lies about in folders

def test_a_good_folder_needs_no_warning(folder):
    d = quietly(folder)
    assert len(d) == 5 and d.shape == (3, 16, 16) and d.skipped == {} and d.x.dtype == torch.uint8


@pytest.mark.parametrize("ending",
                         [e for e in EXTENSIONS if e != ".psd"])  # which Pillow reads and does not write
@pytest.mark.parametrize("upper", [False, True])
def test_every_ending_is_read(tmp_path, ending, upper):
    name = tmp_path / f"a{ending.upper() if upper else ending}"
    picture(mode="L" if ending == ".pgm" else "RGB").save(name)
    assert len(quietly(tmp_path, cache=False)) == 1


def bad_files():
    "Contents that no decoder should take, by name."
    png, jpg = io.BytesIO(), io.BytesIO(); picture(0, 64, 64).save(png, "PNG")
    picture(0, 64, 64).save(jpg, "JPEG")
    png, jpg = png.getvalue(), jpg.getvalue(); flipped = bytearray(png); flipped[len(png) // 2] ^= 255
    header = Image.new("L", (1, 1)); huge = io.BytesIO(); header.save(huge, "PNG")
    huge = bytearray(huge.getvalue())
    huge[16:24] = (60000).to_bytes(4, "big") * 2  # a PNG that says it has 3.6 thousand million pixels
    return {"empty.png": b"", "text.jpg": b"<html>Not found</html>",
            "cut.png": png[:len(png) // 2], "cut.jpg": jpg[:len(jpg) // 2],
            "flipped.png": bytes(flipped), "huge.png": bytes(huge), "zeros.bmp": bytes(500),
            "head.webp": b"RIFF\x10\0\0\0WEBPVP8 ", "head.gif": b"GIF89a\1\0",
            "head.tif": b"II*\0\xff\xff\xff\xff"}


@pytest.mark.parametrize("name", bad_files())
def test_an_unreadable_file_is_skipped_counted_and_named(folder, name):
    (folder / name).write_bytes(bad_files()[name])
    with pytest.warns(UserWarning, match="1 of 6 images in .* cannot be read and are left out") as w:
        d = load(folder)
    said, = [str(m.message) for m in w if "left out" in str(m.message)]  # Pillow has warnings of its own
    assert (name in said and "\n" not in said and set(d.skipped) == {name}
            and d.skipped[name] and "0x" not in d.skipped[name])
    assert d.names == ("0.png", "1.png", "2.png", "3.png", "4.png")
    with pytest.warns(UserWarning, match="1 of 6"): again = load(folder)  # out of the cache: said again
    assert torch.equal(again.x, d.x) and again.skipped == d.skipped


def test_many_unreadable_files_make_a_short_warning(folder):
    for i in range(40): (folder / f"bad{i:02}.png").touch()
    with pytest.warns(UserWarning, match="40 of 45 images .* and 30 more") as w: d = load(folder, cache=False)
    assert len(str(w[0].message)) < 600 + len(str(folder)) and len(d.skipped) == 40


def test_nothing_readable_is_an_error(tmp_path):
    (tmp_path / "a.png").touch()
    with pytest.raises(ValueError, match=r"none of 1 images could be read: a.png \(empty file\)"):
        load(tmp_path)
    (tmp_path / "sub").mkdir()
    with pytest.raises(ValueError, match="holds no images"): load(tmp_path / "sub")
    with pytest.raises(FileNotFoundError, match="no folder or archive"): load(tmp_path / "gone")


def ramp16():
    "Sixteen grey levels of 16 bits."
    return (np.arange(16, dtype=np.uint16) * 4369).reshape(1, 16).repeat(16, 0)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
def test_sixteen_bits_become_eight(tmp_path, name):
    Image.fromarray(ramp16()).save(tmp_path / name)
    assert load(tmp_path, channels=1).x[0, 0, 0].tolist() == [17 * i for i in range(16)]
    assert load(tmp_path).x[0, :, 0, 15].tolist() == [255] * 3


def test_floats_are_refused_not_guessed(tmp_path, folder):
    Image.fromarray(np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)).save(folder / "f.tif")
    with pytest.warns(UserWarning, match="floats of unknown range"): load(folder)


def test_cmyk_jpeg(tmp_path):
    picture(0, 64, 64).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    picture(0, 64, 64).save(tmp_path / "b.png")
    cmyk, rgb = quietly(tmp_path).x.float()
    assert (cmyk - rgb).abs().mean() < 6                                # not inverted, not four channels
    assert quietly(tmp_path, channels=1).shape == (1, 16, 16)


def test_palette_gif_with_transparency(tmp_path):
    im = Image.new("P", (16, 16), 0); im.putpalette([0, 0, 0, 255, 0, 0]); im.paste(1, (4, 4, 12, 12))
    im.save(tmp_path / "a.gif", transparency=0)
    for background, colour in (("white", [255] * 3), ("black", [0] * 3), ((1, 2, 3), [1, 2, 3])):
        x = quietly(tmp_path, background=background).x[0]
        assert x[:, 0, 0].tolist() == colour and x[:, 8, 8].tolist() == [255, 0, 0]
    assert quietly(tmp_path, channels=1).x[0, 0, [0, 8], [0, 8]].tolist() == [255, 76]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "1", "L", "I;16", "HSV", "YCbCr", "CMYK"])
@pytest.mark.parametrize("channels", [1, 3])
def test_channels_are_what_was_asked_for(mode, channels):
    im = (Image.fromarray(ramp16()) if mode == "I;16"
          else picture(mode="RGBA") if mode == "RGBA" else picture().convert(mode))
    assert im.mode == mode and fit_image(im, 16, channels).shape == (channels, 16, 16)


@pytest.mark.parametrize("tag", range(1, 9))
def test_exif_orientation_is_respected(tmp_path, tag):
    right = Image.new("RGB", (16, 16), "white"); right.paste("red", (0, 0, 8, 4))
    t = Image.Transpose
    back = [None, t.FLIP_LEFT_RIGHT, t.ROTATE_180, t.FLIP_TOP_BOTTOM,
            t.TRANSPOSE, t.ROTATE_90, t.TRANSVERSE, t.ROTATE_270][tag - 1]
    exif = Image.Exif(); exif[0x112] = tag
    (right.transpose(back) if back is not None else right).save(tmp_path / "a.png", exif=exif)
    assert torch.equal(load(tmp_path, cache=False).x[0], fit_image(right, 16))


def test_names_in_japanese_and_other_scripts(tmp_path):
    names = ["犬/柴犬 その一.png", "猫/三毛猫.png", "猫/ねこ’s “best”.png", "ñandú/ß.png", "🦊/🦊.png"]
    for i, name in enumerate(names):
        (tmp_path / name).parent.mkdir(exist_ok=True); picture(i).save(tmp_path / name)
    for _ in range(2):                                                  # decoded, and out of the cache
        d = quietly(tmp_path, labels=True)
        assert set(d.names) == set(names) and d.classes == tuple(sorted({n.split("/")[0] for n in names}))
        assert [d.classes[y] for y in d.y.tolist()] == [n.split("/")[0] for n in d.names]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux allows any bytes in names")
def test_names_that_are_not_text(folder):
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.png")).write_bytes((folder / "0.png").read_bytes())
    try: assert len(load(folder)) == len(load(folder)) == 6
    except OSError as e: pytest.skip(f"the file system does not: {e}")


def test_symlink_loops_end(folder):
    try: (folder / "loop").symlink_to(folder); (folder / "self.png").symlink_to(folder / "self.png")
    except OSError: pytest.skip("no symbolic links here")
    (folder / "a").mkdir(); (folder / "a" / "b").symlink_to(folder / "a")
    (folder / "a" / "up").symlink_to("..")
    with pytest.warns(UserWarning, match=r"1 of 6 .* self.png"): d = load(folder)
    assert len(d) == 5


def test_an_unreadable_right_is_skipped_too(folder):
    (folder / "0.png").chmod(0)
    if os.access(folder / "0.png", os.R_OK): pytest.skip("root may read everything")
    with pytest.warns(UserWarning, match="Permission denied"): assert len(load(folder)) == 4


def test_non_square_images_train(folder):
    d = quietly(folder, size=(16, 32), fit="pad")
    model = GaussianDiffusion(UNet(3, 8, 20, (1, 2), middle_attention=False),
                              cosine_beta_schedule(20), d.shape)
    assert fit(model, d, batch_size=5, steps=2,
               device="cpu")["steps"] == 2 and model.sample(2, n_steps=2).shape == (2, 3, 16, 32)
    t = TensorData(d.x); assert t.shape == (3, 16, 32) and next(t.batches(5))[0].shape == (5, 3, 16, 32)


# what is not there, not all there, or there twice

def test_what_is_left_out_is_named(folder):
    for name in ("a.heic", "b.xyz", "noend", "c.eps"): (folder / name).touch()
    (folder / "sub").mkdir(); (folder / "sub" / "d.cr2").touch()
    for silent in ("README", "labels.csv", ".hidden.heic", "x.json"): (folder / silent).touch()
    with pytest.warns(UserWarning, match=r"Other files in .* are left out \(5\): ") as w: d = load(folder)
    left = {"a.heic", "b.xyz", "noend", "c.eps", "sub/d.cr2"}
    assert len(w) == 1 and set(d.skipped) == left and len(d) == 5
    assert all(n in str(w[0].message) for n in left)
    path = folder.parent / "a.zip"
    with zipfile.ZipFile(path, "w") as z:
        for p in folder.rglob("*"): z.write(p, p.relative_to(folder).as_posix())
    with pytest.warns(UserWarning, match=r"left out \(5\): "): again = load(path)
    assert set(again.skipped) == left and torch.equal(again.x, d.x)


@pytest.mark.skipif(sys.platform != "linux", reason="needs long paths")
def test_folders_that_no_path_reaches_are_named(folder):
    at = os.open(folder, os.O_RDONLY)
    for _ in range(25):
        os.mkdir("d" * 200, dir_fd=at); below = os.open("d" * 200, os.O_RDONLY,
                                                        dir_fd=at); os.close(at); at = below
    os.close(at)
    with pytest.warns(UserWarning, match=r"left out \(1\): .*too long") as w: assert len(load(folder)) == 5
    assert len(str(w[0].message)) < 600


@pytest.mark.parametrize("name", ["\x1b[2Jb.png", "a\nb.png", "\u202egnp.a.png"])
def test_names_do_not_reach_the_terminal_raw(folder, name):
    try: (folder / name).write_bytes(b"?"); (folder / f"{name}.heic").touch()
    except OSError as e: pytest.skip(f"the file system does not: {e}")
    with pytest.warns(UserWarning, match="left out") as w: d = load(folder)
    assert str(w[0].message).isprintable() and name in d.skipped        # the data have the real name


@pytest.mark.parametrize("wrong", ["", None, 7, b"a", "a\0b", "~nobody-of-this-name/a", ["a"]])
def test_a_path_is_a_path(wrong):
    with pytest.raises(ValueError, match="give a folder or an archive as text"): load(wrong)


# transparency of every depth, by files made byte by byte

def raw_png(colour, depth, rows, *chunks):
    "A PNG of given rows of bytes."
    part = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I",
            zlib.crc32(kind + data))
    width = len(rows[0]) * 8 // (depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour])
    head = struct.pack(">IIBBBBB", width, len(rows), depth, colour, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + r for r in rows))
    return (b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + b"".join(part(*c) for c in chunks) + part(b"IDAT",
            pixels)
            + part(b"IEND", b""))


CLEAR = {  # a clear half and a half that is not, and the colour of the other half
    "grey 1": (raw_png(0, 1, [b"\xf0"] * 8, (b"tRNS", b"\0\1")), 0),
         "grey 2": (raw_png(0, 2, [b"\xaa\x00"] * 8, (b"tRNS", b"\0\2")), 0),
    "grey 4": (raw_png(0, 4, [b"\x77\x77\xff\xff"] * 8, (b"tRNS", b"\0\7")), 255),
    "grey 8": (raw_png(0, 8, [b"\x07" * 4 + b"\x66" * 4] * 8, (b"tRNS", b"\0\7")), 0x66),
    "grey 16": (raw_png(0, 16, [b"\x12\x34" * 4 + b"\x66\x66" * 4] * 8, (b"tRNS", b"\x12\x34")), 0x66),
    "colour 8": (raw_png(2, 8, [b"\1\2\3" * 4 + b"\x66" * 12] * 8, (b"tRNS", b"\0\1\0\2\0\3")), 0x66),
    "colour 16": (raw_png(2, 16, [b"\1\2\3\4\5\6" * 4 + b"\x66" * 24] * 8, (b"tRNS", b"\1\2\3\4\5\6")), 0x66),
    "palette": (raw_png(3, 8, [b"\0" * 4 + b"\1" * 4] * 8, (b"PLTE", b"\1\2\3\x66\x66\x66"),
                        (b"tRNS", b"\0")), 0x66),
    "grey with alpha 16": (raw_png(4, 16, [b"\1\2\0\0" * 4 + b"\x66\x66\xff\xff" * 4] * 8), 0x66),
    "colour with alpha 16": (raw_png(6, 16,
                                     [b"\1\2\3\4\5\6\0\0" * 4 + (b"\x66" * 6 + b"\xff\xff") * 4] * 8), 0x66)}


@pytest.mark.parametrize("depth", CLEAR)
@pytest.mark.parametrize("channels", [1, 3])
def test_transparency_of_every_depth_is_seen(tmp_path, depth, channels):
    blob, other = CLEAR[depth]; (tmp_path / "a.png").write_bytes(blob)
    for background, value in (("white", 255), ("black", 0)):
        x = load(tmp_path, size=8, channels=channels, background=background, cache=False).x[0]
        assert (x[:, :, :4] == value).all() and (x[:, :, 4:] == other).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "RGBa", "La", "P", "RGB", "L", "1", "I;16"])
def test_transparency_of_every_mode_is_seen(mode):
    im = Image.new("RGBA", (8, 8), (0, 0, 0, 0)); im.paste((102, 102, 102, 255), (4, 0, 8, 8))
    if mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        im = im.convert("LA").convert(mode) if mode == "La" else im.convert(mode)
    elif mode == "I;16":
        im = Image.fromarray(np.repeat(np.array([[7] * 4 + [102 * 257] * 4], np.uint16), 8,
                                       0)); im.info["transparency"] = 7
    elif mode == "P":
        im = im.convert("RGB").quantize(2); clear = im.getpixel((0, 0)); im.info["transparency"] = clear
    else:
        halves = Image.fromarray(np.array([[False] * 4 + [True] * 4] * 8))
        im = im.convert("RGB").convert(mode) if mode != "1" else halves
        im.info["transparency"] = im.getpixel((0, 0))
    assert im.mode == mode
    x = fit_image(im, 8)
    assert (x[:, :, :4] == 255).all() and (x[:, :, 4:] == (255 if mode == "1" else 102)).all()


def tiff(photometric, bits, data):
    "A TIFF of grey numbers, 8 to a row."
    tags = [(256, 8), (257, 1), (258, bits), (259, 1), (262, photometric), (273, 8 + 2 + 12 * 9 + 4),
            (277, 1), (278, 1), (279, len(data))]
    return b"II*\0\x08\0\0\0" + struct.pack("<H", 9) + b"".join(struct.pack("<HHII", t, 4, 1, v) for t,
            v in tags) + bytes(4) + data


def test_depths_of_tiffs(tmp_path):
    ramp = np.arange(8, dtype=np.uint16) * 9362; short = 2 * (np.arange(8) * 585)  # twelve bits: 0 … 4095
    short = np.minimum(np.arange(8) * 585, 4095)
    packed = b"".join(bytes((a >> 4, (a & 15) << 4 | b >> 8, b & 255)) for a,
                      b in short.reshape(4, 2).tolist())
    for name, blob in (("a", tiff(1, 16, ramp.tobytes())), ("b", tiff(0, 16, ramp.tobytes())),
                       ("c", tiff(1, 12, packed))):
        (tmp_path / f"{name}.tif").write_bytes(blob)
    a, b, c = load(tmp_path, size=(1, 8), channels=1, cache=False).x[:, 0, 0].int()
    assert (a + b == 255).all() and (a - c).abs().max() <= 1 and a.max() == 255


# notes beside the pixels

def noted(kind):
    "A picture whose notes are spoiled, in many ways."
    png, jpg = io.BytesIO(), io.BytesIO(); picture().save(png, "PNG"); picture().save(jpg, "JPEG", quality=95)
    png, jpg = png.getvalue(), jpg.getvalue()
    def part(name, data, crc=None): return struct.pack(">I", len(data)) + name + data + struct.pack(">I",
            zlib.crc32(name + data) if crc is None else crc)
    def app(n, data): return jpg[:2] + b"\xff" + bytes([n]) + struct.pack(">H",
            len(data) + 2) + data + jpg[2:]
    notes = {"text sum": part(b"tEXt", b"a\0b", 7), "text bomb": part(b"zTXt",
            b"a\0\0" + zlib.compress(bytes(2**21))),
             "text flood": part(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**20))) * 70,
             "profile": part(b"iCCP", b"a\0\0nonsense"),
             "profile bomb": part(b"iCCP", b"a\0\0" + zlib.compress(bytes(2**26))),
             "exif sum": part(b"eXIf", b"MM\0*\0\0\0\x08", 7),
             "exif": part(b"eXIf", b"II*\0\xff\xff\xff\xff"), "size": part(b"pHYs", b"x"),
             "animation": part(b"acTL", bytes(8)), "time": part(b"tIME", b"")}
    if kind in notes: return png, png[:33] + notes[kind] + png[33:]
    return jpg, {"jpg exif": app(0xe1, b"Exif\0\0II*\0\xff\xff\xff\xff"),
                 "jpg many": app(0xe2, b"MPF\0II*\0\x08\0\0\0\1\0\1\xb0\xff"),
                     "jpg photoshop": app(0xed, b"Photoshop 3.0\x008BIM\x03\xed\0"),
                 "jpg profile": app(0xe2, b"ICC_PROFILE\0"),
                     "jpg comment": app(0xfe, b"\xff" * 99)}[kind]


@pytest.mark.parametrize("kind", ["text sum", "text bomb", "text flood", "profile", "profile bomb",
                                  "exif sum", "exif", "size", "animation", "time",
                                  "jpg exif", "jpg many", "jpg photoshop", "jpg profile", "jpg comment"])
def test_a_spoiled_note_costs_no_pixels(tmp_path, kind):
    for name, blob in zip("ab", noted(kind)):
        (tmp_path / f"{name}.png").write_bytes(blob)                    # the ending does not count
    with warnings.catch_warnings():
        warnings.simplefilter("ignore"); clean, x = load(tmp_path, cache=False).x
    assert torch.equal(x, clean)


def test_a_camera_is_heard_beside_spoiled_notes(tmp_path):
    right = Image.new("RGB", (16, 16), "white"); right.paste("red",
            (0, 0, 8, 4)); exif = Image.Exif(); exif[0x112] = 6
    for kind in ("PNG", "JPEG"):
        f = io.BytesIO(); right.transpose(Image.Transpose.ROTATE_90).save(f, kind, exif=exif,
                quality=95); blob = f.getvalue()
        bad = b"\0\0\0\3tEXta\0bXXXX" if kind == "PNG" else b"\xff\xed\0\x06\xff\xff\xff\xff"
        at = 33 if kind == "PNG" else 2
        (tmp_path / f"a.{kind.lower()}").write_bytes(blob[:at] + bad + blob[at:])
    x = load(tmp_path, cache=False).x.int()
    assert (x - fit_image(right, 16).int()).abs().float().mean() < 4


# room, and whose file it is

def test_threads_share_the_room():
    room, most, lock = Room(100), [0], threading.Lock()
    def work(n):
        with room.take(n):
            with lock: most[0] = max(most[0], room.used)
            time.sleep(.002)
    threads = [threading.Thread(target=work, args=(n,)) for n in (60, 50, 100, 1, 99, 30, 70, 40) * 4]
    for t in threads: t.start()
    for t in threads: t.join(10)
    assert most[0] <= 100 and room.used == 0 and not any(t.is_alive() for t in threads)


@pytest.mark.parametrize("kind", ["pipe", "zero", "holes", "device", "folder"])
def test_what_is_no_file_is_not_read(folder, kind):
    bad = folder / "x.png"
    try:
        {"pipe": os.mkfifo, "zero": lambda p: p.symlink_to("/dev/zero"), "folder": Path.mkdir,
         "device": lambda p: os.mknod(p, 0o20666, os.makedev(1, 5)),
         "holes": lambda p: open(p, "wb").truncate(2**40)}[kind](bad)
    except (OSError, AttributeError) as e: pytest.skip(f"not here: {e}")
    if kind == "folder": assert len(quietly(folder)) == 5; return
    with pytest.warns(UserWarning,
                      match=r"x.png \((no regular file|1,099,511,627,776 bytes, more than the limit)"):
        assert len(load(folder)) == 5
    bad.unlink()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("memory", [10**9, 100])
def test_a_cache_of_another_user_is_not_used(folder, tmp_path, memory):
    shared = tmp_path / "shared"; good = load(folder, cache=False); load(folder, cache=shared, memory=memory)
    file, = shared.iterdir()
    file.write_bytes(b"\0" + file.read_bytes()[1:])
    assert torch.equal(load(folder, cache=shared, memory=memory).x,
                       good.x)  # the sum says that it is spoiled, mapped too
    try: os.chown(file, 65_534, -1)
    except OSError: pytest.skip("root of a user namespace, where there is no other user")
    stamp = file.stat().st_ino
    for mode, same in ((0o755, True), (0o777, False)):
        shared.chmod(mode)
        assert torch.equal(load(folder, cache=shared, memory=memory).x, good.x)
        assert (file.stat().st_ino == stamp) == same or any(p.stat().st_mode & 2 for p in shared.parents)


# the cache

def test_mapped_is_the_same_as_in_memory(folder):
    small, mapped = load(folder), load(folder, memory=100)
    assert torch.equal(small.x, mapped.x)
    for seed in range(2):
        for (a, _), (b, _) in zip(small.batches(2, seed), mapped.batches(2, seed)): assert torch.equal(a, b)
    before = load(folder).x.clone(); mapped.x.zero_()
    assert torch.equal(load(folder).x, before)  # writing to it does not reach the file


def test_a_mapped_collection_is_not_in_memory(tmp_path):
    "200 MB of images through a process whose peak is recorded (Linux)."
    if sys.platform != "linux": pytest.skip("reads /proc")
    big = tmp_path / "big"; big.mkdir()
    for i in range(64): Image.new("RGB", (8, 8), (i, i, i)).save(big / f"{i:02}.png")
    code = f"""
from ddpm_edu import image_folder
import re
def anonymous(): return int(re.search(r"RssAnon:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1000
image_folder({str(big)!r}, 8, cache=False)  # what the imports and the threads take
before = anonymous()
d = image_folder({str(big)!r}, 1024, memory=10**7, cache={str(tmp_path / "c")!r}, workers=2)
x, _ = next(d.batches(2))
print(d.x.nbytes / 1e6, anonymous() - before)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    total, peak = map(float, run.stdout.split())
    assert total > 200 and peak < 140, (total, peak)


def test_content_decides_not_dates(folder, cache):
    first = load(folder); file, = cache.iterdir(); stamp = file.stat().st_mtime_ns
    os.utime(folder / "0.png", ns=(1, 1))                               # other date, same content
    assert torch.equal(load(folder).x, first.x) and file.stat().st_mtime_ns == stamp
    target, other = folder / "0.bmp", folder / "1.bmp"
    picture(0).save(target); picture(1).save(other); load(folder)
    s = target.stat(); target.write_bytes(other.read_bytes())
    os.utime(target, ns=(s.st_atime_ns, s.st_mtime_ns))
    assert (target.stat().st_size, target.stat().st_mtime_ns) == (s.st_size, s.st_mtime_ns)
    d = load(folder)                                                    # other content, same size and date
    assert torch.equal(d.x[d.names.index("0.bmp")], d.x[d.names.index("1.bmp")])
    target.rename(folder / "9.bmp"); assert "9.bmp" in load(folder).names and len(kept(cache)) == 1


@pytest.mark.parametrize("corrupt",
                         [lambda b: b[:-1], lambda b: b[:len(b) // 2], lambda b: b"", lambda b: bytes(len(b)),
                                   lambda b: b[:50] + b"\1" + b[51:], lambda b: b + b"\0"])
def test_a_spoiled_cache_is_made_anew(folder, cache, corrupt):
    good = load(folder); file, = cache.iterdir(); file.write_bytes(corrupt(file.read_bytes()))
    assert (torch.equal(quietly(folder).x, good.x) and torch.equal(quietly(folder).x, good.x)
            and len(kept(cache)) == 1)


def test_processes_that_fill_the_cache_at_once(tmp_path, folder):
    for i in range(300): picture(i, 60, 60).save(folder / f"n{i:03}.png")
    code = f"""
from ddpm_edu import image_folder
d = image_folder({str(folder)!r}, 48, cache={str(tmp_path / 'c')!r}, workers=2)
print(len(d), int(d.x.long().sum()))
"""
    pipe = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    runs = [subprocess.Popen([sys.executable, "-W", "error", "-c", code], **pipe) for _ in range(2)]
    out = [r.communicate() for r in runs]
    assert [r.returncode for r in runs] == [0] * 2, out
    right = image_folder(folder, 48, cache=False)
    assert {o for o, _ in out} == {f"305 {int(right.x.long().sum())}\n"}
    assert len(kept(tmp_path / "c")) == 1 and not kept(tmp_path / "c")[0].startswith(".")
    assert torch.equal(image_folder(folder, 48, cache=tmp_path / "c").x, right.x)


class Full(io.BytesIO):
    "A file on a disk that has room for ten bytes."
    def write(self, b):
        if len(memoryview(b).cast("B")) > 10: raise OSError(28, "No space left on device")
        return super().write(b)


def test_a_full_disk(folder, cache, monkeypatch):
    real = os.fdopen
    monkeypatch.setattr(chapter.os, "fdopen", lambda fd, *a: real(fd, *a).close() or Full())
    with pytest.warns(UserWarning,
                      match="cannot write in the cache .*No space left.*decoded again next time") as w:
        d = load(folder)
    assert len(d) == 5 and len(w) == 1 and "\n" not in str(w[0].message)
    assert kept(cache) == []  # the images are there, no half file is
    with pytest.raises(OSError,
                       match="No space left on device.*make room, or give another folder as `cache`"):
        load(folder, memory=100)
    assert kept(cache) == []
    monkeypatch.undo(); monkeypatch.setattr(chapter, "cache_folder", lambda: cache.parent)
    assert torch.equal(quietly(folder).x, d.x) and len(kept(cache)) == 1


def test_a_disk_that_is_really_full(tmp_path):
    """A file system of 256 kB, where we may mount one; otherwise a limit on the size of files, which fails in
    the same place."""
    if sys.platform != "linux": pytest.skip("mounts a tmpfs")
    images, small = tmp_path / "images", tmp_path / "small"; images.mkdir(); small.mkdir()
    for i in range(40): picture(i).save(images / f"{i}.png")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)],
                             capture_output=True).returncode == 0
    limit = ("" if mounted
             else "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))")
    code = f"""{limit}
import os, warnings
from ddpm_edu import image_folder
for memory in (10**9, 1000):
    try:
        with warnings.catch_warnings(record=True) as w:
            d = image_folder({str(images)!r}, 64, cache={str(small)!r}, memory=memory)
        print(len(d), w[0].message, os.listdir({str(small)!r}))
    except OSError as e: print(e, os.listdir({str(small)!r}))
"""
    says = (f"cannot write in the cache "
            f"`{small}` ({'No space left on device' if mounted else 'File too large'})")
    try:
        run = subprocess.run([sys.executable, "-B", "-c", code], capture_output=True, text=True)
        kept_in_memory, refused = run.stdout.splitlines()
        assert kept_in_memory.startswith("40 " + says) and refused.startswith(says), (run.stdout, run.stderr)
        assert run.stdout.count(" []\n") == 2                            # nothing is left behind
    finally:
        if mounted: subprocess.run(["umount", str(small)], check=True)


def test_a_cache_that_cannot_be_written(folder, cache):
    cache.parent.parent.mkdir(parents=True); cache.parent.write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match="cannot write in the cache"): assert len(load(folder)) == 5


def test_an_interrupted_filling_leaves_nothing(folder, cache, monkeypatch):
    def interrupt(*args, **kwargs): raise KeyboardInterrupt
    monkeypatch.setattr(chapter.json, "dumps", interrupt)
    with pytest.raises(KeyboardInterrupt): load(folder)
    assert kept(cache) == []


# archives

def png():
    "A picture as a file's bytes."
    f = io.BytesIO(); picture().save(f, "PNG"); return f.getvalue()


def make(path, members):
    "A zip or tar of pairs (name, bytes)."
    if path.suffix == ".zip":
        with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
            warnings.simplefilter("ignore")
            for name, blob in members: z.writestr(name, blob)
    else:
        with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w") as t:
            for name, blob in members:
                i = tarfile.TarInfo(name); i.size = len(blob); t.addfile(i, io.BytesIO(blob))
    return path


KINDS = ["a.zip", "a.tar", "a.tgz"]


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_is_as_good_as_its_folder(tmp_path, folder, kind):
    path = make(tmp_path / kind, [(f"top/{p.name}", p.read_bytes()) for p in folder.iterdir()])
    assert torch.equal(quietly(path).x, quietly(folder).x) and torch.equal(quietly(path).x, quietly(folder).x)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["../a.png", "a/../../b.png",
                                  "/a.png", "..\\a.png", "C:\\a.png", "./../a.png", "..", "a/.."])
def test_paths_that_lead_outside_are_refused(tmp_path, kind, name):
    path = make(tmp_path / kind, [("good.png", png()), (name, png())])
    with pytest.raises(ValueError, match="points outside of it") as e: image_folder(path, 16)
    assert "\n" not in str(e.value) and sorted(p.name for p in tmp_path.iterdir()) == [kind]


def test_links_are_refused_in_a_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as z:
        i = zipfile.ZipInfo("passwd.png"); i.create_system = 3; i.external_attr = 0o120777 << 16
        z.writestr(i, "/etc/passwd")
    with pytest.raises(ValueError, match="link or device `passwd.png`"):
        list(safe_members(tmp_path / "a.zip"))


@pytest.mark.parametrize("kind", KINDS)
def test_bombs_are_refused_by_what_they_declare(tmp_path, kind):
    one = make(tmp_path / kind, [("a.png", bytes(10**6))])
    with pytest.raises(ValueError, match="declares 1,000,000 bytes, more than the limit of 100,000"):
        safe_members(one, max_file=10**5)
    many = make(tmp_path / f"m{kind}", [(f"{i}.png", bytes(10**5)) for i in range(30)])
    with pytest.raises(ValueError, match="declares more than 1,000,000 bytes"):
        safe_members(many, max_total=10**6)
    with pytest.raises(ValueError, match="more than 10 files"): safe_members(many, max_files=10)


def test_a_zip_that_lies_about_its_sizes(tmp_path):
    path = make(tmp_path / "a.zip", [("a.png", bytes(10**6))]); size = (10**6).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(size, (99).to_bytes(4, "little")))
    with pytest.raises(ValueError, match="cannot be read as an archive"): list(safe_members(path))


def test_entries_of_a_zip_that_overlap(tmp_path):
    "A thousand names for the same packed megabyte, which is how a small zip becomes a large one."
    raw = make(tmp_path / "a.zip", [("000.png", bytes(10**6))]).read_bytes()
    start = raw.index(b"PK\1\2"); end = raw.index(b"PK\5\6"); entry = raw[start:end]
    entries = b"".join(entry.replace(b"000.png", f"{i:03}.png".encode()) for i in range(1000))
    tail = (raw[end:end + 8] + (1000).to_bytes(2, "little") * 2
            + len(entries).to_bytes(4, "little") + raw[end + 16:])
    (tmp_path / "b.zip").write_bytes(raw[:start] + entries + tail)
    with pytest.raises(ValueError, match="declares more than 100,000,000 bytes"):
        safe_members(tmp_path / "b.zip", max_total=10**8)
    with pytest.raises(ValueError, match="cannot be read as an archive"):
        list(safe_members(tmp_path / "b.zip"))


def test_a_gzip_whose_tar_says_little_and_holds_much(tmp_path):
    "A header of a long name (300 MB of it) makes careless programs read all of that into memory."
    import gzip
    i = tarfile.TarInfo("././@LongLink"); i.type = tarfile.GNUTYPE_LONGNAME; i.size = 3 * 10**8
    with gzip.open(tmp_path / "a.tgz", "wb", 1) as f:
        f.write(i.tobuf(tarfile.GNU_FORMAT))
        for _ in range(300): f.write(bytes(10**6))
    with pytest.raises(ValueError, match="unpacks to far more"):
        safe_members(tmp_path / "a.tgz", max_file=10**6)


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_archives(tmp_path, kind):
    path = make(tmp_path / kind, [(f"{i}.png", np.random.default_rng(i).bytes(3000)) for i in range(5)])
    raw = path.read_bytes()
    for cut in (len(raw) // 2, 700, 1):
        path.write_bytes(raw[:cut])
        with pytest.raises(ValueError, match="cannot be read as an archive") as e: list(safe_members(path))
        assert "\n" not in str(e.value)
    if kind != "a.tar":  # a plain tar has no checksums of contents
        flipped = bytearray(raw); flipped[len(raw) // 2] ^= 255; path.write_bytes(bytes(flipped))
        with pytest.raises(ValueError, match="cannot be read as an archive"): list(safe_members(path))


def test_a_zip_with_a_password(tmp_path):
    raw = bytearray(make(tmp_path / "a.zip", [("a.png", png())]).read_bytes())
    raw[6] |= 1; raw[raw.index(b"PK\1\2") + 8] |= 1; (tmp_path / "a.zip").write_bytes(bytes(raw))
    with pytest.raises(ValueError, match="cannot be read as an archive .*encrypted"):
        list(safe_members(tmp_path / "a.zip"))


@pytest.mark.parametrize("kind", KINDS)
def test_bad_images_in_an_archive_are_skipped_as_in_a_folder(tmp_path, kind):
    path = make(tmp_path / kind,
                [("a.png", png()), ("b.png", b""), ("__MACOSX/._a.png", b"x"), ("日本.png", png())])
    with pytest.warns(UserWarning, match=r"1 of 3 images in .*b.png \(empty file\)"):
        assert load(path).names == ("a.png", "日本.png")


def test_options_of_archives_are_options_of_folders(tmp_path):
    path = make(tmp_path / "a.zip", [(f"{i}.png", png()) for i in range(5)])
    for option, match in ((dict(max_files=4), "raise `max_files`"), (dict(max_total=10), "raise `max_total`"),
                          (dict(max_file=10), "raise `max_file`")):
        with pytest.raises(ValueError, match=match): load(path, **option)
    with tarfile.open(tmp_path / "b.tar", "w") as t:
        i = tarfile.TarInfo("link.png"); i.type, i.linkname = tarfile.SYMTYPE, "/etc/passwd"; t.addfile(i)
        i = tarfile.TarInfo("a.png"); i.size = len(png()); t.addfile(i, io.BytesIO(png()))
    with pytest.raises(ValueError, match="skip_links=True"): load(tmp_path / "b.tar")
    with pytest.warns(UserWarning, match=r"left out \(1\): link.png \(a link or device\)"):
        assert load(tmp_path / "b.tar", skip_links=True).names == ("a.png",)


@pytest.mark.parametrize("kind", KINDS)
def test_names_in_archives(tmp_path, kind):
    path = make(tmp_path / kind, [("cats\\1.png", png()), ("dogs/2.png", b"?"), ("./dogs//2.png", png()),
                                  ("2024-05-01T12:30:00.png", png()),
                                  ("x/" * 2000 + "long.png", png())])
    with pytest.warns(UserWarning, match="earlier copy") as w: d = load(path, labels=True)
    assert d.classes == ("cats", "dogs", "x") and d.names[1:3] == ("cats/1.png",
            "dogs/2.png") and d.y.tolist() == [-1, 0, 1, 2]
    assert len(str(w[0].message)) < 600


@pytest.mark.parametrize("n", [2, 5000])
def test_a_large_archive_does_not_lie_in_memory(tmp_path, n):
    "What unpacks to more than 64 MB waits in a file; the same pictures come out."
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as z:
        for i in range(n): z.writestr(f"{i:04}.png", png())
    store = chapter._Store()
    parts = [store.add(bytes([i % 251]) * 40_000_000) for i in range(3)]
    assert [p()[:2] for p in parts] == [bytes([i]) * 2 for i in range(3)] and store.f._rolled
    assert len(quietly(tmp_path / "a.zip", cache=False)) == n
