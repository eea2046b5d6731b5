"""The YAML of composites: what it may say, and every mistake in it told with what is allowed."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from rewards.composite import SHIPPED, Composite, Entry, check_mix, read
from rewards.composite_grammar import STANDARD
from rewards.part import Mistakes
from rewards.spec import Gate

MIX: dict[str, Any] = {"weights": {"rm_score": 0.7, "rule_score": 0.3}}


def written(tmp_path: Path, tree: Any) -> Path:
    path = tmp_path / "mix.yaml"
    path.write_text(tree if isinstance(tree, str) else yaml.safe_dump({"composite_reward": tree}))
    return path


def problems_of(tmp_path: Path, tree: Any) -> list[str]:
    with pytest.raises(Mistakes) as caught:
        read(written(tmp_path, tree))
    return caught.value.problems


def test_the_shipped_file_weighs_every_part_that_a_flag_can_ask_for() -> None:
    shipped = read(SHIPPED)
    assert shipped.enable and shipped.weighed == set(STANDARD)
    assert (shipped.weights["rm_score"], shipped.weights["rule_score"]) == (0.7, 0.3)


def test_the_examples_in_the_shipped_files_comments_are_good_yaml(tmp_path: Path) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    begin, end = text.index("#   by_data_source:"), text.index("# Of a model:")
    example = "".join(line[2:] + "\n" for line in text[begin:end].splitlines())
    mix = read(written(tmp_path, f"composite_reward:\n  weights: {{rule_score: 1}}\n{example}"))
    kinds = {entry.kind for entry in mix.parts.values()}
    assert kinds == {None, "model", "url", "judge", "function", "rules", "rule"}
    assert mix.by_source and mix.gates


def test_a_file_is_read_as_it_is_written(tmp_path: Path) -> None:
    mix = read(
        written(
            tmp_path,
            MIX
            | {
                "by_data_source": {"math*": {"rule_score": 1}},
                "parts": {"rm_score": {"clip": 3}, "nice_score": {"model": "a/b", "scale": "none"}},
                "gates": {"rm_score": {"needs": "rule_score", "at_least": 1}},
            },
        )
    )
    assert mix.enable and mix.by_source == {"math*": {"rule_score": 1}}
    assert mix.parts["rm_score"] == Entry(None, {}, {"clip": 3})
    assert mix.parts["nice_score"] == Entry("model", {"model": "a/b"}, {"scale": "none"})
    assert mix.gates == {"rm_score": Gate("rule_score", 1)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"weight": {}}, "there is no key 'weight'. Did you mean weights?"),
        ({"enable": "perhaps"}, "composite_reward.enable is 'perhaps': takes true or false."),
        ({"weights": [1]}, "composite_reward.weights is [1]: takes a section"),
        ({"weights": {"rm_score": "high"}}, "weights.rm_score is 'high': takes a number."),
        ({"weights": {"rm_score": True}}, "weights.rm_score is True: takes a number."),
        ({"weights": {"rm_score": float("nan")}}, "weights.rm_score is nan: takes a number."),
        ({"by_data_source": {"m*": 1}}, "by_data_source.m* is 1: takes weights of parts"),
        ({"by_data_source": {"m*": {}}}, "by_data_source.m* is {}: takes weights of parts"),
        ({"parts": {"Nice": {"model": "a/b"}}}, "ends with _score, as in safe_score."),
        ({"parts": {"nice_score": "a/b"}}, "parts.nice_score is 'a/b': takes a section"),
        ({"parts": {"nice_score": {"scale": "none"}}}, "give one of model, url, judge, function"),
        ({"parts": {"nice_score": {"modle": "a/b"}}}, "no key 'modle'. Did you mean model?"),
        ({"parts": {"nice_score": {"model": "a", "judge": {}}}}, "is of model and judge at once"),
        ({"parts": {"rm_score": {"scale": "afine"}}}, "takes one of none, affine, running, sigm"),
        ({"parts": {"rm_score": {"clip": -1}}}, "parts.rm_score.clip is -1: takes a number above"),
        ({"parts": {"rm_score": {"clipp": 1}}}, "no key 'clipp'. Did you mean clip?"),
        ({"parts": {"rm_score": {"on_failure": "max"}}}, "neutral, min, raise or a number"),
        ({"parts": {"a_score": {"model": "a", "max_length": 0.5}}}, "a whole number of at least 1"),
        ({"parts": {"a_score": {"judge": "safety"}}}, "a_score.judge is 'safety': takes a section"),
        ({"gates": {"rm_score": "rule_score"}}, "takes {needs: PART, at_least: NUMBER}."),
        ({"gates": {"rm_score": {"needs": "a_score"}}}, "takes {needs: PART, at_least: NUMBER}."),
    ],
)
def test_each_mistake_is_one_sentence_that_names_its_place(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    (problem,) = problems_of(tmp_path, MIX | change)
    assert said in problem and problem.startswith(str(tmp_path / "mix.yaml"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("composite_reward: {weights: [", "is not YAML"),
        ("weights: {rm_score: 1}", "needs one section composite_reward:"),
        ("composite_reward: {}\nother: 1", "and nothing beside it"),
        ("", "needs one section composite_reward:"),
        ("- a", "needs one section composite_reward:"),
    ],
)
def test_a_file_that_is_no_composite(tmp_path: Path, text: str, said: str) -> None:
    (problem,) = problems_of(tmp_path, text)
    assert said in problem


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Mistakes, match="cannot be read: No such file"):
        read(tmp_path / "none.yaml")


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    tree = {"enable": 1, "weights": {"a": "x", "b": None}, "gates": {"c": 1}, "part": {}}
    assert len(problems_of(tmp_path, tree)) == 5


def mixed(**given: Any) -> Composite:
    return Composite(Path("mix.yaml"), **given)


BOTH = ["rule_score", "rm_score"]
WEIGHTS = {"rule_score": 0.3, "rm_score": 0.7}


def test_a_mix_that_fits_has_no_problem() -> None:
    gates = {"rm_score": Gate("rule_score", 1.0)}
    assert check_mix(mixed(weights=WEIGHTS, gates=gates), BOTH) == []


def test_a_part_that_only_a_gate_needs_may_go_without_a_weight() -> None:
    gated = mixed(weights={"rm_score": 1.0}, gates={"rm_score": Gate("rule_score", 1.0)})
    assert check_mix(gated, BOTH) == []


@pytest.mark.parametrize(
    ("mix", "said"),
    [
        (mixed(weights=WEIGHTS | {"judge_score": 1}), "judge_score is no part of this run. Add --"),
        (mixed(weights=WEIGHTS | {"save_score": 1}), "Its parts: rule_score, rm_score."),
        (mixed(weights={"rule_score": 1, "rm_scor": 1}), "Did you mean rm_score?"),
        (mixed(weights={"rule_score": 1}), "rm_score has no weight"),
        (mixed(weights=dict.fromkeys(BOTH, 0)), "every weight is 0"),
        (mixed(weights=WEIGHTS, gates={"rm_score": Gate("nice_score", 1)}), "nice_score is no par"),
        (mixed(weights=WEIGHTS, gates={"rm_score": Gate("rm_score", 1)}), "needs rm_score, the pa"),
        (mixed(weights=WEIGHTS, by_source={"m*": {"good_score": 1}}), "good_score is no part"),
        (mixed(weights=WEIGHTS, parts={"judge_score": Entry(None, {}, {})}), "judge_score is no"),
    ],
)
def test_what_does_not_fit_together_is_one_sentence(mix: Composite, said: str) -> None:
    (problem,) = check_mix(mix, BOTH)
    assert said in problem


def test_gates_do_not_chain() -> None:
    gates = {"rm_score": Gate("rule_score", 1), "rule_score": Gate("judge_score", 1)}
    mix = mixed(weights=WEIGHTS | {"judge_score": 1}, gates=gates)
    (problem,) = check_mix(mix, [*BOTH, "judge_score"])
    assert "needs rule_score, which has a gate too" in problem


def test_a_part_that_is_left_out_leaves_no_trace() -> None:
    mix = mixed(
        weights=WEIGHTS,
        by_source={"m*": WEIGHTS},
        parts={"rm_score": Entry(None, {}, {})},
        gates={"rule_score": Gate("rm_score", 1), "rm_score": Gate("rule_score", 1)},
    ).without({"rm_score"})
    assert mix.named == {"rule_score"} and check_mix(mix, ["rule_score"]) == []
