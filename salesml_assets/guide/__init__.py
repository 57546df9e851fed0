"""What the UI tells people: the meaning of columns, and what to do next when something fails."""
