"""The commands as the shell runs them: what they answer, what they refuse, and with which exit code they end.

On a tiny run or on weights that ship. What a process of its own shows (how it starts, ends and is stopped)
is tried in one, by the script that pip writes; the rest by the `main` that the script calls."""
import io
import os
import signal
import subprocess
import sys
import time
from configparser import ConfigParser
from contextlib import chdir, redirect_stderr, redirect_stdout
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import ddpm_edu
import pytest
import torch
from ddpm_edu import Run, UNet, cosine_beta_schedule, digits, fit
from ddpm_edu.models import GaussianDiffusion
from ddpm_edu.using.all_commands import COMMANDS
from PIL import Image

ROOT = Path(__file__).parents[1]
ENV = {"OMP_NUM_THREADS": "1", "DDPM_EDU_DEVICE": "cpu", "MPLBACKEND": "agg", "PYTHONPATH": str(ROOT)}
WRAPPER = """import sys
from {module} import {name}
sys.argv[0] = '/some/bin/{script}'
{before}
sys.exit({call}())"""


@pytest.fixture(autouse=True)
def same_environment(monkeypatch):
    for name, value in ENV.items(): monkeypatch.setenv(name, value)


def scripts():
    "Name → module and object, of `console_scripts`."
    config = ConfigParser(inline_comment_prefixes="#", delimiters="=", interpolation=None)
    config.read(ROOT/"settings.ini", encoding="utf-8")
    lines = config["package"]["console_scripts"].strip().splitlines()
    return {name.strip(): place.strip().split(":") for name, place in (line.split("=") for line in lines)}


def wrapper(script, before=""):
    "What pip writes into the folder of scripts."
    module, call = scripts()[script]
    return WRAPPER.format(module=module, name=call.split(".")[0], call=call, script=script, before=before)


def process(line, before="", **more):
    "A command line in a process of its own."
    script, *words = line.split()
    return subprocess.run([sys.executable, "-c", wrapper(script, before), *words],
                          capture_output=True, text=True, timeout=300, env=os.environ | ENV, **more)


def shell(line, cwd="."):
    "A command line in this process."
    script, *words = line.split()
    module, call = scripts()[script]
    command, out, err = getattr(import_module(module), call.split(".")[0]), io.StringIO(), io.StringIO()
    with chdir(cwd), redirect_stdout(out), redirect_stderr(err): code = command.main(words)
    return SimpleNamespace(returncode=code, stdout=out.getvalue(), stderr=err.getvalue())


def refused(run):
    "The one sentence of a command that refuses."
    assert run.returncode == 2 and run.stdout == "" and run.stderr.count("\n") == 1, run.stderr
    assert run.stderr.startswith("ddpm_"), run.stderr
    return run.stderr


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    "A folder with a zoo in it, whose only run has two checkpoints."
    folder = tmp_path_factory.mktemp("zoo")
    torch.manual_seed(0)
    net = UNet(1, 8, T=20, channel_multipliers=(1, 2), num_classes=10, num_blocks_per_level=1, block_groups=4)
    data = digits().subset(slice(64))
    model = GaussianDiffusion(net, cosine_beta_schedule(20), data.shape, p_uncond=.2)
    model.card = {"classes": list("0123456789"), "class_counts": data.y.bincount(minlength=10).tolist()}
    fit(model, data, steps=4, batch_size=8, device="cpu", run=Run(folder/"zoo"/"mine", every=2))
    return folder


# all of them

@pytest.mark.parametrize("script", scripts())
def test_every_script_leads_to_a_command(script):
    module, call = scripts()[script]
    found = import_module(module)
    for part in call.split("."): found = getattr(found, part)
    assert callable(found)
    assert script.startswith("nbdev_") or COMMANDS[script] == module.removeprefix("ddpm_edu.using.")


def test_no_command_is_missing_among_the_scripts():
    assert [name for name in scripts() if not name.startswith("nbdev_")] == list(COMMANDS)


@pytest.mark.parametrize("script", COMMANDS)
def test_help_needs_no_torch_and_holds_examples(script):
    run = process(f"{script} --help", "import atexit; atexit.register(lambda: print('torch' in sys.modules))")
    assert run.returncode == 0 and run.stderr == "" and run.stdout.endswith("False\n"), run.stderr
    assert f"usage: {script}" in run.stdout and "Examples:" in run.stdout and f"  {script}" in run.stdout


def test_a_command_starts_before_anybody_waits():
    "0.3 s of the processor, Python's own start included: the least of five, since machines are busy."
    def seconds():
        before = os.times()
        assert process("ddpm_sample --help").returncode == 0
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system
    assert min(seconds() for _ in range(5)) < .3


def test_all_of_them_fit_on_one_screen():
    run = shell("ddpm_help")
    lines = run.stdout.splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= 90
    assert all(any(line.split()[:1] == [name] for line in lines) for name in COMMANDS)
    package = subprocess.run([sys.executable, "-m", "ddpm_edu"], capture_output=True, text=True)
    assert package.stdout == run.stdout and package.returncode == 0
    assert f"ddpm_edu {ddpm_edu.__version__}" in lines[0]


RUN = {"ddpm_slurm": "train.py"}                                         # what a command cannot do without


@pytest.mark.parametrize("script", COMMANDS)
def test_an_unknown_option_is_refused_without_a_traceback(script):
    assert "there is no --nonsense here" in refused(shell(f"{script} {RUN.get(script, '')} --nonsense"))


def test_whoever_reads_may_leave_early():
    code = wrapper("ddpm_help", "import time; time.sleep(.5)")
    first = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    first.stdout.close()
    assert first.stderr.read() == b"" and first.wait() == 141


# drawing

def test_a_sheet_of_the_active_run(zoo):
    run = process("ddpm_sample -n 2x3 --seed 0 -o sheet.png", cwd=zoo)
    assert (run.returncode, run.stdout, run.stderr) == (0, "sheet.png\n", "")
    assert Image.open(zoo/"sheet.png").size == (2 * (3 * 29 - 1), 2 * (2 * 29 - 1))
    shell("ddpm_sample zoo/mine -n 2x3 --seed 0 -o again.png", cwd=zoo)
    assert (zoo/"again.png").read_bytes() == (zoo/"sheet.png").read_bytes()


@pytest.mark.parametrize("words", [
    "mine --no-ema", "zoo/mine/000002", "--labels 3 --guidance 2", "--sampler heun --steps 3 s_churn=2 rho=5",
    "spacing=linspace --steps 5 --sampler ddim --eta .5", "--clip-percentile .9",
    "guidance_interval=0.1,3 --labels any --guidance 3"])
def test_every_way_of_asking_makes_another_sheet(zoo, words):
    shell("ddpm_sample -n 4 --seed 0 -o plain.png", cwd=zoo)
    run = shell(f"ddpm_sample {words} -n 4 --seed 0 -o other.png", cwd=zoo)
    assert (run.returncode, run.stdout, run.stderr) == (0, "other.png\n", "")
    assert (zoo/"other.png").read_bytes() != (zoo/"plain.png").read_bytes()


def test_weights_that_ship_and_a_film(tmp_path):
    line = "ddpm_sample digits_guided -n 2 --labels 7 --steps 4 --seed 1 -o 7.png --gif 7.gif"
    run = shell(line, cwd=tmp_path)
    assert run.stdout.split() == ["7.png", "7.gif"] and run.stderr == ""
    assert Image.open(tmp_path/"7.gif").n_frames == 5
    for words in ("fashion --labels sneaker", "pokemon --labels red_head", "digits --preset fast"):
        run = shell(f"ddpm_sample {words} -n 1 --steps 2 -o a.png".replace("red_head", "1"), cwd=tmp_path)
        assert run.returncode == (2 if "preset" in words else 0), run.stderr      # that one has no presets


def test_without_a_screen_the_picture_goes_to_a_file(tmp_path):
    run = shell("ddpm_sample spirals -n 50 --steps 3", cwd=tmp_path)
    assert (run.stdout, run.returncode) == ("ddpm_sample.png\n", 0) and (tmp_path/"ddpm_sample.png").exists()
    assert "no screen" in run.stderr and "--seed " in run.stderr


@pytest.mark.parametrize("words, told", [
    ("nobody", "no run or checkpoint nobody"), ("-n 8y8", "rows and columns such as 8x8"),
    ("-n __import__('os')", "rows and columns"), ("--steps 0", "n_steps=0"), ("--steps many", "'many'"),
    ("--labels 11", "11"), ("--labels seven", "there is no class 'seven'"),
    ("--sampler dimm", "did you mean 'ddim'"), ("--samplr ddim", "did you mean --sampler"),
    ("--device abacus", "device='abacus'"), ("-o a.jpg", "must end in .png"),
    ("--gif a.png", "must end in .gif"), ("--clip-percentile 2", "percentile = 2.0"),
    ("s_churn=3 --sampler ddim", "no option 's_churn'"), ("seed=3", "see --help"),
    ("rho=3 rho=4", "given twice"), ("--guidance nan", "guidance_scale"), ("mine two", "write name=value"),
    ("--prompt bold", "extra clip"), ("lenet_mnist", "cannot draw"), ("--seed -9999999999999999999", "seed"),
    ("-n 1 -o file/a.png", "cannot write"), ("digits --no-ema", "--no-ema is for runs")])
def test_what_drawing_refuses(zoo, words, told, monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    (zoo/"file").write_text("")
    run = shell(f"ddpm_sample {words}" + " --seed 0" * ("seed" not in words), cwd=zoo)
    assert told in refused(run)


def test_a_film_needs_ffmpeg_which_is_said_before_drawing(zoo, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "ffmpeg" in refused(shell("ddpm_sample --mp4 a.mp4", cwd=zoo))


@pytest.mark.parametrize("words, columns", [("-b 7", 7), ("-b 21", 21), ("-b 5 --guess --steps 5", 5)])
def test_a_blend_has_as_many_moments_as_were_asked_for(zoo, words, columns):
    run = shell(f"ddpm_blend -n 2 {words} --seed 0 -o way.png --sampler ddim", cwd=zoo)
    assert (run.returncode, run.stdout) == (0, "way.png\n"), run.stderr
    assert Image.open(zoo/"way.png").size == (columns * 29 - 1, 2 * 29 - 1)


@pytest.mark.parametrize("words, told", [("-b 40 --steps 5", "40 moments of 6"), ("-b 40 --steps 39", "39"),
                                         ("-b 1", "blends=1"), ("-n 0", "n=0")])
def test_what_a_blend_refuses(zoo, words, told):
    assert told in refused(shell(f"ddpm_blend {words} --seed 0", cwd=zoo))


def test_more_fresh_noise_from_left_to_right(zoo):
    run = shell("ddpm_interpolate -n 2x4 --steps 5 --seed 0 --low .25 -o eta.png", cwd=zoo)
    assert (run.returncode, run.stdout) == (0, "eta.png\n")
    assert run.stderr == "ddpm_interpolate: eta = 0.25, 0.444, 0.694, 1\n"
    assert "no option 'eta'" in refused(shell("ddpm_interpolate --sampler heun --seed 0", cwd=zoo))
    assert "low=-1" in refused(shell("ddpm_interpolate --low -1 --seed 0", cwd=zoo))


# measuring, serving

def test_a_run_is_measured(zoo, monkeypatch):
    run = shell("ddpm_eval -n 120 --likelihood 4 --data digits --steps 3", cwd=zoo)
    names, values = run.stdout.split()[::2], [float(v) for v in run.stdout.split()[1::2]]
    assert run.returncode == 0 and names == "fld kid precision recall coverage bits_per_dim".split()
    assert values[0] > 50 and values[-1] > 3 and "compared with digits" in run.stderr
    assert "--data FOLDER" in refused(shell("ddpm_eval", cwd=zoo))
    monkeypatch.setitem(sys.modules, "torchdiffeq", None)
    run = shell("ddpm_eval -n 100 --likelihood 2 --exact --data digits --steps 2", cwd=zoo)
    assert run.returncode == 2 and "extra solvers" in run.stderr


def test_serving_needs_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert "extra serve: pip install" in refused(shell("ddpm_serve digits"))


@pytest.mark.parametrize("words, told", [("--port 70000", "at most 65535"), ("--port x", "'x'"),
                                         ("--host 300.0.0.1", "cannot listen on")])
def test_what_serving_refuses(words, told):
    pytest.importorskip("uvicorn")
    assert told in refused(shell(f"ddpm_serve digits {words}"))


def interrupted(line, ready, cwd=None):
    "Exit code and stderr of a command that gets a Ctrl-C once `ready` has returned."
    script, *words = line.split()
    run = subprocess.Popen([sys.executable, "-c", wrapper(script), *words], cwd=cwd, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    ready(run)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=60)
    return run.returncode, err


def test_ctrl_c_ends_a_command_with_130(zoo):
    code, err = interrupted("ddpm_sample -n 100000 --seed 0 -o never.png", lambda run: time.sleep(6), cwd=zoo)
    assert code == 130 and err.endswith("ddpm_sample: stopped\n") and "Traceback" not in err
    assert not (zoo/"never.png").exists()


def test_ctrl_c_ends_a_server_with_130():
    pytest.importorskip("uvicorn")
    code, err = interrupted("ddpm_serve digits --port 0", lambda run: run.stdout.readline())
    assert code == 130 and "Traceback" not in err


# the demonstration, and nbdev's old names

def test_the_demonstration(tmp_path):
    run = shell("ddpm_demo --images 64 --scored 0 --steps 2 --out demo", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    files = [tmp_path/p for p in run.stdout.split()]
    names = ["shipped.png", "digits.safetensors", "digits.png", "reverse.png", "reverse.gif"]
    assert [p.name for p in files] == names
    assert all(p.exists() for p in files) and "THESE ARE NO DIGITS YET" in run.stderr
    (tmp_path/"file").write_text("")
    assert "cannot write into" in refused(shell("ddpm_demo --out file", cwd=tmp_path))


@pytest.mark.parametrize("script", [name for name in scripts() if name.startswith("nbdev_")])
def test_nbdevs_old_names_say_what_is_missing(script):
    run = process(f"{script} --help", "sys.modules['nbdev'] = None")
    assert run.returncode == 2 and run.stderr.count("\n") == 1 and "pip install -e '.[dev]'" in run.stderr
    if find_spec("nbdev"): assert f"usage: {script}" in process(f"{script} --help").stdout
