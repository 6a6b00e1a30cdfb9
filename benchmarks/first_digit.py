"""How long until the first digit, and until a hundred? Loading the weights that ship, drawing one digit with
guidance, and a sheet of a hundred by a preset; the best of three processes.

    python benchmarks/first_digit.py [--preset fast]
"""
import argparse
import subprocess
import sys

PROGRAM = """
import sys, time
start = time.perf_counter()
from ddpm_edu import load
import ddpm_edu.models.karras, ddpm_edu.networks.unet
imported = time.perf_counter()
model = load("digits_guided")
loaded = time.perf_counter()
model.sample(1, labels=7, guidance_scale=2., sampler="dpmpp_2m_sde", n_steps=20, seed=0)
drawn = time.perf_counter()
model.sample(100, labels="any", preset=sys.argv[1], seed=0)
print(imported - start, loaded - imported, drawn - loaded, time.perf_counter() - drawn)
"""

if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--preset", default="fast", help="of the hundred digits (default: %(default)s)")
    a = p.parse_args()
    runs = [[float(v) for v in subprocess.run([sys.executable, "-c", PROGRAM, a.preset],
                                              capture_output=True, text=True, check=True).stdout.split()]
            for _ in range(3)]
    imported, loaded, drawn, sheet = (min(column) for column in zip(*runs))
    print(f"import {imported:.2f} s, load {loaded:.2f} s, first digit {drawn:.2f} s (guided, 20 steps), "
          f"100 digits {sheet:.2f} s (preset {a.preset})")
