"""Wrapped networks answer as k-diffusion's wrappers do, and sample as diffusers' schedulers and pipelines do,
whatever a scheduler's configuration says or by what name it is refused; they are saved and come back.

oracles/make_kdiffusion.py made the numbers. k-diffusion's losses are at any level and ours at whole steps, so
they are compared by what they have in common, the error of x0: the error of the noise is it divided by σ²,
that of the velocity divided by σ²/(1+σ²)."""
import copy
import inspect
import math
import pickle
from enum import Enum
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import diffusers
import pytest
import torch
from ddpm_edu import SAMPLERS, GaussianDiffusion, load
from ddpm_edu.denoising import linear_beta_schedule, log_likelihood
from ddpm_edu.models import SCHEDULERS, ForeignNet, Sampling, betas_from_alphas_cumprod, from_compvis
from ddpm_edu.models import from_diffusers, from_openai, from_v_diffusion
from diffusers import (
    DDIMPipeline, DDIMScheduler, DDPMPipeline, DDPMScheduler,
    EulerDiscreteScheduler, UNet2DConditionModel, UNet2DModel,
)
from safetensors.torch import load_file

ANSWERS = load_file(Path(__file__).parent/"oracles/kdiffusion_models.safetensors")
X, SIGMA, NOISE, AC = (ANSWERS[f"wrappers/{k}"] for k in ("x", "sigma", "noise", "alphas_cumprod"))
SHAPE, KINDS = ((1, 2, 2), "eps eps_quantised v_discrete v_discrete_quantised "
                           "v openai openai_fixed compvis compvis_v".split())
TINY = dict(sample_size=8, in_channels=1, out_channels=1,
            layers_per_block=1, block_out_channels=(8, 16), norm_num_groups=4)
PLAIN = dict(down_block_types=("DownBlock2D", "AttnDownBlock2D"),
             up_block_types=("AttnUpBlock2D", "UpBlock2D"))


class Sine(torch.nn.Module):
    """k-diffusion's test network; with `double`, the input stands behind the answer as if it were a learned
    variance."""
    def __init__(self, double=False):
        super().__init__()
        self.double = double

    def forward(self, x, t, more=0.):
        out = torch.sin(3 * x + torch.as_tensor(t).to(x).reshape(-1, 1, 1, 1) / 10) + more
        return torch.cat([out, x], 1) if self.double else out


def latent(parameterization):
    "The same behind the interface of latent diffusion."
    return SimpleNamespace(alphas_cumprod=AC, parameterization=parameterization, channels=1, image_size=2,
                           apply_model=lambda x, t, cond: Sine()(x, t))


def wrap(kind):
    "The model of a kind of oracle, its table in float64."
    quantize, betas = "quantised" in kind, betas_from_alphas_cumprod(AC)
    if kind == "v": return from_v_diffusion(Sine(), data_shape=SHAPE)
    if "compvis" in kind: model = from_compvis(latent("v" if kind.endswith("_v") else "eps"))
    else:
        model = from_openai(Sine(kind == "openai"), betas,
                            SHAPE, "v" if kind[0] == "v" else "eps", quantize=quantize)
    model.log_sigmas = model.table["sigmas"].log()
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_denoiser_and_loss_are_those_of_k_diffusion(kind):
    # float32: our table of angles, their table of ᾱ
    model, tight = wrap(kind), 1e-6 if kind == "v" or "openai" in kind else 1e-9
    torch.testing.assert_close(model.denoise(X, SIGMA), ANSWERS[f"wrappers/{kind}"], rtol=tight, atol=tight)
    if (loss := ANSWERS.get(f"wrappers/{kind}/loss")) is None: return
    error = (model.denoise(X + SIGMA.reshape(-1, 1, 1, 1) * NOISE, SIGMA)
             - X).square().flatten(1).mean(1) / SIGMA**2
    torch.testing.assert_close(error * (1 + SIGMA**2) if kind[0] == "v" else error,
                               loss, rtol=10 * tight, atol=0)
    if kind == "v": torch.testing.assert_close(model.loss_at(X, SIGMA, NOISE), loss, rtol=tight, atol=0)


def test_the_comparison_can_fail():
    assert (wrap("eps").denoise(X, SIGMA) - ANSWERS["wrappers/eps_quantised"]).abs().max() > 1e-3
    assert (wrap("v_discrete").denoise(X, SIGMA) - ANSWERS["wrappers/v"]).abs().max() > .1


def test_the_loss_at_whole_steps_is_that_error_too():
    model, t = from_openai(Sine(), betas_from_alphas_cumprod(AC),
                           SHAPE).double(), torch.tensor([0, 10, 20, 40, 64])
    sigma = model.sigmas[t]
    error = (model.denoise(X + sigma.reshape(-1, 1, 1, 1) * NOISE, sigma)
             - X).square().flatten(1).mean(1) / sigma**2
    torch.testing.assert_close(model.p_losses(X, t, NOISE), error, rtol=1e-5, atol=0)


def test_levels_and_steps_are_translated_as_by_k_diffusion():
    model, quantised = wrap("eps"), wrap("eps_quantised")
    sigma = ANSWERS["schedule/sigma"]
    # ours snaps to whole steps
    torch.testing.assert_close(model.sigma_to_t(sigma), ANSWERS["schedule/sigma_to_t"], rtol=0, atol=1.001e-3)
    assert torch.equal(quantised.sigma_to_t(sigma), ANSWERS["schedule/sigma_to_t_quantised"])
    torch.testing.assert_close(model.levels(), ANSWERS["schedule/get_sigmas/all"], rtol=1e-12, atol=0)


def unet(seed=0, **more):
    torch.manual_seed(seed)
    return UNet2DModel(**TINY, **PLAIN, **more).eval()


def start(seed=1): return torch.Generator().manual_seed(seed)


def piped(pipe, **options):
    "Four images of a pipeline, in [-1, 1]; seed 1."
    pipe.set_progress_bar_config(disable=True)
    return 2 * pipe(4, start(), output_type="pt", **options).images - 1


@pytest.mark.parametrize("kind", ["epsilon", "sample", "v_prediction"])
def test_same_images_as_the_ddpm_pipeline(kind):
    net, scheduler = unet(), DDPMScheduler(num_train_timesteps=60, prediction_type=kind)
    model = from_diffusers(net, scheduler)
    for n in (60, 12):
        g, theirs = start(), piped(DDPMPipeline(net, scheduler), num_inference_steps=n)
        noise = torch.randn(4, 1, 8, 8, generator=g)
        ours = model.sample(4, noise=noise, n_steps=n, spacing="leading",
                            noise_sampler=lambda x, g=g: torch.randn(x.shape, generator=g))
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)


@pytest.mark.parametrize("eta, clip, zero",
                         [(0., True, False), (.5, True, False), (0., False, False), (0., True, True)])
def test_same_images_as_the_ddim_pipeline(eta, clip, zero):
    scheduler = DDIMScheduler(num_train_timesteps=60,
                              clip_sample=clip, rescale_betas_zero_snr=zero, timestep_spacing="trailing",
                              prediction_type="v_prediction" if zero else "epsilon")
    net = unet()
    model, g = from_diffusers(net, scheduler), start()
    assert (model.threshold, model.zero_snr) == ("static" if clip else None, zero)
    theirs = piped(DDIMPipeline(net, scheduler), num_inference_steps=10,
                   eta=eta, use_clipped_model_output=clip)
    more = dict(eta=eta, noise_sampler=lambda x: torch.randn(x.shape, generator=g))
    ours = model.sample(4, noise=torch.randn(4, 1, 8, 8, generator=g),
                        sampler="ddim", n_steps=10, spacing="trailing", **more)
    torch.testing.assert_close(ours.clamp(-1, 1), theirs, rtol=0, atol=2e-5)


def test_classes_and_learned_variance():
    "(`from_config` of diffusers 0.42 forgets arguments by position: they are named here.)"
    net = unet(num_class_embeds=4)
    model = from_diffusers(net, DDPMScheduler(num_train_timesteps=60), null_class=3)
    x, sigma, y = torch.randn(3, 1, 8, 8), torch.tensor([.1, 1., 1.5]), torch.tensor([0, 2, -1])
    a, t = (1 + sigma**2).rsqrt().reshape(-1, 1, 1, 1), model.sigma_to_t(sigma)
    eps = net(a * x, t, class_labels=torch.tensor([0, 2, 3])).sample
    torch.testing.assert_close(model.denoise(x, sigma, y),
                               x - sigma.reshape(-1, 1, 1, 1) * eps, rtol=1e-4, atol=1e-4)
    assert model.sample(3, 1, 3., seed=0, n_steps=4).isfinite().all()
    with pytest.raises(ValueError, match="label 3 is out of range"): model.sample(2, 3)
    wide = UNet2DModel(**TINY | dict(out_channels=2), **PLAIN).eval()
    assert from_diffusers(wide, DDPMScheduler()).sample(2, seed=0, n_steps=3).shape == (2, 1, 8, 8)


def test_sentences():
    torch.manual_seed(0)
    blocks = dict(down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
                  up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"))
    net = UNet2DConditionModel(**TINY, **blocks, cross_attention_dim=6, attention_head_dim=4).eval()
    words, empty, x, sigma = (torch.randn(2, 5, 6), torch.zeros(5, 6),
                              torch.randn(3, 1, 8, 8), torch.full((3,), 2.))
    model = from_diffusers(net, EulerDiscreteScheduler(), words, empty)
    assert (model.net.num_classes, model.p_uncond, model.threshold, model.T) == (2, .1, None, 1000)
    eps = net(x / 5**.5, model.sigma_to_t(sigma),
              encoder_hidden_states=torch.stack([words[1], words[0], empty])).sample
    torch.testing.assert_close(model.denoise(x, sigma, torch.tensor([1, 0, -1])),
                               x - 2 * eps, rtol=1e-4, atol=1e-4)
    assert model.sample(3, [0, 1, 1], 4., sampler="dpmpp_2m", n_steps=4, seed=0).isfinite().all()
    # is asked in its own type, and answers in ours
    half = from_diffusers(net.to(torch.bfloat16), EulerDiscreteScheduler(), words, empty)
    assert half.denoise(x, sigma).dtype == torch.float32


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_on_a_stranger(sampler):
    for model in (from_diffusers(unet(), DDPMScheduler()), wrap("v").float()):
        ours = model.sample(3, seed=0, sampler=sampler, n_steps=6)
        assert ours.isfinite().all() and ours.shape == (3, *model.data_shape)


def test_likelihood_of_a_stranger():
    for model in (from_diffusers(unet(), DDPMScheduler()), from_compvis(latent("eps"))):
        nats, calls = log_likelihood(model.denoiser(threshold=None),
                                     torch.randn(2, *model.data_shape), .5, 20., rtol=1e-2, atol=1e-2)
        assert nats.isfinite().all() and calls > 10


def test_saved_and_back(tmp_path):
    model = from_diffusers(unet(), DDPMScheduler())
    back = load(model.save(tmp_path/"m.safetensors"),
                net=from_diffusers(unet(1), DDPMScheduler()).net, device="cpu")
    assert torch.equal(back.sample(2, seed=0, n_steps=3),
                       model.sample(2, seed=0, n_steps=3)) and back.config == model.config
    v = from_v_diffusion(Sine(), data_shape=SHAPE)
    back = load(v.save(tmp_path/"v.safetensors"), net=v.net, device="cpu")
    assert torch.equal(back.sample(2, seed=0),
                       v.sample(2, seed=0)) and (back.sigma_min, back.sigma_max) == (.01, 160.)


def test_what_cannot_be_read_is_refused():
    with pytest.raises(ValueError, match="must fall.*did you pass betas"):
        betas_from_alphas_cumprod(torch.linspace(1e-4, .02, 10))
    with pytest.raises(ValueError, match="parameterization='noise' cannot be read.*with `objective=`"):
        from_compvis(latent("noise"))
    with pytest.raises(ValueError, match="float16"): betas_from_alphas_cumprod(AC.half())


def test_a_network_with_a_table_of_steps():
    def ask(table, x, t, given): return x + table(t).mean(1).reshape(-1, 1, 1, 1)
    looks_up = ForeignNet(torch.nn.Embedding(65, 4), ask)
    model = GaussianDiffusion(looks_up, betas_from_alphas_cumprod(AC), SHAPE, quantize=True)
    assert model.sample(2, seed=0, sampler="dpmpp_2m", n_steps=5, spacing="karras").isfinite().all()


# what a field of a scheduler may say beside its default
OTHER = dict(
    num_train_timesteps=[100], beta_start=[.0005], beta_end=[.015],
    trained_betas=[torch.linspace(1e-3, .02, 60).tolist()],
    beta_schedule=["scaled_linear", "squaredcos_cap_v2", "exp", "sigmoid"],
    rescale_betas_zero_snr=[True], prediction_type=["sample", "v_prediction", "flow_prediction"],
    variance_type=["fixed_small_log", "fixed_large", "fixed_large_log", "learned", "learned_range"],
    clip_sample=[False, True], clip_sample_range=[.5], thresholding=[True],
    dynamic_thresholding_ratio=[.8], sample_max_value=[1.5],
    timestep_spacing=["leading", "trailing", "linspace"],
    steps_offset=[1], set_alpha_to_one=[False], use_karras_sigmas=[True], use_exponential_sigmas=[True],
    use_beta_sigmas=[True], use_lu_lambdas=[True], use_flow_sigmas=[True], flow_shift=[3.],
    use_dynamic_shifting=[True], time_shift_type=["linear"], shift_terminal=[.1],
    sigma_min=[.1], sigma_max=[5.], final_sigmas_type=["sigma_min"], interpolation_type=["log_linear"],
    timestep_type=["continuous"],
    solver_order=[1, 3], solver_type=["heun", "bh1"], solver_p=[DDIMScheduler()], lower_order_final=[False],
    algorithm_type=["dpmsolver", "sde-dpmsolver++"], euler_at_final=[True], predict_x0=[False],
    disable_corrector=[[0, 1]], lambda_min_clipped=[-3.])
# what else is said while they change: many matter only there
BESIDE = [{}, dict(timestep_spacing="leading"), dict(timestep_spacing="leading", steps_offset=1),
          dict(timestep_spacing="trailing"), dict(use_karras_sigmas=True), dict(thresholding=True),
          dict(clip_sample=True), dict(prediction_type="v_prediction")]


class Smooth(torch.nn.Module):
    "A network of diffusers' interface. What it says has no meaning, but depends on all that it is told."
    config = SimpleNamespace(in_channels=1, sample_size=4)

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = torch.nn.Conv2d(2, 8, 3, padding=1), torch.nn.Conv2d(8, 1, 3, padding=1)

    def forward(self, x, t, class_labels=None):
        t = torch.as_tensor(t).to(x).reshape(-1, 1, 1, 1).expand(len(x), *x.shape[1:]) / 20
        return SimpleNamespace(sample=self.b(torch.sin(2 * self.a(torch.cat([x, t], 1)))) + .5 * x)


@torch.no_grad()
def run_scheduler(net, scheduler, n, z):
    "What diffusers makes of starting noise."
    scheduler.set_timesteps(n)
    given, g = inspect.signature(scheduler.step).parameters, start()
    more = {k: v for k, v in dict(generator=g, use_clipped_model_output=True).items() if k in given}
    x = z * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        x = scheduler.step(net(scheduler.scale_model_input(x, t), t).sample, t, x, **more).prev_sample
    return x


def run_ours(model, n, z):
    "What we make of it, with the model's own sampler."
    fresh, g = "noise_sampler" in inspect.signature(SAMPLERS[model.sampling.sampler]).parameters, start()
    more = dict(noise_sampler=lambda x: torch.randn(x.shape, generator=g)) if fresh else {}
    return model.sample(len(z), noise=z, n_steps=n, **more)


def start_noise(): return torch.randn(3, 1, 4, 4, generator=start(7))


def apart(model, net, make, theirs=None):
    """The largest difference in five steps, as a share of the largest value; where it is large, beyond that
    which a change of the noise in its sixth digit makes to their own samples."""
    z = start_noise()
    theirs = run_scheduler(net, make(), 5, z) if theirs is None else theirs
    def share(x): return ((x - theirs).abs().max() / theirs.abs().max().clamp(min=1)).item()
    far = share(run_ours(model, 5, z))
    return far if far < 1e-4 else far - share(run_scheduler(net, make(), 5, z * (1 + 1e-6)))


def legal_samples(net, make):
    "What diffusers draws; `None` where it has no such scheduler or cannot sample with it."
    try: x = run_scheduler(net, make(), 5, start_noise())
    except Exception: return None
    return x if x.isfinite().all() else None


# fields whose values that we read change none of their own samples: the ratio matters where
# `sample_max_value` is above 1, which is refused; with 1, the dynamic threshold is the static one, which may
# be there already; limits are for nothing without clipping, kinds of variance for those that draw no noise
# or say the same, and each of the two solvers takes the other's `solver_type` for its default
IDLE = {"dynamic_thresholding_ratio", "sample_max_value", "thresholding", "clip_sample_range",
        "variance_type", "solver_type"}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_field_is_read_or_refused_by_name(name):
    make, net, read, matter = getattr(diffusers, name), Smooth(), set(), set()
    known = set(inspect.signature(make.__init__).parameters) - {"self"}
    assert known <= set(OTHER), "diffusers has new fields: add what they may say"
    for beside in (dict(num_train_timesteps=60) | v for v in BESIDE):
        if not set(beside) <= known: continue
        before = legal_samples(net, partial(make, **beside))
        for config, field in ((beside | {k: v}, k) for k in sorted(known) for v in OTHER[k]):
            if (theirs := legal_samples(net, partial(make, **config))) is None: continue
            try: model = from_diffusers(net, make(**config))
            except ValueError as e:
                said = [*(f"{k}=" for k in config), "the schedule leaves nothing at its end"]
                assert any(k in str(e) for k in said), (config, e)
            else:
                far = apart(model, net, partial(make, **config), theirs)
                assert far < 1e-4, (far, config)
                read.add(field)
                if before is None or not torch.equal(theirs, before): matter.add(field)
    assert read - matter <= IDLE
    assert {"beta_start", "beta_end", "beta_schedule", "trained_betas", "prediction_type", "timestep_spacing",
            "steps_offset", "num_train_timesteps"} <= matter


# what Stable Diffusion's repositories say, written for one scheduler and given to all
PUBLISHED = dict(beta_start=.00085, beta_end=.012, beta_schedule="scaled_linear", clip_sample=True,
                 set_alpha_to_one=True, skip_prk_steps=True, steps_offset=1, num_train_timesteps=60)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_fields_of_other_schedulers_are_not_read(name):
    def make(): return getattr(diffusers, name).from_config(PUBLISHED)
    assert "skip_prk_steps" in make().config
    model = from_diffusers(Smooth(), make())
    own = inspect.signature(getattr(diffusers, name)).parameters
    assert model.threshold == ("static" if "clip_sample" in own else None)
    assert apart(model, Smooth(), make) < 1e-4


def test_the_walk_can_fail():
    net, make = Smooth(), partial(DDIMScheduler, num_train_timesteps=60)
    model, other = from_diffusers(net, make()), partial(make, steps_offset=1)
    assert apart(model, net, make) < 1e-5 and apart(model, net, other) > 1e-3
    assert apart(from_diffusers(net, make(), threshold=None), net, make) > 1e-3


SAYS_OTHERWISE = [
    ("DDPMScheduler", dict(variance_type="learned_range")),
    ("DDPMScheduler", dict(variance_type="fixed_large_log")),
    ("DDPMScheduler", dict(thresholding=True, sample_max_value=1.5)),
    ("DDPMScheduler", dict(clip_sample_range=3.)),
    ("DDPMScheduler", dict(variance_type="fixed_large", timestep_spacing="trailing")),
    ("DDIMScheduler", dict(set_alpha_to_one=False)), ("DDIMScheduler", dict(timestep_spacing="linspace")),
    ("EulerDiscreteScheduler", dict(timestep_type="continuous")),
    ("EulerDiscreteScheduler", dict(use_karras_sigmas=True)), ("EulerDiscreteScheduler", dict(sigma_max=9.)),
    ("DPMSolverMultistepScheduler", dict(prediction_type="flow_prediction", use_flow_sigmas=True)),
    ("DPMSolverMultistepScheduler", dict(algorithm_type="sde-dpmsolver++")),
    ("UniPCMultistepScheduler", dict(final_sigmas_type="sigma_min")),
    ("PNDMScheduler", {}), ("FlowMatchEulerDiscreteScheduler", {}), ("LCMScheduler", {}),
    ("EDMEulerScheduler", {})]


@pytest.mark.parametrize("name, config", SAYS_OTHERWISE)
def test_a_refusal_names_the_field_the_value_and_a_way(name, config):
    with pytest.raises(ValueError) as e: from_diffusers(Smooth(), getattr(diffusers, name)(**config))
    said = [f"{k}={v!r}" for k, v in config.items()] or [name, "DDIMScheduler", "EulerDiscreteScheduler"]
    assert any(s in str(e.value) for s in said) if config else all(s in str(e.value) for s in said)
    assert any(s in str(e.value) for s in ("change it", "=` given", "say how", "only 'discrete'"))


def test_what_is_said_explicitly_is_not_read():
    how = Sampling("dpmpp_2m", 8, {"spacing": "karras"})
    for name, config in SAYS_OTHERWISE:
        scheduler = getattr(diffusers, name)(**config)
        wrap = partial(from_diffusers, Smooth(), scheduler, sampling=how, threshold="static")
        if not hasattr(scheduler, "alphas_cumprod") or {"timestep_type", "use_flow_sigmas"} & set(config):
            with pytest.raises(ValueError): wrap()
            continue
        model = wrap()
        assert model.sample(2, seed=0).abs().max() <= 1 and model.sampling == how
        torch.testing.assert_close(model.table["alphas_cumprod"], scheduler.alphas_cumprod.double())


def test_no_other_scheduler_of_diffusers_slips_through():
    found = [getattr(diffusers, k) for k in dir(diffusers) if k.endswith("Scheduler") and k not in SCHEDULERS]
    others = [v for v in found if isinstance(v, type) and issubclass(v, diffusers.SchedulerMixin)]
    refused = 0
    for make in others:
        try: scheduler = make()
        except Exception: continue                                      # has no defaults, or wants a package
        with pytest.raises(ValueError, match=f"{make.__name__} samples as nothing here does"):
            from_diffusers(Smooth(), scheduler)
        refused += 1
    assert refused > 20


def ancestral_by_hand(ask, betas, z, large):
    "Ho et al. 2020, algorithm 2, clipped, as guided-diffusion has it; `ask(x, i)` gives the noise."
    ac, g, x = (1 - betas).cumprod(0), start(), z
    for i in reversed(range(len(betas))):
        before = ac[i - 1] if i else torch.ones(())
        x0 = ((x - (1 - ac[i]).sqrt() * ask(x, i)) / ac[i].sqrt()).clamp(-1, 1)
        mean = (before.sqrt() * betas[i] * x0 + (1 - betas[i]).sqrt() * (1 - before) * x) / (1 - ac[i])
        variance = betas[i] if large else betas[i] * (1 - before) / (1 - ac[i])
        x = mean + variance.sqrt() * torch.randn(x.shape, generator=g) if i else mean
    return x.float()


Var = Enum("Var", "FIXED_SMALL FIXED_LARGE LEARNED LEARNED_RANGE")
Mean = Enum("Mean", "EPSILON START_X PREVIOUS_X")


@pytest.mark.parametrize("kind", Var)
def test_fields_of_guided_diffusion(kind):
    plan = list(range(9, 400, 10))
    betas = betas_from_alphas_cumprod((1 - linear_beta_schedule(400)).cumprod(0)[plan])
    diffusion = SimpleNamespace(betas=betas.numpy(), model_var_type=kind, model_mean_type=Mean.EPSILON,
                                timestep_map=plan, original_num_steps=400, rescale_timesteps=True)
    net = Sine("LEARNED" in kind.name)
    model, z = from_openai(net, diffusion, SHAPE), torch.randn(3, *SHAPE, generator=start(4))
    assert model.sampling.sampler == ("ddim" if "LEARNED" in kind.name else "ddpm")
    if "LEARNED" in kind.name: return assert_like_ddim(model, net, betas, plan, z)
    def ask(x, i): return net(x, torch.full((3,), plan[i] * 2.5))
    large, ours = kind is Var.FIXED_LARGE, run_ours(model, None, z)
    torch.testing.assert_close(ours, ancestral_by_hand(ask, betas, z, large), rtol=0, atol=1e-4)
    assert (ours - ancestral_by_hand(ask, betas, z, not large)).abs().max() > .01


def assert_like_ddim(model, net, betas, plan, z):
    "Without fresh noise, a learned variance does not enter."
    ac, x = (1 - betas).cumprod(0), z
    for i in reversed(range(len(betas))):
        eps, before = net(x, torch.full((3,), plan[i] * 2.5))[:, :1], ac[i - 1] if i else torch.ones(())
        x0 = ((x - (1 - ac[i]).sqrt() * eps) / ac[i].sqrt()).clamp(-1, 1)
        x = before.sqrt() * x0 + (1 - before).sqrt() * (x - ac[i].sqrt() * x0) / (1 - ac[i]).sqrt()
    torch.testing.assert_close(model.sample(3, noise=z), x.float(), rtol=0, atol=1e-4)


def test_fields_of_guided_diffusion_that_are_refused():
    base = dict(betas=linear_beta_schedule(40).numpy())
    with pytest.raises(ValueError, match="model_mean_type='PREVIOUS_X' cannot be read.*`objective=`"):
        from_openai(Sine(), SimpleNamespace(**base, model_mean_type=Mean.PREVIOUS_X), SHAPE)
    odd = SimpleNamespace(**base, model_var_type=SimpleNamespace(name="ODD"))
    with pytest.raises(ValueError, match="model_var_type='ODD' cannot be read.*`sampling=`"):
        from_openai(Sine(), odd, SHAPE)
    assert from_openai(Sine(), odd, SHAPE, sampling=Sampling("heun", 9)).sampling.sampler == "heun"


def test_fields_of_latent_diffusion():
    def says(**more): return from_compvis(SimpleNamespace(**vars(latent("eps")) | more))
    assert says().threshold is None and says(clip_denoised=True).threshold == "static"
    for field, odd in dict(v_posterior=.5, shorten_cond_schedule=True, use_dynamic_rescale=True).items():
        with pytest.raises(ValueError, match=f"{field}={odd!r} cannot be read"): says(**{field: odd})
    betas = torch.linspace(.001, .03, 40)
    assert says(alphas_cumprod=(1 - betas).cumprod(0)).T == 40  # `given_betas` and `timesteps` are in it


def test_range_of_v_diffusion():
    net = Sine()
    net.shape, net.max_t = SHAPE, 2 / math.pi * math.atan(20.)
    model = from_v_diffusion(net)
    assert (model.sigma_min, round(model.sigma_max, 4)) == (.01, 20.)


@pytest.mark.parametrize("wrap", [partial(torch.compile, backend="eager"), torch.nn.DataParallel,
                                  torch.optim.swa_utils.AveragedModel])
def test_wrapped_networks_are_the_network(wrap, tmp_path):
    net, scheduler = unet(num_class_embeds=4), DDIMScheduler(num_train_timesteps=60)
    plain, model = (from_diffusers(n, scheduler, null_class=3) for n in (net, wrap(net)))
    assert (model.T, model.net.num_classes, model.config) == (60, 3, plain.config)
    assert torch.equal(model.sample(2, 1, 2., seed=0, n_steps=3), plain.sample(2, 1, 2., seed=0, n_steps=3))
    back = load(model.save(tmp_path/"m.safetensors"), net=plain.net, device="cpu")
    assert torch.equal(back.sample(2, 1, seed=0, n_steps=3), plain.sample(2, 1, seed=0, n_steps=3))


class Everything(Smooth):
    "Has the interfaces of three libraries; with `looks_up`, it takes no fractions of a step."
    num_classes, in_channels, channels, image_size = None, 1, 1, 4
    alphas_cumprod = DDIMScheduler(num_train_timesteps=60).alphas_cumprod

    def __init__(self, looks_up=False):
        super().__init__()
        self.table = torch.nn.Embedding(60, 1) if looks_up else None
        self.diffusers = False

    def forward(self, x, t, class_labels=None, more=0.):
        if self.table is not None: t = 20 * self.table(t)[:, 0]
        out = super().forward(x, t).sample + more
        return SimpleNamespace(sample=out) if self.diffusers else out

    def apply_model(self, x, t, cond): return self(x, t, more=cond.mean(1)[:, None, None, None])


def adapted(kind, net, **options):
    "The same network, thrice."
    net.diffusers = kind == "diffusers"
    if kind == "openai": return from_openai(net, betas_from_alphas_cumprod(net.alphas_cumprod), **options)
    if kind == "compvis": return from_compvis(net, torch.tensor([[1., 0.]]), torch.zeros(2), **options)
    return from_diffusers(net, DDIMScheduler(num_train_timesteps=60), **options)


@pytest.mark.parametrize("kind", ["openai", "compvis", "diffusers"])
def test_other_float_types_and_networks_that_look_their_times_up(kind):
    how = dict(noise=torch.randn(2, 1, 4, 4, generator=start()), n_steps=4, sampler="ddim")
    plain = adapted(kind, Everything()).sample(2, **how)
    for dtype, near in ((torch.bfloat16, .1), (torch.float64, 1e-5)):
        for model in (adapted(kind, Everything().to(dtype)), adapted(kind, Everything()).to(dtype)):
            x = model.sample(2, **how)
            assert x.dtype == torch.promote_types(dtype, torch.float32)
            assert ((x - plain).abs().max() / plain.abs().max().clamp(min=1)) < near
    model = adapted(kind, Everything(True), quantize=True)
    assert model.loss(torch.randn(5, 1, 4, 4)).isfinite().all()
    for sampler, spacing in (("ddim", "leading"), ("dpmpp_2m", "karras")):
        assert model.sample(2, seed=0, n_steps=4, sampler=sampler, spacing=spacing).isfinite().all()
    with pytest.raises(TypeError, match="quantize=True"):
        adapted(kind, Everything(True)).sample(2, seed=0, n_steps=4, spacing="karras")


@pytest.mark.parametrize("name, config", [
    ("EulerDiscreteScheduler", {}), ("DDIMScheduler", dict(steps_offset=1)),
    ("DDPMScheduler", dict(variance_type="fixed_large")),
    ("DPMSolverMultistepScheduler", dict(use_karras_sigmas=True))])
def test_how_it_samples_is_saved(name, config, tmp_path):
    model = from_diffusers(Smooth(), getattr(diffusers, name)(num_train_timesteps=60, **config))
    net = from_diffusers(Smooth(), DDPMScheduler()).net
    back = load(model.save(tmp_path/"m.safetensors"), net=net, device="cpu")
    assert (back.sampling, back.quantize, back.config) == (model.sampling, model.quantize, model.config)
    for other in (back, pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert torch.equal(other.sample(2, seed=0, n_steps=5), model.sample(2, seed=0, n_steps=5))
