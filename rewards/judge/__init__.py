"""A reward from a language model that grades responses: what it is asked, how, and what it said."""
