"""What was asked: flags, variables, recipes and keys become one `Config`, plain data.

    compose.compose(flags.parse(["--lr", "1e-5"], {}), "cpu")   ->  Config

tree.py says what a Config is, flags.py how words are read, compose.py how they become one.
"""
