"""The registry, the interface of each kind of member, shipped files, seeding, progress. Below everything else."""
