"""What a plan can't see: whether torch, Ray, vLLM, disk and judge work here; by trying them."""
