"""The grammar: parameters, recipes, dataset descriptions, settings and errors. Imports pydantic, NumPy and the standard
library only.
"""
