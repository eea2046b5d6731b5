"""One import of torch, verl and vLLM for all processes of a CPU run; zygote.py is first."""
