"""No progress bars and no hints of libraries on a person's screen."""

import logging


def hush() -> None:
    from transformers.utils import logging as of_transformers

    of_transformers.disable_progress_bar()
    of_transformers.set_verbosity_error()
    # Shards are read without a process group, which their device mesh tells of once per file.
    logging.getLogger("torch.distributed.device_mesh").setLevel(logging.ERROR)
