"""Make the digits that ship in ddpm_edu/assets/ from the official MNIST files.

    python tools/make_assets.py FOLDER [OUT]

FOLDER holds the four official files, gzipped or plain. Each becomes a valid IDX file with the first 10,000
(train) or 2,000 (t10k) items, compressed by gzip. The bytes written depend on nothing but the input and the
version of zlib. Tried on the 10,000 training images (bytes): xz 1,360,068, bzip2 1,397,953, gzip 1,609,508.
We take gzip: Pythons built without liblzma or libbz2 are not rare, and zlib is never missing. Pixel by pixel
across the images, columns first, or rows across the images were all larger, and sorting by class saved 1 %.
"""
import gzip
import sys
from pathlib import Path

import torch
from ddpm_edu.data import idx_data

ROOT = Path(__file__).resolve().parents[1]
KEEP = {"train": 10_000, "t10k": 2_000}


def idx_file(x:torch.Tensor)->bytes:
    "Bytes as an IDX file."
    return bytes([0, 0, 8, x.ndim]) + b"".join(n.to_bytes(4, "big")
                                               for n in x.shape) + x.to(torch.uint8).numpy().tobytes()


def main(folder:str, out:str=str(ROOT / "ddpm_edu/assets"))->None:
    total = 0
    Path(out).mkdir(parents=True, exist_ok=True)
    for part, n in KEEP.items():
        data = idx_data("mnist", part == "train", folder)
        for name, x in ((f"{part}-images-idx3-ubyte.gz", data.x[:n, 0]),
                        (f"{part}-labels-idx1-ubyte.gz", data.y[:n])):
            blob = gzip.compress(idx_file(x), compresslevel=9, mtime=0)
            (Path(out) / name).write_bytes(blob)
            total += len(blob)
            print(f"{name}  {len(blob):,} bytes")
    print(f"together {total:,} bytes")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3): raise SystemExit(__doc__)
    main(*sys.argv[1:])
