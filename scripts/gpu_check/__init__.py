"""What scripts/gpu_check.sh does: whether training works on this machine's GPU, part by part."""
