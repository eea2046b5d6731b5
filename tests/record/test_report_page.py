"""report.html as text: what it holds, how large it gets, what it may do. A browser is elsewhere."""

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.recorded_run import COMMAND, write_run
from verlaunch.config.compose import compose, differences, to_yaml
from verlaunch.config.flags import parse
from verlaunch.record.channel import SAMPLES
from verlaunch.record.report.history import read
from verlaunch.record.report.page import settings
from verlaunch.record.report.page.build import html
from verlaunch.record.report.page.charts import charts
from verlaunch.record.report.page.embed import as_json, cut
from verlaunch.record.report.page.shown_samples import MOST, choose
from verlaunch.record.report.smooth import thin
from verlaunch.record.report.summary import summarize

DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.S)
NASTY = "</script><script>alert(1)</script><!-- &amp; \u2028\u2029 \u202eabc \ud800 ]]>"


def page_of(folder: Path, png: bytes | None = None) -> str:
    history = read(folder)
    return html(history, summarize(history), png)


def data_of(page: str) -> dict[str, Any]:
    found = DATA.findall(page)
    assert len(found) == 1
    return json.loads(found[0])


def sample(step: int, score: float | None, **more: Any) -> dict[str, Any]:
    return {"step": step, "score": score, "prompt": "p", "response": "r", "ground_truth": "g",
            "data_source": "math", **more}  # fmt: skip


# ---- text stays text ------------------------------------------------------------------------


markup = st.text(st.sampled_from('<>&\u2028\u2029\ud800/!-\\"a'))


@given(
    st.recursive(
        markup | st.text() | st.none() | st.floats() | st.integers(), st.lists, max_leaves=8
    )
)
def test_embedded_data_is_plain_json_and_holds_no_markup(value: Any) -> None:
    text = as_json({"response": value})
    assert not set("<>&\u2028\u2029") & set(text)
    text.encode()  # a lone surrogate would raise
    json.loads(text, parse_constant=pytest.fail)  # NaN and infinity are Python's words


def test_a_response_full_of_markup_adds_no_element_to_the_page(tmp_path: Path) -> None:
    write_run(tmp_path / NASTY.replace("/", "").encode("utf-8", "ignore").decode(), steps=3)
    folder = next(tmp_path.iterdir())
    with (folder / SAMPLES).open("a") as file:
        nasty = sample(3, 0.5, response=NASTY, ground_truth=NASTY, prompt=NASTY)
        file.write(json.dumps(nasty) + "\n")
    page = page_of(folder)
    page.encode()
    assert page.count("<script") == 2 and page.count("</script") == 2
    assert NASTY in {one["response"] for one in data_of(page)["samples"]}


def test_numbers_that_json_has_no_word_for_are_null() -> None:
    assert json.loads(as_json([float("nan"), float("-inf"), 1.5])) == [None, None, 1.5]


def test_the_policy_allows_this_script_and_this_style_and_no_network(tmp_path: Path) -> None:
    page = page_of(write_run(tmp_path, steps=2))
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None and policy[1].startswith("default-src 'none';")
    for tag in ("style", "script"):
        inline = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.S)
        assert len(inline) == 1
        digest = base64.b64encode(hashlib.sha256(inline[0].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy[1]
    assert "unsafe" not in policy[1] and "http" not in policy[1]


def test_the_script_never_writes_markup() -> None:
    scripts = Path(settings.__file__).with_name("script").glob("*.js")
    text = "".join(script.read_text() for script in scripts)
    assert len(text) > 1000
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)


# ---- what it holds --------------------------------------------------------------------------


def test_the_page_says_what_ran_and_how_it_ended(tmp_path: Path) -> None:
    data = data_of(page_of(write_run(tmp_path, steps=40, judge=True)))
    assert data["head"]["state"] == "finished" and data["head"]["command"] == COMMAND
    assert ["Steps", "40 of 40"] in data["head"]["facts"]
    assert {one["name"] for one in data["glance"]} >= {"Reward", "Validation", "KL divergence"}
    assert data["alerts"][0]["steps"] == "step 12"
    assert ["calls", 1800] in data["judge"]
    assert dict(map(tuple, data["versions"]))["verl"] == "0.9.1"
    assert {"metrics.jsonl", "config.yaml"} <= {name for name, _ in data["files"]}
    assert abs(sum(share for _, share in data["phases"]) - 1) < 0.01


def test_the_machines_of_a_run_are_named_with_their_logs(tmp_path: Path) -> None:
    run = write_run(tmp_path, steps=2)
    file = run / "environment.json"
    one = {"rank": 1, "host": "b", "address": "10.0.0.2", "interface": "eth0", "cores": 96,
           "memory_gib": 1007.5, "gpus": ["NVIDIA Test"] * 8, "log": "nodes/1/logs"}  # fmt: skip
    file.write_text(json.dumps({**json.loads(file.read_text()), "nodes": [one]}))
    (run / "nodes").mkdir()
    data = data_of(page_of(run))
    assert dict(map(tuple, data["versions"]))["node 1"] == (
        "b, 10.0.0.2 on eth0; 8 x NVIDIA Test, 96 cores, 1007.5 GiB; nodes/1/logs"
    )
    assert "nodes/" in {name for name, _ in data["files"]}


def test_a_run_that_failed_says_why(tmp_path: Path) -> None:
    head = data_of(page_of(write_run(tmp_path, steps=8, ends="failed")))["head"]
    assert head["state"] == "failed" and "the judge failed" in head["reason"]


def test_verdicts_that_ask_for_a_look_come_first(tmp_path: Path) -> None:
    history = read(write_run(tmp_path, steps=40))
    summary = summarize(history)
    summary["metrics"]["entropy"]["verdict"] = "bad"
    words = [one["verdict"] for one in data_of(html(history, summary))["verdicts"]]
    order = ["bad", "look", "good", ""]
    assert words[0] == "bad" and words == sorted(words, key=order.index)


def test_runs_of_no_step_and_of_one_step_have_a_page(tmp_path: Path) -> None:
    for steps in (0, 1):
        data = data_of(page_of(write_run(tmp_path / str(steps), steps=steps)))
        assert len(data["samples"]) == 4 * steps
        assert bool(data["charts"]) == bool(steps)


def test_a_folder_with_nothing_but_metrics_has_a_page(tmp_path: Path) -> None:
    whole = write_run(tmp_path / "whole", steps=5)
    (tmp_path / "bare").mkdir()
    (whole / "metrics.jsonl").rename(tmp_path / "bare" / "metrics.jsonl")
    data = data_of(page_of(tmp_path / "bare"))
    assert data["charts"] and not data["samples"] and not data["settings"] and not data["judge"]


def test_the_picture_is_there_for_readers_without_scripts(tmp_path: Path) -> None:
    page = page_of(write_run(tmp_path, steps=2), png=b"\x89PNG picture")
    inside = re.search(r"<noscript>(.*)</noscript>", page, re.S)
    assert inside is not None
    assert base64.b64encode(b"\x89PNG picture").decode() in inside[1]


def test_settings_are_those_that_dry_run_shows_and_the_launchers_own(tmp_path: Path) -> None:
    config = compose(parse(["--lr", "3e-5", "--gamma", "0.9"], {}), "cpu")
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    shown = settings.differences(read(tmp_path).config)
    own = [one for one in shown if one["key"].startswith("verlaunch.")]
    assert {one["key"] for one in shown} - {one["key"] for one in own} == set(differences(config))
    assert shown[: len(own)] == own
    assert {"key": "algorithm.gamma", "default": "1.0", "here": "0.9"} in shown


def test_what_a_user_typed_as_a_secret_is_not_on_the_page(tmp_path: Path) -> None:
    folder = write_run(tmp_path, steps=2)
    (folder / "command.sh").write_text("HF_TOKEN=hf_abc ./train.sh rm_url=http://me:pw7@host/v1\n")
    (folder / "run.json").write_text(json.dumps({"reward": "http://me:pw8@host, 512 tokens"}))
    environment = "{runtime_env: {env_vars: {WANDB_API_KEY: wk_1}}, token: null}"
    with (folder / "config.yaml").open("a") as file:
        file.write(f"ray_kwargs: {{ray_init: {environment}}}\nprompt_key: question\n")
    page = page_of(folder)
    assert not any(secret in page for secret in ("hf_abc", "me:pw7", "me:pw8", "wk_1"))
    shown = {one["key"]: one["here"] for one in data_of(page)["settings"]}
    assert shown["ray_kwargs.ray_init.runtime_env.env_vars.WANDB_API_KEY"] == "***"
    assert shown["prompt_key"] == "question"


# ---- how large it gets ----------------------------------------------------------------------


def test_a_long_text_is_cut_and_says_by_how_much(tmp_path: Path) -> None:
    folder = write_run(tmp_path, steps=2)
    with (folder / SAMPLES).open("a") as file:
        file.write(json.dumps(sample(2, 1.0, response="x" * 100_000)) + "\n")
    longest = max((one["response"] for one in data_of(page_of(folder))["samples"]), key=len)
    assert longest.startswith("x" * 4000) and longest.endswith("… 96,000 more characters")
    assert cut("x" * 4000) == "x" * 4000


def test_best_and_worst_are_kept_of_every_part_of_a_long_run() -> None:
    lines = [sample(step, place / 20) for step in range(1, 501) for place in range(20)]
    kept = choose(lines)
    assert len(kept) == MOST
    assert [one["step"] for one in kept] == sorted(one["step"] for one in kept)
    picks = [one for one in kept if one["pick"]]
    assert {one["score"] for one in picks if one["pick"] == "best"} == {0.95}
    assert {one["score"] for one in picks if one["pick"] == "worst"} == {0.0}
    for first in range(1, 500, 63):
        there = {one["pick"] for one in picks if first <= one["step"] < first + 63}
        assert there == {"best", "worst", "random"}
    assert choose(lines) == kept


def test_a_reward_that_failed_is_neither_best_nor_worst() -> None:
    lines = [sample(1, 0.5), sample(1, 0.6), sample(1, 99.0, reward_failed=1.0), sample(1, None)]
    picks = {one["score"]: one["pick"] for one in choose(lines)}
    assert picks == {0.6: "best", 0.5: "worst", 99.0: "random", None: "random"}


def test_equal_scores_are_no_best_and_worst() -> None:
    assert {one["pick"] for one in choose([sample(1, 1.0) for _ in range(4)])} == {"random", ""}


def test_chat_messages_and_odd_samples_are_shown_as_text() -> None:
    chat = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]
    shown = choose([sample(1, 1.0, prompt=chat, ground_truth={"a": [1]}), {"step": "1"}, {}])
    assert [one["prompt"] for one in shown] == ["system: Be kind.\n\nuser: Hi"]
    assert shown[0]["ground_truth"] == "{'a': [1]}"


points = st.lists(st.none() | st.floats(-1e6, 1e6), min_size=1, max_size=400).map(
    lambda values: list(enumerate(values))
)


@given(points, st.integers(4, 50))
def test_a_thinned_curve_keeps_its_ends_its_extremes_and_its_order(found: Any, most: int) -> None:
    kept = thin(found, most)
    assert len(kept) <= max(most, 4) and set(kept) <= set(found)
    assert kept == sorted(kept, key=lambda point: point[0])
    assert kept[0] == found[0] and kept[-1] == found[-1]
    values, left = ([y for _, y in some if y is not None] for some in (found, kept))
    assert not values or (min(values), max(values)) == (min(left), max(left))


def test_no_curve_of_a_long_run_has_more_than_2000_points(tmp_path: Path) -> None:
    drawn = charts(read(write_run(tmp_path, steps=2100)))
    series = [one for chart in drawn for one in chart["series"]]
    assert max(len(one["x"]) for one in series) <= 2000
    reward = next(one for one in series if one["label"] == "reward_mean" and one["kind"] == "raw")
    assert (reward["x"][0], reward["x"][-1]) == (1, 2100)


def test_a_number_that_was_not_finite_is_a_gap(tmp_path: Path) -> None:
    drawn = charts(read(write_run(tmp_path, steps=10)))
    norm = next(chart for chart in drawn if chart["title"] == "Policy gradient norm")["series"][0]
    assert norm["y"][norm["x"].index(5)] is None and None not in norm["y"][5:]


def test_every_metric_is_in_one_chart_and_parts_share_theirs(tmp_path: Path) -> None:
    drawn = charts(read(write_run(tmp_path, steps=20, judge=True)))
    by_title = {chart["title"]: chart for chart in drawn}
    assert {one["label"] for one in by_title["Reward parts"]["series"]} == {
        "rule_score", "answered", "judge_score"}  # fmt: skip
    assert by_title["KL divergence"]["healthy"] == (0.001, 0.1)
    assert by_title["KL divergence"]["alerts"] == [12]
    assert {"Reward", "Policy loss", "Value loss", "Clip fraction", "Entropy", "Advantages",
            "Response length", "Throughput", "Learning rate",
            "Judge calls"} <= set(by_title)  # fmt: skip
