"""This project beside two peers, measured in one go."""
