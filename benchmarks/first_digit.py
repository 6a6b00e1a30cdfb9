"""How long until the first digit? Loading the weights that ship, and drawing one digit with guidance; the
best of three processes.

    python benchmarks/first_digit.py
"""
import subprocess
import sys

PROGRAM = """
import time
start = time.perf_counter()
from ddpm_edu import load
import ddpm_edu.models.karras, ddpm_edu.networks.unet
imported = time.perf_counter()
model = load("digits_guided")
loaded = time.perf_counter()
model.sample(1, labels=7, guidance_scale=2., sampler="dpmpp_2m_sde", n_steps=20, seed=0)
print(imported - start, loaded - imported, time.perf_counter() - loaded)
"""

if __name__ == "__main__":
    runs = [[float(v) for v in subprocess.run([sys.executable, "-c", PROGRAM],
                                              capture_output=True, text=True, check=True).stdout.split()]
            for _ in range(3)]
    imported, loaded, drawn = (min(column) for column in zip(*runs))
    print(f"import {imported:.2f} s, load {loaded:.2f} s, first digit {drawn:.2f} s (guided, 20 steps)")
