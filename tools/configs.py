"""Write the comments of the configurations that ship: what each key means, in the words of the code.

`make export` calls it. The head of a file, its values and their meaning are the author's; the comment behind
a key is not. A configuration that cannot be read is an error."""
from pathlib import Path

from ddpm_edu.training.checkpoints import from_yaml
from ddpm_edu.training.config import CONFIGS, commented


def finished(path:Path)->str:
    "The text that a file should have. Raises `ValueError` that names the file and the key."
    lines = path.read_text(encoding="utf-8").splitlines()
    n = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    head = "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines[:n])
    try: return commented(from_yaml(path), head)
    except ValueError as e: raise ValueError(f"{path}: {e}") from None


if __name__ == "__main__":
    for path in sorted(CONFIGS.glob("*.yaml")): path.write_text(finished(path), encoding="utf-8")
