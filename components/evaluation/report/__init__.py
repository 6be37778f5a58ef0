"""What people see of an evaluation: files, plots, a page of mistakes, a table in the terminal."""
