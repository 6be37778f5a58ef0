"""Reports of an evaluation: files, plots, a gallery of errors, a summary for the terminal."""
