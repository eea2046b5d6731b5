"""The engine room: the only place that knows verl's insides (0.9.1).

platform      the CPU as a verl platform             plugin        the `verl.plugins` entry point
engines       FSDP engines that need no flash-attn   workers       training workers built on them
vllm_worker   vLLM on the CPU with updatable weights rollout       prompts in, scored responses out
trainer       verl's sync PPO trainer, our hooks     runner        the Ray actor that holds it
table         a step's rows, as columns              queue         the table in verl's queue's place
server        vLLM, many requests in a call          client        what asks it
packing       rows that travel                       shortcuts     verl's detours, left out
threads       cores for a rank                       memory        the garbage collector's share
driver        the process that owns the Ray cluster  environment   what every Ray worker inherits
shards        a checkpoint's weights, joined          lora          adapters, merged or alone
hub_folder    weights in Hugging Face's layout        export        from the one to the other
proof         exported is what was trained            rebuilt       the models it compares
speaking      vLLM for a chat                         chosen        the platform verl has found

Each file names the verl line that makes it necessary: a new verl version is one room's work.
"""
