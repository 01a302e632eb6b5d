"""A page in the browser: drop two photos, paint what belongs together, see the result grow, and download it."""
