"""The demonstration on a machine that is too slow for it: never noise without a word."""
import itertools
from types import SimpleNamespace

from ddpm_edu.training import loop
from ddpm_edu.using import demo


def test_on_a_slow_machine_it_says_that_these_are_no_digits(tmp_path, monkeypatch, capsys):
    "Each step takes eleven seconds by the clock of the training loop, so half a minute is three steps."
    ticks = itertools.count(0, 11)
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    result = demo.run_demo(tmp_path, minutes=.45, n_steps=4, n_scored=0)
    said = capsys.readouterr().out
    assert result["steps"] == 3 and result["recognised"] < 40
    assert "THESE ARE NO DIGITS YET" in said and "192 images in 33 s" in said and "--minutes 29" in said


def test_threads_that_wait_for_each_other_are_not_used(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "best_threads", lambda step: 1)
    result = demo.run_demo(tmp_path, minutes=None, images=64, preset="fast", n_scored=0)
    assert "for 64 images on cpu (1 thread)" in capsys.readouterr().out and result["steps"] == 1
