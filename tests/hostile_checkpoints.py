"""Makes some 200 hostile checkpoints and opens each: `python tests/hostile_checkpoints.py`.

Each must be refused in a sentence of ours or do no harm; none may take more than 500 MB above `import torch`
or 20 seconds, change anything around it, or run anything. Prints what was wrong, and a line of JSON with the
counts."""
import itertools
import json
import math
import os
import pickle
import random
import resource
import signal
import struct
import sys
import tempfile
import time
import warnings
from pathlib import Path

VALUES = None, -1, 0, 1, 2**70, 1e308, math.nan, "x", "", [], {}, [1, [2]], True, 10**7


class Touch:
    "A pickle that would write a file."
    def __init__(self, path): self.path = path
    def __reduce__(self): return os.mkdir, (self.path,)


def packed(header, body=b""):
    "A safetensors file of any header."
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def checkpoints(here):
    "Names and bytes; a function makes what is no plain file."
    import torch
    from ddpm_edu import GaussianDiffusion, KarrasDiffusion, UNet
    from ddpm_edu.denoising import cosine_beta_schedule
    from ddpm_edu.measuring import LeNet5
    from ddpm_edu.networks import PointNet
    from safetensors.torch import load, save
    flat = GaussianDiffusion(PointNet(10), cosine_beta_schedule(10),
                             (2,)).save(here/"flat.safetensors").read_bytes()
    net = UNet(1, 8, T=10, channel_multipliers=(1, 2), num_classes=3, num_blocks_per_level=1, block_groups=4)
    deep = KarrasDiffusion(net, (1, 8, 8),
                           sampling={"sampler": "heun"}).save(here/"deep.safetensors").read_bytes()
    judge = LeNet5().save(here/"judge.safetensors").read_bytes()

    def parts(data):
        size, = struct.unpack("<Q", data[:8]); header = json.loads(data[8:8 + size])
        return load(data), json.loads(header["__metadata__"]["config"])
    def of(tensors, config):
        return save(tensors, {"config": config if isinstance(config, str) else json.dumps(config)})

    rng = random.Random(0)
    for name, data in (("flat", flat), ("deep", deep), ("judge", judge)):
        for share in (0, .001, .01, .1, .5, .9, .999):
            yield f"{name} cut at {share}", data[:int(share * len(data))]
        for k in range(8):                                                # somewhere in the header
            spoilt = bytearray(data); spoilt[rng.randrange(min(3000, len(data)))] ^= 1 << rng.randrange(8)
            yield f"{name} with a bit turned, {k}", bytes(spoilt)
        tensors, config = parts(data)
        for what in ([], None, 3, "x", {}, "[" * 100_000, '{"a":' * 10_000, "nonsense"):
            yield f"{name} config {what!r:.20}", of(tensors,
                                                    what if isinstance(what, str) else json.dumps(what))
        for key, value in itertools.product(("format", "model", "net", "card"),
                                            (None, -1, 3, "x", [], {}, 1e308)):
            yield f"{name} {key}={value!r}", of(tensors, config | {key: value})
        for cls in (3, None, [], "os.system", "Tensor", "Path",
                    "fit", "__builtins__", "UNetConfig", "DenoisingModel",
                    "LeNet5", "Sequential", "\x1b[2J", "x" * 10**6):
            yield f"{name} class {cls!r:.20}", of(tensors,
                                                  config | {"model": config["model"] | {"class": cls}})
        yield f"{name} whole numbers", of({k: v.long() for k, v in tensors.items()}, config)
        yield f"{name} truth values", of({k: v > 0 for k, v in tensors.items()}, config)
        yield f"{name} one tensor more", of(tensors | {"evil": torch.ones(2)}, config)
        yield f"{name} one tensor of net more", of(tensors | {"net.evil": torch.ones(2)}, config)
        yield f"{name} one tensor less", of(dict(list(tensors.items())[1:]), config)
        yield f"{name} empty tensors", of({k: v[:0] if v.ndim else v for k, v in tensors.items()}, config)
        yield f"{name} 50,000 tensors", of(tensors | {f"net.{i}": torch.ones(1) for i in range(50_000)},
                                           config)
        for part in {"model", "net"} & config.keys():
            args = config[part].get("args") or {}
            for arg, value in itertools.product(args, rng.sample(VALUES, 6)):
                yield (f"{name} {part} {arg}={value!r}",
                       of(tensors, config | {part: config[part] | {"args": args | {arg: value}}}))
            yield f"{name} {part} evil=1", of(tensors,
                                              config | {part: config[part] | {"args": args | {"evil": 1}}})
            yield f"{name} {part} args", of(tensors, config | {part: config[part] | {"args": [1]}})

    yield "a pickle", pickle.dumps(Touch(str(here/"ran")))
    torch.save({"a": Touch(str(here/"ran"))}, here/"zip"); yield "a zip of torch", (here/"zip").read_bytes()
    yield "a header of 2⁶³ bytes", struct.pack("<Q", 2**63) + b"{}"
    yield "a header longer than the file", struct.pack("<Q", 10**9) + b"{}"
    for header in (b"", b"[]", b"{", b"\xff\xfe", b"{}", b"null"): yield f"header {header}", packed(header)
    tensor = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    for key, value in (("dtype", "F99"), ("dtype", 3),
                       ("shape", [-2]), ("shape", [2**40, 2**40]), ("shape", "x"),
                       ("data_offsets", [0, 2**60]), ("data_offsets", [8, 0]), ("data_offsets", [0, 4])):
        yield f"a tensor of {key}={value}", packed({"a": tensor | {key: value}}, bytes(8))
    yield "overlapping tensors", packed({"a": tensor, "b": tensor}, bytes(8))
    yield "a name of a megabyte", packed({"a" * 2**20: tensor}, bytes(8))
    yield "escapes in a name", packed({"\x1b[2J\x1b]0;x": tensor}, bytes(8))
    def sparse(path):
        with open(path, "wb") as f:
            text = json.dumps({"__metadata__": {"config": json.dumps(parts(flat)[1])},
                               "net.a": {"dtype": "F32", "shape": [2**31],
                                         "data_offsets": [0, 2**33]}}).encode()
            f.write(struct.pack("<Q", len(text)) + text); f.truncate(8 + len(text) + 2**33)
    yield "8 GB of nothing", sparse
    yield "a pipe", os.mkfifo
    yield "a folder", os.mkdir
    for device in ("/dev/zero", "/dev/urandom", "/dev/full", "/dev/stdin"):
        yield f"a link to {device}", lambda path, device=device: os.symlink(device, path)
    yield "a link to itself", lambda path: os.symlink(path.name, path)
    yield "a link to nothing", lambda path: os.symlink("nowhere", path)


def opened(path):
    "What is wrong with the answer of `load`; nothing, if it is refused in our words or does no harm."
    from ddpm_edu import load
    def alarm(*_): raise TimeoutError
    signal.signal(signal.SIGALRM, alarm); signal.alarm(20)
    try:
        model = load(path, device="cpu")
        if hasattr(model, "sample"): model.sample(1, n_steps=2, seed=0)
        return ""
    except TimeoutError: return "20 seconds"
    except Exception as e:
        tb = e.__traceback__
        while tb.tb_next: tb = tb.tb_next
        file, said = tb.tb_frame.f_code.co_filename, str(e)
        if "ddpm_edu" not in file or not isinstance(e, ValueError | OSError | TypeError):
            return f"{Path(file).name}:{tb.tb_lineno} {type(e).__name__}: {said[:200]!r}"
        if any(c < " " and c != "\n" for c in said): return f"control characters: {said[:100]!r}"
        return "more than 1,000 characters" if len(said) > 1000 else ""
    finally: signal.alarm(0)


def megabytes(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    import torch
    warnings.simplefilter("ignore"); torch.set_num_threads(1); before, faults = megabytes(), []
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder); (here/"cwd").mkdir(); os.chdir(here/"cwd")
        os.environ.update(HOME=str(here/"cwd"), TMPDIR=str(here/"cwd"))
        times = []
        for name, made in checkpoints(here):
            path = here/"x.safetensors"
            if callable(made): made(path)
            else: path.write_bytes(made)
            start = time.time()
            if wrong := opened(path): faults.append(f"{name}: {wrong}")
            times.append(time.time() - start)
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
            if (here/"ran").exists() or list((here/"cwd").iterdir()):
                faults.append(f"{name}: something was run or written"); break
    for fault in faults: print(fault, file=sys.stderr)
    print(json.dumps({"checkpoints": len(times), "faults": len(faults), "slowest": round(max(times), 1),
                      "MB above import torch": round(megabytes() - before)}))
