"""The machine that builds datasets: recipes, plans, tasks over Dask, and the stages render, import and featurize."""
