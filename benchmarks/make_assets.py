"""Make the digits that ship in ddpm_edu/assets/ from the official MNIST files.

    python benchmarks/make_assets.py FOLDER [OUT]

FOLDER holds the four official files, gzipped or plain. Each becomes a valid IDX file with the first 10,000 (train) or 2,000 (t10k) items,
compressed by gzip. The bytes written depend on nothing but the input and the version of zlib. Tried on the 10,000 training images
(bytes): xz 1,360,068, bzip2 1,397,953, gzip 1,609,508. We take gzip: Pythons built without liblzma or libbz2 are not rare, and zlib is
never missing. Pixel by pixel across the images, columns first, or rows across the images were all larger, and sorting by class saved 1 %.
"""
import gzip
import sys
from pathlib import Path

from ddpm_edu.data import FILES, _checked, _local, parse_idx

ROOT = Path(__file__).resolve().parents[1]
KEEP = {"train": 10_000, "t10k": 2_000}


def subset(raw:bytes, n:int)->bytes:
    "An IDX file with the first `n` items of another."
    x = parse_idx(raw)[:n]
    return raw[:4] + n.to_bytes(4, "big") + raw[8:4 + 4 * x.ndim] + x.numpy().tobytes()


def main(folder:str, out:str=str(ROOT / "ddpm_edu/assets"))->None:
    total = 0
    for name in FILES:
        small = subset(_checked(_local(Path(folder), name), name), KEEP[name.split("-")[0]])
        blob = gzip.compress(small, compresslevel=9, mtime=0)
        Path(out).mkdir(parents=True, exist_ok=True)
        (Path(out) / f"{name}.gz").write_bytes(blob)
        total += len(blob)
        print(f"{name}.gz  {len(blob):,} bytes")
    print(f"together {total:,} bytes")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3): raise SystemExit(__doc__)
    main(*sys.argv[1:])
