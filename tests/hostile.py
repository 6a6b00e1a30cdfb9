"""Data files and folders that somebody made to do harm: what `test_hostile_data.py` opens one by one.
`python tests/hostile.py write FOLDER` makes them, `python tests/hostile.py run FOLDER` opens them."""
import bz2
import gzip
import io
import json
import logging
import lzma
import os
import socket
import struct
import sys
import tarfile
import time
import warnings
import zipfile
import zlib
from functools import partial
from pathlib import Path

from PIL import Image

ESCAPE = "\x1b]0;owned\x07\x1b[2J"                                      # retitles a terminal and clears it


def picture(kind="PNG", size=(8, 8), mode="RGB", **options):
    "A good picture as a file's bytes."
    f = io.BytesIO(); Image.new(mode, size, options.pop("colour",
                                                        200 if mode in "L1P" else (200, 90, 40)[:len(mode)]))\
        .save(f, kind, **options); return f.getvalue()


STRANGE = ["64", "test", ESCAPE, "x" * 10**5]                           # text where something else belongs


def chunk(kind, data): return struct.pack(">I", len(data)) + kind + data + struct.pack(">I",
        zlib.crc32(kind + data))


def zeros(n, level=1, wbits=15):
    "So many zeros, packed, without ever being in memory."
    z = zlib.compressobj(level, zlib.DEFLATED, wbits)
    whole = b"".join(z.compress(bytes(2**20)) for _ in range(n >> 20))
    return whole + z.compress(bytes(n % 2**20)) + z.flush()


def png(w, h, depth=8, colour=2, notes=b"", data=None, lace=0):
    "A PNG of any size, black."
    bits = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour] * depth
    data = zeros(h * (1 + (w * bits + 7) // 8)) if data is None else data
    palette = chunk(b"PLTE", bytes(768)) + chunk(b"tRNS", bytes(256)) if colour == 3 else b""
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, colour, 0, 0,
            lace)) + palette
            + notes + chunk(b"IDAT", data) + chunk(b"IEND", b""))


def flipped(blob, at=None):
    b = bytearray(blob); b[len(b) // 2 if at is None else at] ^= 255; return bytes(b)


def tiff(*tags, more=b""):
    "A TIFF of one directory: tags are (number, type, count, value)."
    return (b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags))
            + b"".join(struct.pack("<HHII", *t) for t in tags) + b"\0\0\0\0" + more)


GREY8 = [(256, 3, 1, 8), (257, 3, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 200),
         (277, 3, 1, 1), (278, 3, 1, 8), (279, 4, 1, 64)]
def grey8(**new):
    "The tags of a small grey TIFF, some changed: t256=70000 for instance."
    return [(t, 4 if f"t{t}" in new else k, n, new.get(f"t{t}", v)) for t, k, n, v in GREY8]


def pictures():
    "Files that call themselves pictures: ending, bytes."
    good, jpg = picture(), picture("JPEG", (64, 64))
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n(evil) run\n%%EOF"
    huge = bytearray(jpg); at = huge.index(b"\xff\xc0")
    huge[at + 5:at + 9] = b"\x34\xbc\x34\xbc"                            # 13,500 squared
    loop = b"Exif\0\0II*\0\x08\0\0\0\1\0" + struct.pack("<HHII", 0x8769, 4, 1, 8) + b"\x08\0\0\0"
    app = lambda n, data: b"\xff" + bytes([0xe0 + n]) + struct.pack(">H", len(data) + 2) + data
    text = lambda n: chunk(b"zTXt", b"a\0\0" + zeros(n))
    icc = chunk(b"iCCP", b"a\0\0" + zeros(2**28))
    gif = picture("GIF", mode="L")
    return {
        "postscript.png": eps, "postscript.jpg": eps,
            "dos-postscript.png": b"\xc5\xd0\xd3\xc6" + bytes(26) + eps,
        "metafile.png": b"\xd7\xcd\xc6\x9a" + bytes(80),
            "emf.png": b"\1\0\0\0" + bytes(36) + b" EMF" + bytes(60),
        "pdf.png": b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj", "hdf5.png": b"\x89HDF\r\n\x1a\n" + bytes(90),
        "svg.png": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        "bomb.png": png(13_000, 13_000), "bomb16.png": png(12_000, 12_000, 16, 0),
            "bomb1.png": png(13_300, 13_300, 1, 0),
        "bomb-alpha.png": png(9_000, 9_000, 8, 6), "bomb-palette.png": png(13_000, 13_000, 8, 3),
        "bomb-laced.png": png(9_000, 9_000, 8, 2, lace=1), "bomb-wide.png": png(100_000_000, 1),
        "bomb-high.png": png(1, 100_000_000, 8, 0), "lying.png": png(60_000, 60_000, data=zeros(99)),
        "short.png": png(5_000, 5_000, data=zeros(99)), "notes.png": png(8, 8, notes=text(2**20) * 64),
        "note.png": png(8, 8, notes=text(2**29)), "profile.png": png(8, 8, notes=icc),
        "bad-note.png": png(8, 8, notes=flipped(text(99), 9)), "frames.png": png(8, 8, notes=chunk(
            b"acTL", struct.pack(">II", 2**31 - 1, 0))), "cut.png": good[:len(good) // 2],
            "flipped.png": flipped(good),
        "length.png": good[:33] + b"\xff\xff\xff\xff" + good[37:], "signature.png": good[:8],
            "empty.png": b"",
        "huge.jpg": bytes(huge), "progressive.jpg": bytes(huge).replace(b"\xff\xc0", b"\xff\xc2", 1),
        "loop.jpg": jpg[:2] + app(1, loop) + jpg[2:], "segments.jpg": jpg[:2] + app(13,
                bytes(9)) * 60_000 + jpg[2:],
        "exif.jpg": jpg[:2] + app(1, b"Exif\0\0MM\0*" + b"\xff" * 60) + jpg[2:],
            "cut.jpg": jpg[:len(jpg) // 2],
        "mpo.jpg": jpg[:2] + app(2, b"MPF\0II*\0\x08\0\0\0\2\0" + b"\xff" * 40) + jpg[2:],
            "markers.jpg": b"\xff\xd8" + b"\xff" * 9**6,
        "loop.tif": tiff(*grey8(), more=b"")[:-4] + b"\x08\0\0\0" + bytes(300),
            "counts.tif": tiff((256, 4, 2**31, 8), *grey8()[1:]),
        "wide.tif": tiff(*grey8(t256=2**31 - 1)) + bytes(300),
            "strips.tif": tiff(*grey8(t273=2**31)) + bytes(300),
        "rows.tif": tiff(*grey8(t278=2**31 - 1)) + bytes(300),
            "samples.tif": tiff(*grey8(t277=65_535)) + bytes(300),
        "bomb.tif": tiff(*grey8(t256=13_000, t257=13_000, t259=8, t278=13_000,
                                t279=170_000)) + bytes(76) + zeros(13_000**2),
        "lying.gif": gif[:6] + b"\xff\xff\xff\xff" + gif[10:], "frame.gif": flipped(gif, len(gif) // 3),
        "lying.bmp": picture("BMP")[:18] + struct.pack("<ii", 2**31 - 1, -2**31) + picture("BMP")[26:],
        "lying.webp": b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f" + b"\xff" * 4 + bytes(9),
            "cut.webp": picture("WEBP")[:30],
        "header.ppm": b"P6\n" + b"9" * 10**6, "comment.ppm": b"P3\n#" + b"a" * 10**7,
            "lying.ppm": b"P6 99999 99999 255\n",
        "plain.ppm": b"P3 12000 12000 255\n" + b"0 " * 10**6, "bits.pgm": b"P5 9 9 65536\n" + bytes(200),
        "runs.qoi": b"qoif" + struct.pack(">IIBB", 13_000, 13_000, 3,
                                          0) + b"\xfd" * (13_000**2 // 62 + 1) + bytes(7) + b"\1",
        "runs.tga": struct.pack("<BBBHHBHHHHBB", 0, 0, 10, 0, 0, 0, 0, 0, 13_000, 13_000, 24,
                                0) + b"\xff\0\0\0" * (13_000**2 // 128),
        "channels.psd": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 56, 30_000, 5_000, 8, 3) + bytes(14),
        "lying.dds": b"DDS \x7c\0\0\0" + struct.pack("<6I", 0x1007, 2**31, 2**31, 0, 0,
                                                     1) + bytes(44) + struct.pack("<8I", 32, 4, 0x31545844, 0,
                                                             0, 0, 0, 0) + bytes(30),
        "lying.sgi": struct.pack(">hBBHHHH", 474, 1, 1, 3, 65_535, 65_535, 4) + bytes(600),
            "lying.pcx": b"\n\5\1\x08" + b"\0\0\0\0\xff\xff\xff\xff" + bytes(150),
        "lying.jp2": picture("JPEG2000", mode="L").replace(struct.pack(">II", 8, 8),
                                                           struct.pack(">II", 60_000, 60_000)),
        "lying.avif": flipped(picture("AVIF", (64, 64)), 190),
            "icon.png": b"\0\0\1\0\1\0" + struct.pack("<BBBBHHII", 8, 8, 0, 0, 1, 32, 99, 22) + png(9_000,
                    9_000),
    }


def sparse(path, n):
    with open(path, "wb") as f: f.truncate(n)


def deep(folder):
    "Folders in folders until no path reaches the last."
    at = os.open(folder, os.O_RDONLY)
    for _ in range(30):
        os.mkdir("d" * 200, dir_fd=at); below = os.open("d" * 200, os.O_RDONLY,
                                                        dir_fd=at); os.close(at); at = below
    os.close(os.open("deep.png", os.O_CREAT | os.O_WRONLY, dir_fd=at)); os.close(at)


def listen(path):
    s = socket.socket(socket.AF_UNIX); os.chdir(path.parent); s.bind(path.name); s.close()


def many(folder):
    for i in range(3000): (folder / f"{i}.png").write_bytes(b"?" * (i % 7))


def links(target): return lambda folder: (folder / "a.png").symlink_to(target)


def folders():
    "What may stand in a folder beside a good picture: a function that puts it there."
    named = lambda name: lambda folder: (folder / name).write_bytes(b"?")
    return {
        "pipe": lambda f: os.mkfifo(f / "a.png"), "socket": lambda f: listen(f / "a.png"),
        "zero": links("/dev/zero"), "random": links("/dev/urandom"), "full": links("/dev/full"),
            "terminal": links("/dev/tty"),
        "input": links("/dev/stdin"), "kernel": links("/proc/kcore"), "log": links("/proc/kmsg"),
            "itself": links("/proc/self/mem"),
        "folder of processes": lambda f: (f / "p").symlink_to("/proc/self/fd"), "circle": links("a.png"),
            "nowhere": links("gone"),
        "up": lambda f: (f / "up").symlink_to(f.parent), "holes": lambda f: sparse(f / "a.png", 2**40),
        "many holes": lambda f: [sparse(f / f"{i}.png", 2**26 - 1) for i in range(24)],
        "many bombs": lambda f: [(f / f"{i}.png").write_bytes(png(9_900, 9_900)) for i in range(6)],
        "folder.png": lambda f: (f / "a.png").mkdir(), "deep": deep, "many": many,
            "escape": named(f"{ESCAPE}.png"),
        "line": named("a\nValueError: b.png"), "backwards": named("\u202egpj.exe.png"),
            "bytes": named(os.fsdecode(b"\xff\xfe.png")),
        "long": named("x" * 250 + ".png"), "escape in a folder": lambda f: ((f / ESCAPE).mkdir(),
                (f / ESCAPE / "a.heic").touch()),
    }


def zipped(*members, method=zipfile.ZIP_DEFLATED, attr=0):
    "A zip of (name, bytes)."
    f = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(f, "w", method) as z:
        warnings.simplefilter("ignore")
        for name, blob in members:
            i = zipfile.ZipInfo("x"); i.filename, i.external_attr = name, attr
            i.compress_type, i.create_system = method, 3
            z.writestr(i, blob)
    return f.getvalue()


def tarred(*members, kind=tarfile.REGTYPE, form=tarfile.PAX_FORMAT, **facts):
    "A tar of (name, bytes)."
    f = io.BytesIO()
    with tarfile.open(fileobj=f, mode="w", format=form) as t:
        for name, blob in members:
            i = tarfile.TarInfo(name); i.size, i.type, i.linkname = len(blob), kind, "/etc/passwd"
            for k, v in facts.items(): setattr(i, k, v)
            t.addfile(i, io.BytesIO(blob))
    return f.getvalue()


def listed(n, name=b"%06d.png"):
    "A zip whose list names one small file so many times."
    raw = zipped(("000000.png", picture())); start, end = raw.index(b"PK\1\2"), raw.index(b"PK\5\6")
    entry = raw[start:end]; long = name if b"%" not in name else b"000000.png"
    entry = entry[:28] + struct.pack("<H", len(long)) + entry[30:46]
    entries = b"".join(entry + (name % i if b"%" in name else name) for i in range(n))
    return (raw[:start] + entries + raw[end:end + 8] + struct.pack("<HHII", min(n, 65_535), min(n, 65_535),
            len(entries), start) + b"\0\0")


def archives():
    "Archives: ending, bytes."
    good, up = picture(), ("../../up.png", picture())
    size = (10**7).to_bytes(4, "little"); bomb = zipped(("a.png", bytes(10**7)))
    name = tarfile.TarInfo("././@LongLink"); name.type, name.size = tarfile.GNUTYPE_LONGNAME, 2**29
    pax = tarfile.TarInfo("pax"); pax.type, pax.size = tarfile.XHDTYPE, 2**29
    plain, tgz = tarred(("a.png", good)), partial(gzip.compress, compresslevel=1)
    z = zipped(("good.png", good))
    return {
        "up.zip": zipped(up), "up.tar": tarred(up), "up.tgz": tgz(tarred(up)),
            "root.zip": zipped(("/etc/a.png", good)),
        "drive.zip": zipped(("C:\\a.png", good)), "back.zip": zipped(("..\\..\\a.png", good)),
            "link.zip": zipped(("a.png", b"/etc/passwd"), attr=0o120777 << 16),
        "link.tar": tarred(("a.png", b""), kind=tarfile.SYMTYPE),
            "hard.tar": tarred(("a.png", b""), kind=tarfile.LNKTYPE),
        "device.tar": tarred(("a.png", b""), kind=tarfile.CHRTYPE, devmajor=1, devminor=5),
            "pipe.tar": tarred(("a.png", b""), kind=tarfile.FIFOTYPE),
        "bomb.zip": zipped(("a.png", bytes(2**28))), "bombs.zip": zipped(*[(f"{i}.png",
                bytes(2**25)) for i in range(9)]),
        "lying.zip": bomb.replace(size, (99).to_bytes(4, "little")), "overlap.zip": listed(3000),
            "list.zip": listed(450_000),
        "names.zip": listed(1100, b"a" * 65_000), "nested.zip": zipped(("a.zip", bomb), ("b.png", bomb)),
            "bzip2.zip": zipped(("a.png", bytes(2**26)), method=zipfile.ZIP_BZIP2),
        "lzma.zip": zipped(("a.png", bytes(2**26)), method=zipfile.ZIP_LZMA),
            "twice.zip": zipped(("a.png", good), ("a.png", good)),
        "names-twice.tar": tarred(("a.png", good), ("./a.png", b"?")),
            "escape.zip": zipped((f"{ESCAPE}/a.png", b"?"), ("b.png", good)),
        "escape-up.zip": zipped((f"{ESCAPE}/../a.png", good)),
            "line.tar": tarred(("a\nb.png", b"?"), ("b.png", good)),
            "long.tar": tarred(("a/" * 30_000 + "a.png", good)),
        "crc.zip": flipped(zipped(("a.png", os.urandom(999))), 400), "cut.zip": z[:-30], "end.zip": z[-22:],
            "empty.zip": zipped(), "page.zip": b"<html>Log in",
        "wide.zip": z[:-22] + b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 2**40, 2**40, 2**40,
                                                      0) + b"PK\6\7" + struct.pack("<IQI", 0, len(z) - 22,
                                                              1) + z[-22:],
        "bomb.tgz": gzip.compress(plain, 1)[:-8] + zeros(2**30, wbits=31),
            "total.tgz": tgz(tarred(*[(f"{i}.png", bytes(2**25)) for i in range(8)])),
        "name.tgz": gzip.compress(name.tobuf(tarfile.GNU_FORMAT), 1) + zeros(2**29, wbits=31),
            "pax.tgz": gzip.compress(pax.tobuf(), 1) + zeros(2**29, wbits=31),
        "header.tar": flipped(plain, 130), "cut.tar": plain[:700],
            "size.tar": plain[:124] + b"\xff" * 12 + plain[136:], "zeros.tar": bytes(2**26),
        "bomb.bz2": bz2.compress(tarred(("a.png", bytes(2**26 + 1)))),
            "bomb.xz": lzma.compress(tarred(("a.png", bytes(2**26 + 1))), preset=1),
        "memory.xz": lzma.compress(plain, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 2**30}]),
            "cut.xz": lzma.compress(plain)[:-40],
        "holes.tar": tarred(("a.png", b""), form=tarfile.GNU_FORMAT, type=tarfile.GNUTYPE_SPARSE),
            "gzip.tar": tgz(b"?" * 10**6),
    }


def idx_files():
    "What may call itself t10k-images-idx3-ubyte(.gz): ending, bytes."
    head = b"\0\0\x08\3" + struct.pack(">III", 10_000, 28, 28)
    return {
        ".gz bomb": zeros(2**31, wbits=31), ".gz cut": gzip.compress(head)[:-5], ".gz page": b"<html>Log in",
            ".gz empty": b"", ".gz lying": gzip.compress(head),
        " plain": head, " axes": b"\0\0\x08\xff" + b"\xff" * 1020, " shape": b"\0\0\x08\3" + b"\xff" * 12,
            " floats": b"\0\0\x0d\3" + head[4:], " nothing": b"",
    }


def tables():
    "Parquet files: ending, bytes. The first is good."
    import datasets
    datasets.disable_progress_bars()
    def table(image, label=(0, 1)):
        f = io.BytesIO(); datasets.Dataset.from_dict({"image": image, "label": list(label)}).to_parquet(f)
        return f.getvalue()
    good = table([picture(), picture()])
    at = lambda path: table([{"bytes": None, "path": path}, {"bytes": picture(), "path": None}])
    return {
        "good": good, "cut": good[:len(good) // 2], "foot": good[:-9] + b"\xff\xff\xff\x7fPAR1",
            "flipped": flipped(good), "head": flipped(good, 9), "empty": b"",
        "magic": b"PAR1PAR1", "page": b"<html>Log in", "zero": at("/dev/zero"), "passwd": at("/etc/passwd"),
            "url": at("http://127.0.0.1:9/a.png"),
        "numbers": table([1, 2]), "lists": table([[[1]], [[2]]]),
            "bomb": table([png(13_000, 13_000), picture()]),
            "eps": table([b"%!PS-Adobe-3.0 EPSF-3.0\n(evil) run", picture()]),
        "labels": table([picture(), picture()], [-9, 2**62]), "null": table([None, None]),
            "escape": table([picture()] * 2, [ESCAPE, "a"]),
            "huge labels": table([picture()] * 2, ["a" * 10**6, "b"]),
    }


def arguments(load, folder):
    "Calls with arguments of a wrong kind."
    from ddpm_edu.data import cifar10, fashion, fit_image, flowers102
    from ddpm_edu.data import hub_data, idx_data, parse_idx, safe_members
    wrong = [None, "", 7, -1, 2.5, *STRANGE, [], {}, b"a", (1, 2, 3), float("nan"), object(), "a\0b",
             "~nobody-here/a"]
    calls = {"path": lambda v: load(v), "size": lambda v: load(folder, v)}
    for option in ("channels", "fit", "background", "labels", "cache", "memory", "workers",
                   "max_file"): calls[option] = lambda v, o=option: load(folder, **{o: v})
    calls |= {f.__name__: f for f in (cifar10, fashion, flowers102, parse_idx, safe_members, idx_data)}
    calls |= {"source": lambda v: hub_data(v, 8), "split": lambda v: hub_data(folder, 8, v),
              "image": lambda v: fit_image(v, 8)}
    return {f"{name}={v!r:.40}": partial(f, v) for name, f in calls.items() for v in wrong}


def write(root):
    "All files and folders, each in a folder of its own below `root`."
    for kind, files in (("pictures", pictures()), ("archives", archives()), ("idx", idx_files()),
                        ("tables", tables())):
        for name, blob in files.items():
            at = root / kind / name; at.mkdir(parents=True)
            file = {"pictures": name, "archives": name, "idx": f"t10k-images-idx3-ubyte{name.split(' ')[0]}",
                    "tables": "a.parquet"}[kind]
            (at / file).write_bytes(blob)
            if kind == "pictures": (at / "good.png").write_bytes(picture())
    for name, put in folders().items():
        at = root / "folders" / name; at.mkdir(parents=True)
        (at / "good.png").write_bytes(picture()); put(at)
    for name in ("holes", "nested", "foreign", "pipe", "folder"):
        at = root / "caches" / name; at.mkdir(parents=True); (at / "good.png").write_bytes(picture())


def spoil(name, kept):
    "Put something else in place of a cache file."
    kept.unlink()
    if name == "holes": sparse(kept, 2**40)
    if name == "nested": kept.write_bytes(b"[" * 10**6 + (10**6).to_bytes(8, "little"))
    if name == "foreign": kept.write_bytes(b"?"); os.chown(kept, 65_534, -1); kept.parent.chmod(0o777)
    if name == "pipe": os.mkfifo(kept)
    if name == "folder": kept.mkdir()


def opened(root, scratch):
    "How each case is opened: (name, call, whether there is a good picture to be read)."
    from ddpm_edu.data import digits, hub_data, image_folder
    load = lambda path, size=8, **options: image_folder(path,
                                                        **{"size": size, "cache": False, "workers": 8,
                                                           **options})
    def cached(at):
        load(at, cache=scratch / at.name); spoil(at.name, *(scratch / at.name).iterdir())
        return load(at, cache=scratch / at.name)
    how = {"pictures": load, "folders": load, "archives": lambda at: load(next(at.iterdir())),
           "idx": lambda at: digits(False, path=at), "caches": cached,
           "tables": lambda at: hub_data(at / "a.parquet", 8, cache=False, cache_dir=str(scratch / "hub"))}
    for kind, call in how.items():
        for at in sorted((root / kind).iterdir()): yield f"{kind}/{at.name}", partial(call,
                at), kind in ("pictures", "folders", "caches")
    for name, call in arguments(load, root / "caches/holes").items(): yield f"arguments/{name}", call, False


def attempt(call, good, allowed):
    "What is wrong with a call, in words, or nothing; in a process of its own."
    import resource
    import signal
    import traceback
    done, start = [], time.time()
    def watch(event, args):
        if event in ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system",
                     "socket.connect"): done.append(f"{event} {args!r:.99}")
        writes = event == "open" and isinstance(args[2],
                                                int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        changes = writes or event in ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.chmod",
                                      "os.symlink")
        below = event in ("os.remove",
                          "os.rmdir") and args[1] != -1    # within a folder that was opened before
        named = isinstance(args[0], str | os.PathLike) if args else False
        if changes and named and not below and not os.fspath(args[0]).startswith((*allowed, "/dev/null")):
            done.append(f"{event} {args[0]!r:.99}")
    def late(*_): raise TimeoutError("20 s")
    sys.addaudithook(watch); signal.signal(signal.SIGALRM, late); signal.alarm(20)
    said, wrong = [], []
    with warnings.catch_warnings(record=True) as w:
        warnings.simplefilter("always")
        try:
            data = call()
            if not hasattr(data, "__len__"): list(data)
        except Exception as e:
            said.append(str(e)); inside = "ddpm_edu" in traceback.extract_tb(e.__traceback__)[-1].filename
            expected = isinstance(e, OSError | ValueError | ImportError)
            if not (expected and inside): wrong.append(f"raw {type(e).__name__}: {e!s:.200}")
            if good: wrong.append(f"the good picture is lost: {e!s:.200}")
    said += [str(m.message) for m in w if issubclass(m.category,
                                                     UserWarning) and "site-packages" not in m.filename]
    for text in said:
        if not text.isprintable() or len(text) > 1500: wrong.append(f"not one printable line: {text!r:.200}")
    megabytes, seconds = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, time.time() - start
    return dict(wrong=(wrong + done)[:9], said=[text[:1600] for text in said[:9]], megabytes=megabytes,
                seconds=round(seconds, 1))


def run(root):
    "Open everything, each in a process of its own, and print a line of JSON about it."
    import datasets
    import pooch
    import torch
    import ddpm_edu.data as data
    assert datasets and pooch; torch.set_num_threads(1)
    home, scratch = root / "home", root / "scratch"
    for folder in (home, scratch): folder.mkdir()
    os.chdir(home); logging.disable(); datasets.disable_progress_bars()
    data.image_folder(root / "caches/holes", 8, cache=False)            # everything is imported
    for name, call, good in opened(root, scratch):
        allowed = [str(home),
                   *STRANGE] if name.startswith("arguments/cache=") else []  # text is a folder's name
        r, w = os.pipe(); pid = os.fork()
        if not pid:
            base = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") >> 20
            facts = attempt(call, good, (str(scratch), os.environ.get("TMPDIR", "/tmp"), *allowed))
            os.write(w, json.dumps({"name": name, **facts,
                                    "megabytes": facts["megabytes"] - base}).encode()[:60_000]); os._exit(0)
        os.close(w)
        with open(r, "rb") as f: text = f.read()
        code = os.waitpid(pid, 0)[1]
        print(text.decode() or json.dumps({"name": name, "wrong": [f"died with {code}"], "said": [],
                                           "megabytes": 0, "seconds": 0}), flush=True)
    left = [p.name for p in home.iterdir() if p.name not in STRANGE]
    print(json.dumps({"name": "home", "wrong": left, "said": [], "megabytes": 0, "seconds": 0}))


if __name__ == "__main__":
    {"write": write, "run": run}[sys.argv[1]](Path(sys.argv[2]).resolve())
