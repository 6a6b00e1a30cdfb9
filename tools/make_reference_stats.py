"""Make ddpm_edu/assets/fld_mnist.safetensors, or that of another data set of the MNIST family: what `fld`
compares with.

    python tools/make_reference_stats.py [FOLDER] [OUT] [--data fashion]

FOLDER holds the four official files, gzipped or plain; left out, they are looked for as `idx_data` does.
Written are mean and covariance (float64, unbiased) of the 84 features of the full test set and of the full
training set, and the sum of the weights of the LeNet that they were made with.
"""
import argparse
import json
from pathlib import Path

from ddpm_edu.core import write_file
from ddpm_edu.data import ASSETS, MNIST_FAMILY, idx_data
from ddpm_edu.models import fingerprint
from ddpm_edu.measuring import extract, load_lenet, moments
from safetensors.torch import save


def main(a:argparse.Namespace)->None:
    of, tensors = MNIST_FAMILY[a.data], {}
    for name, train in zip(of.references, (False, True)):
        part = idx_data(a.data, train, a.folder)
        mean, cov = moments(extract(part.x, of.lenet))
        tensors |= {f"{name}_mean": mean, f"{name}_cov": cov}
        print(f"{name}: {len(part):,} images, mean {mean.mean():.4f}, "
              f"trace of the covariance {cov.trace():.2f}")
    config = dict(format=2, lenet=fingerprint(load_lenet(of.lenet).state_dict()),
                  card=dict(protocol="FLD-v1", data=f"{of.title}, 10,000 test and 60,000 training images, "
                                                    f"84 features after their ReLU",
                            command="python tools/make_reference_stats.py FOLDER"
                            + f" --data {a.data}" * (a.data != "mnist")))
    path = write_file(a.out or Path(str(ASSETS/of.statistics)),
                      save(tensors, metadata={"config": json.dumps(config)}))
    print(f"{path.stat().st_size:,} bytes: {path}")


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", nargs="?")
    p.add_argument("out", nargs="?")
    p.add_argument("--data", choices=list(MNIST_FAMILY), default="mnist")
    main(p.parse_args())
