"""Our samplers and grids answer as k-diffusion 0.1.1.post1 does (oracles/make_kdiffusion.py made the
numbers). UniPC: test_unipc.py.

Compared is what the denoiser was asked, all levels and states in order, and the result. k-diffusion's
DPM-fast and DPM-adaptive stop at the last level above 0: so do ours here, on a grid that ends there; on one
that ends in 0 they go on to it with one more call."""
import json
from itertools import pairwise, product
from pathlib import Path

import pytest
import torch
from ddpm_edu import SAMPLERS
from ddpm_edu.denoising import BrownianNoise, exact_denoiser, mixture_denoiser, schedules
from safetensors import safe_open
from safetensors.torch import load_file

ORACLES = Path(__file__).parent/"oracles"
RUNS, ANSWERS = (load_file(ORACLES/f"kdiffusion_{name}.safetensors") for name in ("samplers", "models"))
with safe_open(ORACLES/"kdiffusion_samplers.safetensors", "pt") as f:
    CASES = json.loads(f.metadata()["cases"])
MODELS = {"points": exact_denoiser(RUNS["points"]),
          "mixture": mixture_denoiser(RUNS["means"], RUNS["stds"], RUNS["weights"])}
GRIDS = [(grid, n) for grid in ("karras", "exponential", "vp") for n in (6, 16)]


def relative(a, b):
    "The largest difference, as a share of the largest number in each row."
    assert a.shape == b.shape and a.dtype == b.dtype == torch.float64
    return ((a - b).flatten(1).abs().amax(1) / b.flatten(1).abs().amax(1).clamp(min=1e-3)).max().item()


def injected(noises, case, options, grid):
    """A noise sampler that hands out the stored noises in order (k-diffusion draws for churn in every step,
    also where it then adds none)."""
    if case.endswith("+window"):
        noises = [z for z, s in zip(noises, grid) if options["s_tmin"] <= s <= options["s_tmax"]]
    if "adaptive" in case: noises = torch.cat([noises] * 50)
    it = iter(noises)
    return lambda x: next(it)


def asked(model, grid, n, case):
    "Run ours: every question to the denoiser and the result, `[calls + 1, 1 + numbers in x]`; and its steps."
    sampler, options = CASES[case]
    levels, noise, calls = RUNS[f"{grid}/{n}"], RUNS[f"{model}/noise"], []
    def D(x, sigma):
        calls.append(torch.cat([sigma[:1], x.flatten()]))
        return MODELS[model](x, sigma)
    if any(word in sampler for word in ("sde", "ancestral")) or {"eta", "s_churn"} & options.keys():
        options = options | dict(noise_sampler=injected(noise[1:], case, options, levels))
    if "fast" in sampler or "adaptive" in sampler: levels = levels[:-1]
    steps = list(SAMPLERS[sampler](D, noise[0] * levels[0], levels, **options))
    return torch.stack([*calls, torch.cat([noise.new_zeros(1), steps[-1].x.flatten()])]), steps


@pytest.mark.parametrize("model, case", [*product(MODELS, CASES)])
def test_sampler(model, case):
    for grid, n in GRIDS:
        (ours, steps), theirs = asked(model, grid, n, case), RUNS[f"{model}/{grid}/{n}/{case}"]
        assert steps[-1].nfe == len(ours) - 1
        if "adaptive" in case: ours = torch.cat([theirs[:, :1], ours[-1:, 1:]], 1)
        assert relative(ours, theirs) < 1e-8, (grid, n)


def test_every_sampler_is_compared():
    assert {sampler for sampler, _ in CASES.values()} | {"ddpm", "ddim", "unipc"} == set(SAMPLERS)


def test_the_comparison_can_fail():
    "A wrong option is seen, and so is noise in another order."
    right = RUNS["mixture/karras/16/dpmpp_2m_sde+eta"]
    ours, _ = asked("mixture", "karras", 16, "dpmpp_2m_sde+eta")
    other, _ = asked("mixture", "karras", 16, "dpmpp_2m_sde")
    assert relative(ours, right) < 1e-8 and relative(other, right) > 1e-2


@pytest.mark.parametrize("key", [k for k in ANSWERS if k.startswith("grids/")])
def test_grid(key):
    kind, n = key.split("/")[1:]
    make, _, rho = kind.partition("_rho")
    options = dict(beta_d=15., beta_min=.2,
                   eps=1e-2) if kind == "vp_other" else dict(rho=float(rho)) if rho else {}
    ends = () if make.startswith("vp") else (.02, 80.)
    ours = getattr(schedules, f"{make.removesuffix('_other')}_sigmas")(int(n), *ends, **options)
    torch.testing.assert_close(ours, ANSWERS[key], rtol=1e-12, atol=0)


def test_brownian_path():
    "The same tree as theirs, if the seeds are the same."
    noise, levels = BrownianNoise(0, 2), ANSWERS["brownian/levels"].tolist()
    noise.seeds = [11, 12]
    ours = torch.stack([noise.between(torch.zeros(2, 3, dtype=torch.float64), a, b)
                        for a, b in pairwise(levels)])
    torch.testing.assert_close(ours, ANSWERS["brownian/log"], rtol=1e-9, atol=1e-9)
