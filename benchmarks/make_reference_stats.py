"""Make ddpm_edu/assets/fld_mnist.safetensors or fld_fashion.safetensors: what `fld` compares with.

    python benchmarks/make_reference_stats.py [FOLDER] [OUT] [--data fashion]

FOLDER holds the four official files of MNIST or Fashion-MNIST, gzipped or plain; left out, they are looked for as `digits(full=True)` and
`fashion()` do. Written are mean and covariance (float64, unbiased) of the 84 features of the full test set and of the full training set,
and the SHA-256 of the LeNet's file that they were made with.
"""
import argparse
import json
from functools import partial
from hashlib import sha256
from pathlib import Path

from ddpm_edu.core import write_file
from ddpm_edu.data import digits, fashion
from ddpm_edu.metrics import LENETS, STATISTICS, extract, moments
from ddpm_edu.saving import PRETRAINED
from safetensors.torch import save


def main(a:argparse.Namespace)->None:
    get, names, data = partial(digits, full=True), ("test", "train"), "MNIST"
    if a.data == "fashion": get, names, data = fashion, ("fashion", "fashion-train"), "Fashion-MNIST"
    tensors, lenet = {}, LENETS[names[0]]
    for name in names:
        part = get(train=name.endswith("train"), path=a.folder)
        mean, cov = moments(extract(part.x, lenet))
        tensors |= {f"{name}_mean": mean, f"{name}_cov": cov}
        print(f"{name}: {len(part):,} images, mean {mean.mean():.4f}, trace of the covariance {cov.trace():.2f}")
    config = dict(format=1, lenet=sha256((PRETRAINED/f"{lenet}.safetensors").read_bytes()).hexdigest(),
                  card=dict(protocol="FLD-v1", data=f"{data}, 10,000 test and 60,000 training images, 84 features after their ReLU",
                            command="python benchmarks/make_reference_stats.py FOLDER" + " --data fashion" * (a.data == "fashion")))
    path = write_file(a.out or Path(STATISTICS).with_name(lenet.replace("lenet", "fld") + ".safetensors"),
                      save(tensors, metadata={"config": json.dumps(config)}))
    print(f"{path.stat().st_size:,} bytes: {path}")


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", nargs="?")
    p.add_argument("out", nargs="?")
    p.add_argument("--data", choices=["digits", "fashion"], default="digits")
    main(p.parse_args())
