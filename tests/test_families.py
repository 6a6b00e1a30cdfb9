"""The gradient noise scale against k-diffusion's (4601bf0) table, growing from an average, and the networks
and the records of the comparison of families (benchmarks/families.py, benchmarks/published.py)."""
import csv
import json
import sys
from pathlib import Path

import pytest
import torch
from ddpm_edu import KarrasDiffusion, load
from ddpm_edu.networks import KDiffusionUNet
from ddpm_edu.training import NoiseScale

ROOT = Path(__file__).parents[1]
NOISE = json.loads((ROOT/"tests/oracles/kd_noise_scale.json").read_text())


@pytest.mark.parametrize("case", range(len(NOISE["gns"])))
def test_noise_scale(case):
    "Forty pairs of norms: the running averages and their ratio, to 1e-9; one pair gives a negative variance."
    c = NOISE["gns"][case]
    scale = NoiseScale(c["n_small"], c["n_large"], c["beta"], c["eps"])
    for i, row in enumerate(c["rows"], 1):
        small, large, want, sq_norm, trace, *debiased = row
        assert scale.update(small, large) == pytest.approx(want, rel=1e-9)
        assert (scale.sq_norm, scale.trace) == pytest.approx((sq_norm, trace), rel=1e-9)
        start = 1 - c["beta"]**i
        assert (scale.sq_norm / start, scale.trace / start) == pytest.approx(debiased, rel=1e-9)
    assert sum(small < large for small, large, *_ in c["rows"]) == 1


def test_the_average_grows(tmp_path):
    "A saved average with its configuration grows to twice the size: inside stays, the answer starts at 0."
    torch.manual_seed(0)
    small = KDiffusionUNet(1, (8, 8, 16), (1, 1, 1), mapping_dim=8, skip_stages=1,
                           sigma_min=.02, sigma_max=20.)
    KarrasDiffusion(small, (1, 8, 8), .6, .02, 20.).save(tmp_path/"average.safetensors")
    net = load(tmp_path/"average.safetensors").net
    before = {k: v.clone() for k, v in net.state_dict().items() if not k.startswith("proj_")}
    model = KarrasDiffusion(net.set_skip_stages(0), (1, 16, 16), .6, .02, 20.)
    assert net(torch.randn(2, 1, 16, 16), torch.zeros(2)).abs().max() == 0
    assert all(torch.equal(net.state_dict()[k], v) for k, v in before.items())
    model.loss(torch.rand(2, 1, 16, 16)).mean().backward()
    assert net.proj_out.weight.grad.abs().sum() > 0
    model.save(tmp_path/"grown.safetensors")
    again = load(tmp_path/"grown.safetensors")                    # its configuration has grown with it
    assert again.net.skip_stages == 0 and again.sample(1, seed=0, n_steps=2).shape == (1, 1, 16, 16)


sys.path.insert(0, str(ROOT/"benchmarks"))


def table(name):
    "The lines of a table of results."
    with (ROOT/f"benchmarks/results/{name}.csv").open() as f: return list(csv.DictReader(f))


def test_published():
    "The table of published networks: the originals' parameters, and what the script gives today."
    from published import PUBLISHED, line
    rows, counts = table("published"), {int(r["parameters"]) for r in table("published")}
    assert {376_913, 403_987, 7_720_675, 201_328_515, 64_166_531, 123_117_187, 146_849_155, 10_042_753,
            10_058_563, 36_251_779, 19_598_849, 66_121_731, 113_078_148, 49_525_507} == counts
    for row, kept in zip(PUBLISHED, rows, strict=True):
        now = line(*row, gflops=100.)
        for k in ("system", "network", "parameters", "multiply_adds", "images"): assert str(now[k]) == kept[k]
    assert {r["network"] for r in rows if r["trained"] != "not trained"} == {"digits"}


def test_families():
    "The networks that are compared have equal sizes, train a step, and are the ones on record."
    from families import NETWORKS, model_of
    rows = {r["network"]: r for r in table("families")}
    for name in NETWORKS:
        model = model_of(name)
        n = sum(p.numel() for p in model.parameters())
        assert abs(n - 380_000) < .025 * 380_000, (name, n)
        if name in rows: assert int(rows[name]["parameters"]) == n
        x = torch.rand(2, *model.data_shape) * 2 - 1
        model.loss(x).mean().backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    assert rows.keys() <= NETWORKS.keys() and len({r["minutes"] for r in rows.values()}) <= 1
