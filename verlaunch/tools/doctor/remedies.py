"""What to type when a process of a check has died or hung, by what it said.

    remedies("killed by SIGKILL (...) while loading it in vLLM", ("Install it again: ...",))

Left out on purpose: the failures of a run; verlaunch/launch/failures explains those.
"""

import re

from verlaunch.paths import anew

REINSTALL = anew()
BUG = "Attach this file to a bug report."
# Pattern in what was said -> what to type. The first that fits counts.
KNOWN = (
    (r"socksio|SOCKS|[Uu]nknown scheme for proxy",
     "A proxy of the environment is of no kind that is known: env | grep -i _proxy; socks5h:// "
     "and http:// are (socks5h needs .venv/bin/pip install socksio), or unset the variable"),
    (r"libnuma\.so", "vLLM's CPU build needs a library of the system: sudo apt "
     "install libnuma1 (Fedora: sudo dnf install numactl-libs)"),
    (r"torchvision::nms", "This torchvision is a CUDA build: .venv/bin/pip uninstall torchvision"),
    (r"GLIBCXX?_[\d.]+' not found", "This system is too old for the packages: use a newer "
     "container, such as one of Ubuntu 22.04 or later"),
    (r"libcuda\.so|driver (version )?is (too old|insufficient)|Found no NVIDIA driver",
     "The NVIDIA driver is missing or too old: nvidia-smi shows it; update it, or use "
     "--hardware cpu"),
    (r"Free memory on device|CUDA out of memory|OutOfMemoryError",
     "Another program holds the GPU's memory: nvidia-smi shows which; end it"),
    (r"No space left on device", "A disk is full: df -h . /tmp /dev/shm; make room, or "
     "TMPDIR=/some/short/path"),
    (r"Too many open files", "Raise the limit of open files: ulimit -n 65536"),
    (r"can't start new thread|Resource temporarily unavailable",
     "Raise the limit of processes: ulimit -u unlimited (in a container: --pids-limit -1)"),
    (r"SIGKILL|Cannot allocate memory|MemoryError|DefaultCPUAllocator",
     "It looks like too little memory: free -g; end other programs, or give the container more"),
    (r"Illegal instruction|SIGILL", "This processor lacks instructions that the build uses: "
     "lscpu | grep -o avx2; vLLM's CPU build needs AVX2 at least"),
    (r"No module named|cannot import name|undefined symbol", REINSTALL),
)  # fmt: skip


def remedies(said: str, usual: tuple[str, ...]) -> tuple[str, ...]:
    """The known one first, then the check's own."""
    known = next((remedy for pattern, remedy in KNOWN if re.search(pattern, said)), "")
    return tuple(dict.fromkeys([*([known] if known else []), *usual]))
