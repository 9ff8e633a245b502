#!/bin/sh
# Ranks on one machine, or on those that a file of hosts names: examples/cluster/mpirun.sh 4 [--hostfile hosts]
# The package must be built with MPI: npm run build -- --features mpi
set -eu
ranks="$1"
shift
cd "$(dirname "$0")/../.."
# Each rank has the cores of its share of a machine.
export TALLOW_NUM_THREADS="${TALLOW_NUM_THREADS:-1}"
exec mpirun -np "$ranks" "$@" npx tsx examples/cluster/train.ts 300 runs/cluster
