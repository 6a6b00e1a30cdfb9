"""Images per second of `fit` beside a bare loop around the same network, in one run.

    .venv/bin/python benchmarks/train_step.py            # digits: the demo's network, and the plain UNet of 376,913 + class embedding
    .venv/bin/python benchmarks/train_step.py --points   # the spiral: 1,442 parameters, batches of 32

The bare loop is what one would write by hand: sliced tensors, no checks, no averaged weights, no history. Both loops see the same data,
batch size and optimiser. They take turns, several rounds each, and the medians are compared, so that a busy machine disturbs both alike.
"""
import argparse
import itertools
import statistics
import time

import torch
from torch.nn import functional as F

from ddpm_edu import GaussianDiffusion, PointNet, UNet, digits, set_seed, spiral
from ddpm_edu.core import expand
from ddpm_edu.demo import digits_model
from ddpm_edu.schedules import cosine_beta_schedule
from ddpm_edu.train import fit


def bare_steps(model, data, batch_size, lr, channels_last, threads=None):
    "The loop by hand, as a generator of nothing (one item a step): noise a batch, ask the network, compare, step."
    net, T = model.net, model.T
    a_table, s_table = model.sqrt_alphas_cumprod, model.sqrt_one_minus_alphas_cumprod
    if channels_last: net.to(memory_format=torch.channels_last)
    opt = torch.optim.Adam(net.parameters(), lr, fused=True)
    x, y = data.x, data.y
    labelled = net.num_classes > 0
    while True:
        order = torch.randperm(len(x))
        x_epoch, y_epoch = x[order], y[order] if labelled else None
        for i in range(0, len(x) - batch_size + 1, batch_size):
            x0 = x_epoch[i:i + batch_size]
            if x0.dtype == torch.uint8: x0 = x0.float() / 127.5 - 1
            if channels_last: x0 = x0.contiguous(memory_format=torch.channels_last)
            t, noise = torch.randint(T, (len(x0),)), torch.randn_like(x0)
            a, s = expand(a_table[t], x0), expand(s_table[t], x0)
            xt = a * x0 + s * noise
            target = noise if model.objective == "eps" else a * noise - s * x0
            out = net(xt, t, torch.where(torch.rand(len(x0)) < .1, -1, y_epoch[i:i + batch_size])) if labelled else net(xt, t)
            loss = F.mse_loss(out, target)
            loss.backward(); opt.step(); opt.zero_grad()
            yield


def rate(run, batch_size):
    "Images per second of a function that says how many steps it made."
    t = time.perf_counter()
    return run() * batch_size / (time.perf_counter() - t)


def compare(name, make, data, batch_size, lr, seconds, rounds, channels_last):
    "Alternate ours and the bare loops; print the medians and the ratios."
    set_seed(0)
    bare = {cl: bare_steps(make(), data, batch_size, lr, cl) for cl in ([False, True] if channels_last else [False])}
    ours = make()
    for b in bare.values(): list(itertools.islice(b, 5))
    fit(ours, data, steps=5, batch_size=batch_size, lr=lr, device="cpu")

    def run_bare(steps):
        def go():
            end, n = time.perf_counter() + seconds, 0
            for _ in steps:
                n += 1
                if time.perf_counter() > end: return n
        return go

    got = {"ours": []} | {cl: [] for cl in bare}
    for _ in range(rounds):
        for cl, steps in bare.items():
            if not channels_last: torch.set_num_threads(1)          # tiny networks: one thread is faster, for the bare loop too
            got[cl].append(rate(run_bare(steps), batch_size))
            if not channels_last: torch.set_num_threads(THREADS)
        how = dict(minutes=seconds / 60, batch_size=batch_size, lr=lr, device="cpu")
        got["ours"].append(rate(lambda how=how: fit(ours, data, **how)["steps"], batch_size))
    med = {k: statistics.median(v) for k, v in got.items()}
    best = max(v for k, v in med.items() if k != "ours")
    n = sum(p.numel() for p in ours.net.parameters())
    names = {"ours": "fit", False: "bare loop", True: "bare loop, channels_last"}
    print(f"{name}: {n:,} parameters, batch {batch_size}")
    for k, v in med.items(): print(f"  {names[k]:26} {v:9.0f} images/s  {v / batch_size:8.1f} steps/s")
    print(f"  fit / best bare loop       {med['ours'] / best:9.3f}", flush=True)


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--points", action="store_true")
    p.add_argument("--seconds", type=float, default=6., help="of each measurement")
    p.add_argument("--rounds", type=int, default=5)
    a = p.parse_args()
    THREADS = torch.get_num_threads()
    print(f"torch {torch.__version__}, {THREADS} threads")
    if a.points:
        def spiral_model(): return GaussianDiffusion(PointNet(100), cosine_beta_schedule(100), (2,))
        compare("spiral", spiral_model, spiral(10_000, seed=0), 32, 1e-3, a.seconds, a.rounds, False)
        model = spiral_model(); set_seed(0)
        h = fit(model, spiral(10_000, seed=0), epochs=100, batch_size=32, lr=1e-3, device="cpu")
        print(f"100 epochs of 10,000 points, batch 32: {h['seconds']:.1f} s, loss {sum(h['loss'][-1000:]) / 1000:.4f}")
        model = spiral_model(); set_seed(0)
        h = fit(model, spiral(10_000, seed=0), epochs=200, batch_size=500, lr=1e-2, device="cpu")
        print(f"200 epochs, batch 500, lr 1e-2:        {h['seconds']:.1f} s, loss {sum(h['loss'][-100:]) / 100:.4f}")
    else:
        def plain():
            net = UNet(1, 16, 100, num_classes=10, middle_attention=False)
            return GaussianDiffusion(net, cosine_beta_schedule(100), (1, 28, 28), p_uncond=.1)
        for name, make in (("demo's network (folded)", digits_model), ("plain UNet", plain)):
            compare(name, make, digits(), 64, 1e-3, a.seconds, a.rounds, True)
