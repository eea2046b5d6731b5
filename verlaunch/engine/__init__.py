"""The engine room: the only place that knows verl's insides (0.9.1).

processes/    a run's driver, another machine's node, a guest in a cluster that is there
training/     verl's sync PPO trainer and its workers, with our hooks
rollout/      vLLM: prompts in, scored responses out; a step's rows
reward/       where verl asks for a score
fork/         one import of torch, verl and vLLM for all processes of a CPU run

plugin        the `verl.plugins` entry point          platform     the CPU as a verl platform
chosen        the platform that verl has found        environment  what every Ray worker inherits
actors        on which node actors live, their names  heartbeat    a sign of life for the watchdog
threads       cores for a rank

Each file names the verl line that makes it necessary: a new verl version is one room's work.
"""
