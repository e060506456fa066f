"""The asynchronous client, and the source of the other one.

``docs/generate.py`` makes of each module here but ``waiting`` the one of its name a folder higher, by taking ``async``
and ``await`` away: what is written once cannot differ.
"""
