"The mistakes that everybody makes once: each must be refused with one clear sentence that names the fix."
import os
import warnings

import pytest
import torch

from ddpm_edu import GaussianDiffusion, TensorData, UNet, cosine_beta_schedule, digits, fit
from ddpm_edu import linear_beta_schedule, load, save_image
from ddpm_edu.core import from_uint8, to_uint8, to_unit
from ddpm_edu.denoising import sigmoid_beta_schedule
from ddpm_edu.using import run_demo


def small(size=28, channels=1, T=20, multipliers=(1, 2), **kwargs):
    "An untrained model of small images."
    net = UNet(channels, 8, T, multipliers, middle_attention=False, num_classes=10)
    return GaussianDiffusion(net, cosine_beta_schedule(T), (channels, size, size), **kwargs)


@pytest.fixture(scope="module")
def batch(): return next(iter(digits(train=False).batches(16, seed=0)))


def test_the_good_case_trains(batch):
    assert fit(small(), [batch], steps=2, device="cpu")["steps"] == 2


@pytest.mark.parametrize("corrupt, says", [
    (lambda x: to_unit(x) * 255, r"0 … 255.*from_unit"),
    (lambda x: to_unit(x), r"looks like \[0, 1\].*from_unit"),
    (lambda x: x.masked_fill(torch.arange(28) == 3, float("nan")), r"448 values that are NaN or infinite"),
    (lambda x: x.expand(-1, 3, -1, -1), r"\[3, 28, 28\].*\[1, 28, 28\].*data_shape"),
    (lambda x: x[..., :20], r"\[1, 28, 20\].*\[1, 28, 28\]"),
])
def test_data_that_do_not_suit(batch, corrupt, says):
    with pytest.raises(ValueError, match=says):
        fit(small(), [(corrupt(batch[0]), batch[1])], steps=2, device="cpu")


def test_bytes_are_what_they_mean(batch):
    bytes_ = to_uint8(batch[0])
    def losses(x):
        torch.manual_seed(0)
        return fit(small(), [(x, batch[1])], steps=2, device="cpu")["loss"]
    assert losses(bytes_) == losses(from_uint8(bytes_))


def test_nan_and_wrong_range_are_refused_by_the_data_set_too(batch):
    x = batch[0].clone(); x[0, 0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match="NaN"): TensorData(x)
    with pytest.raises(ValueError, match=r"from_unit|\[-1, 1\]"): TensorData(to_unit(batch[0]) * 255)


def test_wrong_channel_count_reaches_the_network_with_its_name():
    with pytest.raises(ValueError, match="3 channels.*in_channels=3"):
        small().net(torch.zeros(2, 3, 28, 28), torch.zeros(2))


def test_a_size_that_the_unet_cannot_halve():
    model = small(size=30, multipliers=(1, 2, 4))
    with pytest.raises(ValueError, match=r"30×30.*divisible by 4.*32×32.*fewer"):
        model.sample(1, 0, n_steps=1)
    with pytest.raises(ValueError, match=r"30×30.*divisible by 4"): model.loss(torch.zeros(2, 1, 30, 30))


@pytest.mark.parametrize("label", [10, -2])
def test_a_label_out_of_range(batch, label):
    with pytest.raises(ValueError, match=f"label {label} is out of range.*0 ... 9"):
        small().sample(2, label, n_steps=1)
    with pytest.raises(ValueError, match=f"label {label} is out of range"):
        fit(small(), [(batch[0], torch.full((16,), label))], steps=1, device="cpu")


@pytest.mark.parametrize("schedule", [linear_beta_schedule, cosine_beta_schedule, sigmoid_beta_schedule])
def test_a_schedule_of_length_zero(schedule):
    with pytest.raises(ValueError, match="0"): schedule(0)
    with pytest.raises(ValueError, match="0"):
        GaussianDiffusion(UNet(1, 8, 20, (1, 2)), torch.zeros(0), (1, 28, 28))


@pytest.mark.parametrize("T", [1, 20])
def test_a_linear_schedule_too_short_for_its_scaling(T):
    with pytest.raises(ValueError, match=f"{T}.*cosine"): linear_beta_schedule(T)


def test_more_steps_than_the_schedule_has():
    with pytest.raises(ValueError, match="21.*20"): small().ddim_sample_loop(21, 1)
    with pytest.raises(ValueError, match="21.*20"): small().sample(1, n_steps=21, sampler="ddim")


@pytest.mark.parametrize("part", [.5, .01, .999])
def test_a_checkpoint_cut_in_half(tmp_path, part):
    whole = small().save(tmp_path/"whole.safetensors").read_bytes()
    (tmp_path/"cut.safetensors").write_bytes(whole[:int(len(whole) * part)])
    with pytest.raises(ValueError, match="cut.safetensors is damaged or cut short"):
        load(tmp_path/"cut.safetensors")


def test_an_unknown_objective():
    with pytest.raises(ValueError, match="unknown objective 'epsilon' .did you mean 'eps'.*eps, x0, v"):
        small(objective="epsilon")


def refused_everywhere(folder):
    "Each way of writing into a folder that one may not write to."
    x = torch.zeros(1, 1, 4, 4)
    ways = (lambda: small().save(folder/"m.safetensors"), lambda: save_image(x, folder/"x.png"),
            lambda: run_demo(folder/"out", minutes=.001))
    for write in ways:
        with pytest.raises(OSError,
                           match="cannot write.*(Permission denied|Not a directory|File exists).*choose"):
            write()
    return True


def test_no_permission_to_write(tmp_path):
    locked = tmp_path/"locked"
    locked.mkdir(mode=0o500)
    if os.geteuid(): refused_everywhere(locked); return
    # Root may write anywhere: a child process gives that up first. What is imported on the way must be there
    # by then, as it may not
    # read the library's own folder afterwards.
    small().save(tmp_path/"m.safetensors"); save_image(torch.zeros(1, 1, 4, 4), tmp_path/"x.png")
    tmp_path.chmod(0o755)
    for p in tmp_path.parents[:2]: p.chmod(0o755)
    pid = os.fork()
    if pid == 0:
        try: os.seteuid(65534)
        except OSError: os._exit(77)
        try:
            torch.set_num_threads(1)
            os._exit(0 if refused_everywhere(locked) else 1)
        except BaseException as e:
            print(repr(e), flush=True); os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code == 77: pytest.skip("root of a namespace that has no other user cannot give up its rights")
    assert code == 0


def test_a_place_that_is_a_file(tmp_path):
    (tmp_path/"file").touch()
    assert refused_everywhere(tmp_path/"file")


def test_a_gradient_that_is_not_finite_skips_the_step():
    class Bad(torch.nn.Module):
        def __init__(self): super().__init__(); self.w = torch.nn.Parameter(torch.ones(2))
        def loss(self, x, y=None): return (self.w.sum() * float("inf")).expand(len(x))
    bad = Bad()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        history = fit(bad, [torch.zeros(2, 2)], steps=3, device="cpu")
    assert history["skipped"] == 3 and torch.equal(bad.w, torch.ones(2))
    assert [f"step {i}" in str(w.message) for i, w in enumerate(seen, 1)] == [True] * 3
