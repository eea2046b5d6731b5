"""What our trainer does beside verl's, as plain data: the launcher decides, the trainer obeys.

    of(config)  ->  TrainerSettings(stop_kl=0.01, whiten_advantages=True, ...)

Everything that verl has a key for stays there; these settings have none.
"""

from dataclasses import dataclass, fields

from verlaunch.config.tree import Config


@dataclass(frozen=True)
class TrainerSettings:
    stop_kl: float | None = None  # nats per token; see engine/algorithm.py
    whiten_advantages: bool = True
    value_coef: float = 0.5
    save_epochs: bool = False
    stop_on: tuple[str, ...] = ()  # names of alerts, see alerts.py


def of(config: Config) -> TrainerSettings:
    names = [field.name for field in fields(TrainerSettings)]
    found = {name: config.launch[name] for name in names}
    return TrainerSettings(**{**found, "stop_on": tuple(found["stop_on"])})
