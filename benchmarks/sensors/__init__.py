"""What evaluations of the sensors take in the real daemon, with five years of files, partitions and runs before."""
