"""Has the world moved since the production model was trained? Statistics on small pandas frames."""
