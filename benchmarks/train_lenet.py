"""Train a LeNet-5 that ships in ddpm_edu/pretrained/, by the fixed recipe, on the full training set of MNIST or Fashion-MNIST.

    python benchmarks/train_lenet.py [FOLDER] [OUT] [SEED] [--data fashion]

FOLDER holds the four official files, gzipped or plain; left out, they are looked for as `digits(full=True)` and `fashion()` do. OUT is a
file, ddpm_edu/pretrained/lenet_mnist.safetensors or lenet_fashion.safetensors if left out. Prints the accuracy on the full test set, which
goes into the file too. Another machine or another number of threads rounds differently and so arrives at other weights: what is frozen is
the file, and this script tells how it was made.
"""
import argparse
import platform
from functools import partial

import torch
from ddpm_edu.data import digits, fashion
from ddpm_edu.lenet import classify, train_lenet
from ddpm_edu.saving import PRETRAINED


def main(a:argparse.Namespace)->None:
    get, name, stem = partial(digits, full=True), "MNIST", "lenet_mnist"
    if a.data == "fashion": get, name, stem = fashion, "Fashion-MNIST", "lenet_fashion"
    train, test = get(path=a.folder), get(train=False, path=a.folder)
    for s in train_lenet(train, epochs=10, seed=a.seed):
        if s.images % (len(train) // 2) < 32:
            print(f"{s.images / len(train):4.1f} epochs, loss {s.loss:.4f}, {s.seconds:.0f} s", flush=True)
    net = s.model.eval()
    right = (classify(test.x, net)[0] == test.y).sum().item()
    words = f"FOLDER OUT {a.seed}" + " --data fashion" * (a.data == "fashion")
    card = dict(data=f"{name}, {len(train):,} training images", recipe="Adam 1e-3, batch 32, 10 epochs, no decay", seed=a.seed,
                accuracy=right / len(test), tested_on=f"{len(test):,} test images", seconds=round(s.seconds),
                command=f"OMP_NUM_THREADS={torch.get_num_threads()} python benchmarks/train_lenet.py {words}",
                torch=torch.__version__, machine=platform.machine())
    path = net.save(a.out or PRETRAINED/f"{stem}.safetensors", **card)
    print(f"accuracy {right / len(test):.2%} ({len(test) - right} errors), {path.stat().st_size:,} bytes: {path}")


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", nargs="?")
    p.add_argument("out", nargs="?")
    p.add_argument("seed", nargs="?", type=int, default=0)
    p.add_argument("--data", choices=["digits", "fashion"], default="digits")
    main(p.parse_args())
