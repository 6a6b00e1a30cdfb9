"""Runs survive: killed at any moment, they go on to the last bit; signals leave a checkpoint; what cannot be
written, read or fitted is told in a sentence, and the last good checkpoint stays whole.

Processes are killed here, by the score. So that each need not import torch anew, one process is started,
which forks: `zoo_keeper` below."""
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from pathlib import Path

import pytest
import torch
from ddpm_edu import GaussianDiffusion, KarrasDiffusion, PointNet, TensorData, UNet, fit, load, muon, set_seed
from ddpm_edu import linear_beta_schedule, spiral, three_shapes
from ddpm_edu.data import Augmented, flips
from ddpm_edu.models import checkpoints_of, linked
from ddpm_edu.training import Run, Scale, adam, clipped, optimizer, read_checkpoint, read_history
from ddpm_edu.training import read_measured

CPU = dict(device="cpu")


def points(net=None, **how):
    return GaussianDiffusion(net or PointNet(50, 8), linear_beta_schedule(50), (2,), **how)


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(v, b[k]) for k, v in a.items())


def stop_at(*steps):
    "A stage that is interrupted at these steps, if it comes by."
    def stage(states):
        for s in states:
            if s.step in steps: raise KeyboardInterrupt
            yield s
    return stage


def images(n=40):
    x = (torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 255).to(torch.uint8)
    return TensorData(x, torch.arange(n) % 3)


def unet(**how): return UNet(1, 8, 50, (1, 2), num_classes=3, **how)


def loader():
    x, y = images()[:]
    return torch.utils.data.DataLoader(list(zip(x, y)), 8, shuffle=True)


def pictures(**how): return GaussianDiffusion(unet(), linear_beta_schedule(50), (1, 8, 8), p_uncond=.2, **how)


def shown_twice():
    net = UNet(2, 8, 50, (1, 2)); net.chain.final = torch.nn.Conv2d(8, 1, 3, padding=1)
    return GaussianDiffusion(net, linear_beta_schedule(50), (1, 8, 8), self_condition=True)


KINDS = {
    "points": (points, lambda: spiral(100), {}),
    "without average": (points, lambda: spiral(100), dict(average=False)),
    "averages now and then": (points, lambda: spiral(100), dict(average=lambda k: .9 if k % 3 == 0 else 1.)),
    "rate of steps": (points, lambda: spiral(100), dict(rate="inverse")),
    "images and labels": (pictures, images, {}),
    "in parts": (pictures, images, dict(scale=Scale(accumulate=3))),
    "a loader that shuffles": (pictures, loader, {}),
    "a list of batches": (points, lambda: [torch.full((4, 2), v) for v in (-.5, 0., .5)], {}),
    "augmented": (lambda: GaussianDiffusion(unet(augment_dim=1), linear_beta_schedule(50), (1, 8, 8)),
                  lambda: Augmented(images(), flips(.5)), {}),
    "other levels": (lambda: KarrasDiffusion(unet(), (1, 8, 8)), images, {}),
    "the last guess": (shown_twice, images, {}),
    "weighted": (lambda: pictures(weighting="min_snr", loss="huber"), images, {}),
    "bfloat16": (lambda: points().bfloat16(), lambda: spiral(100), {}),
}
OPTIMIZERS = {"adam": lambda m: clipped(adam(m, 1e-2), 1.), "adamw": lambda m: optimizer("adamw", m, 1e-2),
              "foreach": lambda m: torch.optim.AdamW(m.parameters(), 1e-2, foreach=True),
              "amsgrad": lambda m: torch.optim.Adam(m.parameters(), 1e-2, amsgrad=True),
              "sgd": lambda m: optimizer("sgd", m, 1e-3), "muon": lambda m: muon(m, 1e-2)}


def survives(make, data, tmp_path, opt=None, steps=11, **how):
    "Trained twice, once with two interruptions, of which one lies in the second pass over the data."
    def trained(**more):
        set_seed(1); m = make()
        return m, fit(m, data(), steps=steps, batch_size=16, opt=opt(m) if opt else None, **CPU, **how,
                      **more)
    whole, log = trained()
    for _ in range(2): trained(run=Run(tmp_path/"zoo/a", every=3), stages=[stop_at(4, 9)]); set_seed(7)
    torch.rand(11)                                                           # other random numbers by then
    m, again = trained(run=tmp_path/"zoo/a")
    assert log["loss"] == again["loss"] and again["steps"] == steps
    assert equal(whole.state_dict(), m.state_dict())
    if "raw" in log: assert equal(log["raw"], again["raw"])
    state = read_checkpoint(tmp_path/"zoo/a").state
    assert state["step"] == steps and state["parent"].endswith("000009")
    return whole


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_training_goes_on_to_the_last_bit(kind, tmp_path):
    make, data, how = KINDS[kind]
    survives(make, data, tmp_path, **how)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_so_does_one_with_another_optimiser(name, tmp_path):
    survives(pictures, images, tmp_path, OPTIMIZERS[name])


def test_a_budget_in_epochs_and_validation_survive(tmp_path):
    def trained(n=3, **more):
        set_seed(1); m = points()
        return m, fit(m, spiral(100), epochs=n, batch_size=16, valid=spiral(50, seed=1), **CPU, **more)
    whole, log = trained()
    trained(run=tmp_path/"a", stages=[stop_at(9)])
    m, again = trained(run=tmp_path/"a")
    assert equal(whole.state_dict(), m.state_dict()) and log["val_loss"] == again["val_loss"] != []
    assert [r[0] for r in read_history(tmp_path/"a/history.csv")] == list(range(1, 22))


def test_a_stage_that_draws_random_numbers_and_measures_survives_too(tmp_path):
    def draws(states):
        for s in states:
            s.kept["seen"] = s.kept.get("seen", 0) + 1
            if s.step % 2 == 0: s.measured["drawn"] = torch.rand(()).item()
            yield s
    def trained(*more, **how):
        set_seed(1); m = points()
        return m, fit(m, spiral(100), steps=12, batch_size=16, stages=[draws, *more], **CPU, **how)
    whole, log = trained()
    trained(stop_at(5), run=Run(tmp_path/"a", every=2)); trained(stop_at(8), run=Run(tmp_path/"a", every=2))
    m, again = trained(run=tmp_path/"a")
    assert equal(whole.state_dict(), m.state_dict()) and log["measured"] == again["measured"]
    assert read_measured(tmp_path/"a/history.csv") == log["measured"] and len(log["measured"]["drawn"]) == 6
    assert read_checkpoint(tmp_path/"a").state["kept"] == {"seen": 12}


def test_any_checkpoint_can_be_drawn_from(tmp_path):
    set_seed(0); m = points()
    fit(m, spiral(100), steps=6, run=Run(tmp_path/"zoo/a", every=2, keep=2, keep_every=2), **CPU)
    names = [p.name for p in checkpoints_of(tmp_path/"zoo/a")]
    assert names == ["000002", "000004", "000006"]
    for place in ("zoo", "zoo/a", "zoo/a/000006"):
        assert torch.equal(load(tmp_path/place, device="cpu").sample(2, seed=0), m.sample(2, seed=0))
    assert not torch.equal(load(tmp_path/"zoo/a/000002", device="cpu").sample(2, seed=0), m.sample(2, seed=0))
    shutil.move(tmp_path/"zoo", tmp_path/"moved")                            # links are relative
    assert torch.equal(load(tmp_path/"moved", device="cpu").sample(2, seed=0), m.sample(2, seed=0))


def test_what_is_not_a_number_ends_a_training_and_harms_nothing(tmp_path):
    set_seed(0); m, n = points(), [0]
    own = m.loss
    def breaks(x0, y=None):
        n[0] += 1
        return own(x0, y) * (1. if n[0] < 500 else float("nan"))
    m.loss = breaks
    with warnings.catch_warnings(record=True) as seen, pytest.raises(FloatingPointError) as e:
        warnings.simplefilter("always")
        fit(m, spiral(100), steps=2000, batch_size=4, run=Run(tmp_path/"a", every=100), **CPU)
    assert "step 500: the gradient is not finite" in str(seen[0].message)
    assert "100 times in a row, from step 500 on" in str(e.value)
    assert "checkpoint before is" in e.value.__notes__[0]
    assert all(p.isfinite().all() for p in m.parameters())
    assert load(tmp_path/"a/000400", device="cpu").sample(2, seed=0, n_steps=2).isfinite().all()


def broken(name):
    "A run of four steps and something that happened to it; what is then said."
    def of(folder):
        fit(points(), spiral(100), steps=4, run=Run(folder, every=2), **CPU)
        last = folder/"000004"
        if name == "half a checkpoint": (last/"train.json").unlink()
        if name == "cut short":
            (last/"model.safetensors").write_bytes((last/"model.safetensors").read_bytes()[:99])
        if name == "nonsense": (last/"state.yaml").write_text("step: [")
        if name == "empty link":
            for p in (last, folder/"000002"): shutil.rmtree(p)
            (folder/"latest").unlink()
            (folder/"latest").symlink_to("000009")
    return of


@pytest.mark.parametrize("name, said", [("half a checkpoint", "is half a checkpoint"),
                                        ("cut short", "damaged or cut short"),
                                        ("nonsense", "no readable YAML"),
                                        ("empty link", "there is no checkpoint")])
def test_a_run_that_is_broken_says_so(name, said, tmp_path):
    broken(name)(tmp_path/"a")
    before = sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*"))
    with pytest.raises((ValueError, OSError), match=said) as e:
        fit(points(), spiral(100), steps=8, run=tmp_path/"a", **CPU)
    if name != "empty link": assert "000002 is the latest" in str(e.value)
    assert sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*")) == before        # nothing is lost


def test_a_latest_that_points_nowhere_is_told_and_mended(tmp_path):
    fit(points(), spiral(100), steps=4, run=Run(tmp_path/"a", every=2), **CPU)
    shutil.rmtree(tmp_path/"a/000004")
    with pytest.raises(FileNotFoundError, match="points to 000004, which is not there.*000002"):
        load(tmp_path/"a")
    with pytest.warns(UserWarning, match="the last checkpoint that is whole is 000002"):
        fit(points(), spiral(100), steps=4, run=tmp_path/"a", **CPU)
    assert linked(tmp_path/"a").name == "000004"


def test_where_there_are_no_links_a_text_file_does(tmp_path, monkeypatch):
    def refused(*_): raise OSError(1, "not permitted")
    monkeypatch.setattr(os, "symlink", refused)
    m = points(); fit(m, spiral(100), steps=2, run=tmp_path/"zoo/a", **CPU)
    assert (tmp_path/"zoo/a/latest").read_text() == "000002\n"
    assert (tmp_path/"zoo/latest").read_text() == "a\n"
    assert torch.equal(load(tmp_path/"zoo", device="cpu").sample(2, seed=0), m.sample(2, seed=0))


CHANGED = {"batch_size=16": dict(batch_size=8), "seed=0": dict(seed=1), "lr": dict(lr=.1),
           "rate=": dict(rate="cosine"),
           "data.items=100": dict(data=three_shapes(40)), "net.width=8": dict(model=points(PointNet(50, 4))),
           "model.objective": dict(model=points(objective="v")),
           "accumulate=1": dict(scale=Scale(accumulate=2)),
           "steps=4": dict(steps=3)}


@pytest.mark.parametrize("said", CHANGED)
def test_another_training_is_refused_by_name(said, tmp_path):
    usual = dict(model=points(), data=spiral(100), steps=4, batch_size=16, run=tmp_path/"a", **CPU)
    fit(**usual)
    with pytest.raises(ValueError, match="was begun with") as e: fit(**usual | CHANGED[said])
    assert said in str(e.value) and "the budget may grow" in str(e.value)


def test_fit_has_at_most_16_arguments():
    import inspect
    assert len(inspect.signature(fit).parameters) <= 16


def test_signals_are_as_they_were(tmp_path):
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    fit(points(), spiral(100), steps=2, run=tmp_path/"a", **CPU)
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


# ------------------------------------------------------------------- other processes, from here on

KEEPER = textwrap.dedent('''
    """Told a line of JSON, forks a child that trains, and says its number; told `wait`, how one ended."""
    import contextlib, json, math, os, sys, tempfile, warnings
    import torch
    torch.set_num_threads(1)
    from ddpm_edu import GaussianDiffusion, TensorData, UNet, fit, linear_beta_schedule, set_seed
    from ddpm_edu.training import Run
    import resource
    def trained(folder, steps, every=3, limit=None, lock_at=None, nobody=False, begun=None, **how):
        warnings.simplefilter("always")
        if nobody and not os.geteuid(): os.setgid(65534); os.setuid(65534)
        set_seed(0)
        x = (torch.rand(60, 1, 8, 8) * 255).to(torch.uint8)
        net = UNet(1, 8, 40, (1, 2), num_classes=3)
        model = GaussianDiffusion(net, linear_beta_schedule(40), (1, 8, 8), p_uncond=.2)
        def stage(states):
            for s in states:
                if begun and s.step == 1: open(begun, "w").close()
                if limit and s.step == lock_at: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
                elif s.step == lock_at: os.chmod(folder, 0o555)
                yield s
        data = TensorData(x, torch.arange(60) % 3)
        log = fit(model, data, steps=steps or math.inf, batch_size=16, device="cpu",
                  run=Run(folder, every=every, keep=2), stages=[stage], **how)
        print("done", log["steps"], flush=True)
    if __name__ == "__main__":
        with tempfile.TemporaryDirectory() as d, contextlib.redirect_stdout(sys.stderr):
            trained(d + "/a", 1)                        # all is imported before anybody forks or loses rights
        for line in sys.stdin:
            told = json.loads(line)
            if "wait" in told:
                _, status = os.waitpid(told["wait"], 0)
                print("ended", os.waitstatus_to_exitcode(status), flush=True); continue
            pid = os.fork()
            if pid: print("pid", pid, flush=True); continue
            with open(told.pop("out"), "w") as f: os.dup2(f.fileno(), 1); os.dup2(f.fileno(), 2)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            code = 1
            try: trained(**told); code = 0
            except SystemExit as e: code = e.code
            except BaseException as e: print(f"{type(e).__name__}: {e}", flush=True)
            finally: sys.stdout.flush(); os._exit(code)
''')


@pytest.fixture(scope="module")
def zoo_keeper(tmp_path_factory):
    "A process that forks others: `start(**how)` gives a child's number, `ended(number)` its exit status."
    script = tmp_path_factory.mktemp("keeper")/"keeper.py"
    script.write_text(KEEPER)
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]),
                                                                               *sys.path])}
    p = subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                         env=env)
    def ask(**told):
        p.stdin.write(json.dumps(told) + "\n"); p.stdin.flush()
        line = p.stdout.readline().split()
        assert line and line[0] in ("pid", "ended"), line
        return int(line[1])
    yield ask
    p.stdin.close(); p.wait(60)


def wait_for(path, seconds=30):
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} does not come"
        time.sleep(.002)


@pytest.mark.more
def test_killed_at_twenty_moments_it_is_the_same_training(zoo_keeper, tmp_path):
    "And no checkpoint is ever damaged, though many a kill comes while one is written."
    steps, out = 45, str(tmp_path/"out")
    whole = tmp_path/"whole"
    t = time.monotonic()
    assert zoo_keeper(wait=zoo_keeper(folder=str(whole), steps=steps, out=out)) == 0, Path(out).read_text()
    length = time.monotonic() - t
    g, kills, finished, in_saving = torch.Generator().manual_seed(0), 0, 0, 0
    while kills < 20 or not finished:
        run = tmp_path/f"zoo/{finished}"
        pid = zoo_keeper(folder=str(run), steps=steps, out=out)
        if kills < 20:
            time.sleep(length * (.05 + .5 * torch.rand((), generator=g).item()))
            os.kill(pid, signal.SIGKILL)
        if (status := zoo_keeper(wait=pid)) == -signal.SIGKILL: kills += 1
        else: assert status == 0, Path(out).read_text()
        in_saving += any(run.glob(".*.part"))
        for c in checkpoints_of(run): read_checkpoint(c)
        if status: continue
        finished += 1
        a, b = read_checkpoint(whole), read_checkpoint(run)
        assert equal(a.model, b.model) and equal(a.ema, b.ema) and b.state["step"] == steps
        lines = [[row[:5] for row in read_history(f/"history.csv")] for f in (whole, run)]
        assert lines[0] == lines[1]
        assert torch.equal(load(whole, device="cpu").sample(4, [0, 1, 2, -1], seed=0),
                           load(run, device="cpu").sample(4, [0, 1, 2, -1], seed=0))
    print(f"{kills} kills, {in_saving} of them while saving, {finished} runs finished, all equal")
    assert in_saving >= 1


@pytest.mark.more
@pytest.mark.parametrize("name, status", [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 0)])
def test_a_signal_leaves_a_checkpoint(name, status, zoo_keeper, tmp_path):
    run, out, begun = tmp_path/"zoo/a", tmp_path/"out", tmp_path/"begun"
    pid = zoo_keeper(folder=str(run), steps=None, every=10_000, rate="constant", out=str(out),
                     begun=str(begun))
    wait_for(begun); time.sleep(.2)
    os.kill(pid, getattr(signal, name))
    assert zoo_keeper(wait=pid) == status, out.read_text()
    step = read_checkpoint(run).state["step"]
    assert step >= 1 and f"stopped at step {step}:" in out.read_text()
    assert len(read_history(run/"history.csv")) == step


@pytest.mark.more
def test_a_second_ctrl_c_is_obeyed_at_once(zoo_keeper, tmp_path):
    run, out, begun = tmp_path/"zoo/a", tmp_path/"out", tmp_path/"begun"
    pid = zoo_keeper(folder=str(run), steps=None, every=1, rate="constant", out=str(out), begun=str(begun))
    wait_for(begun)
    for _ in range(3): os.kill(pid, signal.SIGINT); time.sleep(.003)
    assert zoo_keeper(wait=pid) in (0, 1)
    for c in checkpoints_of(run): read_checkpoint(c)


@pytest.mark.more
def test_a_second_process_is_refused(zoo_keeper, tmp_path):
    run, begun = tmp_path/"zoo/a", tmp_path/"begun"
    pid = zoo_keeper(folder=str(run), steps=None, rate="constant", out=str(tmp_path/"1"), begun=str(begun))
    wait_for(begun)
    assert zoo_keeper(wait=zoo_keeper(folder=str(run), steps=5, out=str(tmp_path/"2"))) == 1
    assert f"RuntimeError: {run} is being trained by process {pid} on" in (tmp_path/"2").read_text()
    os.kill(pid, signal.SIGKILL); zoo_keeper(wait=pid)                       # the lock goes with its process
    pid = zoo_keeper(folder=str(run), steps=None, rate="constant", out=str(tmp_path/"3"))
    time.sleep(.5); os.kill(pid, signal.SIGTERM)
    assert zoo_keeper(wait=pid) in (143, -15), (tmp_path/"3").read_text()
    assert "is being trained" not in (tmp_path/"3").read_text()


@pytest.mark.more
@pytest.mark.parametrize("how", [dict(limit=20_000), dict(nobody=True)], ids=["disk full", "read-only"])
def test_what_cannot_be_saved_is_told_and_training_goes_on(how, zoo_keeper, tmp_path):
    "A limit on the size of files stands for a full disk: both stop a file in its middle."
    import tempfile
    top = Path(tempfile.mkdtemp()); top.chmod(0o777)                         # where nobody may write
    run, out = top/"a", tmp_path/"out"
    try:
        pid = zoo_keeper(folder=str(run), steps=12, out=str(out), lock_at=4, **how)
        assert zoo_keeper(wait=pid) == 0, out.read_text()
        run.chmod(0o777)
        said = out.read_text()
        assert "done 12" in said and "cannot be written" in said, said
        assert "the last good checkpoint is 000003" in said
        assert read_checkpoint(run).state["step"] == 3 and not list(run.glob(".*.part"))
        assert zoo_keeper(wait=zoo_keeper(folder=str(run), steps=12, out=str(out))) == 0, out.read_text()
        assert read_checkpoint(run).state["step"] == 12
    finally: shutil.rmtree(top)
