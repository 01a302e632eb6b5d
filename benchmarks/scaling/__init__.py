"""How whole transfers grow with pixels, regions, threads and photos; `run.py` measures, in a fresh process each."""
