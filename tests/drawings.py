"""What the shipped models draw, lose and score: to store before a change that moves nothing but names, and to
compare after it.

    python tests/drawings.py store FILE
    python tests/drawings.py compare FILE [--tolerance 1e-6]

Every shipped model by every sampler, plain and guided, from fixed seeds; losses on fixed noise; twenty steps
of training; the FLD of 200 digits; and sums of the tensors of every file that ships. On one machine nothing
may differ in a single bit. Only names of the front door are used, so that the script runs on either side of a
move."""
import argparse
import hashlib
import warnings
from pathlib import Path

import ddpm_edu
import torch
from ddpm_edu import SAMPLERS, GaussianDiffusion, PointNet, UNet, UNetFixed, creatures, digits, fit, fld, load
from ddpm_edu import set_seed, spiral
from safetensors.torch import load_file, save_file

MODELS = ("digits", "digits_guided", "fashion", "spirals", "pokemon")


def drawn():
    "Samples by name."
    for name in MODELS:
        model = load(name, device="cpu")
        classes = getattr(model.net, "num_classes", 0)
        for sampler in SAMPLERS:
            how = dict(sampler=sampler, n_steps=None if sampler == "dpm_adaptive" else 6, seed=3)
            yield f"{name}/{sampler}", model.sample(3, **how)
            if not classes: continue
            y = torch.arange(3) * (classes // 3)
            yield f"{name}/{sampler}/labels", model.sample(3, y, **how)
            yield f"{name}/{sampler}/guided", model.sample(3, y, 2., threshold="dynamic",
                                                           guidance_interval=(.1, 5.), **how)
        yield f"{name}/own", model.sample(3, n_steps=10, seed=5)


def data_of(name):
    "Something of the right shape to lose on."
    return {"spirals": lambda: spiral(64), "pokemon": lambda: creatures(32, labels="hue")}.get(name, digits)()


def lost():
    "Losses, and models after a few steps of training."
    for name in MODELS:
        model, (x, y) = load(name, device="cpu"), data_of(name).sample(16)
        set_seed(1)
        with torch.no_grad():
            yield f"{name}/loss", model.loss(x, y if getattr(model.net, "num_classes", 0) else None)
    betas = torch.linspace(1e-3, .2, 50, dtype=torch.float64)
    nets = {"points": lambda: PointNet(50, 16), "nested": lambda: UNet(1, 8, 50, (1, 2), 10, patch_size=2),
            "fixed": lambda: UNetFixed(1, 8, 50, 10)}
    for name, net in nets.items():
        set_seed(2)
        data = spiral(512) if name == "points" else digits()
        model = GaussianDiffusion(net(), betas, data.shape,
                                  objective="v", p_uncond=0. if name == "points" else .1)
        log = fit(model, data, steps=20, batch_size=16, seed=1, device="cpu")
        yield f"trained/{name}/loss", torch.tensor(log["loss"])
        for key, v in model.net.state_dict().items(): yield f"trained/{name}/{key}", v
        yield f"trained/{name}/samples", model.sample(4, n_steps=10, seed=1)


def scored():
    "The distance of 200 digits."
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        x = load("digits_guided", device="cpu").sample(200, torch.arange(200) % 10, 1.25, seed=0, n_steps=8)
        yield "fld", torch.tensor(fld(x), dtype=torch.float64)


def shipped():
    "Sums of the tensors of every shipped file, whatever its header says."
    root = Path(ddpm_edu.__file__).parent
    for path in sorted(root.rglob("*.safetensors")):
        for key, v in sorted(load_file(path).items()):
            digest = hashlib.sha256(f"{v.dtype} {list(v.shape)}".encode()
                                    + v.contiguous().view(torch.uint8).numpy().tobytes()
                                    if v.ndim else f"{v.dtype} {v.item()}".encode()).digest()[:8]
            (yield f"file/{path.stem.replace('sprite_classifier', 'sprite_reader')}/{key}",
             torch.tensor(list(digest), dtype=torch.uint8))


def everything():
    return {k: v.contiguous().clone() for part in (drawn, lost, scored, shipped) for k, v in part()}


def differences(old, new):
    "How far apart two collections are: by name, the largest difference; infinite for what one of them lacks."
    found = {k: torch.inf for k in old.keys() ^ new.keys()}
    for k in old.keys() & new.keys():
        a, b = old[k], new[k]
        if a.shape != b.shape or a.dtype != b.dtype: found[k] = torch.inf
        elif not torch.equal(a, b): found[k] = (a.double() - b.double()).abs().max().item()
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=("store", "compare")); parser.add_argument("file", type=Path)
    parser.add_argument("--tolerance", type=float, default=0.,
                        help="largest difference that is let pass (default: %(default)s)")
    args = parser.parse_args()
    new = everything()
    if args.what == "store": save_file(new, args.file); print(f"{len(new)} tensors stored in {args.file}")
    else:
        found = differences(load_file(args.file), new)
        for k, v in sorted(found.items(), key=lambda kv: -kv[1])[:20]: print(f"{v:8.1e}  {k}")
        print(f"{len(new)} tensors compared: {len(found)} "
              f"differ, the largest by {max(found.values(), default=0.):g}")
        raise SystemExit(max(found.values(), default=0.) > args.tolerance)
