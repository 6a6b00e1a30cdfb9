"""Train the judge of sprites that ships, ddpm_edu/pretrained/sprite_classifier.safetensors.

    python tools/train_sprite_classifier.py [--path ARCHIVE] [--epochs 12]

ARCHIVE is what `npm pack pokesprite-images@2.7.0` writes; left out, the sprites come from the cache or the
network (see `pokemon`).
"""
import argparse
import platform
import time
from pathlib import Path

import torch
from ddpm_edu import Augmented, pokemon, set_seed
from ddpm_edu.core import to_uint8
from ddpm_edu.data import flips, hues, shifts
from ddpm_edu.models import PRETRAINED
from ddpm_edu.training import adam, anneal, budget, train, until
from ddpm_edu.sprites import CORRUPTIONS, SpriteClassifier, corrupt, main_hue


def accuracy(net:SpriteClassifier, x:torch.Tensor, y:torch.Tensor)->dict[str, float]:
    "Right answers to the three questions, in sprites that it has not seen."
    fault = torch.arange(len(x)) % len(CORRUPTIONS)
    with torch.no_grad(): (a, _, _), (_, hue, generation) = net(corrupt(x, fault, 1)), net(x)
    right = dict(fault=(a.argmax(1), fault), hue=(hue.argmax(1), main_hue(to_uint8(x))),
                 generation=(generation.argmax(1), y))
    return {k: round((p == t).float().mean().item(), 3) for k, (p, t) in right.items()}


def main(a:argparse.Namespace)->None:
    "The fixed recipe: Adam, 0.002 and falling, 64 sprites a step, mirrored, shifted and recoloured."
    data, held = (pokemon(a.path, labels="generation", split=part) for part in ("train", "test"))
    set_seed(0); net = SpriteClassifier()
    more = Augmented(data, flips(), shifts(2), hues(.5), told=False)
    opt, done, start = adam(net, 2e-3), budget(more, 64, epochs=a.epochs), time.process_time()
    for s in anneal(until(train(net, more, batch_size=64, opt=opt), done), opt, done):
        if s.step % 37 == 0:
            print(f"{s.step} steps, {time.process_time() - start:.0f} s, loss {s.loss:.3f}", flush=True)
    net.eval(); seconds = round(time.process_time() - start)
    card = dict(data=f"pokesprite 2.7.0, {len(data):,} sprites of species not held out",
                recipe=f"Adam 2e-3 to 0, batch 64, {a.epochs} epochs",
                held_out_accuracy=accuracy(net, *held[:]), seconds=seconds,
                command="OMP_NUM_THREADS=1 python tools/train_sprite_classifier.py",
                torch=torch.__version__, machine=platform.machine())
    path = net.save(PRETRAINED/"sprite_classifier.safetensors", torch.float16, **card)
    print(card, f"{path.stat().st_size:,} bytes")


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--path", type=Path)
    p.add_argument("--epochs", type=int, default=12)
    main(p.parse_args())
