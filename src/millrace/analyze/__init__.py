"""What the readings of a batch mean. Pure; adds to the work and takes nothing from it."""
