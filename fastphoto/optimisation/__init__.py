"""The optimisation: settings and presets, losses, solvers, schedule, and the loop over them."""
