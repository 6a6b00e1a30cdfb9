"A plain script in another folder: train, sample, save, load, with nothing but what the package offers."
import os
import subprocess
import sys

SCRIPT = '''
import torch
from ddpm_edu import GaussianDiffusion, UNet, cosine_beta_schedule, digits, fit, load, set_seed

set_seed(0)
data = digits()
x, y = next(data.batches(32, seed=1))
net = UNet(1, 8, T=100, channel_multipliers=(1, 2), num_classes=10)
model = GaussianDiffusion(net, cosine_beta_schedule(100), data.shape, objective="v", p_uncond=0.1)

def loss():
    torch.manual_seed(0)
    with torch.no_grad(): return float(model.loss(x, y).mean())

before = loss()
fit(model, data, steps=25, batch_size=16, device="cpu")
print("loss", before, loss())

options = dict(labels=7, guidance_scale=2., sampler="ddim", n_steps=5, seed=0)
model.save("digits.safetensors")
images = load("digits.safetensors", device="cpu").sample(3, **options)
print("shape", *images.shape)
print("range", float(images.min()) >= -1, float(images.max()) <= 1, bool(images.isfinite().all()))
difference = lambda **changed: float((images - model.sample(3, **options | changed)).abs().max())
print("difference", difference(), difference(seed=1), difference(labels=3))
'''


def test_script_trains_samples_saves_and_loads(tmp_path):
    (tmp_path/"script.py").write_text(SCRIPT)
    env = os.environ | {"OMP_NUM_THREADS": "1"}  # this small, a second thread only waits for the first
    run = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, env=env)
    assert run.returncode == 0, run.stderr
    said = {line.split()[0]: line.split()[1:] for line in run.stdout.splitlines() if line}
    before, after = map(float, said["loss"])
    assert after < 0.8 * before, said
    assert said["shape"] == ["3", "1", "28", "28"] and said["range"] == ["True"] * 3, said
    # rounding differs a little between memory layouts
    same, other_seed, other_label = map(float, said["difference"])
    assert same < 1e-3 and other_seed > 0.5 and other_label > 0.5, said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["digits.safetensors", "script.py"]
