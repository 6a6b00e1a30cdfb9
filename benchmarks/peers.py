"""Networks and training loops of four other libraries, for `train_step.py --peers`: networks of the size
nearest to 376,913 parameters, without attention where their library leaves a choice, and each library's own
loop around one and the same network of ours.

diffusers comes with the test requirements; the others import what their networks and loops never use, which
is put aside here:
    .venv/bin/pip install --no-deps --target outputs/peers accelerate ema-pytorch dctorch==0.1.2 \\
        denoising-diffusion-pytorch==2.3.4 smalldiffusion==0.5.0 k-diffusion==0.1.1.post1
    PYTHONPATH=outputs/peers .venv/bin/python benchmarks/train_step.py --peers

denoising-diffusion-pytorch and smalldiffusion ship their loops, and these run here as they are, only with
tensors in memory in place of a folder of files. The loops of diffusers and k-diffusion are scripts of their
repositories, not parts of their packages: here stands what these scripts do in each step, by their defaults
(diffusers: AdamW, a schedule of the rate, clipped gradients, the loss read and shown each step, no average;
k-diffusion: AdamW, clipped gradients, the losses gathered, an average each step).
"""
import copy
import functools
import importlib.util
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import MagicMock

import torch
from ddpm_edu import GaussianDiffusion, UNet, cosine_beta_schedule, fit
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

PLAIN = "ours, plain"


@functools.cache
def without_what_they_never_use()->None:
    "Let the peers' packages be imported where a package that only other parts of theirs use is missing."
    import diffusers.models  # noqa: F401  not after the stand-ins, for which it would look
    names = ("torchvision", "torchvision.transforms", "skimage", "jsonmerge", "clip", "cleanfid",
             "cleanfid.inception_torchscript")
    missing = [name for name in names if importlib.util.find_spec(name.split(".")[0]) is None]
    sys.modules.update({name: MagicMock() for name in missing})


class Answer(nn.Module):
    "diffusers wraps its answer."
    def __init__(self, net:nn.Module): super().__init__(); self.net = net
    def forward(self, x:torch.Tensor, t:torch.Tensor)->torch.Tensor: return self.net(x, t).sample


class Noise(nn.Module):
    "k-diffusion's networks take a noise level above zero."
    def __init__(self, net:nn.Module): super().__init__(); self.net = net
    def forward(self, x:torch.Tensor, t:torch.Tensor)->torch.Tensor: return self.net(x, t + 1.)


def plain()->UNet:
    "Our network of the Julia library's size."
    return UNet(1, 16, 100, middle_attention=False)


def networks()->dict[str, nn.Module]:
    "UNets of about one size, ours first."
    without_what_they_never_use()
    from denoising_diffusion_pytorch import Unet as DDPUnet
    from diffusers import UNet2DModel
    from k_diffusion.models import ImageDenoiserModelV1
    from smalldiffusion import Unet as SmallUnet

    return {PLAIN: plain(),
            "ours, folded (patch_size=2)": UNet(1, 30, 100, (1, 2), patch_size=2, middle_attention=False,
                                                block_groups=6),
            "diffusers UNet2DModel": Answer(UNet2DModel(
                sample_size=28, in_channels=1, out_channels=1,
                layers_per_block=1, block_out_channels=(12, 24, 52), norm_num_groups=4,
                down_block_types=("DownBlock2D",) * 3,
                up_block_types=("UpBlock2D",) * 3, add_attention=False)),
            "denoising-diffusion-pytorch": DDPUnet(12, channels=1,
                                                   dim_mults=(1, 2, 4), attn_heads=2, attn_dim_head=16),
            "smalldiffusion": SmallUnet(28, 1, 1, ch=32,
                                        ch_mult=(1, 1, 1), num_res_blocks=1, attn_resolutions=(), dropout=0.),
            "k-diffusion": Noise(ImageDenoiserModelV1(1, 64, (1, 1, 1), (28, 48, 68), (False,) * 3)),
            "k-diffusion, folded": Noise(ImageDenoiserModelV1(1, 64, (1, 1), (48, 78), (False,) * 2,
                                                              patch_size=2))}


# Each loop takes the images [N,1,28,28] in [-1, 1], a batch size and seconds, and counts its steps.
def cycled(x:torch.Tensor, batch_size:int)->Iterator[torch.Tensor]:
    "Batches of a plain loader, without an end."
    while True: yield from DataLoader(x, batch_size, shuffle=True, drop_last=True)


def until(batches:Iterator[torch.Tensor], seconds:float)->Iterator[torch.Tensor]:
    "The batches of so many seconds."
    end = time.perf_counter() + seconds
    while time.perf_counter() < end: yield next(batches)


def ours(model:GaussianDiffusion, data:object, batch_size:int, seconds:float)->int:
    "`fit`, as it comes: an average of the weights, the history, checks."
    return fit(model, data, minutes=seconds / 60, batch_size=batch_size, lr=1e-3, device="cpu")["steps"]


def of_smalldiffusion(net:nn.Module, x:torch.Tensor, batch_size:int)->Callable[[float], int]:
    "Its `training_loop`."
    from smalldiffusion import ScheduleDDPM, training_loop

    class Net(nn.Module):
        def __init__(self)->None: super().__init__(); self.net = net
        def forward(self, x, sigma): return self.net(x, sigma.flatten())
        def get_loss(self, x0, sigma, eps, cond=None): return F.mse_loss(self(x0 + sigma * eps, sigma), eps)

    steps = training_loop(DataLoader(x, batch_size, shuffle=True, drop_last=True), Net(), ScheduleDDPM(100))

    def run(seconds:float)->int:
        end = time.perf_counter() + seconds
        return next(n for n, _ in enumerate(steps, 1) if time.perf_counter() > end)
    return run


def of_ddp(net:nn.Module, x:torch.Tensor, batch_size:int)->Callable[[float], int]:
    "denoising-diffusion-pytorch's `Trainer`."
    from denoising_diffusion_pytorch import GaussianDiffusion as Theirs
    from denoising_diffusion_pytorch import Trainer
    net.channels = net.out_dim = 1; net.self_condition = False
    call = net.forward
    net.forward = lambda x, t, x_self_cond=None: call(x, t)
    folder = Path(tempfile.mkdtemp())
    for i in range(100): (folder / f"{i}.png").touch()  # it counts the files; none is read
    trainer = Trainer(Theirs(net, image_size=28, timesteps=100), folder, train_batch_size=batch_size,
                      train_lr=1e-3, train_num_steps=10**9, save_and_sample_every=10**9, calculate_fid=False,
                      results_folder=folder / "results")
    batches = cycled(x * .5 + .5, batch_size)

    def run(seconds:float)->int:
        first, trainer.dl = trainer.step, until(batches, seconds)
        try: trainer.train()
        except StopIteration: pass
        return trainer.step - first
    return run


def of_diffusers(net:nn.Module, x:torch.Tensor, batch_size:int)->Callable[[float], int]:
    "What a step of the script `train_unconditional.py` does."
    from accelerate import Accelerator
    from diffusers import DDPMScheduler
    from diffusers.optimization import get_scheduler
    from tqdm import tqdm
    accelerator, noise_of = Accelerator(), DDPMScheduler(100)
    opt = torch.optim.AdamW(net.parameters(), 1e-3, betas=(.95, .999), weight_decay=1e-6)
    rate = get_scheduler("cosine", opt, num_warmup_steps=500, num_training_steps=10**6)
    net, opt, rate = accelerator.prepare(net, opt, rate)
    batches = cycled(x, batch_size)

    def run(seconds:float)->int:
        net.train()
        with tqdm() as bar:
            for x0 in until(batches, seconds):
                noise = torch.randn(x0.shape)
                t = torch.randint(0, 100, (len(x0),)).long()
                with accelerator.accumulate(net):
                    loss = F.mse_loss(net(noise_of.add_noise(x0, noise, t), t).float(), noise.float())
                    accelerator.backward(loss)
                    if accelerator.sync_gradients: accelerator.clip_grad_norm_(net.parameters(), 1.)
                    opt.step(); rate.step(); opt.zero_grad()
                bar.update(1); bar.set_postfix(loss=loss.detach().item(), lr=rate.get_last_lr()[0])
            return bar.n
    return run


def of_k_diffusion(net:nn.Module, x:torch.Tensor, batch_size:int)->Callable[[float], int]:
    "What a step of the script `train.py` does."
    import k_diffusion as K
    from accelerate import Accelerator
    from tqdm import tqdm
    accelerator = Accelerator()
    model = K.layers.Denoiser(net, sigma_data=.6)
    average = copy.deepcopy(model)
    opt = torch.optim.AdamW(model.parameters(), 1e-3, betas=(.95, .999), eps=1e-6, weight_decay=1e-3)
    # its own class of rates calls torch with an argument that torch has dropped
    rate = torch.optim.lr_scheduler.LambdaLR(opt, lambda step: (1 - .99 ** (step + 1)) / (1 + step / 2e4))
    decay = K.utils.EMAWarmup(power=2 / 3)
    model, opt = accelerator.prepare(model, opt)
    batches = cycled(x, batch_size)

    def run(seconds:float)->int:
        with tqdm() as bar:
            for x0 in until(batches, seconds):
                with accelerator.accumulate(model):
                    noise = torch.randn_like(x0)
                    sigma = K.utils.rand_log_normal([len(x0)], -1.2, 1.2)
                    losses = model.loss(x0, noise, sigma)
                    loss = accelerator.gather(losses).mean().item()
                    accelerator.backward(losses.mean())
                    if accelerator.sync_gradients: accelerator.clip_grad_norm_(model.parameters(), 1.)
                    opt.step(); rate.step(); opt.zero_grad()
                    if accelerator.sync_gradients:
                        K.utils.ema_update(model, average, decay.get_value()); decay.step()
                bar.update(1); bar.set_postfix(loss=loss)
            return bar.n
    return run


def loops(data:object, batch_size:int)->dict[str, Callable[[float], int]]:
    "Every library's own loop around our plain network: seconds to the steps that it made."
    without_what_they_never_use()
    x = torch.cat([x for x, _ in data.batches(1000, seed=0)])
    mine = GaussianDiffusion(plain(), cosine_beta_schedule(100), (1, 28, 28))
    return {"fit": lambda seconds: ours(mine, data, batch_size, seconds),
            "smalldiffusion": of_smalldiffusion(plain(), x, batch_size),
            "denoising-diffusion-pytorch": of_ddp(plain(), x, batch_size),
            "diffusers (train_unconditional.py)": of_diffusers(plain(), x, batch_size),
            "k-diffusion (train.py)": of_k_diffusion(plain(), x, batch_size)}
