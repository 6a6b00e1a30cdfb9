"""Make ddpm_edu/assets/fld_mnist.safetensors: what `fld` compares with.

    python benchmarks/make_reference_stats.py FOLDER [OUT]

FOLDER holds the four official files of MNIST, gzipped or plain. Written are mean and covariance (float64, unbiased) of the 84 features of
the full test set and of the full training set, and the SHA-256 of the LeNet's file that they were made with.
"""
import json
import sys
from hashlib import sha256

from ddpm_edu.core import write_file
from ddpm_edu.data import digits
from ddpm_edu.metrics import STATISTICS, extract, moments
from ddpm_edu.saving import PRETRAINED
from safetensors.torch import save


def main(folder:str, out:str=str(STATISTICS))->None:
    tensors = {}
    for name in ("test", "train"):
        data = digits(train=name == "train", full=True, path=folder)
        mean, cov = moments(extract(data.x))
        tensors |= {f"{name}_mean": mean, f"{name}_cov": cov}
        print(f"{name}: {len(data):,} images, mean {mean.mean():.4f}, trace of the covariance {cov.trace():.2f}")
    config = dict(format=1, lenet=sha256((PRETRAINED/"lenet_mnist.safetensors").read_bytes()).hexdigest(),
                  card=dict(protocol="FLD-v1", data="MNIST, 10,000 test and 60,000 training images, 84 features after their ReLU",
                            command="python benchmarks/make_reference_stats.py FOLDER"))
    path = write_file(out, save(tensors, metadata={"config": json.dumps(config)}))
    print(f"{path.stat().st_size:,} bytes: {path}")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3): raise SystemExit(__doc__)
    main(*sys.argv[1:])
