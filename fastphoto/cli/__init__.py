"""The command `fastphoto`; the only package that prints."""
