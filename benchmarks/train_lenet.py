"""Train the LeNet-5 that ships in ddpm_edu/pretrained/, by the fixed recipe, on the full training set of MNIST.

    python benchmarks/train_lenet.py FOLDER [OUT] [SEED]

FOLDER holds the four official files of MNIST, gzipped or plain. OUT is a file, ddpm_edu/pretrained/lenet_mnist.safetensors if left out.
Prints the accuracy on the full test set, which goes into the file too. Another machine or another number of threads rounds
differently and so arrives at other weights: what is frozen is the file, and this script tells how it was made.
"""
import platform
import sys
from pathlib import Path

import torch
from ddpm_edu.data import digits
from ddpm_edu.lenet import classify, train_lenet

OUT = Path(__file__).resolve().parents[1]/"ddpm_edu/pretrained/lenet_mnist.safetensors"


def main(folder:str, out:str=str(OUT), seed:str="0")->None:
    train, test = digits(full=True, path=folder), digits(train=False, full=True, path=folder)
    for s in train_lenet(train, epochs=10, seed=int(seed)):
        if s.images % (len(train) // 2) < 32:
            print(f"{s.images / len(train):4.1f} epochs, loss {s.loss:.4f}, {s.seconds:.0f} s", flush=True)
    net = s.model.eval()
    right = (classify(test.x, net)[0] == test.y).sum().item()
    card = dict(data=f"MNIST, {len(train):,} training images", recipe="Adam 1e-3, batch 32, 10 epochs, no decay", seed=int(seed),
                accuracy=right / len(test), tested_on=f"{len(test):,} test images", seconds=round(s.seconds),
                command=f"OMP_NUM_THREADS={torch.get_num_threads()} python benchmarks/train_lenet.py FOLDER OUT {seed}",
                torch=torch.__version__, machine=platform.machine())
    path = net.save(out, **card)
    print(f"accuracy {right / len(test):.2%} ({len(test) - right} errors), {path.stat().st_size:,} bytes: {path}")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3, 4): raise SystemExit(__doc__)
    main(*sys.argv[1:])
