"""Pages and pictures for people: comparisons, surveys and user studies."""
