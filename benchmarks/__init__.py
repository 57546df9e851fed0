"""This project and two peers, measured in one run."""
