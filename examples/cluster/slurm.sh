#!/bin/sh
#SBATCH --job-name=tallow
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=01:00:00
# Ranks on the machines of a cluster that Slurm runs: sbatch examples/cluster/slurm.sh
# The folder of the checkout, and with it runs/cluster, is one that all machines have. The package must be built with MPI.
set -eu
export TALLOW_NUM_THREADS="$SLURM_CPUS_PER_TASK"
# Without --mpi the tasks cannot meet, and the first of them says so.
exec srun --mpi=pmix npx tsx examples/cluster/train.ts 300 runs/cluster
