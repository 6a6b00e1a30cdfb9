"""Images per second of `fit` beside a bare loop around the same network, in one run.

    .venv/bin/python benchmarks/train_step.py            # digits: the demo's network, and the plain UNet of
        376,913 + class embedding
    .venv/bin/python benchmarks/train_step.py --points   # the spiral: 1,442 parameters, batches of 32
    .venv/bin/python benchmarks/train_step.py --peers    # UNets of about 377,000 parameters: ours beside
        those of four other libraries, and their loops beside `fit`

The bare loop is what one would write by hand: sliced tensors, no checks, no averaged weights, no history.
Both loops see the same data, batch size and optimiser. They take turns, several rounds each, and the medians
are compared, so that a busy machine disturbs both alike.

`--peers` puts every network through that same bare loop, with and without channels_last, and takes the better
of the two; then it lets each library's own loop train our plain network. benchmarks/peers.py says how the
other libraries are installed. Writes benchmarks/results/peers.csv: a network's ratio is to the best plain
network of another library, a loop's to `fit`.
"""
import argparse
import csv
import itertools
import statistics
import time
from pathlib import Path

import torch
from torch.nn import functional as F

from ddpm_edu import GaussianDiffusion, PointNet, UNet, cosine_beta_schedule, digits, fit, set_seed, spiral
from ddpm_edu.core import expand
from ddpm_edu.models import digits_model


def bare_steps(model, data, batch_size, lr, channels_last, threads=None):
    """The loop by hand, as a generator of nothing (one item a step): noise a batch, ask the network, compare,
    step."""
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
            out = net(xt, t, torch.where(torch.rand(len(x0)) < .1,
                                         -1, y_epoch[i:i + batch_size])) if labelled else net(xt, t)
            loss = F.mse_loss(out, target)
            loss.backward(); opt.step(); opt.zero_grad()
            yield


def rate(run, batch_size):
    "Images per second of a function that says how many steps it made."
    t = time.perf_counter()
    return run() * batch_size / (time.perf_counter() - t)


def run_for(steps, seconds):
    "A function that makes steps for some seconds and says how many."
    def go():
        end = time.perf_counter() + seconds
        return next(n for n, _ in enumerate(steps, 1) if time.perf_counter() > end)
    return go


def compare(name, make, data, batch_size, lr, seconds, rounds, channels_last):
    "Alternate ours and the bare loops; print the medians and the ratios."
    set_seed(0)
    bare = {cl: bare_steps(make(), data, batch_size, lr, cl)
            for cl in ([False, True] if channels_last else [False])}
    ours = make()
    for b in bare.values(): list(itertools.islice(b, 5))
    fit(ours, data, steps=5, batch_size=batch_size, lr=lr, device="cpu")

    got = {"ours": []} | {cl: [] for cl in bare}
    for _ in range(rounds):
        for cl, steps in bare.items():
            if not channels_last:  # tiny networks: one thread is faster, for the bare loop too
                torch.set_num_threads(1)
            got[cl].append(rate(run_for(steps, seconds), batch_size))
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


def compare_peers(data, batch_size, seconds, rounds, table):
    """Every network through the same loop by hand, in turns; the better layout of each counts. Then the
    loops. The table is written anew."""
    models = {k: GaussianDiffusion(net.train(), cosine_beta_schedule(100), (1, 28, 28))
              for k, net in peers.networks().items()}
    for m in models.values(): m.net.num_classes = 0
    got = {(k, cl): [] for k in models for cl in (False, True)}
    for _ in range(rounds):
        for k, cl in got:
            models[k].net.to(memory_format=torch.channels_last if cl else torch.contiguous_format)
            steps = bare_steps(models[k], data, batch_size, 1e-3, cl)
            list(itertools.islice(steps, 3))
            got[k, cl].append(rate(run_for(steps, seconds), batch_size))
    best = {k: max(statistics.median(got[k, cl]) for cl in (False, True)) for k in models}
    lines = []
    peer = max(v for k, v in best.items() if not k.startswith("ours") and "folded" not in k)
    print(f"networks, batch {batch_size}, {rounds} rounds of {seconds:g} s")
    for k, v in best.items():
        n = sum(p.numel() for p in models[k].net.parameters() if p.requires_grad)
        print(f"  {k:35} {n:9,} parameters {v:8.0f} images/s   {v / peer:5.2f} x the best plain peer",
              flush=True)
        lines.append(["network", k, n, round(v), f"{v / peer:.2f}"])

    loops = peers.loops(data, batch_size)
    times = {k: [] for k in loops}
    for loop in loops.values(): loop(1.)
    for _ in range(rounds):
        for k, loop in loops.items(): times[k].append(rate(lambda loop=loop: loop(seconds), batch_size))
    print(f"loops around the plain network of ours, batch {batch_size}, {rounds} rounds of {seconds:g} s")
    fitted = statistics.median(times["fit"])
    for k, v in times.items():
        v = statistics.median(v)
        print(f"  {k:35} {v:8.0f} images/s   fit makes {fitted / v:5.2f} x as many", flush=True)
        lines.append(["loop", k, "", round(v), f"{v / fitted:.2f}"])
    with table.open("w", newline="") as f:
        w = csv.writer(f, lineterminator="\n")
        w.writerows([["kind", "name", "parameters", "images_per_second", "ratio"], *lines])


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--points", action="store_true")
    p.add_argument("--peers", action="store_true")
    p.add_argument("--seconds", type=float, default=6., help="of each measurement")
    p.add_argument("--rounds", type=int, default=5)
    a = p.parse_args()
    THREADS = torch.get_num_threads()
    print(f"torch {torch.__version__}, {THREADS} threads")
    if a.peers:
        import peers
        compare_peers(digits(), 64, a.seconds, a.rounds, Path(__file__).parent / "results/peers.csv")
    elif a.points:
        def spiral_model(): return GaussianDiffusion(PointNet(100), cosine_beta_schedule(100), (2,))
        compare("spiral", spiral_model, spiral(10_000, seed=0), 32, 1e-3, a.seconds, a.rounds, False)
        model = spiral_model(); set_seed(0)
        h = fit(model, spiral(10_000, seed=0), epochs=100, batch_size=32, lr=1e-3, device="cpu")
        print(f"100 epochs of 10,000 points, "
              f"batch 32: {h['seconds']:.1f} s, loss {sum(h['loss'][-1000:]) / 1000:.4f}")
        model = spiral_model(); set_seed(0)
        h = fit(model, spiral(10_000, seed=0), epochs=200, batch_size=500, lr=1e-2, device="cpu")
        print(f"200 epochs, batch 500, lr 1e-2: "
              f"       {h['seconds']:.1f} s, loss {sum(h['loss'][-100:]) / 100:.4f}")
    else:
        def plain():
            net = UNet(1, 16, 100, num_classes=10, middle_attention=False)
            return GaussianDiffusion(net, cosine_beta_schedule(100), (1, 28, 28), p_uncond=.1)
        for name, make in (("demo's network (folded)", digits_model), ("plain UNet", plain)):
            compare(name, make, digits(), 64, 1e-3, a.seconds, a.rounds, True)
