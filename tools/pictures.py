"""Make the pictures that the notebooks hold smaller: 256 colours where that cannot be seen.

`make export` calls it. A picture stays as it is where one pixel in a thousand would be off by more than
LIMIT of 255, where it would not become smaller, and where it has its 256 colours already."""
import base64
import io
import json
import sys
from pathlib import Path

import numpy as np
from pages import ROOT
from PIL import Image

LIMIT = 12


def smaller(png:bytes)->bytes:
    "The same picture with at most 256 colours, or the bytes as they came."
    with Image.open(io.BytesIO(png)) as im:
        if im.mode not in ("RGB", "RGBA") or (im.mode == "RGBA" and im.getextrema()[3] != (255, 255)):
            return png
        full = im.convert("RGB")
    few = full.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    off = np.abs(np.asarray(full, np.int16) - np.asarray(few.convert("RGB"), np.int16)).max(2)
    if np.percentile(off, 99.9) > LIMIT: return png
    few.save(out := io.BytesIO(), "PNG", optimize=True)
    return min(png, out.getvalue(), key=len)


def write(root:Path)->tuple[int, int]:
    "All notebooks below `root`; returns the bytes of their pictures before and after."
    before = after = 0
    for path in sorted((root/"nbs").rglob("*.ipynb")):
        if ".ipynb_checkpoints" in path.parts: continue
        nb, changed = json.loads(path.read_text(encoding="utf-8")), False
        for data in (o["data"] for c in nb["cells"] for o in c.get("outputs", []) if "data" in o):
            if "image/png" not in data: continue
            old = base64.b64decode("".join(data["image/png"]))
            new = smaller(old)
            before, after = before + len(old), after + len(new)
            if new != old: data["image/png"], changed = base64.b64encode(new).decode(), True
        if changed:
            text = json.dumps(nb, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
            path.write_text(text, encoding="utf-8")
    return before, after


if __name__ == "__main__":
    before, after = write(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
    print(f"pictures in the notebooks: {before / 1e6:.2f} MB, now {after / 1e6:.2f} MB")
