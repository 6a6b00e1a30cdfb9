"""What people bring to a model, and what it must not do to them: wrapped networks, pickles, threads, seeds,
cards, and slips of the pen."""
import itertools
import pickle
import threading

import ddpm_edu
import numpy as np
import pytest
import torch
from ddpm_edu import GaussianDiffusion, KarrasDiffusion, UNet, cosine_beta_schedule, fit, load, save_image
from ddpm_edu import set_seed, spiral
from ddpm_edu.denoising import SAMPLERS
from ddpm_edu.models import PRETRAINED, evaluating
from ddpm_edu.networks import PointNet
from torch import nn

SHIPPED = sorted(p.stem for p in PRETRAINED.glob("*.safetensors"))
MAKE = {"gaussian": lambda net: GaussianDiffusion(net, cosine_beta_schedule(10), (2,), p_uncond=.1),
        "karras": lambda net: KarrasDiffusion(net, (2,), p_uncond=.1)}
compiled = lambda net: torch.compile(net, backend="eager")      # the wrapper, without the compiler
WRAP = {"compiled": compiled, "data-parallel": nn.DataParallel,
        "compiled in place": lambda net: (net.compile(backend="eager"), net)[1],
        "both": lambda net: compiled(nn.DataParallel(net))}


def same_net(**kw):
    set_seed(0)
    return PointNet(10, num_classes=3, **kw)


@pytest.mark.parametrize("wrap", WRAP)
@pytest.mark.parametrize("make", MAKE)
def test_a_wrapped_network_is_the_network_that_it_wraps(make, wrap, tmp_path):
    plain, wrapped = MAKE[make](same_net()), MAKE[make](WRAP[wrap](same_net()))
    ask = dict(labels=[0, 1, 2], guidance_scale=2., n_steps=4, seed=0)
    assert torch.equal(wrapped.sample(3, **ask), plain.sample(3, **ask))  # it knows T and the classes
    wrapped.train(); assert torch.equal(wrapped.sample(3, **ask), plain.sample(3, **ask))
    again = load(wrapped.save(tmp_path/"w.safetensors"), device="cpu")
    assert type(again.net) is PointNet and torch.equal(again.sample(3, **ask), plain.sample(3, **ask))


@pytest.mark.parametrize("name", SHIPPED)
def test_what_ships_can_be_pickled_and_saved_again_with_its_card(name, tmp_path):
    model = load(name, device="cpu")
    again = pickle.loads(pickle.dumps(model))
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values()))
    torch.save(model, tmp_path/"m.pt")
    kept = load(model.save(tmp_path/"again.safetensors", note=np.float32(.5)), device="cpu")
    assert kept.card == model.card | {"note": .5} and type(kept) is type(model)


@pytest.mark.parametrize("make", MAKE)
def test_fresh_models_can_be_pickled(make):
    model = pickle.loads(pickle.dumps(MAKE[make](same_net())))
    expected = MAKE[make](same_net()).sample(2, n_steps=3, seed=0)
    assert torch.equal(model.sample(2, n_steps=3, seed=0), expected)


class Dropping(nn.Sequential):
    "A network in which dropout is most of what happens."
    def __init__(self): super().__init__(nn.Linear(2, 64), nn.Dropout(.5), nn.Linear(64, 2))
    def forward(self, x, t): return super().forward(x)


def test_sampling_does_not_change_what_others_see():
    "A thread samples while `fit` trains: all steps in training mode; all samples as if the model were alone."
    model = GaussianDiffusion(Dropping(), cosine_beta_schedule(10), (2,), "x0")
    frozen = [p.clone() for p in model.parameters()]
    alone, modes, drawn, stop = model.sample(4, n_steps=4, seed=0), [], [], threading.Event()
    def draw():
        while not stop.is_set(): drawn.append(model.sample(4, n_steps=4, seed=0))
    def watch(states):
        for s in states: modes.append(all(m.training for m in s.model.modules())); yield s
    thread = threading.Thread(target=draw); thread.start()
    fit(model, spiral(500), steps=100, lr=0., device="cpu", stages=[watch]); stop.set(); thread.join()
    assert all(modes) and len(modes) == 100 and len(drawn) > 3
    assert all(torch.equal(p, q) for p, q in zip(frozen, model.parameters()))
    assert all(torch.equal(x, alone) for x in drawn)


@pytest.mark.parametrize("sampler", ["ddim", "heun", "dpmpp_2m_sde"])
def test_samplings_side_by_side(sampler):
    model = GaussianDiffusion(Dropping(), cosine_beta_schedule(10), (2,), "x0").train()
    go = lambda n, seed: model.sample_iter(2, n_steps=n, seed=seed, sampler=sampler)
    alone = [[s.x for s in go(8, 1)], [s.x for s in go(3, 0)]]
    both = list(itertools.zip_longest(go(8, 1), go(3, 0)))
    next(go(8, 2))                                                        # begun, and left
    assert [torch.equal(a.x, b) for (a, _), b in zip(both, alone[0])] == [True] * 9
    assert [torch.equal(a.x, b) for (_, a), b in zip(both, alone[1])] == [True] * 4
    assert all(m.training for m in model.modules())


def test_evaluating_rebinds_what_was_bound():
    "As accelerate does: `forward` is replaced by a method that is bound to the module."
    net = Dropping(); net.forward = type(net).forward.__get__(net)
    x, t = torch.randn(4, 2), torch.zeros(4)
    assert torch.equal(evaluating(net)(x, t), evaluating(net)(x, t)) and not torch.equal(net(x, t), net(x, t))


def test_nothing_remembered_outlives_what_it_was_computed_from():
    class Told(nn.Module):
        def __init__(self, T): super().__init__(); self.T = T
        def forward(self, x, t): return t[:, None].expand_as(x)
    go = lambda m: m.sample(2, n_steps=3, sampler="euler", seed=0)
    model = KarrasDiffusion(Told(100), (2,), threshold=None); go(model); model.net = Told(1000)
    assert torch.equal(go(model), go(KarrasDiffusion(Told(1000), (2,), threshold=None)))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_batch_size_changes_nothing_but_for_one(sampler):
    "`dpm_adaptive` chooses its steps by the error of the whole batch, and its documentation says so."
    model, ask = load("spirals", device="cpu"), dict(sampler=sampler, n_steps=6, seed=5)
    off = (model.sample(12, **ask) - model.sample(12, **ask, batch_size=5)).abs().max()
    assert (off > 1e-3) == (sampler == "dpm_adaptive")


@pytest.mark.parametrize("seed", [np.int32(7), np.int64(7), np.uint8(7), torch.tensor(7)], ids=repr)
def test_seeds_of_all_libraries(seed):
    model = load("spirals", device="cpu")
    assert torch.equal(model.sample(2, n_steps=2, seed=seed), model.sample(2, n_steps=2, seed=7))
    set_seed(seed); a = torch.rand(1); set_seed(7); assert torch.equal(torch.rand(1), a)


def test_seeds_do_not_repeat():
    model = load("spirals", device="cpu")
    drawn = [model.sample(2, n_steps=2, seed=3 + s) for s in (0, 2**32, 2**33, 2**63, -2**40)]
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(drawn, 2))


def test_names_of_classes_where_the_card_has_them():
    clothes, digits = load("fashion", device="cpu"), load("digits_guided", device="cpu")
    ask = dict(n_steps=2, seed=0)
    assert torch.equal(clothes.sample(2, "Bag", **ask), clothes.sample(2, 8, **ask))
    assert torch.equal(digits.sample(2, ["7", "1"], **ask), digits.sample(2, [7, 1], **ask))
    with pytest.raises(ValueError, match="no class 'Hat': this model's classes are T-shirt/top, Trouser"):
        clothes.sample(1, "Hat")


@pytest.mark.parametrize("name, door", [("sde_split", "denoising"), ("ResBlock", "networks"),
                                        ("nearest", "measuring"), ("GuidanceExplorer2", None)])
def test_a_name_of_another_door_is_told(name, door):
    said = f"from ddpm_edu.{door} import {name}" if door else "cannot import name"
    with pytest.raises(ImportError, match=said):
        exec(f"from ddpm_edu import {name}")
    assert not hasattr(ddpm_edu, "no_such_thing")


def test_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path)); monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    load(load("spirals", device="cpu").save("~/sub/m.safetensors"), device="cpu"); load("~/sub/m.safetensors")
    save_image(torch.zeros(1, 1, 4, 4), "~/p.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["p.png", "sub"]


@pytest.mark.parametrize("betas", [np.linspace(.01, .2, 20), np.linspace(.01, .2, 20, dtype="f4"),
                                   np.linspace(.01, .2, 20).tolist()], ids=["float64", "float32", "list"])
def test_betas_of_all_libraries(betas):
    model = GaussianDiffusion(UNet(1, 8, 20, (1, 2), middle_attention=False), betas, (1, 8, 8))
    assert model.T == 20 and model.sample(1, n_steps=2).isfinite().all()
