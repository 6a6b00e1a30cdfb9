"""Does it work here at all? Draws with the weights that ship, trains a few steps, saves, loads, in seconds:
`python tests/smoke.py`."""
import platform
import tempfile
from pathlib import Path

import torch
from ddpm_edu import GaussianDiffusion, UNet, cosine_beta_schedule, default_device
from ddpm_edu import digits, fit, load, save_image
from ddpm_edu.measuring import classify

with tempfile.TemporaryDirectory() as folder:
    seven = load("digits_guided").sample(8, labels=7, guidance_scale=2., seed=0).cpu()
    read = classify(seven)[0]
    assert (read == 7).sum() >= 7, f"of eight sevens {(read == 7).sum()} were read as such"
    save_image(seven, Path(folder)/"sevens.png")
    data, net = digits(), UNet(1, 8, 20, (1, 2), num_classes=10, patch_size=2)
    model = GaussianDiffusion(net, cosine_beta_schedule(20), data.shape, p_uncond=.1)
    fit(model, data, steps=5, batch_size=16)
    again = load(model.save(Path(folder)/"m.safetensors"))
    torch.testing.assert_close(again.sample(2, 3, seed=0), model.sample(2, 3, seed=0), atol=1e-3, rtol=0)
print(f"It works: {platform.platform()}, Python {platform.python_version()}, "
      f"torch {torch.__version__}, {default_device()}.")
