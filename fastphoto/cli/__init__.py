"""The command `fastphoto`: one module for each subcommand. No other package prints."""
