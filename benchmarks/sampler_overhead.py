"""What a sampling loop costs beside the network: microseconds a step, the network's time and random numbers removed.

    .venv/bin/python benchmarks/sampler_overhead.py

The denoiser of the first rows does nothing (it returns a stored tensor), so only the loop is left: `as_grid`, `Step`s, the step's own
arithmetic. The next rows add the bridge from a `GaussianDiffusion` (levels to times, objective, guidance, threshold) around a network
that does nothing. The last are the demo's digits network at the same batch.
"""
import statistics
import time
from itertools import pairwise

import torch
from torch import nn

from ddpm_edu import GaussianDiffusion
from ddpm_edu.demo import digits_model
from ddpm_edu.samplers import SAMPLERS, final
from ddpm_edu.schedules import cosine_beta_schedule

BATCH, N, ROUNDS = 16, 50, 31


def microseconds_a_step(run):
    "Median over rounds."
    run()
    times = []
    for _ in range(ROUNDS):
        t = time.perf_counter(); run(); times.append((time.perf_counter() - t) / N * 1e6)
    return statistics.median(times)


class Nothing(nn.Module):
    "A network that answers at once, with what it is given."
    def forward(self, x, t, y=None): return x


@torch.no_grad()
def bare(x, sigmas):
    "Euler by hand."
    x0 = x.clone()
    for s, s2 in pairwise(sigmas): x = x0 + s2 / s * (x - x0)
    return x


x = torch.randn(BATCH, 1, 28, 28)
sigmas = torch.cat([torch.logspace(1.5, -2, N), torch.zeros(1)])
x0, zeros = x.clone(), torch.zeros_like(x)
rows = {"euler by hand, nothing yielded": microseconds_a_step(lambda: bare(x, sigmas.tolist()))}
for name, sampler in SAMPLERS.items():
    options = {"noise_sampler": lambda _: zeros} if name != "euler" else {}
    rows[name] = microseconds_a_step(lambda sampler=sampler, options=options: final(sampler(lambda x, s: x0, x, sigmas, **options)))
model = GaussianDiffusion(Nothing(), cosine_beta_schedule(100), (1, 28, 28), objective="v", p_uncond=.1)
y = torch.full((BATCH,), 7)
for scale in (1., 2.):
    rows[f"model.sample, ddim, scale {scale:g}, no network"] = microseconds_a_step(
        lambda scale=scale: model.sample(BATCH, y, scale, sampler="ddim", n_steps=N, noise=x))
digits = digits_model().eval()
for scale in (1., 2.):
    rows[f"model.sample, ddim, scale {scale:g}, digits network"] = microseconds_a_step(
        lambda scale=scale: digits.sample(BATCH, y, scale, sampler="ddim", n_steps=N, noise=x)) if scale else 0.
with torch.no_grad():
    t, one = torch.full((BATCH,), 50.), time.perf_counter()
    calls = []
    for _ in range(200):
        one = time.perf_counter(); digits.net(x, t, y=y); calls.append((time.perf_counter() - one) * 1e6)
network = statistics.median(calls)
print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, batch {BATCH} of 28×28, {N} steps; microseconds a step")
for name, us in rows.items(): print(f"  {name:46} {us:8.0f}")
print(f"  {'one call of the digits network':46} {network:8.0f}")
print(f"loop alone / network:      {rows['ddim'] / network:.2%}")
print(f"loop and bridge / network: {rows['model.sample, ddim, scale 1, no network'] / network:.2%}")
