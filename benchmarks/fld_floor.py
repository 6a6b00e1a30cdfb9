"""The two ends of the scale of FLD-v1, or of the FLD of clothes, and the time it takes.

    python benchmarks/fld_floor.py [FOLDER] [--data fashion]

Scores 10,000 real training digits (the floor, to lie between 0.5 and 1.1), 10,000 images of uniform noise
(above 300), checks that two runs agree to 1e-6, and prints the seconds for 10,000 images (under 15 on two
cores). With FOLDER, which holds the official files of MNIST, also all six tens of thousands of training
digits, the full test set (0), and the accuracy of the LeNet that ships. With --data fashion the same for
clothes (0.05 to 0.3, above 100), where FOLDER may be left out as for `fashion()`.
"""
import argparse
from functools import partial
from time import perf_counter

import torch
from ddpm_edu import digits, fashion, fld
from ddpm_edu.data import MNIST_FAMILY
from ddpm_edu.measuring import classify, fld_interval, load_lenet


def main(a:argparse.Namespace)->None:
    clothes = a.data == "fashion"
    reference, get = ("fashion", fashion) if clothes else ("test", partial(digits, full=True))
    full = get(path=a.folder) if clothes or a.folder else None
    x = full.x[:10_000] if clothes else digits().x
    start = perf_counter()
    floor = fld(x, reference)
    seconds = perf_counter() - start
    again = fld(x, reference)
    noise = torch.rand(10_000, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 2 - 1
    legacy, far = fld(x, reference, protocol="legacy"), fld(noise, reference)
    print(f"floor, the first 10,000 training {a.data}: {floor:.4f}; "
          f"legacy {legacy:.4f}; with interval {fld_interval(x, reference)}")
    print(f"second run: {again:.9f}, difference {abs(again - floor):.1e}")
    print(f"uniform noise: {far:.1f}")
    print(f"10,000 images in {seconds:.2f} s with {torch.get_num_threads()} threads, everything loaded anew")
    if full:
        test = get(train=False, path=a.folder)
        print(f"the six tens of thousands of training {a.data}:",
              *(f"{fld(b, reference):.2f}" for b in full.x.split(10_000)))
        print(f"the full test set: {fld(test.x, reference):.2e}")
        reader = load_lenet(MNIST_FAMILY["fashion" if clothes else "mnist"].lenet)
        print(f"accuracy of the LeNet on it: {(classify(test.x, reader)[0] == test.y).double().mean():.2%}")
    low, high, least = (.05, .3, 100) if clothes else (.5, 1.1, 300)
    assert low < floor < high and abs(again - floor) < 1e-6 and far > least and seconds < 15


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", nargs="?")
    p.add_argument("--data", choices=["digits", "fashion"], default="digits")
    main(p.parse_args())
