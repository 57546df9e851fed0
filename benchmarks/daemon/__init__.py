"""The real daemon, sensors and jobs: events that start retrains, and a daemon that is killed again and again."""
