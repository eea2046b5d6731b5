"""What a run trains, and on what: the user's model and data, the samples, or the CPU demo's own.

    with_demo({"recipe": "ppo_qwen"}, (), "cpu")   ->  {"recipe": "cpu_ppo_qwen"}
    inputs = Inputs(config)
    inputs.models().policy.vocab_size               # looked at: small files only
    found = inputs.sources()
    inputs.prepare(inputs.model_folder(), found)    # made or downloaded, tokenized, cached

Left out on purpose: rewards (plan/reward/), and anything that depends on the output folder.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from verlaunch.config.recipes import cpu_variants, default_recipe
from verlaunch.config.tree import Config, get, uses_critic
from verlaunch.errors import UserError
from verlaunch.inputs import models
from verlaunch.inputs.data.build import Settings
from verlaunch.inputs.data.chat import DEFAULT_CHAT_TEMPLATE
from verlaunch.inputs.data.prepare import Prepared, prepare
from verlaunch.inputs.data.sources import Source, folder_notes, sources
from verlaunch.inputs.demo.sizes import CONFIG
from verlaunch.inputs.models import Model
from verlaunch.inputs.tokenizer import as_written
from verlaunch.paths import SAMPLES, cache_dir

VIEWS = "tokenizers"  # of the cache
MODEL = "actor_rollout_ref.model.path"
CRITIC = "critic.model.path"
TEMPLATE = "actor_rollout_ref.model.custom_chat_template"
# The name has a hub id's form, since guards look into the hub's cache for what is in no folder.
DEMO = Model("cpu-demo", "Qwen2ForCausalLM", 260, 256, None, config=CONFIG)
TRAIN_SAMPLE, VAL_SAMPLE = "sample_math.json", "sample_math_val.json"
# Who names one of these has something of their own to train on.
NO_DEMO = {"model", "data", "val_data", "prompt_key", "answer_key", "data_source"}
SAID = (
    "neither --model nor --data: this is {variant}, the recipe {recipe} with the CPU demo's tiny "
    "model and its sums."
)


def with_demo(values: dict[str, Any], overrides: Sequence[str], hardware: str) -> dict[str, Any]:
    """The flags' values, with a recipe's CPU variant where nothing says what to train."""
    keys = (MODEL, "data.train_files")
    named = NO_DEMO & values.keys() or any(w.lstrip("+").startswith(keys) for w in overrides)
    variant = cpu_variants().get(values.get("recipe") or default_recipe())
    if named or variant is None or values.get("hardware", hardware) != "cpu":
        return values
    return {**values, "recipe": variant}


def tell_demo(config: Config) -> Config:
    """The same, with a note for the plan where a CPU variant runs."""
    if not Inputs(config).is_demo:
        return config
    recipe = next(name for name, variant in cpu_variants().items() if variant == config.recipe)
    note = SAID.format(variant=config.recipe, recipe=recipe)
    return replace(config, notes=(note, *config.notes))


@dataclass(frozen=True)
class Models:
    """critic: None when it starts from the policy's model, or there is none."""

    policy: Model
    critic: Model | None = None


@dataclass(frozen=True)
class Sources:
    """val: empty when rows are to be split off. notes: of folders, what is not trained on."""

    train: tuple[Source, ...]
    val: tuple[Source, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inputs:
    config: Config

    @property
    def is_demo(self) -> bool:
        """Whether a CPU variant runs with the model it was made for."""
        return self.config.recipe in cpu_variants().values() and not self._name(MODEL)

    def _name(self, key: str) -> str | None:
        return get(self.config.verl, key)

    def _critic(self) -> str | None:
        """The critic's own model, None when it starts from the policy's."""
        critic = self._name(CRITIC)
        wanted = uses_critic(self.config.verl) and critic != self._name(MODEL)
        return critic if wanted else None

    def models(self) -> Models:
        """Raises UserError when the policy's or the critic's model cannot be."""
        name, own = self._name(MODEL), self._critic()
        whole = self.config.launch["assume_gpus"] is None  # else the sizes are enough
        critic = models.look(own, "--critic_model", whole) if own else None
        if self.is_demo:
            return Models(DEMO, critic)
        if not name:
            raise UserError(
                "Which model? Without a GPU there is no default for your own data: "
                "--model FOLDER_OR_HUB_ID."
            )
        return Models(models.look(name, whole=whole), critic)

    def sources(self) -> Sources:
        """Raises UserError where they are no sources of data."""
        launch = self.config.launch
        if self.is_demo:
            with _cache_errors():
                files = _demo_files()
            return Sources(sources(str(files[0])), sources(str(files[1])))
        columns = {key: launch[key] for key in ("prompt_key", "answer_key", "data_source")}
        train, val = launch["data"], launch["val_data"]
        if not train:
            train, val = str(SAMPLES / TRAIN_SAMPLE), val or str(SAMPLES / VAL_SAMPLE)
        if val:
            notes = () if launch["val_data"] is None else folder_notes(train)
            held = sources(val, **columns, part="val")
        else:
            notes, held = folder_notes(train), sources(train, **columns, part="held")
        return Sources(sources(train, **columns, part="train"), held, notes)

    def model_folder(self) -> Path:
        """The policy's files on this machine; made (the demo) or downloaded when not there."""
        if name := self._name(MODEL):
            folder = models.fetch(name)
            with _cache_errors():
                return as_written(folder, cache_dir() / VIEWS)
        from verlaunch.inputs.demo.model import cached_model

        with _cache_errors():
            return cached_model(cache_dir(), get(self.config.verl, "data.seed"), print)

    def critic_folder(self, model_folder: Path) -> Path:
        critic = self._critic()
        return models.fetch(critic, "--critic_model") if critic else model_folder

    def template(self, model_folder: Path) -> str | None:
        """The chat template to set; None when the model brings its own."""
        wanted = self._name(TEMPLATE)
        if wanted or models.has_chat_template(model_folder):
            return wanted
        return DEFAULT_CHAT_TEMPLATE

    def prepare(self, model_folder: Path, data: Sources) -> Prepared:
        settings = Settings(
            data.train,
            data.val,
            str(model_folder),
            get(self.config.verl, "data.max_prompt_length"),
            self.config.launch["val_size"],
            get(self.config.verl, "data.seed"),
            self.template(model_folder),
            overlap=self.is_demo,
        )
        return prepare(settings, cache_dir(), _progress)

    def identity(self) -> dict[str, Any]:
        """What makes two runs the same run, but for data and reward; a change is another run."""
        verl = self.config.verl
        model, critic = self._name(MODEL), self._critic()
        return {
            "model": "demo" if self.is_demo else _one_name(model or ""),
            "critic": _one_name(critic) if critic else uses_critic(verl),
            "lora_rank": get(verl, "actor_rollout_ref.model.lora_rank"),
        }


def data_identity(data: Sources, prepared: Prepared) -> str:
    """`my.json [1f6e0a2b]`"""
    files = ", ".join(Path(source.path).name for source in data.train)
    return f"{files} [{prepared.train_file.parent.name[:8]}]"


def _one_name(model: str) -> str:
    """./m, m/ and /here/m are one folder."""
    return str(Path(model).expanduser().resolve()) if models.is_local(model) else model


def _demo_files() -> tuple[Path, Path]:
    from verlaunch.inputs.demo.task import write_data

    return write_data(cache_dir() / "demo-data")


@contextlib.contextmanager
def _cache_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{cache_dir()} cannot be written ({error.strerror or error}). "
            "Choose another folder with VERLAUNCH_CACHE=FOLDER."
        ) from None


def _progress(rows: int) -> None:
    if rows and rows % 100_000 == 0:
        print(f"  {rows:,} rows read", flush=True)
