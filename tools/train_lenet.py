"""Train a LeNet-5 that ships in ddpm_edu/pretrained/, by the fixed recipe, on the full training set of a data
set of the MNIST family.

    python tools/train_lenet.py [FOLDER] [OUT] [SEED] [--data fashion]

FOLDER holds the four official files, gzipped or plain; left out, they are looked for as `idx_data` does. OUT
is a file, ddpm_edu/pretrained/lenet_mnist.safetensors or lenet_fashion.safetensors if left out. Prints the
accuracy on the full test set, which goes into the file too. Another machine or another number of threads
rounds differently and so arrives at other weights: what is frozen is the file, and this script tells how it
was made.
"""
import argparse
import platform

import torch
from ddpm_edu.data import MNIST_FAMILY, idx_data
from ddpm_edu.models import PRETRAINED
from ddpm_edu.measuring import classify, train_lenet


def main(a:argparse.Namespace)->None:
    of = MNIST_FAMILY[a.data]
    train, test = (idx_data(a.data, part, a.folder) for part in (True, False))
    for s in train_lenet(train, epochs=10, seed=a.seed):
        if s.images % (len(train) // 2) < 32:
            print(f"{s.images / len(train):4.1f} epochs, loss {s.loss:.4f}, {s.seconds:.0f} s", flush=True)
    net = s.model.eval()
    right = (classify(test.x, net)[0] == test.y).sum().item()
    words = f"FOLDER OUT {a.seed}" + f" --data {a.data}" * (a.data != "mnist")
    card = dict(data=f"{of.title}, {len(train):,} training images", classes=of.classes, seed=a.seed,
                recipe="Adam 1e-3, batch 32, 10 epochs, no decay",
                accuracy=right / len(test), tested_on=f"{len(test):,} test images", seconds=round(s.seconds),
                command=f"OMP_NUM_THREADS={torch.get_num_threads()} python tools/train_lenet.py {words}",
                torch=torch.__version__, machine=platform.machine())
    path = net.save(a.out or PRETRAINED/f"{of.lenet}.safetensors", **card)
    print(f"accuracy {right / len(test):.2%} ({len(test) - right} "
          f"errors), {path.stat().st_size:,} bytes: {path}")


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", nargs="?")
    p.add_argument("out", nargs="?")
    p.add_argument("seed", nargs="?", type=int, default=0)
    p.add_argument("--data", choices=list(MNIST_FAMILY), default="mnist")
    main(p.parse_args())
