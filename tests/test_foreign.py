"""Wrapped networks answer as k-diffusion's wrappers do, and sample as diffusers' pipelines do; they are saved
and come back.

oracles/make_kdiffusion.py made the numbers. k-diffusion's losses are at any level and ours at whole steps, so
they are compared by what they have in common, the error of x0: the error of the noise is it divided by σ²,
that of the velocity divided by σ²/(1+σ²)."""
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from ddpm_edu import SAMPLERS, GaussianDiffusion, load
from ddpm_edu.denoising import log_likelihood
from ddpm_edu.models import ForeignNet, betas_from_alphas_cumprod, from_compvis, from_diffusers, from_openai
from ddpm_edu.models import from_v_diffusion
from diffusers import (
    DDIMPipeline, DDIMScheduler, DDPMPipeline, DDPMScheduler,
    EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler, UNet2DConditionModel,
    UNet2DModel,
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
    with pytest.raises(ValueError, match="FlowMatchEulerDiscreteScheduler has no `alphas_cumprod`"):
        from_diffusers(unet(), FlowMatchEulerDiscreteScheduler())
    with pytest.raises(ValueError, match="must fall.*did you pass betas"):
        betas_from_alphas_cumprod(torch.linspace(1e-4, .02, 10))
    with pytest.raises(ValueError, match="unknown objective 'noise'"): from_compvis(latent("noise"))


def test_a_network_with_a_table_of_steps():
    def ask(table, x, t, given): return x + table(t).mean(1).reshape(-1, 1, 1, 1)
    looks_up = ForeignNet(torch.nn.Embedding(65, 4), ask, quantize=True)
    model = GaussianDiffusion(looks_up, betas_from_alphas_cumprod(AC), SHAPE)
    assert model.sample(2, seed=0, sampler="dpmpp_2m", n_steps=5, spacing="karras").isfinite().all()
