"""Talking to a policy before and after training: the words, the columns, and vLLM itself."""

import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.saved_run import save_run, write_papers
from verlaunch import cli
from verlaunch.errors import UserError
from verlaunch.record.checkpoints.manifest import write_manifest
from verlaunch.record.report.history import read
from verlaunch.tools.chat import voices
from verlaunch.tools.chat.columns import cells, harmless, shown, side_by_side, wrapped
from verlaunch.tools.chat.flags import parse, prompts
from verlaunch.tools.chat.speaker import Answer, Conversation, Model, Sampling, Speaker
from verlaunch.tools.chat.talk import Quit, Talk
from verlaunch.tools.export.pick import pick

SAMPLING = Sampling(0.0, 8, 1)


# ---- columns ---------------------------------------------------------------------------------


def test_answers_stand_beside_each_other_where_there_is_room() -> None:
    lines = side_by_side(["before", "after"], ["one two three four", "seven"], width=27)
    assert lines == [
        "before       │ after",
        "──────────── │ ────────────",
        "one two      │ seven",
        "three four   │",
    ]
    narrow = shown(["before", "after"], ["8", "7"], width=79)
    assert narrow == shown(["before", "after"], ["8", "7"], None) == ["before: 8", "after: 7"]
    assert shown(["after"], ["7"], 120) == ["after: 7"]


@given(st.text(), st.integers(2, 60))
def test_wrapped_lines_fit_and_lose_only_blanks(text: str, width: int) -> None:
    clean = harmless(text)
    lines = list(wrapped(clean, width))
    assert all(cells(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(clean.split())


def test_a_chinese_character_takes_two_cells() -> None:
    assert cells("答案是7") == 7
    assert list(wrapped("答案是七", 5)) == ["答案", "是七"]
    lines = side_by_side(["前", "after"], ["答案", "x"], width=23)
    assert {line.index("│") + cells(line[: line.index("│")]) - len(line[: line.index("│")])
            for line in lines} == {11}  # fmt: skip


def test_a_models_text_cannot_steer_the_terminal() -> None:
    assert harmless("\x1b[2Jgone\r\x07\u202eback\tx\n") == "[2Jgoneback\tx\n".expandtabs(4)


# ---- conversations ---------------------------------------------------------------------------


class Echo:
    """A speaker that answers with what it was given."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked: list[list[dict[str, str]]] = []

    def ask(self, conversations: Sequence[Conversation], sampling: Sampling) -> None:
        self.asked = [list(one) for one in conversations]

    def answers(self) -> list[Answer]:
        return [Answer(f"{self.name}{len(one)}") for one in self.asked]


def test_each_model_remembers_its_own_answers() -> None:
    left, right = Echo("a"), Echo("b")
    talk = Talk([left, right], SAMPLING)
    assert talk.say("hi") == ["a1", "b1"]
    assert talk.say("again") == ["a3", "b3"]
    assert [m["content"] for m in right.asked[0]] == ["hi", "b1", "again"]


def test_slash_commands_reset_set_a_system_message_and_end() -> None:
    echo = Echo("a")
    talk = Talk([echo], SAMPLING)
    talk.say("hi")
    talk.command("/system  Be brief. ")
    talk.say("hi")
    assert echo.asked[0] == [{"role": "system", "content": "Be brief."},
                             {"role": "user", "content": "hi"}]  # fmt: skip
    talk.command("/reset")
    assert talk.say("hi") == ["a2"]  # the system message stays
    talk.command("/system")
    assert talk.say("hi") == ["a1"]
    assert "no such command" in talk.command("/sytem") and "/quit" in talk.command("/help")
    with pytest.raises(Quit):
        talk.command("/quit")


def test_a_question_that_does_not_fit_is_said_and_forgotten() -> None:
    class Full(Echo):
        def answers(self) -> list[Answer]:
            return [Answer("", problem="900 tokens do not fit")]

    talk = Talk([Full("a")], SAMPLING)
    assert talk.say("long") == ["(900 tokens do not fit)"]
    assert talk.histories == [[]]


def test_only_the_oldest_turns_are_left_out_when_a_conversation_is_too_long() -> None:
    from verlaunch.inputs.demo.tokenizer import make_tokenizer
    from verlaunch.tools.chat.speaking import Prompts

    tokenizer = make_tokenizer()  # one token a byte, and one for each role and end
    fitting = Prompts(
        tokenizer, {"engine": {"max_model_len": 30}, "template": None, "template_options": {}}
    )
    turns = [{"role": role, "content": "12345678"} for role in ("user", "assistant") * 3]
    ids, forgot = fitting.fit([{"role": "system", "content": "S"}, *turns[:5]], answer=8)
    assert forgot == 4 and tokenizer.decode(ids) == "<|user|>S<|user|>12345678<|assistant|>"
    assert fitting.fit(turns[:1], answer=8)[1] == 0
    assert len(fitting.fit([{"role": "user", "content": "x" * 99}], answer=8)[0]) > 30


# ---- which models ----------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path, tiny_qwen2: Path) -> Path:
    """Steps 3 and 7 without weights; final/ of step 7."""
    folder = tmp_path / "outputs"
    write_papers(folder, tiny_qwen2, step=7)
    for step in (3, 7):
        actor = folder / "checkpoints" / f"global_step_{step}" / "actor"
        actor.mkdir(parents=True)
        (actor / "shard.pt").write_bytes(bytes(step))
        write_manifest(actor.parent, step, 1)
    shutil.copytree(tiny_qwen2, folder / "checkpoints" / "final")
    (folder / "logs" / "events.jsonl").write_text('{"event": "exported", "step": 7}\n')
    return folder


def test_final_speaks_where_it_is_the_step_asked_for(run: Path) -> None:
    final = voices.Voice("after (step 7)", run / "checkpoints" / "final")
    assert voices.after(read(run), None) == voices.after(read(run), "7") == final
    assert voices.after(read(run), "final").title == "after (final, step 7)"


def test_an_earlier_export_of_the_same_checkpoint_speaks_again(run: Path) -> None:
    out = run / "exported" / "step_3"
    (out / "actor").mkdir(parents=True)
    (out / "export.json").write_text(json.dumps({"checkpoint": pick(run, "3").fingerprint()}))
    assert voices.after(read(run), "3").folder == out / "actor"


def test_a_model_that_is_gone_is_one_sentence(run: Path) -> None:
    with pytest.raises(UserError, match="no complete checkpoint of step 4"):
        voices.after(read(run), "4")
    shutil.rmtree(run / "checkpoints" / "final")
    with pytest.raises(UserError, match="has no final model yet"):
        voices.after(read(run), "final")
    config = (run / "config.yaml").read_text().replace("qwen2", "gone")
    (run / "config.yaml").write_text(config)
    with pytest.raises(UserError, match="The model this run began with is gone"):
        voices.before(read(run))


def test_the_demos_model_is_made_again_when_its_cache_was_cleared(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache" / "demo-v2-seed1").mkdir(parents=True)
    monkeypatch.setenv("VERLAUNCH_CACHE", str(tmp_path / "cache"))
    (run / "run.json").write_text('{"model": "demo"}')
    config = (run / "config.yaml").read_text().replace("qwen2", "gone")
    (run / "config.yaml").write_text(config)
    assert voices.before(read(run)).folder == tmp_path / "cache" / "demo-v2-seed1"


# ---- the command -----------------------------------------------------------------------------


def test_mistakes_are_one_sentence_and_exit_code_2(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.txt").write_text("\n")
    for words, said in (
        ([str(tmp_path / "none")], "no such folder"),
        ([str(tmp_path)], "Runs in it: outputs"),
        ([str(run), "--temperature", "-1"], "takes a number from 0"),
        ([str(run), "--max_tokens", "0"], "at least 1"),
        ([str(run), "--prompts", str(tmp_path / "q.txt")], "no such file"),
        ([str(run), "--prompts", str(tmp_path / "empty.txt")], "holds no prompt"),
        ([str(run), "--step", "5"], "no complete checkpoint of step 5"),
    ):
        assert cli.main(["chat", *words]) == 2
        told = capsys.readouterr().err
        assert told.startswith("error: ") and said in told and told.count("\n") == 1


def test_prompts_come_from_text_and_from_data_files(tmp_path: Path) -> None:
    text, data = tmp_path / "q.txt", tmp_path / "q.jsonl"
    text.write_text("1+1=\n\n2+2=\n")
    chat = [{"role": "system", "content": "S"}, {"role": "user", "content": "3+3="}]
    data.write_text(json.dumps({"prompt": chat}) + "\n" + json.dumps({"prompt": "4+4="}) + "\n")
    found = prompts(parse(["r", "--prompts", str(text), "--prompt", "0+0="]))
    assert [m[-1]["content"] for m in found] == ["0+0=", "1+1=", "2+2="]
    found = prompts(parse(["r", "--prompts", str(data)]))
    assert found == [chat, [{"role": "user", "content": "4+4="}]]


def test_a_vllm_that_does_not_start_is_said_with_its_last_words_and_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vllm.py").write_text("print('loading'); raise RuntimeError('no such card')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    log = tmp_path / "chat.log"
    model = Model({"model": str(tmp_path), "max_model_len": 64})
    speaker = Speaker("after", model, "cpu", log)
    with pytest.raises(UserError, match=r"after: vLLM ended\. .*no such card .*: .*chat\.log"):
        speaker.wait_ready()
    speaker.close()
    assert "loading" in log.read_text() and "Traceback" in log.read_text()


def in_a_terminal(words: list[str], typed: str, columns: int) -> str:
    """What a person sees who types these lines."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        words, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True,
        env={**os.environ, "COLUMNS": str(columns), "TERM": "dumb"},
    )  # fmt: skip
    os.close(theirs)
    os.write(ours, typed.encode())
    seen = b""
    while True:
        try:
            block = os.read(ours, 4096)
        except OSError:  # how a terminal ends on Linux
            break
        if not block:
            break
        seen += block
    assert process.wait(60) == 0, seen.decode()
    return seen.decode().replace("\r\n", "\n")


@pytest.mark.slow
def test_a_conversation_in_a_terminal_shows_both_models_in_columns(
    tmp_path: Path, tiny_qwen3: Path
) -> None:
    """All of it for real: a checkpoint of two ranks, exported and loaded by vLLM on the CPU."""
    run = tmp_path / "outputs"
    save_run(run, tiny_qwen3, ranks=2, critic=False)
    words = [sys.executable, "-m", "verlaunch", "chat", str(run), "--max_tokens", "6"]
    seen = in_a_terminal(words, "3+4=\n/reset\n/quit\n", columns=100)
    titles = next(line for line in seen.splitlines() if line.startswith("before  "))
    assert titles.index("│") == 49 and titles.endswith("│ after (step 7)")
    assert "(cut: more with --max_tokens N)" in seen and "Forgotten." in seen
    assert "INFO" not in seen and "WARNING" not in seen
    assert (run / "exported" / "chat" / "step_7" / "actor" / "config.json").is_file()
    assert (run / "logs" / "chat-after.log").is_file()
