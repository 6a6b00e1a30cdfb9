"""What a sampling loop costs beside the network: microseconds a call of the denoiser, its time and that of
random numbers removed.

    .venv/bin/python benchmarks/sampler_overhead.py [FOLDER ...]

The denoiser of the first table does nothing (it returns a stored tensor), and so does the source of noise:
only the loop is left. Beside ours stand k-diffusion's functions and diffusers' schedulers, where they can be
imported; a FOLDER is one to look in. One for k-diffusion, of which only the sampling module runs, is made by

    pip install --no-deps --target FOLDER k-diffusion==0.1.1.post1

The rounds of all are interleaved, so that they see the same machine. The second table adds the bridge from a
`GaussianDiffusion` (levels to times, objective, guidance, threshold) around a network that does nothing, and
the demo's digits network at the same batch.
"""
import importlib
import inspect
import statistics
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import ModuleType

import torch
from ddpm_edu import SAMPLERS, GaussianDiffusion, cosine_beta_schedule
from ddpm_edu.denoising import final, karras_sigmas
from ddpm_edu.models import digits_model
from torch import nn

BATCH, N, ROUNDS = 16, 50, 31


def medians(runs):
    "For each name the median over rounds of microseconds a call; a run returns its number of calls."
    times = {name: [] for name in runs}
    for run in runs.values(): run()
    for _ in range(ROUNDS):
        for name, run in runs.items():
            t = time.perf_counter(); calls = run()
            times[name].append((time.perf_counter() - t) / calls * 1e6)
    return {name: statistics.median(ts) for name, ts in times.items()}


x = torch.randn(BATCH, 1, 28, 28)
x0, zeros, sigmas = torch.randn_like(x), torch.zeros_like(x), karras_sigmas(N, .02, 80.)
model_calls = {}


def answer(name):
    "A denoiser that does nothing but count."
    def D(x, sigma, **cond):
        model_calls[name] = model_calls.get(name, 0) + 1
        return x0
    return D


def counted(name, run):
    def once():
        model_calls[name] = 0
        run(answer(name))
        return model_calls[name]
    return once


def ours():
    rows = {}
    for name, f in SAMPLERS.items():
        options = ({"noise_sampler": lambda x: zeros} if "noise_sampler" in inspect.signature(f).parameters
                   else {})
        rows[name] = counted(f"ours {name}",
                             lambda D, f=f, options=options: final(f(D, x, sigmas, **options)))
    return rows


def kdiffusion():
    "k-diffusion's sampling module, by file: its package would import much else."
    folder = next((p for p in map(Path, sys.path) if (p/"k_diffusion"/"sampling.py").exists()), None)
    if folder is None: return {}
    for name in ("k_diffusion", "torchvision", "torchvision.transforms", "torchvision.transforms.functional"):
        if name not in sys.modules: sys.modules[name] = ModuleType(name)
    sys.modules["k_diffusion"].__path__ = [str(folder/"k_diffusion")]
    sys.modules["torchvision.transforms"].functional = None
    K = importlib.import_module("k_diffusion.sampling")
    # which churn asks for, wanted or not; ours took the real one when it was imported
    torch.randn_like = lambda x: zeros
    rows, f32 = {}, sigmas.float()
    for name in SAMPLERS:
        f = getattr(K, f"sample_{name}", None)
        if f is None: continue
        more = ({"noise_sampler": lambda s, s2: zeros} if "noise_sampler" in inspect.signature(f).parameters
                else {})
        ends = (.02, 80.) if name in ("dpm_fast", "dpm_adaptive") else (f32,)
        if name == "dpm_fast": ends += (N,)
        run = lambda D, f, ends, more: f(D, x, *ends, disable=True, **more)
        rows[name] = counted(f"theirs {name}", partial(run, f=f, ends=ends, more=more))
    return rows


def diffusers():
    "The loop that a pipeline runs: `scale_model_input` where there is one, `step`."
    with suppress(ImportError):
        import diffusers.schedulers as S
        unclipped = dict(clip_sample=False)
        kinds = dict(ddpm=(S.DDPMScheduler, unclipped), ddim=(S.DDIMScheduler, unclipped),
                     euler=(S.EulerDiscreteScheduler, {}),
                     euler_ancestral=(S.EulerAncestralDiscreteScheduler, {}),
                     heun=(S.HeunDiscreteScheduler, {}),
                     dpm_2=(S.KDPM2DiscreteScheduler, {}),
                     dpm_2_ancestral=(S.KDPM2AncestralDiscreteScheduler, {}),
                     dpmpp_2m=(S.DPMSolverMultistepScheduler, {}), unipc=(S.UniPCMultistepScheduler, {}),
                     dpmpp_2m_sde=(S.DPMSolverMultistepScheduler, dict(algorithm_type="sde-dpmsolver++")))
        for module in {sys.modules[kind.__module__] for kind, _ in kinds.values()}:
            if hasattr(module, "randn_tensor"): module.randn_tensor = lambda *args, **kwargs: zeros
        def walk(D, kind, options):
            scheduler = kind(**options) # epsilon, which all of them know
            scheduler.set_timesteps(N)
            state = x
            for t in scheduler.timesteps:
                D(scheduler.scale_model_input(state, t), t)
                state = scheduler.step(x0, t, state).prev_sample
        return {name: counted(f"diffusers {name}", partial(walk, kind=k, options=options))
                for name, (k, options) in kinds.items()}
    return {}


class Nothing(nn.Module):
    "A network that answers at once, with what it is given."
    def forward(self, x, t, y=None): return x


def bridge():
    "Through `model.sample`, and the network alone."
    model = GaussianDiffusion(Nothing(), cosine_beta_schedule(100), (1, 28, 28), objective="v", p_uncond=.1)
    digits = digits_model().eval()
    def sample(model, scale): model.sample(BATCH, 7, scale, sampler="ddim", n_steps=N, noise=x); return N
    rows = {f"model.sample, ddim, scale {scale:g}, {what}": partial(sample, m, scale)
            for m, what in ((model, "no network"), (digits, "digits network")) for scale in (1., 2.)}
    @torch.no_grad()
    def network():
        for _ in range(N): digits.net(x, torch.full((BATCH,), 50.), y=torch.full((BATCH,), 7))
        return N
    return rows | {"one call of the digits network": network}


if __name__ == "__main__":
    sys.path += sys.argv[1:]
    theirs = diffusers()        # before the stand-ins for what k-diffusion imports
    sides = {"ours": ours(), "k-diffusion": kdiffusion(), "diffusers": theirs}
    us = medians({(side, name): run for side, rows in sides.items() for name, run in rows.items()})
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, batch {BATCH} of 28×28, "
          f"{N} steps; microseconds a call")
    print(f"  {'':20}" + "".join(f"{side:>14}" for side in sides))
    for name in SAMPLERS:
        cells = [us.get((side, name)) for side in sides]
        slower = any(v and v < cells[0] for v in cells[1:])
        print(f"  {name:20}" + "".join(f"{v:14.0f}" if v else f"{'':>14}" for v in cells)
              + "   <-- slower" * slower)
    more = medians(bridge())
    network = more["one call of the digits network"]
    print("through a model:")
    for name, v in more.items(): print(f"  {name:46} {v:8.0f}")
    loops = {name: us["ours", name] / network for name in SAMPLERS}
    worst = max(loops, key=loops.get)
    print(f"loop alone / network: ddim {loops['ddim']:.2%}, at worst {loops[worst]:.2%} ({worst})")
    print(f"loop and bridge / network: {more['model.sample, ddim, scale 1, no network'] / network:.2%}")
