"""Make the two files beside this script: what k-diffusion 0.1.1.post1 answers, in float64, for
test_kdiffusion.py and others.

In an environment of its own, since k-diffusion asks for much that sampling does not need (its module
`sampling` is run as it is):

    python -m venv kd
    kd/bin/pip install torch numpy scipy tqdm einops Pillow safetensors torchdiffeq torchsde
    kd/bin/pip install --no-deps k-diffusion==0.1.1.post1
    kd/bin/python tests/oracles/make_kdiffusion.py

kdiffusion_samplers.safetensors: `points`; `means`, `stds`, `weights` (a Gaussian mixture); `MODEL/noise`
`[40, 2, ...]`: number 0 times σ_max is the start, the others are handed out in this order; `GRID/N` the noise
levels; `MODEL/GRID/N/CASE` `[calls + 1, 1 + numbers in x]`: for each call of the denoiser the level and the
state that it was shown, and last a 0 and the result (the adaptive sampler: only that, with the number of
calls in front). The metadata `cases` says which sampler and options a CASE is. Churn of step i takes noise i
+ 1.

kdiffusion_models.safetensors: `grids/…`, `densities/…`, `likelihood/…`, `schedule/…`, `wrappers/…`,
`brownian/…`: see the functions below.
"""
import importlib
import json
import math
import sys
from functools import partial
from itertools import pairwise, product
from pathlib import Path
from types import ModuleType, SimpleNamespace

import torch
from safetensors.torch import save_file

HERE, N = Path(__file__).parent, (6, 16)
ETA = dict(eta=.5, s_noise=1.1)
CHURN, WINDOW = dict(s_churn=40., s_noise=1.003), dict(s_churn=2., s_noise=1.1, s_tmin=.5, s_tmax=5.)
CHURNED = "euler", "heun", "dpm_2"
NOISY = ("euler_ancestral", "dpm_2_ancestral", "dpmpp_2s_ancestral",
         "dpmpp_sde", "dpmpp_2m_sde", "dpmpp_3m_sde")
CASES = {s + tag: (s, options) for s in CHURNED
         for tag, options in [("", {}), ("+churn", CHURN), ("+window", WINDOW)]}
CASES |= {s + tag: (s, options) for s in NOISY
          for tag, options in [("", {}), ("+eta", ETA), ("+ode", dict(eta=0.))]}
CASES |= {"dpmpp_sde+r": ("dpmpp_sde", dict(r=.3)),
          "dpmpp_2m_sde+heun": ("dpmpp_2m_sde", dict(solver_type="heun", eta=.7)),
          "lms": ("lms", {}), "lms+order": ("lms", dict(order=2)), "dpmpp_2m": ("dpmpp_2m", {}),
          "dpm_fast": ("dpm_fast", {}), "dpm_fast+eta": ("dpm_fast", ETA),
          "dpm_adaptive": ("dpm_adaptive", {}), "dpm_adaptive+eta": ("dpm_adaptive", ETA),
          "dpm_adaptive+pid": ("dpm_adaptive",
          dict(order=2, rtol=.01, atol=.001, h_init=.1, pcoeff=.2, icoeff=.7, dcoeff=.1, accept_safety=.9))}


def load():
    """k-diffusion's modules `sampling`, `external`, `layers` and `utils`; its `__init__`, which imports all
    the rest, is passed by."""
    image = ("torchvision", "torchvision.transforms",
             "torchvision.transforms.functional", "dctorch", "dctorch.functional")
    for name in ("k_diffusion", *image): sys.modules[name] = ModuleType(name)
    sys.modules["torchvision.transforms"].functional = sys.modules["dctorch"].functional = None
    folder = next(p for p in map(Path, sys.path) if (p/"k_diffusion"/"sampling.py").exists())/"k_diffusion"
    sys.modules["k_diffusion"].__path__ = [str(folder)]
    return [importlib.import_module(f"k_diffusion.{name}")
            for name in ("sampling", "external", "layers", "utils")]


def points_denoiser(points, x, sigma):
    "The mean of the points, weighted by how likely each is to lie behind `x`."
    d2 = ((x[:, None] - points) ** 2).flatten(2).sum(2)
    return torch.einsum("bk,k...->b...", torch.softmax(-d2 / (2 * sigma[:, None] ** 2), 1), points)


def mixture_denoiser(means, stds, weights, x, sigma):
    """The mean of the clean data behind `x`: each component's own answer, weighted by its posterior
    probability."""
    var, s2 = stds ** 2, sigma[:, None] ** 2
    d2, dim = ((x[:, None] - means) ** 2).flatten(2).sum(2), x[0].numel()
    p = torch.softmax(weights.log() - d2 / (2 * (var + s2)) - dim / 2 * (var + s2).log(), 1)
    pull = (var / (var + s2)).reshape(*p.shape, *[1] * (x.ndim - 1))
    return (p.reshape(pull.shape) * (means + pull * (x[:, None] - means))).sum(1)


def known(out):
    "The two models and the shape of their data."
    return {"points": (partial(points_denoiser, out["points"]), (2,)),
            "mixture": (partial(mixture_denoiser, out["means"], out["stds"], out["weights"]), (1, 2, 2))}


def sampled(K, D, noise, grid, sampler, options):
    "One run: every call of the denoiser, and the result."
    calls, at = [], iter(noise[1:])
    def model(x, sigma):
        calls.append(torch.cat([sigma[:1], x.flatten()]))
        return D(x, sigma)
    run = partial(getattr(K, f"sample_{sampler}"), model, noise[0] * grid[0], disable=True, **options)
    K.torch.randn_like = lambda x: next(at)
    more = dict(noise_sampler=lambda s, s2: next(at)) if sampler in NOISY or "eta" in options else {}
    if sampler == "dpm_adaptive":
        x, info = run(grid[-2].item(), grid[0].item(), return_info=True, **more)
        return torch.cat([x.new_tensor([info["nfe"]]), x.flatten()])[None]
    x = run(grid[-2].item(), grid[0].item(), len(grid) - 2,
            **more) if sampler == "dpm_fast" else run(grid, **more)
    return torch.stack([*calls, torch.cat([x.new_zeros(1), x.flatten()])])


def samplers(K):
    g = torch.Generator().manual_seed(0)
    points, means = torch.rand(5, 2, generator=g) * 2 - 1, torch.rand(3, 1, 2, 2, generator=g) * 2 - 1
    stds, weights = torch.tensor([.2, .4, .3]), torch.tensor([.5, .2, .3])
    out = dict(points=points, means=means, stds=stds, weights=weights)
    models = known(out)
    grids = dict(karras=partial(K.get_sigmas_karras, sigma_min=.1, sigma_max=10.), vp=K.get_sigmas_vp,
                 exponential=partial(K.get_sigmas_exponential, sigma_min=.03, sigma_max=80.))
    for (grid, levels), n in product(grids.items(), N): out[f"{grid}/{n}"] = levels(n)
    randn_like = torch.randn_like
    for model, (D, shape) in models.items():
        out[f"{model}/noise"] = noise = torch.randn(40, 2, *shape, generator=g)
        for grid, n, (case, (sampler, options)) in product(grids, N, CASES.items()):
            long = noise if "adaptive" not in case else torch.cat([noise, *[noise[1:]] * 50])    # goes round
            out[f"{model}/{grid}/{n}/{case}"] = sampled(K, D, long, out[f"{grid}/{n}"], sampler, options)
    torch.randn_like = randn_like
    return out


def schedules_and_densities(K, U):
    """`grids/KIND/N`; `densities/u`, the uniform numbers that became `densities/KIND` (arguments below);
    stratified: `densities/strata`."""
    out = {f"grids/karras/{n}": K.get_sigmas_karras(n, .02, 80.) for n in (1, 2, 10)}
    out["grids/karras_rho3/10"] = K.get_sigmas_karras(10, .02, 80., rho=3.)
    out |= {f"grids/exponential/{n}": K.get_sigmas_exponential(n, .02, 80.) for n in (1, 2, 10)}
    out |= {f"grids/polyexponential_rho{r}/10": K.get_sigmas_polyexponential(10, .02, 80., rho=r)
            for r in (1., .5, 2.)}
    out |= {f"grids/vp/{n}": K.get_sigmas_vp(n) for n in (1, 2, 10)}
    out["grids/vp_other/10"] = K.get_sigmas_vp(10, beta_d=15., beta_min=.2, eps_s=1e-2)
    u, z, rand, randn = torch.linspace(.01, .99, 25), torch.linspace(-2.5, 2.5, 25), torch.rand, torch.randn
    torch.rand, torch.randn = (lambda *args, **kwargs: u.clone()), (lambda *args, **kwargs: z.clone())
    f8, n = dict(dtype=torch.float64), (25,)
    drawn = dict(
        u=u, z=z, strata=U.stratified_uniform(n, 1, 3), lognormal=U.rand_log_normal(n, -1.2, 1.2, **f8),
        loglogistic=U.rand_log_logistic(n, math.log(.5), .5, **f8),
        loglogistic_cut=U.rand_log_logistic(n, math.log(.5), .5, .01, 10., **f8),
        loguniform=U.rand_log_uniform(n, .01, 80., **f8), cosine=U.rand_v_diffusion(n, .5, 1e-3, 1e3, **f8),
        split_lognormal=U.rand_split_log_normal(n, -1.2, .6, 1.5, **f8),
        cosine_interpolated=U.rand_cosine_interpolated(n, 64, 32, 64, .5, **f8))
    out |= {f"densities/{kind}": s for kind, s in drawn.items()}
    torch.rand, torch.randn = rand, randn
    return out


def likelihood(K, models):
    """Between σ = 0.05 and 20: `likelihood/MODEL/x`, `/v` (Hutchinson's signs), `/loose` (tolerances 1e-4)
    and `/tight` (1e-9) in nats, `/calls` of the loose one. A third MODEL is `gaussian`, normal data with mean
    0.2 and standard deviation 0.4."""
    out, g, randint_like = {}, torch.Generator().manual_seed(3), torch.randint_like
    for name, (D, shape) in models.items():
        x, v = torch.rand(4, *shape, generator=g) - .5, torch.randint(0, 2, (4, *shape), generator=g).double()
        K.torch.randint_like = lambda x, n, v=v: v
        (loose, info), (tight, _) = (K.log_likelihood(D, x, .05, 20., atol=tol, rtol=tol)
                                     for tol in (1e-4, 1e-9))
        answers = dict(x=x, v=v * 2 - 1, loose=loose, tight=tight, calls=torch.tensor([info["fevals"]]))
        out |= {f"likelihood/{name}/{kind}": value for kind, value in answers.items()}
    torch.randint_like = randint_like
    return out


def wrappers(E, L):
    """Around `net(x, t) = sin(3x + t/10)` (for layers.Denoiser `net(x, σ) = sin(3x + ln σ / 4)`), T = 65
    levels of a linear schedule.

    `wrappers/x`, `/sigma`, `/noise`; `wrappers/KIND` what it answers to x at σ; `wrappers/KIND/loss` the loss
    of x with that noise at σ."""
    g = torch.Generator().manual_seed(4)
    x, noise, sigma = (torch.randn(5, 1, 2, 2, generator=g),
                       torch.randn(5, 1, 2, 2, generator=g), torch.tensor([.011, .3, 1., 4., 120.]))
    ac, level = (1 - torch.linspace(1e-3, .15, 65)).cumprod(0), lambda t: t.reshape(-1, 1, 1, 1)
    net = lambda x, t, cond=None: torch.sin(3 * x + level(t) / 10)
    edm = lambda x, sigma: torch.sin(3 * x + level(sigma).log() / 4)
    both = (lambda x, sigma, return_variance=False: (edm(x, sigma), x.flatten(1).mean(1))
            if return_variance else edm(x, sigma))
    compvis, openai = SimpleNamespace(alphas_cumprod=ac,
                                      apply_model=net), SimpleNamespace(alphas_cumprod=ac.tolist())
    class Module(torch.nn.Module):
        def __init__(self, **names):
            super().__init__()
            self.__dict__.update(names)
    kinds = dict(
        eps=E.DiscreteEpsDDPMDenoiser(net, ac, False),
        eps_quantised=E.DiscreteEpsDDPMDenoiser(net, ac, True), v=E.VDenoiser(net),
        v_discrete=E.DiscreteVDDPMDenoiser(net, ac, False),
        v_discrete_quantised=E.DiscreteVDDPMDenoiser(net, ac, True),
        openai=E.OpenAIDenoiser(lambda x, t: torch.cat([net(x, t), x], 1), openai),
        compvis=E.CompVisDenoiser(Module(**vars(compvis))),
        openai_fixed=E.OpenAIDenoiser(net, openai, has_learned_sigmas=False),
        edm=L.Denoiser(edm, sigma_data=.5), edm_simple=L.SimpleLossDenoiser(edm, sigma_data=.5),
        edm_snr=L.Denoiser(edm, .5, "snr"),
        edm_soft_min_snr=L.Denoiser(edm, .5, "soft-min-snr"), edm_variance=L.DenoiserWithVariance(both, .5))
    out = {"wrappers/x": x, "wrappers/sigma": sigma, "wrappers/noise": noise, "wrappers/alphas_cumprod": ac}
    for kind, D in kinds.items():
        out |= {f"wrappers/{kind}": D(x, sigma), f"wrappers/{kind}/loss": D.loss(x, noise, sigma)}
    out["wrappers/compvis_v"] = E.CompVisVDenoiser(Module(**vars(compvis)))(x, sigma, cond=None)
    # quarters: k-diffusion rounds t to float32
    s, t, D = torch.logspace(-2, 2.5, 40), torch.arange(0, 64.25, .25), kinds["eps"]
    schedule = {"sigma": s, "sigma_to_t": D.sigma_to_t(s),
                "sigma_to_t_quantised": D.sigma_to_t(s, True).double(), "t": t,
                "t_to_sigma": D.t_to_sigma(t), "get_sigmas/all": D.get_sigmas(),
                **{f"get_sigmas/{n}": D.get_sigmas(n) for n in (2, 9, 129)}}
    return out | {f"schedule/{kind}": value for kind, value in schedule.items()}


def brownian(K):
    """`brownian/KIND`: normalised increments of trees with seeds 11 and 12 between `brownian/levels`; clocks
    σ, and ln σ from -15 to 15."""
    levels = torch.tensor([10., 3., 2.9, .5, .1])
    sigma = K.BrownianTreeNoiseSampler(torch.zeros(2, 3), .1, 10., seed=[11, 12])
    log = K.BrownianTreeNoiseSampler(torch.zeros(2, 3),
                                     math.exp(-15.), math.exp(15.), seed=[11, 12], transform=torch.log)
    increments = {f"brownian/{name}": [tree(a, b) for a, b in pairwise(levels)]
                  for name, tree in (("sigma", sigma), ("log", log))}
    return {"brownian/levels": levels} | {name: torch.stack(rows) for name, rows in increments.items()}


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    K, E, L, U = load()
    runs = samplers(K)
    models = known(runs) | {"gaussian": (lambda x, sigma: .2 + .16
                                         / (.16 + sigma.reshape(-1, 1, 1, 1) ** 2) * (x - .2), (1, 2, 2))}
    answers = schedules_and_densities(K, U) | likelihood(K, models) | wrappers(E, L) | brownian(K)
    about = {"versions": json.dumps({"k-diffusion": "0.1.1.post1", "torch": torch.__version__})}
    for name, tensors, more in [("samplers", runs, {"cases": json.dumps(CASES)}), ("models", answers, {})]:
        path = HERE/f"kdiffusion_{name}.safetensors"
        save_file({k: v.detach().contiguous().clone() for k, v in tensors.items()},
                  path, metadata=about | more)
        print(f"{path.stat().st_size:,} bytes, {len(tensors)} tensors: {path}")
