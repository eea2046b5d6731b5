"""What people have (JSON, JSONL, parquet, hub datasets) -> the two parquet files that verl reads.

    prepared = prepare(Settings(sources("data/sample_math.json"), (), model_path), cache_dir())

Text only: rows with images, video or audio are counted and left out.
"""

from verlaunch.inputs.data.build import Settings
from verlaunch.inputs.data.chat import DEFAULT_CHAT_TEMPLATE, chat_template_for
from verlaunch.inputs.data.look import Look, quick_look
from verlaunch.inputs.data.messages import Dropped
from verlaunch.inputs.data.prepare import Prepared, prepare
from verlaunch.inputs.data.rows import MissingColumn, Row, normalise
from verlaunch.inputs.data.sources import Source, sources

__all__ = [
    "DEFAULT_CHAT_TEMPLATE",
    "Dropped",
    "Look",
    "MissingColumn",
    "Prepared",
    "Row",
    "Settings",
    "Source",
    "chat_template_for",
    "normalise",
    "prepare",
    "quick_look",
    "sources",
]
