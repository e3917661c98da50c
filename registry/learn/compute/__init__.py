"""Where a command runs: this machine, Slurm, Kubernetes."""
