#!/usr/bin/env bash
# Trains on 2 machines of 8 GPUs under Slurm. From the checkout, in a folder that all machines see:
#
#   sbatch scripts/cluster/slurm.sh --model Qwen/Qwen2.5-7B --data my.json
#   sbatch --nodes 4 --dependency=singleton scripts/cluster/slurm.sh ...  # once the job before ends
#
# The words are those of ./train.sh. 3 minutes before the time limit the run saves and stops; the
# next job with the same words goes on from there, or ends at once where nothing is left to do.
# After a preemption or a lost machine Slurm itself starts the job again (--requeue).
#SBATCH --job-name=verlaunch
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --mem=0
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@180
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

./train.sh --version # installs what is missing, once for all machines
# srun starts the same command on each machine, and does not inherit --cpus-per-task from sbatch.
exec srun --ntasks-per-node=1 --cpus-per-task="$SLURM_CPUS_PER_TASK" \
  ./train.sh --n_gpus "$SLURM_GPUS_ON_NODE" "$@"
