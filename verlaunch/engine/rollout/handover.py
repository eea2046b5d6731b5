"""The socket by which a rank hands its weights to the vLLM beside it: of this run alone.

    handover.job()       ->  "01000000-3f2a9c0d51e7b864"     # for the server's VERL_RAY_JOB_ID
    handover.of_run("ipc:///tmp/rl-colocate-zmq-01000000-replica-0-rank-0.sock")
    ->  "ipc:///tmp/rl-colocate-zmq-01000000-3f2a9c0d51e7b864-replica-0-rank-0.sock"

verl names it by Ray's job (workers/rollout/vllm_rollout/vllm_rollout.py:140, utils.py:425), and the
first job of every cluster has the same id. Of two runs on one machine either's vLLM could then load
what the other's trainer sends: in silence, where their models have the same shapes. A node's id is
drawn anew for every cluster, and both ends of the socket are on one node.
"""

import ray

ID_CHARACTERS = 16  # of 56: a socket's path holds about a hundred in all


def job() -> str:
    context = ray.get_runtime_context()
    return f"{context.get_job_id()}-{context.get_node_id()[:ID_CHARACTERS]}"


def of_run(handle: str) -> str:
    """verl's address of the socket, by this run's name."""
    return handle.replace(ray.get_runtime_context().get_job_id(), job(), 1)
