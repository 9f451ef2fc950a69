"""How the course plugs into nbgrader."""
