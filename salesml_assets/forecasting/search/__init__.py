"""Model search: recipes tried on earlier origins than those that score, within a budget of time."""
