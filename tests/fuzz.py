"""Random wrong arguments for every public function, class and method:
`python tests/fuzz.py --calls 10000 --seed 5`.

Each call starts from arguments that would do, where the name of the parameter tells which those are, and
spoils one or two of them. Counted are: *crash* (the process died), *hang* (over 10 seconds), *nan* (NaN or
infinity out of finite arguments), and *raw*: an error that was raised outside the package and not converted,
or whose message names neither an argument nor what to do. The calls of a seed are always the same ones."""
import argparse
import collections
import importlib
import inspect
import itertools
import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

FLOORS = "data", "denoising", "networks", "models", "training", "measuring", "sprites", "viz", "using"
FRONT = """GaussianDiffusion KarrasDiffusion UNet UNetFixed TensorData fit load fld grid animate show_images
save_image digits image_folder three_shapes karras_sigmas ddim euler dpmpp_2m heun KarrasDiffusion.sample
GaussianDiffusion.sample GaussianDiffusion.save KarrasDiffusion.save GaussianDiffusion.sample_iter""".split()
# what fetches, waits for somebody or trains for minutes by itself
SKIP = """
fetch hub_data run_demo main open_clip_encoders train_lenet draw score sheet cifar10 flowers102 pokemon
sprite_files idx_data fashion explore cache_folder ddpm_serve ddpm_demo ddpm_eval nbdev_main
run_command""".split()
LIMIT = 10                                                                # seconds
# whose infinity says what is so: the ratio of signal to no noise at all
INFINITE = ["snr"]


class Hang(BaseException):
    "Raised by the alarm; no `except Exception` of anybody swallows it."


def usual():
    "What suits a parameter, by its name."
    import torch
    from ddpm_edu import GaussianDiffusion, KarrasDiffusion, TensorData, UNet, load
    from ddpm_edu.denoising import cosine_beta_schedule, exact_denoiser, get_sampler, karras_sigmas
    from ddpm_edu.networks import PointNet
    from ddpm_edu.measuring import load_lenet
    from ddpm_edu.training import budget
    torch.manual_seed(0)
    x, points = torch.rand(6, 1, 8, 8) * 2 - 1, torch.rand(12, 2) - .5
    net = UNet(1, 8, T=10, channel_multipliers=(1, 2), num_classes=3, num_blocks_per_level=1, block_groups=4)
    model = GaussianDiffusion(net, cosine_beta_schedule(10), (1, 8, 8), p_uncond=.1)
    flat = KarrasDiffusion(PointNet(10, num_classes=3), (2,))
    D, data = exact_denoiser(points), TensorData(x, torch.arange(6) % 3)
    lenet = load_lenet(device="cpu")
    steps = list(model.sample_iter(2, n_steps=3, seed=0))
    sigmas = karras_sigmas(3, .1, 10.)
    frames = [s.x for s in steps]
    stats = torch.zeros(4), torch.eye(4)
    folder = tempfile.mkdtemp()
    by_name = dict(
        x=[x, points, steps[0].x], images=[torch.rand(6, 1, 28, 28)],
net=[net, PointNet(10)], model=[model, flat],
        D=[D], sigmas=[sigmas], data=[data, TensorData(points)],
n=[1, 3], n_steps=[1, 3], seed=[0, 7], T=[10],
        labels=[None, 1, torch.tensor([0, 1])], y=[None, torch.tensor([0, 1, 2, 0, 1, 2])],
betas=[model.betas],
        path=[folder + "/a.png", folder + "/b.gif"], name_or_path=["spirals"],
epochs=[None, 1], steps=[2, steps],
        minutes=[None], batch_size=[2, 4], data_shape=[(1, 8, 8), (2,)], in_channels=[8], out_channels=[8],
        channels=[1, 3], emb_dim=[8], dim=[8], num_groups=[4],
num_classes=[0, 3], model_channels=[8], size=[8, 16],
        sampler=["ddim", "heun"], sigma=[1., torch.ones(6)], sigma_min=[.1], sigma_max=[10.], eta=[0., 1.],
        noise_sampler=[None], frames=[frames, steps],
labels_=[None], reference=["lenet_mnist", torch.rand(9, 1, 28, 28)],
        features=[lenet.features], real=[torch.rand(20, 4)], fake=[torch.rand(20, 4)], f=[torch.rand(9, 4)],
        g=[torch.rand(9, 4)], mean1=[stats[0]], cov1=[stats[1]],
mean2=[stats[0]], cov2=[stats[1]], states=[iter(())],
        done=[budget(data, 4, steps=2)], opt=[None], s=[1.], s2=[.5], ac=[model.alphas_cumprod if
        hasattr(model, "alphas_cumprod") else sigmas[:3] / 20],
guidance_scale=[1., 3.], interval=[None, (0., 5.)],
        points=[points], means=[points[:3]], stds=[torch.ones(3)],
image=[x], images_=[x], layers=[[torch.nn.SiLU()]],
        device=["cpu"], raw=[b"123"], u=[torch.rand(5)],
t=[torch.zeros(6)], cond=[{}], steps_=[steps], k=[1, 2],
        ncol=[2], scale=[1., 2], step=[steps[1]], labels__=[None], target=[x], module=[net], sigma_data=[.5],
        block=["pre_act", "res"], objective=["eps", "v"], threshold=["static", None], name=["x0", "spirals"],
        z=[x], h=[x], v=[x], c=[x], skip=[x], q=[x], width=[16],
p=[.5], curves=[{"a": [1., 2.]}], states_=[iter(())],
        get=[get_sampler("ddim")], card=[load("spirals", device="cpu").card], pad=[1], log=[{}], level=[.9])
    objects = dict(GaussianDiffusion=model, KarrasDiffusion=flat, TensorData=data, UNet=net, LeNet5=lenet)
    return by_name, objects


def wrong(rng):
    "Something that somebody passed to some function, once."
    import numpy as np
    import torch
    g = torch.Generator().manual_seed(rng.randrange(2**31))
    shape = rng.choice([(), (0,), (1,), (3,), (2, 2),
                        (6, 1, 8, 8), (2, 3, 8, 8), (4, 1, 28, 28), (1, 1, 1, 1), (2, 8, 8)])
    kinds = torch.float32, torch.float16, torch.float64, torch.int64, torch.uint8, torch.bool
    simple = [None, True, False, -3, -1, 0, 1, 2, 3, 17,
              2**70, -1., 0., .5, 1., 2.5, 1e30, -1e30, math.nan, math.inf,
              "", "x", "ddim", "digits", "no such", "\x1b[31mred",
              b"", b"abc", [], [1, 2], ["a"], (), (1,), (3, 8, 8),
              {}, {"a": 1}, set(), object(), len, int, lambda x: x, lambda *a, **k: None, Path("no such"),
              Path(os.devnull), 3 + 4j, range(3), iter([1, 2]),
              np.int64(3), np.float32(.5), np.zeros(3), "cpu", "cuda:9"]
    if rng.random() < .7: return rng.choice(simple)
    kind = rng.choice(kinds)
    made = (torch.randn(shape, generator=g) * rng.choice([.3, 1, 100])).to(kind)
    return rng.choice([lambda: made, lambda: made.numpy(),
                       lambda: torch.nn.Linear(2, 2), lambda: made * math.nan
                       if made.is_floating_point() else made, lambda: [made, made]])()


def targets(objects):
    "Every public function and class by its name, and the methods of a few objects."
    found = {}
    for floor in FLOORS:
        door = importlib.import_module(f"ddpm_edu.{floor}")
        for name in door.__all__:
            thing = getattr(door, name)
            if (inspect.isfunction(thing) or inspect.isclass(thing)) and name not in SKIP: found[name] = thing
    for kind, thing in objects.items():
        for name, method in inspect.getmembers(type(thing), inspect.isfunction):
            if name[0] != "_" and (getattr(method, "__module__", "") or "").startswith("ddpm_edu"):
                found[f"{kind}.{name}"] = getattr(thing, name)
    # the front doors are called ten times as often, so that their share is known better
    return [*found.items(), *(p for p in found.items() if p[0] in FRONT for _ in range(9))]


def arguments(call, by_name, rng):
    "Suitable arguments, of which one or two are spoilt, or one is left out."
    try: params = [p for p in inspect.signature(call).parameters.values() if p.kind < 4 and p.kind != 2]
    except (TypeError, ValueError): params = []
    given = {p.name: rng.choice(by_name[p.name]) if p.name in by_name else wrong(rng) for p in params
             if (p.default is p.empty or rng.random() < .3 or p.name in ("steps", "device"))
             and p.name not in ("full", "download")}                      # nothing is fetched
    for name in rng.sample(list(given), min(len(given), rng.choice([1, 1, 2]))):
        if name in ("minutes", "epochs"): continue                        # 17 minutes are 17 minutes
        given[name] = wrong(rng)
    return given


def finite(thing, depth=0):
    "Whether there is no NaN or infinity in it; what is no number is finite."
    import numpy as np
    import torch
    if isinstance(thing, torch.Tensor):
        return thing.is_meta or not (thing.is_floating_point()
                                     or thing.is_complex()) or bool(thing.isfinite().all())
    if isinstance(thing, np.ndarray): return thing.dtype.kind not in "fc" or bool(np.isfinite(thing).all())
    if isinstance(thing, float): return math.isfinite(thing) and abs(thing) < 1e29
    if isinstance(thing, complex | torch.nn.Module): return True
    if isinstance(thing, dict): return finite(list(thing.values()), depth)
    if isinstance(thing, list | tuple) and depth < 3: return all(finite(v, depth + 1) for v in thing[:50])
    return True


def verdict(e, call, given):
    "`ok` for an error that a user can act on, `raw` for any other, with where it came from."
    tb, frames = e.__traceback__, []
    while tb: frames.append((tb.tb_frame.f_code.co_filename, tb.tb_lineno)); tb = tb.tb_next
    ours = "ddpm_edu" + os.sep in frames[-1][0]
    said = str(e)
    names = [*given, *(inspect.signature(call).parameters if callable(call) else ())]
    named = any(re.search(rf"(?<!\w){re.escape(n)}(?!\w)", said) for n in names)
    advice = re.search(
        r"\b(take|takes|use|give|choose|pass|needs?|must|call|expects?|ask|install|make|was given|"
r"cannot|no such|unknown|works? (in|with|on)|there is no|should)\b", said)
    if len(frames) == 1 and isinstance(e, TypeError): return "ok", ""  # Python's own words on the signature
    where = f"{Path(frames[-1][0]).name}:{frames[-1][1]} {type(e).__name__}: {said[:110]!r}"
    return ("ok", "") if ours and (named or advice) else ("raw", where)


def one(name, call, given):
    "What became of one call."
    calm = finite(list(given.values()))
    def alarm(*_): raise Hang
    signal.signal(signal.SIGALRM, alarm); signal.setitimer(signal.ITIMER_REAL, LIMIT)
    try:
        out = call(**given)
        if inspect.isgenerator(out) or isinstance(out, map): out = list(itertools.islice(out, 20))
        signal.setitimer(signal.ITIMER_REAL, 0)
        if isinstance(out, list) and out and hasattr(out[0], "x"): out = [s.x for s in out if hasattr(s, "x")]
        lost = calm and not finite(out) and name not in INFINITE
        return ("nan", "") if lost else ("ok", "")
    except Hang: return "hang", ""
    except (Exception, SystemExit) as e:
        signal.setitimer(signal.ITIMER_REAL, 0)
        return verdict(e, call, given)
    finally: signal.setitimer(signal.ITIMER_REAL, 0)


def worker(seed, first, last):
    "Calls `first` to `last` of a seed, one line of JSON each."
    import resource

    import matplotlib
    import torch
    resource.setrlimit(resource.RLIMIT_AS, (16 * 2**30, 16 * 2**30))
    matplotlib.use("agg"); torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    by_name, objects = usual()
    table = targets(objects)
    out, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stdout
    for i in range(first, last):
        rng = random.Random(f"{seed}-{i}")
        name, call = rng.choice(table)
        given = arguments(call, by_name, rng)
        print(json.dumps([i, name, "crash", ""]), file=out, flush=True)  # what it was, should it be the last
        kind, where = one(name, call, given)
        if kind in ("nan", "hang", "raw"): where += " | " + ascii(given)[:260]
        print(json.dumps([i, name, kind, where]), file=out, flush=True)
        matplotlib.pyplot.close("all") if "matplotlib.pyplot" in sys.modules else None


def fuzz(calls, seed):
    "All results as `(name, kind, where)`; a process that dies is a crash, and the next one goes on."
    done = {}
    root = Path(__file__).resolve().parent.parent
    env = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "IN_TEST": "1"}
    with tempfile.TemporaryDirectory() as here:
        while len(done) < calls:
            line = [sys.executable, __file__, "--worker", str(seed), str(len(done)), str(calls)]
            run = subprocess.run(line, cwd=here, env=env, stdout=subprocess.PIPE, check=False)
            before = len(done)
            for text in run.stdout.decode().splitlines():
                i, *what = json.loads(text); done[i] = what
            if len(done) == before: raise RuntimeError("the worker does not start")
    return list(done.values())


def shares(results):
    "Counts of each kind, and the shares of raw errors in per cent: over all, and at the front doors."
    count = collections.Counter(kind for _, kind, _ in results)
    front = [kind for name, kind, _ in results if name in FRONT]
    return count, 100 * count["raw"] / len(results), 100 * front.count("raw") / max(len(front), 1), len(front)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]: worker(*(int(a) for a in sys.argv[2:])); sys.exit()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--show", type=int, default=25, help="how many kinds of raw errors to list")
    a = parser.parse_args()
    results = fuzz(a.calls, a.seed)
    count, raw, front, n = shares(results)
    print(f"seed {a.seed}: {a.calls} calls, {dict(count)}; "
          f"raw {raw:.1f} %, at the front doors {front:.1f} % of {n}")
    for name, kind, where in results:
        if kind in ("crash", "hang", "nan"): print(kind, name, where)
    raws = collections.Counter((name, where.split(" | ")[0]) for name,
                               kind, where in results if kind == "raw")
    for (name, where), k in raws.most_common(a.show): print(k, name, where)
