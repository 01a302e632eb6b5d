"""Every method of the survey by name, called alike."""
