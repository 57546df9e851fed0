"""How often the drift tests cry wolf, and how fast they see a change."""
