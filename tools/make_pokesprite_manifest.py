"""Make the list that `pokemon()` checks its sprites by, ddpm_edu/assets/pokesprite.txt: names, numbers and
checksums, no picture.

    python tools/make_pokesprite_manifest.py PATH [OUT]

PATH is an archive or a folder of pokesprite 2.7.0 (`npm pack pokesprite-images@2.7.0`, or the repository
msikma/pokesprite at commit c5aaa610ff2acdf7fd8e2dccd181bca8be9fcb3e). Every form with a regular and a shiny
picture gets a line: number and name of the species, form, and the first 12 digits of the SHA-256 sums of the
two pictures' pixels.
"""
import json
import sys
from pathlib import Path

from ddpm_edu.data import read_members
from ddpm_edu.sprites import decode_sprite, pixel_sum, sprite_files

OUT = Path(__file__).resolve().parents[1]/"ddpm_edu/assets/pokesprite.txt"
HEAD = ("# Facts about the box sprites of pokesprite 2.7.0 (github.com/msikma/pokesprite; "
        "images (c) Nintendo, Creatures, Game Freak).\n"
        "# number species form, and the first 12 digits of the SHA-256 of \"68x56:\" and the RGBA bytes "
        "(zeros where transparent), regular and shiny\n")


def metadata(path:Path)->dict:
    "The repository's own list of species."
    if path.is_dir(): return json.loads(next(path.rglob("data/pokemon.json")).read_text("utf-8"))
    ((_, blob),) = read_members(path, lambda name: name.endswith("/data/pokemon.json"), skip_links=True)
    return json.loads(blob)


def main(path:str, out:str=str(OUT))->None:
    files, named = sprite_files(Path(path)), {}
    for number, s in metadata(Path(path)).items():
        slug = s["slug"]["eng"]
        for form in s["gen-8"].get("forms", {}):
            form = "" if form == "$" else form
            named[f"{slug}-{form}" if form else slug] = (int(number), slug, form)
    both = {f.split("/")[1][:-4]
            for f in files if f.startswith("regular/") and f.replace("regular/", "shiny/") in files}
    if unknown := both - named.keys(): raise SystemExit(f"the metadata do not know {sorted(unknown)}")
    lines = []
    for name in both:
        sums = [pixel_sum(decode_sprite(files[f"{kind}/{name}.png"])) for kind in ("regular", "shiny")]
        number, slug, form = named[name]
        lines.append((number, form, f"{number:03} {slug} {form or '-'} {sums[0]} {sums[1]}\n"))
    Path(out).write_text(HEAD + "".join(line for *_, line in sorted(lines)), "utf-8")
    print(f"{len(lines):,} forms of {len({n for n, *_ in lines})} species: {out}")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3): raise SystemExit(__doc__)
    main(*sys.argv[1:])
