"""Write the presets of the weights that ship into their cards.

    python tools/presets.py

The presets stand in `PRESETS` of the library.
Tensors are kept to the last bit, and so is their fingerprint, by which tables of results name weights.
"""
import json
from dataclasses import asdict

from ddpm_edu.core import write_file
from ddpm_edu.models import PRESETS, PRETRAINED, Sampling, fingerprint
from ddpm_edu.models.files import read_file
from safetensors.torch import save


def write(name:str, presets:dict[str, Sampling])->None:
    "Put presets into the card of weights that ship."
    path = PRETRAINED / f"{name}.safetensors"
    tensors, config = read_file(path)
    before = fingerprint(tensors)
    config["card"]["presets"] = {k: asdict(v) for k, v in presets.items()}
    write_file(path, save(tensors, metadata={"config": json.dumps(config)}))
    assert fingerprint(read_file(path)[0]) == before
    print(name, before[:8], *presets)


if __name__ == "__main__":
    for name, presets in PRESETS.items(): write(name, presets)
