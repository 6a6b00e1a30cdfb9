"""What average, history and checkpoints cost: images per second in training with all of it, beside the bare
generator's.

    OMP_NUM_THREADS=1 python benchmarks/run_overhead.py [--steps 400] [--every 100] [--batch 64]

The recipe's model of digits, twice with the same weights: once by `train` alone, once by all the stages of
`fit` with a run folder. The two take turns of ten steps, so that whatever else the machine does hits both.
The checkpoints come every 100 steps, ten times as often as usual. Prints the share of the bare speed that is
left, by the clock and by the processor's time, and where the time went.
"""
import argparse
import tempfile
import time
from pathlib import Path

from ddpm_edu import digits, set_seed
from ddpm_edu.models import digits_model
from ddpm_edu.training import Keeper, Run, adam, anneal, autosave, budget, ema, history, locked, progress
from ddpm_edu.training import settings, train, until


def turns(states:list, steps:int, turn:int=10)->list[list[float]]:
    "Seconds that each of some trainings takes for so many steps, in turns: of the clock, of the processor."
    spent = [[0., 0.] for _ in states]
    for k in range(steps // turn):
        for i in (range(len(states)) if k % 2 else reversed(range(len(states)))):
            t, cpu = time.perf_counter(), time.process_time()
            for _ in range(turn): next(states[i])
            spent[i][0] += time.perf_counter() - t; spent[i][1] += time.process_time() - cpu
    return spent


def main(a:argparse.Namespace)->None:
    data, given = digits(), dict(epochs=None, steps=10 * a.steps, minutes=None, batch_size=a.batch)
    def made():
        set_seed(0); model = digits_model(); return model, adam(model, 2e-3)
    (bare, bare_opt), (model, opt) = made(), made()
    with tempfile.TemporaryDirectory() as d, locked(Path(d) / "run"):
        keeper, log = Keeper(Run(Path(d) / "run", every=a.every), settings(model, data, opt, **given)), {}
        keeper.begin(model, opt, log)
        done = budget(data, a.batch, steps=given["steps"])
        full = ema(anneal(until(train(model, data, batch_size=a.batch, opt=opt), done), opt, done))
        full = progress(autosave(history(full, log), keeper), done)
        both = [train(bare, data, batch_size=a.batch, opt=bare_opt), full]
        for states in both: next(states)                                     # the first step is slow
        (plain, cpu), (all_of_it, all_cpu) = turns(both, a.steps)
        timers = next(full).timers
        full.close()
    saves = timers["saving"].count
    print(f"bare {a.steps * a.batch / plain:.1f} images/s, with all stages and {saves} checkpoints "
          f"{a.steps * a.batch / all_of_it:.1f}: "
          f"{plain / all_of_it:.1%} of the bare speed; by the processor's time {cpu / all_cpu:.1%}")
    print(", ".join(f"{k} {1e3 * t.total / t.count:.2f} ms" for k, t in timers.items()))
    usual = all_of_it - timers["saving"].total * (1 - a.every / 1000)
    print(f"with a checkpoint every 1000 steps: {plain / usual:.1%}")


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--steps", type=int, default=400)
    p.add_argument("--every", type=int, default=100)
    p.add_argument("--batch", type=int, default=64)
    main(p.parse_args())
