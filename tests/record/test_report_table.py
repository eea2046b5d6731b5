"""training_metrics.csv: a row for each step, whatever was killed or resumed meanwhile."""

import csv
from pathlib import Path

from tests.recorded_run import metrics, write_run
from verlaunch.record.report.history import read
from verlaunch.record.report.names import by_name
from verlaunch.record.report.write import CSV, write_table


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / CSV).open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_step_has_one_row_and_the_later_line_counts(tmp_path: Path) -> None:
    write_table(read(write_run(tmp_path)))
    found = rows(tmp_path)
    assert [row["step"] for row in found] == [str(step) for step in range(1, 41)]
    assert all(float(row["reward_mean"]) >= 0 for row in found)  # the undone one was -99


def test_short_names_come_first_and_verls_follow_as_they_first_came(tmp_path: Path) -> None:
    write_table(read(write_run(tmp_path)))
    columns = list(rows(tmp_path)[0])
    parts = ["reward_part_rule_score", "reward_part_rule_failed", "reward_part_answered"]
    assert columns[: 3 + len(by_name) + 3] == ["step", "time", "epoch", *by_name, *parts]
    assert columns[3 + len(by_name) + 3] == "actor/entropy"
    assert columns[-1] == "timing_s/save_checkpoint"  # step 10 is the first that has it
    assert len(columns) == len(set(columns))


def test_numbers_are_whole_and_a_missing_one_is_an_empty_cell(tmp_path: Path) -> None:
    write_table(read(write_run(tmp_path, steps=8)))
    lines = [line for line in metrics(8) if line["step"]]
    found = rows(tmp_path)
    assert [float(row["actor/entropy"]) for row in found] == [
        line["actor/entropy"] for line in lines
    ]
    assert found[4]["policy_grad_norm"] == "" == found[4]["actor/grad_norm"]
    assert found[0]["judge_calls"] == "" and found[0]["time"] == "2026-05-28T20:27:33Z"


def test_a_run_without_steps_is_a_line_of_names(tmp_path: Path) -> None:
    write_table(read(write_run(tmp_path, steps=0)))
    assert (tmp_path / CSV).read_text().startswith("step,time,epoch,reward_mean") and not rows(
        tmp_path
    )
