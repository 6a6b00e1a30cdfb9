"""The two ends of the scale of FLD-v1 and the time it takes.

    python benchmarks/fld_floor.py [FOLDER]

Scores 10,000 real training digits (the floor, to lie between 0.5 and 1.1), 10,000 images of uniform noise (above 300), checks that two
runs agree to 1e-6, and prints the seconds for 10,000 images (under 15 on two cores). With FOLDER, which holds the official files of MNIST,
also all six tens of thousands of training digits, the full test set (0), and the accuracy of the LeNet that ships.
"""
import sys
from time import perf_counter

import torch
from ddpm_edu.data import digits
from ddpm_edu.lenet import classify
from ddpm_edu.metrics import fld, fld_interval


def main(folder:str|None=None)->None:
    x = digits().x
    start = perf_counter()
    floor = fld(x)
    seconds = perf_counter() - start
    again = fld(x)
    noise = torch.rand(10_000, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 2 - 1
    print(f"floor, the first 10,000 training digits: {floor:.4f}; legacy {fld(x, protocol='legacy'):.4f}; with interval {fld_interval(x)}")
    print(f"second run: {again:.9f}, difference {abs(again - floor):.1e}")
    print(f"uniform noise: {fld(noise):.1f}")
    print(f"10,000 images in {seconds:.2f} s with {torch.get_num_threads()} threads, everything loaded anew")
    if folder:
        full, test = digits(full=True, path=folder), digits(train=False, full=True, path=folder)
        print("the six tens of thousands of training digits:", *(f"{fld(b):.2f}" for b in full.x.split(10_000)))
        print(f"the full test set: {fld(test.x):.2e}")
        print(f"accuracy of the LeNet on it: {(classify(test.x)[0] == test.y).double().mean():.2%}")
    assert .5 < floor < 1.1 and abs(again - floor) < 1e-6 and fld(noise) > 300 and seconds < 15


if __name__ == "__main__":
    if len(sys.argv) not in (1, 2): raise SystemExit(__doc__)
    main(*sys.argv[1:])
