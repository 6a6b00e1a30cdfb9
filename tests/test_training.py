"""Averages, learning rates, weightings and trajectories answer as Kigo, Noisy, denoising-diffusion-flax and
k-diffusion do. The numbers in oracles/ were made by running their code, in float64; images are NHWC there,
save for Noisy's."""
import json
from functools import partial
from pathlib import Path

import pytest
import torch
from ddpm_edu import GaussianDiffusion, cosine_beta_schedule, linear_beta_schedule
from ddpm_edu.denoising import ddpm
from ddpm_edu.models import loss_weights
from ddpm_edu.training import AVERAGES, RATES, TrainState, averaging, constant_decay, ema, flax_decay
from ddpm_edu.training import linear_warmup, noisy_decay, warmup_decay
from safetensors.torch import load_file

ORACLES = Path(__file__).parent/"oracles"
KD, FLAX, NOISY, KIGO = (json.loads((ORACLES/f"{name}.json").read_text())
                         for name in ("kd_training", "flax_tables", "noisy_tables", "kigo_tables"))
close = partial(torch.testing.assert_close, rtol=1e-9, atol=1e-9)
numbers = partial(torch.tensor, dtype=torch.float64)


@pytest.mark.parametrize("row", KD["EMAWarmup"], ids=lambda r: str(r["kwargs"]))
def test_averages_of_kdiffusion(row):
    names = dict(inv_gamma="inv_gamma", power="power", min_value="min_decay", max_value="max_decay",
                 start_at="begin")
    how = dict(max_decay=1., power=1.) | {names[k]: v for k, v in row["kwargs"].items()}
    # its counter is read before it moves: step 0 is the update after the first step
    close(numbers([warmup_decay(n + 1, **how) for n in row["step"]]), numbers(row["decay"]))


@pytest.mark.parametrize("row", FLAX["ema_decay_schedule"], ids=lambda r: str(r["config"]["power"]))
def test_averages_of_flax(row):
    c = row["config"]
    how = dict(max_decay=c["beta"], min_decay=c["min_value"], power=c["power"], inv_gamma=c["inv_gamma"])
    after = c["update_after_step"]
    late = [(n, d) for n, d in zip(row["step_argument"], row["decay"]) if n >= after]
    close(numbers([flax_decay(n + 1, copies=after, every=1, **how) for n, _ in late]),
          numbers([d for _, d in late]))


def test_what_flax_does_at_each_step():
    want = {"copy": 0., None: 1.}
    events = FLAX["ema_events_default_config"]["events"]
    close(numbers([AVERAGES["flax"](n + 1) for n, _ in events]),
          numbers([want.get(did, did) for _, did in events]))


def test_averages_of_noisy():
    for row in NOISY["ema"]["a"]:
        how = dict(decay=row["alpha"], every=row["freq"])
        close(numbers(noisy_decay(row["freq"], **how)), numbers(row["a"]))
        assert row["freq"] == 1 or noisy_decay(row["freq"] + 1, **how) == 1


@pytest.mark.parametrize("row", KIGO["ema"]["scalar_example"], ids=lambda r: str(r["alpha"]))
def test_averages_of_kigo(row):
    "A weight that is its step's number, and a mean that begins with 0."
    w = torch.nn.Linear(1, 1, bias=False).double(); w.weight.data.zero_()
    wanted, mean = dict(row["step_ema"]), averaging(w)
    def states():
        for n in range(1, max(wanted) + 1):
            w.weight.data.fill_(n); yield TrainState(n, 0, 0., 0., 0, 0., 0, w, None)
    for s in ema(states(), partial(constant_decay, decay=row["alpha"]), mean):
        if s.step in wanted: close(s.ema.weight.data.squeeze(), numbers(wanted[s.step]))


@pytest.mark.parametrize("row", KD["lr"], ids=lambda r: f"{r['cls']}-{r['kwargs']}")
def test_learning_rates_of_kdiffusion(row):
    rate = RATES[{"InverseLR": "inverse", "ExponentialLR": "exponential",
                  "ConstantLRWithWarmup": "constant"}[row["cls"]]]
    how = {k: v for k, v in row["kwargs"].items() if k != "min_lr"}
    if "min_lr" in row["kwargs"]: how["least"] = row["kwargs"]["min_lr"] / row["base_lr"]
    want = row["lr_at_step_0_to_200"]
    torch.testing.assert_close(numbers([row["base_lr"] * rate(n, 0., **how) for n in range(len(want))]),
                               numbers(want), rtol=1e-9, atol=0)


def test_learning_rate_of_kigo():
    want = KIGO["lr_factor"]["warmup10_counts0..12"]
    close(numbers([linear_warmup(n, 0., 10) for n in range(13)]), numbers(want))


def flax_betas(name):
    kind, T = name.split("_")
    return dict(linear=linear_beta_schedule, cosine=cosine_beta_schedule)[kind](int(T))


@pytest.mark.parametrize("name", FLAX["ddpm_params_f64"])
def test_betas_of_flax(name):
    table, betas = FLAX["ddpm_params_f64"][name], flax_betas(name).double()
    close(betas[table["t"]], numbers(table["betas"]))
    close((1 - betas).cumprod(0)[table["t"]], numbers(table["alphas_bar"]))


@pytest.mark.parametrize("row", FLAX["p2_f64"], ids=lambda r: f"{r['schedule']}-{r['k']}-{r['gamma']}")
def test_p2_weights_of_flax(row):
    "As intended; it reads gamma for k, which the other column holds."
    ac = (1 - flax_betas(f"{row['schedule']}_1000").double()).cumprod(0)[row["t"]]
    w = {k: loss_weights(ac / (1 - ac), "eps", "p2", k=k, gamma=row["gamma"])
         for k in (row["k"], row["gamma"])}
    torch.testing.assert_close(w[row["k"]], numbers(row["intended"]), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(w[row["gamma"]], numbers(row["shipped_k_replaced_by_gamma"]), rtol=1e-9,
                               atol=1e-9)


def noisy_betas(T, start, stop): return numbers([start + n / T * (stop - start) for n in range(T)])


def test_betas_of_noisy():
    rows = [r for r in NOISY["betas"] if r["dtype"] == "f64"]
    assert len(rows) == 4
    for r in rows:
        betas = noisy_betas(r["T"], r["beta_start"], r["beta_stop"])
        close(betas[r["t"]], numbers(r["beta"]))
        close((1 - betas).cumprod(0)[r["t"]], numbers(r["alpha_bar"]))


class Linear(torch.nn.Module):
    "`x @ A + (t/T) b + c` over channels."
    def __init__(self, A, b, c, T):
        super().__init__(); self.weight = torch.nn.Parameter(A.double()); self.b, self.c, self.T = b, c, T
    def forward(self, x, t):
        out = torch.einsum("bihw,io->bohw", x, self.weight)
        return out + (t / self.T)[:, None, None, None] * self.b.double()[:, None, None] \
            + self.c.double()[:, None, None]


def walked(model, xT, noise, **how):
    "All steps of our sampler with recorded noise."
    z = iter(noise)
    sigmas = model.levels()
    return list(ddpm(model.denoiser(), model.start(xT, float(sigmas[0])), sigmas,
                     noise_sampler=lambda _: next(z), **how))[1:]


FLAX_RUNS = load_file(ORACLES/"flax_sample_loop.safetensors")


@pytest.mark.parametrize("run, T, objective, twice", [("cos16_sc_eps", 16, "eps", True),
                                                      ("cos16_x0", 16, "x0", False),
                                                      ("lin50_eps", 50, "eps", False),
                                                      ("lin50_sc_x0", 50, "x0", True)])
@torch.no_grad()
def test_trajectories_of_flax(run, T, objective, twice):
    r = {k: v.double().movedim(-1, -3) if v.ndim > 3 else v for k, v in FLAX_RUNS.items()}
    net = Linear(r["net:A2" if twice else "net:A1"], r["net:b"], r["net:c"], T)
    betas = (cosine_beta_schedule if run.startswith("cos") else linear_beta_schedule)(T).double()
    model = GaussianDiffusion(net, betas, (3, 4, 4), objective=objective, self_condition=twice)
    steps = walked(model, r[f"{run}/xT"], r[f"{run}/noise"])
    # what it returns is the last of these
    close(torch.stack([s.x0 for s in steps]), r[f"{run}/x0_f64"])
    # its last state has noise from the far end of a table: an index of -1
    close(torch.stack([s.vp for s in steps[:-1]]), r[f"{run}/xt_f64"][:-1])


NOISY_RUNS = load_file(ORACLES/"noisy_sample.safetensors")


@pytest.mark.parametrize("stop", [.01, .2])
@torch.no_grad()
def test_trajectories_of_noisy(stop):
    r, run = NOISY_RUNS, f"T20_hi.{str(stop)[2:]}"
    net = Linear(r["net:A"], r["net:b"], r["net:c"], 20)
    model = GaussianDiffusion(net, noisy_betas(20, 1e-4, stop), (3, 4, 4), threshold=None)
    steps = walked(model, r[f"{run}/xT"].double(), r[f"{run}/noise"].double(), variance="beta")
    close(torch.stack([s.vp for s in steps]), r[f"{run}/xt_f64"])


KIGO_RUNS = load_file(ORACLES/"kigo_sample_p.safetensors")


def kigo_abar(t):
    "Cosine, at any time; not divided by its value at 0."
    return torch.cos((numbers(t).clamp(0, 1) + .008) / 1.008 * torch.pi / 2)**2


def test_the_schedule_of_kigo():
    table = KIGO["cosine_abar_f64"]
    close(kigo_abar(table["t"]), numbers(table["value"]))


def kigo_sigma(a, n, eta, shipped):
    "The standard deviation of the fresh noise: by eq. 16 of the paper, or as shipped."
    floor = lambda v: v.clamp(min=1e-8)
    ratio = (1 - a) / floor(n) if shipped else 1 - a / floor(n)
    return eta * floor((1 - n) / floor(1 - a)).sqrt() * floor(ratio).sqrt()


def test_the_noise_of_kigo():
    t = [1 - i / 64 for i in range(65)]
    ab = kigo_abar(t).clamp(min=1e-8)                                       # as the table has it
    for shipped, key in ((True, "sigma_64steps_eta.5_f64"), (False, "sigma_64steps_eta.5_eq16_f64")):
        want = numbers(KIGO[key])
        got = kigo_sigma(ab[:-1], ab[1:], .5, shipped)
        close(got, want)
    assert KIGO["sigma_64steps_eta.5_f64"][0] > 20 > .5 > KIGO["sigma_64steps_eta.5_eq16_f64"][0]  # the trap


@pytest.mark.parametrize("eta", [0., .5, 1.])
@pytest.mark.parametrize("clip", [.995, .1])
@pytest.mark.parametrize("kind", ["eq16", "shipped"])
def test_trajectories_of_kigo(eta, clip, kind):
    "By a loop of our own: it keeps the raw noise after thresholding, and never clamps to less than 1."
    r = {k: v.double() for k, v in KIGO_RUNS.items()}
    floor = lambda v: v.clamp(min=1e-8)
    x, run, states, guesses = r["xT"], f"eta{eta}_clip{clip}", [], []
    for i in range(8):
        a, n = kigo_abar(1 - i / 8), kigo_abar(1 - (i + 1) / 8)
        eps = x @ r["net:A"] + a * r["net:b"] + r["net:c"]
        x0 = (x - floor(1 - a).sqrt() * eps) / floor(a).sqrt()
        s = x0.abs().flatten(1).quantile(clip, 1)[:, None, None, None]
        x0 = torch.where(s > 1, x0.clamp(-s, s) / s, x0)
        sigma = kigo_sigma(a, n, eta, kind == "shipped")
        x = floor(n).sqrt() * x0 + floor(1 - n - sigma**2).sqrt() * eps + sigma * r["noise"][i]
        states.append(x); guesses.append(x0)
    close(torch.stack(guesses), r[f"{run}/x0hat_{kind}_f64"])
    close(torch.stack(states), r[f"{run}/xt_{kind}_f64"])
