"""Using a trained run on sound files."""
