"""training_curves.png: every length of run, every set of metrics, without a display."""

import struct
import subprocess
import sys
from pathlib import Path

import pytest

from tests.recorded_run import metrics, write_run
from verlaunch.record.report.curves import draw
from verlaunch.record.report.history import read
from verlaunch.record.report.named_steps import Series
from verlaunch.record.report.panels import PANELS, parts, shown
from verlaunch.record.report.smooth import smooth

WITHOUT_CRITIC = ("value_loss", "explained_variance")
NO_DISPLAY = """
import os, sys
from pathlib import Path
os.environ.pop("DISPLAY", None)
os.environ["MPLBACKEND"] = "TkAgg"
from verlaunch.record.report.curves import draw
from verlaunch.record.report.history import read
folder = Path(sys.argv[1])
assert draw(read(folder), folder / "curves.png")
assert "matplotlib.pyplot" not in sys.modules
"""


def size(png: Path) -> tuple[int, int]:
    """Width and height, from the header."""
    head = png.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", head[16:24])


@pytest.mark.parametrize("steps", [1, 2_000])
def test_a_run_of_any_length_is_one_page(tmp_path: Path, steps: int) -> None:
    history = read(write_run(tmp_path, steps=steps, ends="killed"))
    assert draw(history, tmp_path / "curves.png")
    width, height = size(tmp_path / "curves.png")
    assert width == 1890 and height > 1500


def test_a_picture_needs_no_display_whatever_backend_is_set(tmp_path: Path) -> None:
    write_run(tmp_path, judge=True)
    subprocess.run([sys.executable, "-c", NO_DISPLAY, str(tmp_path)], check=True)
    assert size(tmp_path / "curves.png")[0] == 1890


def test_without_a_step_there_is_no_picture(tmp_path: Path) -> None:
    assert not draw(read(write_run(tmp_path, steps=0)), tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()


def test_text_that_looks_like_mathematics_is_drawn_as_it_is(tmp_path: Path) -> None:
    history = read(write_run(tmp_path, steps=2))
    history.identity.update(model="a_$b", data="$\\frac", reward="我的奖励 $x")
    assert draw(history, tmp_path / "curves.png")


def test_what_a_run_does_not_measure_has_no_panel() -> None:
    lines = [
        {k: v for k, v in line.items() if not k.startswith("critic/vf")} for line in metrics(5)
    ]
    series = Series(lines)
    names = [panel.name for panel in shown(series)]
    assert names == [panel.name for panel in PANELS if panel.name not in WITHOUT_CRITIC]
    assert not shown(Series())


def test_parts_are_what_differs_from_the_reward_and_is_a_reward() -> None:
    assert parts(Series(metrics(5, judge=True))) == {
        "answered": "reward_part_answered",
        "judge_score": "reward_part_judge_score",
    }


def test_smoothing_keeps_a_constant_and_halves_no_end() -> None:
    assert smooth([(step, 2.0) for step in range(50)]) == [(step, 2.0) for step in range(50)]
    noisy = smooth([(step, step % 2) for step in range(100)])
    assert all(0.3 < value < 0.7 for _, value in noisy)
    assert smooth([(1, 3.0)]) == [(1, 3.0)] and smooth([]) == []
