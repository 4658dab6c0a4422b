"""Every command and its arguments as data, by subject; ``cli.commands`` puts them together."""
