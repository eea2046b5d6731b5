#!/usr/bin/env bash
# One async method, never called, and Ray no longer runs an actor's calls in their order.
#
# One would guess that calls of synchronous methods from one caller run in the order in which they were
# made, as Ray promises for actors with one thread. But the promise hangs on the class, not on the call: as
# soon as any method is a coroutine, the whole actor is an asyncio actor, and a call whose arguments are
# still on their way is overtaken by the next one. Where ranks run collectives, two ranks may so be in two
# different calls at once: gloo then ends with a size mismatch, hours into a run, or waits for ever.
#
# ray 2.60.0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet ray==2.60.0
cat >"$folder/ask.py" <<'PY'
import time

import ray

ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)


class Plain:
    def __init__(self) -> None:
        self.order: list[str] = []

    def call(self, name: str, rows: object) -> None:
        self.order.append(name)

    def seen(self, *after: object) -> list[str]:
        return self.order


class WithOneAsync(Plain):
    async def never_called(self) -> None: ...


@ray.remote
def late() -> bytes:
    time.sleep(2)
    return b"rows"


for kind in (Plain, WithOneAsync):
    actor = ray.remote(num_cpus=0)(kind).remote()
    ray.get(actor.seen.remote())
    calls = [actor.call.remote("first", late.remote()), actor.call.remote("second", b"rows")]
    ray.get(calls)
    print(kind.__name__, *ray.get(actor.seen.remote()))
PY
seen=$(RAY_USAGE_STATS_ENABLED=0 "$folder/env/bin/python" "$folder/ask.py" 2>"$folder/log" || cat "$folder/log")
echo "$seen"
[ "$seen" = "Plain first second
WithOneAsync second first" ]
