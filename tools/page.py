"""Write the pages where models draw in a browser: `python tools/page.py [FOLDER]`, outputs/ by default.

Each is one file that is complete: it opens from a folder, or from any server, and asks nobody for anything.
`make page` calls it."""
import sys
from pathlib import Path

from ddpm_edu.using.browser import live_page
from ddpm_edu.using.flow import points_page

ROOT = Path(__file__).resolve().parents[1]
PAGES = {"live.html": live_page, "points.html": points_page}


def write(folder:Path)->list[Path]:
    "Write all pages into `folder`; their paths."
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items(): (folder/name).write_text(page(), encoding="utf-8")
    return [folder/name for name in PAGES]


if __name__ == "__main__":
    for path in write(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT/"outputs"):
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
