"""What there is to choose from: the registry, what a member of each kind looks like, shipped files, seeding. Below everything."""
